//! The routes, asked without a socket: statuses, codes and shapes.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode, header};
use fragua_database::testing::TestDatabase;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::Bench;

/// The routes over a fresh database.
pub(super) struct Server {
    router: axum::Router,
    pub(super) bench: Bench,
    _database: TestDatabase,
}

impl Server {
    pub(super) async fn start() -> Self {
        let database = TestDatabase::sqlite().await;
        let bench = Bench::open(database.database.clone()).await;
        let router = crate::mlflow::router(bench.tracking.clone());
        Self {
            router,
            bench,
            _database: database,
        }
    }

    /// Puts a layer around the routes.
    pub(super) fn behind(mut self, layer: impl FnOnce(axum::Router) -> axum::Router) -> Self {
        self.router = layer(self.router);
        self
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(super) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8084");
        let request = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(Body::from(body.to_string())),
            None => request.body(Body::empty()),
        };
        let response = self.send(request.unwrap()).await;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", &format!("/api/2.0/mlflow/{path}"), Some(body))
            .await
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask("GET", &format!("/api/2.0/mlflow/{path}"), None).await
    }

    pub(super) async fn run(&self) -> String {
        let (_, answer) = self
            .post("runs/create", json!({"experiment_id": "0", "run_name": "one"}))
            .await;
        answer["run"]["info"]["run_id"].as_str().unwrap().to_owned()
    }
}

pub(super) fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error_code"].as_str().unwrap_or(""))
}

#[tokio::test]
async fn errors_have_mlflows_codes_and_statuses() {
    let server = Server::start().await;
    let run = server.run().await;
    server
        .post("registered-models/create", json!({"name": "m"}))
        .await;
    const INVALID: (u16, &str) = (400, "INVALID_PARAMETER_VALUE");
    const TAKEN: (u16, &str) = (400, "RESOURCE_ALREADY_EXISTS");
    const MISSING: (u16, &str) = (404, "RESOURCE_DOES_NOT_EXIST");
    for (method, path, body, expected) in [
        ("POST", "experiments/create", json!({"name": "Default"}), TAKEN),
        ("POST", "experiments/create", json!({}), INVALID),
        ("POST", "experiments/create", json!({"name": ["x"]}), INVALID),
        ("POST", "experiments/search", json!({}), INVALID),
        ("POST", "experiments/search", json!({"max_results": 0}), INVALID),
        (
            "POST",
            "experiments/search",
            json!({"max_results": "5"}),
            (200, ""),
        ),
        ("POST", "runs/search", json!({}), (200, "")),
        (
            "POST",
            "runs/search",
            json!({"experiment_ids": ["0"], "filter": "x"}),
            INVALID,
        ),
        (
            "POST",
            "runs/search",
            json!({"experiment_ids": ["zero"]}),
            INVALID,
        ),
        (
            "POST",
            "runs/log-metric",
            json!({"run_id": run, "key": "m", "value": "NaN", "timestamp": 1.5}),
            (200, ""),
        ),
        (
            "POST",
            "runs/log-metric",
            json!({"run_id": run, "key": "m", "timestamp": 1}),
            INVALID,
        ),
        (
            "POST",
            "runs/log-metric",
            json!({"run_id": run, "key": "m", "value": 1, "timestamp": -1}),
            INVALID,
        ),
        (
            "POST",
            "runs/log-metric",
            json!({"run_id": "x", "key": "m", "value": 1, "timestamp": 1}),
            MISSING,
        ),
        (
            "POST",
            "runs/log-parameter",
            json!({"run_uuid": run, "key": "p", "value": "1"}),
            (200, ""),
        ),
        (
            "POST",
            "runs/log-parameter",
            json!({"run_id": run, "key": "p", "value": "2"}),
            INVALID,
        ),
        (
            "POST",
            "runs/delete-tag",
            json!({"run_id": run, "key": "gone"}),
            MISSING,
        ),
        (
            "POST",
            "runs/update",
            json!({"run_id": run, "status": "WHATEVER"}),
            (200, ""),
        ),
        ("POST", "registered-models/create", json!({"name": "m"}), TAKEN),
        (
            "POST",
            "registered-models/alias",
            json!({"name": "m", "alias": "a", "version": "1"}),
            MISSING,
        ),
        (
            "POST",
            "registered-models/alias",
            json!({"name": "m", "alias": "latest", "version": "1"}),
            INVALID,
        ),
        (
            "DELETE",
            "registered-models/alias",
            json!({"name": "m", "alias": "a"}),
            (200, ""),
        ),
        (
            "POST",
            "model-versions/create",
            json!({"name": "m", "source": "file:///etc"}),
            INVALID,
        ),
        (
            "POST",
            "model-versions/create",
            json!({"name": "m", "source": "http://localhost"}),
            INVALID,
        ),
        ("POST", "runs/delete", json!({"run_id": run}), (200, "")),
        ("POST", "runs/delete", json!({"run_id": run}), (200, "")),
        (
            "POST",
            "runs/set-tag",
            json!({"run_id": run, "key": "a", "value": "b"}),
            INVALID,
        ),
        (
            "POST",
            "runs/log-model",
            json!({"run_id": run, "model_json": "{"}),
            INVALID,
        ),
        ("PUT", "runs/create", json!({}), (405, "BAD_REQUEST")),
        ("POST", "runs/unknown", json!({}), (404, "ENDPOINT_NOT_FOUND")),
        ("POST", "traces", json!({}), (501, "NOT_IMPLEMENTED")),
    ] {
        for prefix in ["api", "ajax-api"] {
            // What the first prefix made, the second finds.
            if prefix == "ajax-api" && expected.0 == 200 {
                continue;
            }
            let answer = server
                .ask(
                    method,
                    &format!("/{prefix}/2.0/mlflow/{path}"),
                    Some(body.clone()),
                )
                .await;
            assert_eq!(code(&answer), expected, "{prefix} {path} {body}: {}", answer.1);
        }
    }
    for (path, expected) in [
        ("experiments/get?experiment_id=77", MISSING),
        ("experiments/get?experiment_id=x", INVALID),
        ("experiments/get-by-name?experiment_name=nobody", MISSING),
        ("runs/get?run_id=nobody", MISSING),
        ("runs/get", INVALID),
        ("registered-models/alias?name=m&alias=nobody", INVALID),
        ("registered-models/alias?name=nobody&alias=a", MISSING),
        ("model-versions/get?name=m&version=1", MISSING),
        ("model-versions/get?name=m&version=one", INVALID),
        ("metrics/get-history?run_id=x", INVALID),
        (
            "metrics/get-history-bulk-interval?run_ids=x&metric_key=m&start_step=1",
            INVALID,
        ),
        ("logged-models/m-0", MISSING),
    ] {
        let answer = server.get(path).await;
        assert_eq!(code(&answer), expected, "{path}: {}", answer.1);
    }
}

#[tokio::test]
async fn bodies_are_checked_before_they_are_read() {
    let server = Server::start().await;
    for (content_type, body, expected) in [
        (Some("application/json"), r#"{"name": "a"}"#, 200),
        (
            Some("application/json; charset=utf-8"),
            r#"{"name": "b", "unknown": 1}"#,
            200,
        ),
        (Some("text/plain"), r#"{"name": "c"}"#, 400),
        (None, r#"{"name": "c"}"#, 400),
        (Some("application/json"), r#"{"name": "#, 400),
        (Some("application/json"), r#"["name"]"#, 400),
        (Some("application/json"), "", 400),
    ] {
        let mut request = Request::post("/api/2.0/mlflow/experiments/create");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let response = server.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(response.status().as_u16(), expected, "{content_type:?} {body}");
    }
    let huge = vec![b' '; crate::validation::limits::JSON_BODY_BYTES + 1];
    let request = Request::post("/api/2.0/mlflow/experiments/create")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(huge));
    assert_eq!(
        server.send(request.unwrap()).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn answers_leave_out_what_is_empty() {
    let server = Server::start().await;
    let run = server.run().await;
    let (_, mut answer) = server.get(&format!("runs/get?run_id={run}")).await;
    let info = answer["run"]["info"].as_object_mut().unwrap();
    assert_eq!(info.remove("run_uuid"), Some(json!(run)));
    assert_eq!(info.remove("run_id"), Some(json!(run)));
    assert_eq!(
        answer,
        json!({"run": {
            "info": {
                "experiment_id": "0",
                "run_name": "one",
                "user_id": "",
                "status": "RUNNING",
                "start_time": 1000,
                "artifact_uri": format!("mlflow-artifacts:/0/{run}/artifacts"),
                "lifecycle_stage": "active",
            },
            "data": {"tags": [{"key": "mlflow.runName", "value": "one"}]},
            "inputs": {},
            "outputs": {},
        }})
    );
    for path in [
        "registered-models/search",
        "model-versions/search",
        "artifacts/list?path=x&run_id=",
    ] {
        let path = if path.ends_with('=') {
            format!("{path}{run}")
        } else {
            path.to_owned()
        };
        let (status, answer) = server.get(&path).await;
        let empty = answer.as_object().unwrap().keys().all(|key| key == "root_uri");
        assert!(status == 200 && empty, "{path}: {answer}");
    }
    let metric = json!({"run_id": run, "metrics": [
        {"key": "m", "value": "NaN", "timestamp": "5", "step": 1},
        {"key": "n", "value": "-Infinity", "timestamp": 5.0},
    ]});
    assert_eq!(server.post("runs/log-batch", metric).await, (200, json!({})));
    let (_, answer) = server.get(&format!("runs/get?run_uuid={run}")).await;
    assert_eq!(
        answer["run"]["data"]["metrics"],
        json!([
            {"key": "m", "value": "NaN", "timestamp": 5, "step": 1},
            {"key": "n", "value": -1.797_693_134_862_315_7e308, "timestamp": 5, "step": 0},
        ])
    );
    let (_, answer) = server
        .get(&format!(
            "metrics/get-history?run_id={run}&metric_key=m&max_results=25000"
        ))
        .await;
    assert_eq!(answer["metrics"].as_array().unwrap().len(), 1);
    let path = format!("metrics/get-history-bulk-interval?run_ids={run}&run_ids=x&metric_key=m");
    assert_eq!(server.get(&path).await.1["metrics"][0]["run_id"], json!(run));
}

#[tokio::test]
async fn the_server_tells_about_itself() {
    let server = Server::start().await;
    let response = server
        .send(Request::get("/health").body(Body::empty()).unwrap())
        .await;
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "OK");
    let response = server
        .send(Request::get("/version").body(Body::empty()).unwrap())
        .await;
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "3.18.0");
    let (status, answer) = server.ask("GET", "/api/3.0/mlflow/server-info", None).await;
    assert_eq!((status, &answer["store_type"]), (200, &json!("SqlStore")));
    assert_eq!(answer["multipart_uploads_enabled"], json!(true));
}

pub(super) const PROXY: &str = "/api/2.0/mlflow-artifacts/artifacts";

#[tokio::test]
async fn artifacts_go_through_the_proxy() {
    let server = Server::start().await;
    let run = server.run().await;
    let path = format!("{PROXY}/0/{run}/artifacts/caf%C3%A9/a%20b.html");
    let request = Request::put(&path)
        .header(header::CONTENT_TYPE, "text/html")
        .body(Body::from("<b>hello</b>"));
    assert_eq!(server.send(request.unwrap()).await.status(), 200);

    let response = server
        .send(Request::get(&path).body(Body::empty()).unwrap())
        .await;
    let headers = response.headers().clone();
    for (name, expected) in [
        (header::CONTENT_TYPE, "text/html"),
        (header::CONTENT_LENGTH, "12"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"a b.html\""),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ] {
        assert_eq!(headers[&name], expected);
    }
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "<b>hello</b>"
    );

    let ask = async |name: header::HeaderName, value: &str| {
        let request = Request::get(&path)
            .header(name, value)
            .body(Body::empty())
            .unwrap();
        let response = server.send(request).await;
        let range = response
            .headers()
            .get(header::CONTENT_RANGE)
            .map(|range| range.to_str().unwrap().to_owned());
        let (status, body) = (
            response.status().as_u16(),
            response.into_body().collect().await.unwrap().to_bytes(),
        );
        (status, range, String::from_utf8(body.to_vec()).unwrap())
    };
    let part = (206, Some("bytes 3-7/12".to_owned()), "hello".to_owned());
    assert_eq!(ask(header::RANGE, "bytes=3-7").await, part);
    assert_eq!(ask(header::RANGE, "bytes=50-").await.0, 416);
    let etag = headers[header::ETAG].to_str().unwrap();
    assert_eq!(ask(header::IF_NONE_MATCH, etag).await, (304, None, String::new()));

    let (_, listed) = server
        .ask("GET", &format!("{PROXY}?path=0/{run}/artifacts"), None)
        .await;
    assert_eq!(listed, json!({"files": [{"path": "café", "is_dir": true}]}));
    let (_, listed) = server
        .ask("GET", &format!("{PROXY}?path=0/{run}/artifacts/caf%C3%A9"), None)
        .await;
    assert_eq!(
        listed,
        json!({"files": [{"path": "a b.html", "is_dir": false, "file_size": 12}]})
    );
    let (_, listed) = server
        .get(&format!("artifacts/list?run_id={run}&path=caf%C3%A9"))
        .await;
    assert_eq!(
        listed["files"],
        json!([{"path": "café/a b.html", "is_dir": false, "file_size": 12}])
    );
    let (status, _) = server
        .ask(
            "GET",
            &format!("/get-artifact?run_id={run}&path=caf%C3%A9/a%20b.html"),
            None,
        )
        .await;
    assert_eq!(status, 200);

    assert_eq!(
        server
            .ask("DELETE", &format!("{PROXY}/0/{run}/artifacts/caf%C3%A9"), None)
            .await
            .0,
        200
    );
    assert_eq!(
        code(&server.ask("GET", &path, None).await),
        (404, "RESOURCE_DOES_NOT_EXIST")
    );
}
