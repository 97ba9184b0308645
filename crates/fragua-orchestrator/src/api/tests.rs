//! Through the router, as a client sees it.

use axum::body::Body as HttpBody;
use axum::http::Request;
use fragua_database::testing::TestDatabase;
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
    _test: TestDatabase,
}

impl Client {
    async fn new() -> Self {
        let test = TestDatabase::sqlite().await;
        let mut bench = Bench::new(test.database.clone()).await;
        bench.write("example.yaml", DAG).await;
        Self { bench, _test: test }
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
