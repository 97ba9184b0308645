//! Attacks that MLflow's servers have seen, as tables: what is tried, on every place where it can be tried.

use axum::body::Body;
use axum::http::{Request, header};
use axum::middleware::from_fn_with_state;
use fragua_auth::{Guard, guard};
use fragua_storage::ListQuery;
use http_body_util::BodyExt as _;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use super::protocol::{PROXY, Server, code};
use crate::mlflow;
use crate::validation::limits;

const REFUSED: (u16, &str) = (400, "INVALID_PARAMETER_VALUE");

/// A run, a logged model and a version, each with files.
struct Targets {
    server: Server,
    run: String,
    model: String,
}

impl Targets {
    async fn make() -> Self {
        let server = Server::start().await;
        let run = server.run().await;
        let new = json!({"experiment_id": "0", "name": "model", "source_run_id": run});
        let (_, answer) = server.post("logged-models", new).await;
        let model = answer["model"]["info"]["model_id"].as_str().unwrap().to_owned();
        server
            .post("registered-models/create", json!({"name": "m"}))
            .await;
        let version = json!({"name": "m", "source": format!("models:/{model}"), "model_id": model});
        assert_eq!(server.post("model-versions/create", version).await.0, 200);
        let targets = Self { server, run, model };
        for path in [
            format!("0/{}/artifacts/page.html", targets.run),
            format!("0/models/{}/artifacts/page.html", targets.model),
        ] {
            let request = Request::put(format!("{PROXY}/{path}"))
                .header(header::CONTENT_TYPE, "text/html")
                .body(Body::from("<script>alert(1)</script>"))
                .unwrap();
            assert_eq!(targets.server.send(request).await.status(), 200);
        }
        targets
    }

    /// Every place that takes a path of an artifact: method, address, JSON body.
    fn places(&self, path: &str) -> Vec<(&'static str, String, Option<Value>)> {
        let Self { run, model, .. } = self;
        let decoded = percent_encoding::percent_decode_str(path)
            .decode_utf8_lossy()
            .into_owned();
        let presigned = |field: &str, id: &str| Some(json!({field: id, "path": decoded}));
        let get = |address: String| ("GET", address, None);
        let parts = |step: &str, fields: Value| {
            (
                "POST",
                format!("/api/2.0/mlflow-artifacts/mpu/{step}/{path}"),
                Some(fields),
            )
        };
        vec![
            get(format!("{PROXY}/{path}")),
            ("PUT", format!("{PROXY}/{path}"), None),
            ("DELETE", format!("{PROXY}/{path}"), None),
            get(format!("{PROXY}?path={path}")),
            get(format!("/api/2.0/mlflow/artifacts/list?run_id={run}&path={path}")),
            get(format!("/get-artifact?run_id={run}&path={path}")),
            get(format!(
                "/model-versions/get-artifact?name=m&version=1&path={path}"
            )),
            get(format!(
                "/api/2.0/mlflow/logged-models/{model}/artifacts/directories?artifact_directory_path={path}"
            )),
            get(format!(
                "/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files?artifact_file_path={path}"
            )),
            (
                "POST",
                format!("/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run}&path={path}"),
                None,
            ),
            get(format!("/api/2.0/mlflow-artifacts/presigned/{path}")),
            get(format!(
                "/api/2.0/mlflow-artifacts/signed/{path}?expires_at=99999999999999&signature=x"
            )),
            (
                "PUT",
                format!(
                    "/api/2.0/mlflow-artifacts/mpu/part/{path}?upload_id=u&part_number=1&expires_at=1&signature=x"
                ),
                None,
            ),
            parts("create", json!({"path": "x", "num_parts": 1})),
            parts(
                "complete",
                json!({"path": "x", "upload_id": "u", "parts": [{"part_number": 1, "etag": "e"}]}),
            ),
            parts("abort", json!({"path": "x", "upload_id": "u"})),
            (
                "POST",
                "/api/2.0/mlflow/artifacts/presigned-upload-url".to_owned(),
                presigned("run_id", run),
            ),
            (
                "POST",
                "/api/2.0/mlflow/artifacts/presigned-download-url".to_owned(),
                presigned("model_id", model),
            ),
        ]
    }

    async fn keys(&self) -> Vec<String> {
        let tracking = &self.server.bench.tracking;
        let bucket = tracking.artifact_bucket();
        let listing = tracking
            .storage()
            .list(bucket, ListQuery::default())
            .await
            .unwrap();
        let keys = listing.objects.into_iter();
        keys.map(|object| object.key.as_str().to_owned()).collect()
    }
}

#[tokio::test]
async fn no_path_leaves_its_folder() {
    let targets = Targets::make().await;
    let before = targets.keys().await;
    assert_eq!(before.len(), 2);
    for path in [
        "..",
        "../x",
        "a/../../x",
        "a/..",
        "./x",
        "%2e%2e/x",
        "%2E%2E%2Fx",
        "a/%2e%2e/%2e%2e/x",
        "%252e%252e/x",
        "%252e%252e%252fx",
        "%25252e%25252e/x",
        "%2Fetc/passwd",
        "%2F%2Fproc/self/root/etc/passwd",
        "file:%2F%2F%2Fetc/passwd",
        "file:///etc/passwd",
        "a%5C..%5Cx",
        "..%5C..%5Cx",
        "a%00b",
        "%00",
        "a%2500b",
        "a%23/../../x",
        "a%23b",
        "a%3F/../../x",
        "a//b",
        "C:/x",
        "C:%5Cx",
        "a%0Ab",
    ] {
        for (method, address, body) in targets.places(path) {
            let answer = targets.server.ask(method, &address, body).await;
            assert_eq!(code(&answer), REFUSED, "{method} {address}: {}", answer.1);
        }
    }
    assert_eq!(targets.keys().await, before);
}

#[tokio::test]
async fn places_outside_of_the_stores_are_refused_when_they_are_named() {
    let targets = Targets::make().await;
    let other_run = targets.server.run().await;
    for place in [
        "file:///etc",
        "file:/etc",
        "FILE:///etc",
        "/etc",
        "//etc",
        "etc",
        "./etc",
        "C:\\x",
        "http://169.254.169.254/latest",
        "https://127.0.0.1:8084/api",
        "ftp://host/x",
        "dbfs:/x",
        "hdfs://host/x",
        "s3://",
        "s3://bucket/../x",
        "s3://bucket/a/%2e%2e/x",
        "s3://bucket/a/%252e%252e/x",
        "s3://bucket/x?endpoint=evil",
        "s3://bucket/x#y",
        "s3://user:secret@bucket/x",
        "s3://bucket/a\\..\\x",
        "mlflow-artifacts://evil/x",
        "mlflow-artifacts:/../x",
        "mlflow-artifacts:/a/%2e%2e/%2e%2e/x",
        "mlflow-artifacts:/x#y",
    ] {
        let experiment = json!({"name": format!("at {place}"), "artifact_location": place});
        let answer = targets.server.post("experiments/create", experiment).await;
        assert_eq!(code(&answer), REFUSED, "artifact_location {place}: {}", answer.1);
        for run in [None, Some(&targets.run)] {
            let version = json!({"name": "m", "source": place, "run_id": run});
            let answer = targets.server.post("model-versions/create", version).await;
            assert_eq!(code(&answer), REFUSED, "source {place}: {}", answer.1);
        }
    }
    // What belongs to another run, or to nobody.
    for source in [
        format!("runs:/{other_run}/model"),
        format!("runs:/{}/../{other_run}/model", targets.run),
        format!("mlflow-artifacts:/0/{other_run}/artifacts/model"),
        format!("mlflow-artifacts:/0/{}/artifacts/../../{other_run}", targets.run),
        "mlflow-artifacts:/".to_owned(),
    ] {
        let version = json!({"name": "m", "source": source, "run_id": targets.run});
        let answer = targets.server.post("model-versions/create", version).await;
        assert_eq!(code(&answer), REFUSED, "{source}: {}", answer.1);
    }
}

#[tokio::test]
async fn other_hosts_and_pages_of_other_sites_reach_no_endpoint() {
    let guarded = Server::start().await.behind(|routes| {
        let guarded = Guard::default().refusing(|uri, _, why| mlflow::refusal(uri, &why.to_string()));
        routes.layer(from_fn_with_state(guarded, guard))
    });
    let send = async |method: &str, path: &str, headers: &[(header::HeaderName, &str)]| {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let answer = guarded.send(request.body(Body::empty()).unwrap()).await;
        let status = answer.status().as_u16();
        if status == 403 && path.contains("/2.0/") {
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            let body: Value = serde_json::from_slice(&body).expect("a refusal in MLflow's shape");
            assert_eq!(body["error_code"], "PERMISSION_DENIED", "{method} {path}");
        }
        status
    };
    let ours = (header::HOST, "127.0.0.1:8084");
    for (method, path) in mlflow::addresses() {
        let rebound = send(&method, &path, &[(header::HOST, "evil.example:8084")]).await;
        assert_eq!(rebound, 403, "{method} {path} for another Host");
        if method == "GET" {
            continue;
        }
        for (name, value) in [
            (header::ORIGIN, "https://evil.example"),
            (header::ORIGIN, "null"),
            (header::HeaderName::from_static("sec-fetch-site"), "cross-site"),
        ] {
            let crossed = send(&method, &path, &[ours.clone(), (name.clone(), value)]).await;
            assert_eq!(crossed, 403, "{method} {path} from a page with {name}: {value}");
        }
        let own = send(
            &method,
            &path,
            &[ours.clone(), (header::ORIGIN, "http://127.0.0.1:8084")],
        )
        .await;
        assert_ne!(own, 403, "{method} {path} from our own page");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Server::start().await;
    let run = server.run().await;
    let long = "x".repeat(limits::BATCH_BODY_BYTES);
    let batch = json!({"run_id": run, "tags": [{"key": "a", "value": long}]});
    let answer = server.post("runs/log-batch", batch).await;
    assert_eq!(code(&answer), REFUSED);
    assert!(
        answer.1["message"]
            .as_str()
            .unwrap()
            .starts_with("Batched logging API requests must be at most")
    );
    let huge = json!({"name": "x".repeat(limits::JSON_BODY_BYTES)});
    for (method, path) in mlflow::addresses() {
        if method == "GET" || path.starts_with("/ajax-api") || path.contains("artifact") || path.contains('{')
        {
            continue;
        }
        let (status, _) = server.ask(&method, &path, Some(huge.clone())).await;
        assert_eq!(status, 413, "{method} {path}");
    }
}

#[tokio::test]
async fn artifacts_never_run_in_our_pages() {
    let targets = Targets::make().await;
    let (run, model) = (&targets.run, &targets.model);
    for address in [
        format!("{PROXY}/0/{run}/artifacts/page.html"),
        format!("/ajax-api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/page.html"),
        format!("/get-artifact?run_id={run}&path=page.html"),
        "/model-versions/get-artifact?name=m&version=1&path=page.html".to_owned(),
        format!("/ajax-api/2.0/mlflow/logged-models/{model}/artifacts/files?artifact_file_path=page.html"),
    ] {
        let request = Request::get(&address).body(Body::empty()).unwrap();
        let response = targets.server.send(request).await;
        assert_eq!(response.status(), 200, "{address}");
        for (name, expected) in [
            (header::CONTENT_DISPOSITION, "attachment; filename=\"page.html\""),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        ] {
            assert_eq!(response.headers()[&name], expected, "{address}");
        }
    }
}

#[tokio::test]
async fn a_fault_of_the_database_tells_nothing_of_it() {
    let server = Server::start().await;
    let run = server.run().await;
    let database = server.bench.tracking.database();
    database
        .writer()
        .execute_unprepared("DROP TABLE tags")
        .await
        .unwrap();
    let (status, answer) = server.get(&format!("runs/get?run_id={run}")).await;
    assert_eq!((status, &answer["error_code"]), (500, &json!("INTERNAL_ERROR")));
    assert_eq!(
        answer["message"],
        "An internal error occurred; the server's log says more."
    );
    assert_eq!(
        (&answer["sqlstate"], &answer["error_class"]),
        (&json!("XXM00"), &json!("CLIENT_INTERNAL_ERROR"))
    );
}
