//! Through the router, as a client sees it.

use axum::body::Body as HttpBody;
use axum::http::Request;
use fragua_database::Database;
use fragua_database::testing::TestDatabase;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::testing::Bench;

const DAG: &str = "
dag: example
description: An example.
schedule: '@daily'
start_date: 2025-04-02
tags: [data]
params: { rows: { type: integer, default: 5 } }
tasks:
  - { id: first, bash: echo }
  - { id: second, needs: [first], bash: echo }
";

struct Client {
    bench: Bench,
    _test: Option<TestDatabase>,
}

impl Client {
    async fn new() -> Self {
        let test = TestDatabase::sqlite().await;
        let mut client = Self::on(test.database.clone()).await;
        client._test = Some(test);
        client
    }

    async fn on(database: Database) -> Self {
        let mut bench = Bench::new(database).await;
        bench.write("example.yaml", DAG).await;
        Self { bench, _test: None }
    }

    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(HttpBody::from(body.unwrap_or_default().to_owned()))
            .unwrap();
        let response = router(self.bench.orchestrator()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get_as(&self, path: &str, authorization: &str) -> (u16, Value) {
        let request = Request::builder()
            .uri(path)
            .header("authorization", authorization)
            .body(HttpBody::empty())
            .unwrap();
        let response = router(self.bench.orchestrator()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send("GET", path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send("POST", path, Some(&body.to_string())).await
    }
}

fn has_keys(value: &Value, keys: &str) {
    for key in keys.split_whitespace() {
        assert!(value.get(key).is_some(), "{key} is missing in {value}");
    }
}

#[tokio::test]
async fn it_says_that_it_lives() {
    let client = Client::new().await;
    assert_eq!(client.get("/health").await, (200, json!({ "status": "healthy" })));
    let (status, body) = client.get("/api/v2/version").await;
    assert_eq!(
        (status, body["version"].as_str()),
        (200, Some(env!("CARGO_PKG_VERSION")))
    );
    let (status, body) = client.get("/api/v2/monitor/health").await;
    assert_eq!(status, 200);
    has_keys(&body, "metadatabase scheduler triggerer dag_processor");
    assert_eq!(body["metadatabase"]["status"], "healthy");
    assert_eq!(body["scheduler"]["status"], "unhealthy", "none runs here");
    client.bench.core.database.close().await;
    assert_eq!(client.get("/health").await.0, 503);
}

#[tokio::test]
async fn dags_are_listed_and_paused() {
    let client = Client::new().await;
    let (status, body) = client.get("/api/v2/dags").await;
    assert_eq!((status, &body["total_entries"]), (200, &json!(1)));
    let required = "dag_id dag_display_name is_paused is_stale fileloc file_token owners tags max_active_tasks \
                    max_consecutive_failed_dag_runs has_import_errors has_task_concurrency_limits is_backfillable \
                    timetable_partitioned timetable_periodic timetable_summary";
    has_keys(&body["dags"][0], required);
    assert_eq!(body["dags"][0]["tags"][0]["name"], "data");
    let (status, body) = client
        .send("PATCH", "/api/v2/dags/example", Some("{\"is_paused\": true}"))
        .await;
    assert_eq!((status, &body["is_paused"]), (200, &json!(true)));
    assert_eq!(
        client.get("/api/v2/dags?paused=false").await.1["total_entries"],
        0
    );
    assert_eq!(
        client
            .get("/api/v2/dags?dag_id_pattern=exam&limit=1&offset=1")
            .await
            .1["dags"],
        json!([])
    );
    let unknown = json!({ "detail": "there is no DAG \"nothing\"" });
    assert_eq!(client.get("/api/v2/dags/nothing").await, (404, unknown.clone()));
    assert_eq!(
        client
            .send("PATCH", "/api/v2/dags/nothing", Some("{\"is_paused\": true}"))
            .await,
        (404, unknown)
    );
    assert_eq!(
        client.send("PATCH", "/api/v2/dags/example", Some("{}")).await.0,
        422
    );
    assert_eq!(client.get("/api/v2/dags?limit=many").await.0, 422);
}

#[tokio::test]
async fn a_run_is_triggered_watched_and_cleared() {
    let client = Client::new().await;
    let runs = "/api/v2/dags/example/dagRuns";
    let (status, body) = client.post(runs, json!({})).await;
    assert_eq!(status, 422, "{body}");
    assert_eq!(body["detail"][0]["loc"], json!(["body", "logical_date"]));
    let (status, body) = client
        .post(runs, json!({ "logical_date": null, "conf": { "rows": "x" } }))
        .await;
    assert_eq!(
        (status, body),
        (
            400,
            json!({ "detail": "parameter \"rows\" must be a whole number, not \"x\"" })
        )
    );
    assert_eq!(client.post(runs, json!({ "logical_date": "soon" })).await.0, 422);
    assert_eq!(client.send("POST", runs, Some("{")).await.0, 422);

    let wanted =
        json!({ "logical_date": null, "dag_run_id": "mine", "conf": { "rows": 7 }, "note": "because" });
    let (status, run) = client.post(runs, wanted.clone()).await;
    assert_eq!(status, 200, "{run}");
    has_keys(
        &run,
        "dag_id dag_display_name dag_run_id run_type state run_after dag_versions logical_date conf note",
    );
    assert_eq!(
        (&run["dag_run_id"], &run["state"], &run["conf"]["rows"]),
        (&json!("mine"), &json!("running"), &json!(7))
    );
    assert_eq!(client.post(runs, wanted).await.0, 409);
    assert_eq!(client.get("/api/v2/dags/example/dagRuns/mine").await, (200, run));
    assert_eq!(client.get("/api/v2/dags/example/dagRuns/other").await.0, 404);
    assert_eq!(
        client.get("/api/v2/dags/~/dagRuns?state=running").await.1["total_entries"],
        2
    );
    assert_eq!(client.get(&format!("{runs}?state=odd")).await.0, 422);

    client.bench.run_queued().await;
    let tasks = format!("{runs}/mine/taskInstances");
    let (_, body) = client.get(&tasks).await;
    assert_eq!(body["total_entries"], 2);
    let required = "id task_id dag_id dag_run_id map_index try_number max_tries pool pool_slots executor_config \
                    run_after task_display_name dag_display_name state";
    has_keys(&body["task_instances"][0], required);
    assert_eq!(body["task_instances"][1]["state"], "success");
    assert_eq!(client.get(&format!("{tasks}/first")).await.1["try_number"], 1);
    assert_eq!(client.get(&format!("{tasks}/third")).await.0, 404);

    let clear = "/api/v2/dags/example/clearTaskInstances";
    let body = json!({ "dag_run_id": "mine", "only_failed": false, "task_ids": ["second"] });
    assert_eq!(client.post(clear, body.clone()).await.1["total_entries"], 1);
    assert_eq!(
        client.get(&format!("{tasks}/second")).await.1["state"],
        "success",
        "a dry run is the default"
    );
    let mut body = body;
    body["dry_run"] = false.into();
    assert_eq!(client.post(clear, body).await.0, 200);
    assert_eq!(client.get(&format!("{tasks}/second")).await.1["state"], "queued");
    assert_eq!(client.post(clear, json!({})).await.0, 400);
}

#[tokio::test]
async fn logs_are_given_as_lines() {
    let client = Client::new().await;
    client.bench.trigger("example").await;
    let lease = client.bench.claim_one("first").await;
    let path = crate::logs::path(&client.bench.core.settings.logs_folder, &lease.key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(
        &path,
        "2025-04-05T12:00:00.000Z out hello world\n2025-04-05T12:00:01.000Z err oh\n",
    )
    .unwrap();
    let run_id = &lease.key.run_id;
    let log = format!("/api/v2/dags/example/dagRuns/{run_id}/taskInstances/first/logs");
    let (status, body) = client.get(&format!("{log}/1")).await;
    assert_eq!(status, 200);
    assert_eq!(body["content"][0]["event"], "hello world");
    assert_eq!(body["content"][1]["level"], "error");
    assert_eq!(body["continuation_token"], "73", "the attempt still runs");
    let (_, body) = client.get(&format!("{log}/1?token=73")).await;
    assert_eq!(body["content"], json!([]));
    client.bench.end(&lease, crate::decide::Ending::success()).await;
    assert_eq!(
        client.get(&format!("{log}/1")).await.1["continuation_token"],
        Value::Null
    );
    assert_eq!(client.get(&format!("{log}/2")).await.0, 404);
    assert_eq!(client.get(&format!("{log}/x")).await.0, 404);
    assert_eq!(client.get(&format!("{log}/1?token=x")).await.0, 400);
}

#[tokio::test]
async fn import_errors_are_listed() {
    let mut client = Client::new().await;
    client.bench.write("broken.yaml", "dag: broken\n").await;
    let (status, body) = client.get("/api/v2/importErrors").await;
    assert_eq!((status, &body["total_entries"]), (200, &json!(1)));
    has_keys(
        &body["import_errors"][0],
        "import_error_id timestamp filename bundle_name stack_trace",
    );
    assert_eq!(body["import_errors"][0]["filename"], "broken.yaml");
}

#[tokio::test]
async fn the_doorbell_wakes() {
    let client = Client::new().await;
    let mut changes = client.bench.orchestrator().changes();
    assert_eq!(client.send("POST", "/api/v2/fragua/wake", None).await.0, 200);
    assert_eq!(changes.try_recv().unwrap(), crate::Change::Dags);
}

#[tokio::test]
async fn a_token_says_who_asks_and_a_wrong_one_is_told() {
    let client = Client::new().await;
    let (status, body) = client
        .post("/auth/token", json!({ "username": "ana", "password": "x" }))
        .await;
    assert_eq!(status, 201, "{body}");
    let token = body["access_token"].as_str().unwrap();
    let dags = "/api/v2/dags";
    assert_eq!(client.get_as(dags, &format!("Bearer {token}")).await.0, 200);
    let (status, body) = client.get_as(dags, "Bearer of-nobody").await;
    assert_eq!(status, 401);
    assert!(body["detail"].as_str().unwrap().contains("/auth/token"), "{body}");
    assert_eq!(client.get_as(dags, "Basic YW5hOng=").await.0, 200);
    assert_eq!(client.get_as(dags, "Basic !").await.0, 401);
    assert_eq!(client.get(dags).await.0, 200, "there are no users");
    client
        .bench
        .clock
        .advance(std::time::Duration::from_secs(25 * 60 * 60));
    let (status, _) = client.get_as(dags, &format!("Bearer {token}")).await;
    assert_eq!(status, 401, "its time is over");
    assert_eq!(
        client.post("/auth/token", json!({ "username": "ana" })).await.0,
        422
    );
    assert_eq!(client.get("/auth/token").await.0, 201);
}

fragua_database::each_engine!(engines:
    runs_are_narrowed_ordered_and_paged,
    tasks_values_and_entries_are_narrowed_and_ordered,
    what_was_deleted_leaves_nothing,
);

async fn tasks_values_and_entries_are_narrowed_and_ordered(database: Database) {
    let client = Client::on(database).await;
    let runs = "/api/v2/dags/example/dagRuns";
    let body = json!({ "logical_date": "2025-03-01T00:00:00Z", "dag_run_id": "mine" });
    assert_eq!(client.post(runs, body).await.0, 200);
    client.bench.run_queued().await;
    let tasks = async |query: &str| {
        let (status, body) = client
            .get(&format!("/api/v2/dags/~/dagRuns/~/taskInstances?{query}"))
            .await;
        assert_eq!(status, 200, "{query}: {body}");
        let tasks = body["task_instances"].as_array().unwrap();
        let names = tasks
            .iter()
            .map(|task| task["task_id"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    let of_run = "dag_run_id=mine";
    for (query, expected) in [
        ("order_by=-task_id", vec!["second", "first"]),
        (
            "order_by=task_id&state=success&logical_date_lte=2025-03-01T00:00:00Z",
            vec!["first", "second"],
        ),
        ("task_display_name_pattern=IRS", vec!["first"]),
        ("task_id_prefix_pattern=se", vec!["second"]),
        (
            "pool_name_pattern=def&order_by=duration&order_by=task_id&limit=1",
            vec!["first"],
        ),
        ("run_after_lt=2025-01-01T00:00:00Z", vec![]),
        (
            "operator=bash&queue=default&map_index=-1&try_number=1&duration_lte=100&order_by=task_id",
            vec!["first", "second"],
        ),
        ("state=no_status", vec![]),
    ] {
        assert_eq!(tasks(&format!("{of_run}&{query}")).await, expected, "{query}");
    }
    let xcoms = format!("{runs}/mine/taskInstances/first/xcomEntries");
    for key in ["b", "a"] {
        let body = json!({ "key": key, "value": { "x": [key] } });
        let (status, made) = client.post(&xcoms, body).await;
        assert_eq!(status, 201, "{made}");
    }
    let (_, found) = client
        .get("/api/v2/dags/~/dagRuns/~/taskInstances/~/xcomEntries?xcom_key_pattern=%25&order_by=-key&run_id=mine")
        .await;
    assert_eq!(
        (&found["total_entries"], &found["xcom_entries"][0]["key"]),
        (&json!(2), &json!("b")),
        "{found}"
    );
    let body = json!({ "value": 7 }).to_string();
    assert_eq!(
        client.send("PATCH", &format!("{xcoms}/a"), Some(&body)).await.1["value"],
        7
    );
    assert_eq!(client.send("DELETE", &format!("{xcoms}/a"), None).await.0, 204);
    assert_eq!(client.get(&format!("{xcoms}/a")).await.0, 404);
    let (_, log) = client
        .get("/api/v2/eventLogs?event_pattern=XCOM&order_by=-when&order_by=-id")
        .await;
    assert_eq!(
        (&log["total_entries"], &log["event_logs"][0]["event"]),
        (&json!(4), &json!("delete_xcom")),
        "{log}"
    );
    assert_eq!(
        client.get("/api/v2/dagStats?dag_ids=example").await.1["dags"][0]["dag_id"],
        "example"
    );
}

async fn what_was_deleted_leaves_nothing(database: Database) {
    let client = Client::on(database).await;
    let runs = "/api/v2/dags/example/dagRuns";
    for run_id in ["mine", "other"] {
        let body = json!({ "logical_date": null, "dag_run_id": run_id });
        assert_eq!(client.post(runs, body).await.0, 200);
    }
    let one = format!("{runs}/mine");
    let (status, body) = client.send("DELETE", &one, None).await;
    assert_eq!(status, 409, "it runs: {body}");
    assert_eq!(client.send("DELETE", "/api/v2/dags/example", None).await.0, 409);
    assert_eq!(
        client
            .send("PATCH", &one, Some("{\"state\": \"success\"}"))
            .await
            .0,
        200
    );
    assert_eq!(client.send("DELETE", &one, None).await.0, 204);
    assert_eq!(client.get(&one).await.0, 404);
    assert_eq!(client.send("DELETE", &one, None).await.0, 404);
    let left = |name: &str| format!("/api/v2/dags/~/dagRuns/{name}/taskInstances");
    assert_eq!(client.get(&left("mine")).await.1["total_entries"], 0);
    assert_eq!(client.get(&left("other")).await.1["total_entries"], 2);
    let (_, running) = client.get(&format!("{runs}?state=running")).await;
    for run in running["dag_runs"].as_array().unwrap() {
        let path = format!("{runs}/{}", run["dag_run_id"].as_str().unwrap());
        assert_eq!(
            client
                .send("PATCH", &path, Some("{\"state\": \"failed\"}"))
                .await
                .0,
            200
        );
    }
    assert_eq!(client.send("DELETE", "/api/v2/dags/example", None).await.0, 204);
    assert_eq!(client.get("/api/v2/dags/example").await.0, 404);
    assert_eq!(client.get(&left("~")).await.1["total_entries"], 0);
}

async fn runs_are_narrowed_ordered_and_paged(database: Database) {
    let client = Client::on(database).await;
    let runs = "/api/v2/dags/example/dagRuns";
    for (run_id, day) in [("one", "01"), ("two", "02"), ("three", "03")] {
        let body = json!({ "logical_date": format!("2025-03-{day}T00:00:00Z"), "dag_run_id": run_id });
        assert_eq!(client.post(runs, body).await.0, 200);
    }
    let ids = |body: &Value| -> Vec<String> {
        let runs = body["dag_runs"].as_array().unwrap();
        runs.iter()
            .map(|run| run["dag_run_id"].as_str().unwrap().to_owned())
            .collect()
    };
    for (query, expected) in [
        (
            "run_type=manual&order_by=-logical_date",
            vec!["three", "two", "one"],
        ),
        (
            "run_type=manual&order_by=logical_date&limit=1&offset=1",
            vec!["two"],
        ),
        (
            "logical_date_gte=2025-03-02T00:00:00%2B00:00&logical_date_lt=2025-03-03&order_by=run_id",
            vec!["two"],
        ),
        ("run_id_pattern=t%25o&order_by=run_id", vec!["two"]),
        ("run_id_pattern=ONE|thr&order_by=run_id", vec!["one", "three"]),
        ("run_id_prefix_pattern=t&order_by=run_id", vec!["three", "two"]),
        (
            "dag_run_id=one&dag_run_id=two&order_by=-dag_run_id",
            vec!["two", "one"],
        ),
        ("run_type=manual&state=failed", vec![]),
        ("duration_gte=0.5&run_type=manual", vec![]),
        ("conf_contains=%22rows%22:5&dag_run_id=one", vec!["one"]),
    ] {
        let (status, body) = client.get(&format!("{runs}?{query}")).await;
        assert_eq!(status, 200, "{query}: {body}");
        assert_eq!(ids(&body), expected, "{query}");
    }
    let (_, first) = client
        .get(&format!("{runs}?run_type=manual&limit=2&cursor=&order_by=run_id"))
        .await;
    assert_eq!(ids(&first), ["one", "three"]);
    let next = first["next_cursor"].as_str().unwrap();
    let (_, second) = client
        .get(&format!(
            "{runs}?run_type=manual&limit=2&cursor={next}&order_by=run_id"
        ))
        .await;
    assert_eq!(
        (ids(&second), &second["next_cursor"]),
        (vec!["two".to_owned()], &Value::Null)
    );
    let (status, body) = client.get(&format!("{runs}?order_by=nothing")).await;
    assert_eq!(status, 400);
    assert!(
        body["detail"].as_str().unwrap().contains("logical_date"),
        "{body}"
    );
    assert_eq!(client.get(&format!("{runs}?logical_date_gte=soon")).await.0, 422);
    let body =
        json!({ "dag_ids": ["example"], "states": ["running"], "order_by": "-run_id", "page_limit": 1 });
    let (status, body) = client.post("/api/v2/dags/~/dagRuns/list", body).await;
    assert_eq!(
        (status, &body["dag_runs"][0]["dag_run_id"]),
        (200, &json!("two")),
        "{body}"
    );
}

#[tokio::test]
async fn a_page_holds_a_hundred_at_most_and_fifty_when_nothing_is_said() {
    let client = Client::new().await;
    for number in 0..120 {
        let body = json!({ "key": format!("k{number:03}"), "value": number });
        assert_eq!(client.post("/api/v2/variables", body).await.0, 201);
    }
    for (query, expected) in [
        ("", 50),
        ("?limit=0", 50),
        ("?limit=1000", 100),
        ("?limit=100&offset=110", 10),
    ] {
        let (_, body) = client.get(&format!("/api/v2/variables{query}")).await;
        assert_eq!(body["variables"].as_array().unwrap().len(), expected, "{query}");
        assert_eq!(body["total_entries"], 120);
    }
}

#[tokio::test]
async fn secrets_are_never_read_back() {
    let client = Client::new().await;
    let connection = json!({
        "connection_id": "db", "conn_type": "postgres", "host": "db", "login": "me", "password": "hunter2",
        "extra": "{\"secret_key\": \"hunter3\", \"sslmode\": \"require\"}",
    });
    let (status, body) = client.post("/api/v2/connections", connection).await;
    assert_eq!(status, 201, "{body}");
    assert_eq!((&body["password"], &body["login"]), (&json!("***"), &json!("me")));
    let extra: Value = serde_json::from_str(body["extra"].as_str().unwrap()).unwrap();
    assert_eq!(extra, json!({ "secret_key": "***", "sslmode": "require" }));
    // What was hidden comes back unchanged.
    let mut changed = body.clone();
    changed["host"] = "other".into();
    let (status, body) = client
        .send("PATCH", "/api/v2/connections/db", Some(&changed.to_string()))
        .await;
    assert_eq!((status, &body["host"]), (200, &json!("other")), "{body}");
    let kept = client.bench.orchestrator().connections().await.unwrap();
    let url = kept[0].connection.url.expose();
    assert!(url.contains("hunter2@other") && url.contains("hunter3"), "{url}");

    let variable = json!({ "key": "api_token", "value": "hunter2" });
    assert_eq!(client.post("/api/v2/variables", variable).await.1["value"], "***");
    let variable = json!({ "key": "api_token", "value": "***", "description": "of the source" });
    let path = "/api/v2/variables/api_token";
    assert_eq!(
        client.send("PATCH", path, Some(&variable.to_string())).await.0,
        200
    );
    let kept = client.bench.orchestrator().variables().await.unwrap();
    assert_eq!(kept[0].value.expose(), "hunter2");
    let (_, log) = client.get("/api/v2/eventLogs").await;
    assert!(!log.to_string().contains("hunter"), "{log}");
}

#[tokio::test]
async fn version_1_has_the_names_and_the_errors_of_then() {
    let client = Client::new().await;
    let (status, run) = client
        .post("/api/v1/dags/example/dagRuns", json!({ "conf": { "rows": 7 } }))
        .await;
    assert_eq!(status, 200, "{run}");
    assert_eq!(
        (&run["external_trigger"], &run["execution_date"]),
        (&json!(true), &run["logical_date"])
    );
    let (_, dag) = client.get("/api/v1/dags/example").await;
    assert_eq!(
        dag["schedule_interval"],
        json!({ "__type": "CronExpression", "value": "@daily" })
    );
    assert_eq!(dag["is_active"], true);
    let (status, problem) = client.get("/api/v1/dags/nothing").await;
    assert_eq!(status, 404);
    assert_eq!(
        problem,
        json!({ "type": "about:blank", "title": "Not Found", "status": 404, "detail": "there is no DAG \"nothing\"" })
    );
    let (status, problem) = client
        .post("/api/v1/dags/example/clearTaskInstances", json!({ "dry_run": 7 }))
        .await;
    assert_eq!(status, 400);
    assert!(
        problem["detail"].as_str().unwrap().starts_with("dry_run: "),
        "{problem}"
    );
    let path = "/api/v1/dags/~/dagRuns?order_by=-execution_date&execution_date_gte=2025-04-05T00:00:00Z";
    let (_, page) = client.get(path).await;
    assert_eq!(page["dag_runs"][0]["dag_run_id"], run["dag_run_id"]);
}

#[tokio::test]
async fn the_document_tells_of_each_endpoint_once() {
    let client = Client::new().await;
    let (status, document) = client.get("/openapi.json").await;
    assert_eq!(status, 200);
    let list = &document["paths"]["/api/v2/dags/{dag_id}/dagRuns"]["get"];
    let parameters = list["parameters"].as_array().unwrap();
    let named = |name: &str| {
        parameters
            .iter()
            .filter(|parameter| parameter["name"] == name)
            .count()
    };
    for name in ["limit", "logical_date_gte", "run_id_pattern", "state", "cursor"] {
        assert_eq!(named(name), 1, "{name} in {list}");
    }
    let body = &document["paths"]["/api/v2/dags/{dag_id}/dagRuns"]["post"]["requestBody"];
    let schema = &body["content"]["application/json"]["schema"];
    assert_eq!(schema["required"], json!(["logical_date"]), "{schema}");
    assert_eq!(
        document["paths"].as_object().unwrap().len(),
        endpoints()
            .map(|endpoint| endpoint.path())
            .collect::<std::collections::BTreeSet<_>>()
            .len()
    );
}
