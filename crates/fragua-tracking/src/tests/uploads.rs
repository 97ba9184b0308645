//! Uploads in parts, as MLflow's client makes them, without a socket.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, header};
use bytes::Bytes;
use fragua_database::testing::TestDatabase;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::Bench;

/// What every part but the last has at least.
const PART_BYTES: usize = 5 * 1024 * 1024;
const FOLDER: &str = "0/run/artifacts/deep%20folder";
const PROXY: &str = "/api/2.0/mlflow-artifacts";

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    fn code(&self) -> (u16, String) {
        let code = self.json()["error_code"].as_str().unwrap_or_default().to_owned();
        (self.status, code)
    }
}

async fn send(bench: &Bench, request: Request<Body>) -> Answer {
    let router = crate::mlflow::router(bench.tracking.clone());
    let response = router.oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        bytes: body.collect().await.unwrap().to_bytes(),
    }
}

async fn post(bench: &Bench, route: &str, fields: Value) -> Answer {
    let request = Request::post(format!("{PROXY}/mpu/{route}/{FOLDER}"))
        .header(header::HOST, "forge.example:8084")
        .header("x-forwarded-proto", "https")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(fields.to_string()));
    send(bench, request.unwrap()).await
}

async fn begin(bench: &Bench, parts: usize) -> Value {
    let fields = json!({"path": "/home/ana/model.bin", "num_parts": parts});
    let created = post(bench, "create", fields).await;
    assert_eq!(created.status, 200, "{:?}", created.bytes);
    created.json()
}

/// The path and query of the address for a part, as the router sees it.
fn part_address(created: &Value, index: usize) -> String {
    let url = created["credentials"][index]["url"].as_str().unwrap();
    url.strip_prefix("https://forge.example:8084").unwrap().to_owned()
}

async fn put(bench: &Bench, address: &str, bytes: Vec<u8>) -> Answer {
    let request = Request::put(address).header(header::CONTENT_LENGTH, bytes.len());
    send(bench, request.body(Body::from(bytes)).unwrap()).await
}

async fn get(bench: &Bench, address: &str, range: Option<&str>) -> Answer {
    let mut request = Request::get(address).header(header::HOST, "127.0.0.1:8084");
    if let Some(range) = range {
        request = request.header(header::RANGE, range);
    }
    send(bench, request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn parts_become_an_artifact() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let created = begin(&bench, 2).await;
    let mut parts = Vec::new();
    // The second part arrives first, and the first one twice.
    for (number, bytes) in [
        (2, b"end".to_vec()),
        (1, vec![b'x'; 10]),
        (1, vec![b'a'; PART_BYTES]),
    ] {
        let written = put(&bench, &part_address(&created, number - 1), bytes).await;
        assert_eq!(written.status, 200, "{:?}", written.bytes);
        let etag = written.headers[header::ETAG].to_str().unwrap().to_owned();
        parts.retain(|part: &Value| part["part_number"] != json!(number));
        parts.push(json!({"part_number": number, "etag": etag, "url": "unused"}));
    }
    parts.sort_by_key(|part| part["part_number"].as_u64());
    let artifact = format!("{PROXY}/artifacts/{FOLDER}/model.bin");
    assert_eq!(get(&bench, &artifact, None).await.status, 404);
    let fields = json!({"path": "C:\\ana\\model.bin", "upload_id": created["upload_id"], "parts": parts});
    let completed = post(&bench, "complete", fields.clone()).await;
    assert_eq!((completed.status, completed.json()), (200, json!({})));

    let whole = get(&bench, &artifact, None).await;
    assert_eq!((whole.status, whole.bytes.len()), (200, PART_BYTES + 3));
    assert_eq!(whole.headers[header::CONTENT_TYPE], "application/octet-stream");
    assert!(whole.bytes.starts_with(b"aaa") && whole.bytes.ends_with(b"aend"));
    // The upload is over: its addresses take nothing more. A client that lost the answer may ask
    // again and hears the same.
    let late = put(&bench, &part_address(&created, 0), b"late".to_vec()).await;
    assert_eq!(late.code(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    let again = post(&bench, "complete", fields).await;
    assert_eq!((again.status, again.json()), (200, json!({})));
    assert_eq!(get(&bench, &artifact, None).await.bytes.len(), PART_BYTES + 3);
}

#[tokio::test]
async fn an_aborted_upload_leaves_nothing() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let created = begin(&bench, 1).await;
    let address = part_address(&created, 0);
    assert_eq!(put(&bench, &address, b"some".to_vec()).await.status, 200);
    let fields = json!({"path": "model.bin", "upload_id": created["upload_id"]});
    assert_eq!(post(&bench, "abort", fields.clone()).await.status, 200);
    assert_eq!(put(&bench, &address, b"more".to_vec()).await.status, 404);
    assert_eq!(post(&bench, "abort", fields).await.status, 404);
    let folder = format!("{PROXY}/artifacts?path={FOLDER}");
    assert_eq!(get(&bench, &folder, None).await.json(), json!({}));
}

#[tokio::test]
async fn an_address_is_good_for_its_part_and_its_time_only() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let created = begin(&bench, 2).await;
    let (first, second) = (part_address(&created, 0), part_address(&created, 1));
    let forged = [
        first.replace("part_number=1", "part_number=2"),
        first.replace("model.bin", "other.bin"),
        first.replace("expires_at=", "expires_at=9"),
        first.replace("mpu/part", "signed"),
        format!("{first}x"),
    ];
    let refused = (403, "PERMISSION_DENIED".to_owned());
    for address in &forged[..3] {
        assert_eq!(
            put(&bench, address, b"x".to_vec()).await.code(),
            refused,
            "{address}"
        );
    }
    assert_eq!(get(&bench, &forged[3], None).await.code(), refused);
    assert_eq!(put(&bench, &forged[4], b"x".to_vec()).await.code(), refused);
    assert_eq!(put(&bench, &second, b"x".to_vec()).await.status, 200);
    bench.clock.advance(Duration::from_secs(24 * 60 * 60));
    assert_eq!(put(&bench, &second, b"x".to_vec()).await.code(), refused);
}

#[tokio::test]
async fn requests_for_uploads_are_checked() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    for (route, fields) in [
        ("create", json!({"num_parts": 1})),
        ("create", json!({"path": "a/", "num_parts": 1})),
        ("create", json!({"path": "..", "num_parts": 1})),
        ("create", json!({"path": "%2e%2e", "num_parts": 1})),
        ("create", json!({"path": "a"})),
        ("create", json!({"path": "a", "num_parts": 0})),
        ("create", json!({"path": "a", "num_parts": 10_001})),
        ("complete", json!({"path": "a", "upload_id": "u"})),
        (
            "complete",
            json!({"path": "a", "upload_id": "u", "parts": [{"etag": "e"}]}),
        ),
        (
            "complete",
            json!({"path": "a", "upload_id": "u", "parts": [{"part_number": 1}]}),
        ),
        ("abort", json!({"path": "a"})),
    ] {
        let answer = post(&bench, route, fields.clone()).await;
        let expected = (400, "INVALID_PARAMETER_VALUE".to_owned());
        assert_eq!(answer.code(), expected, "{route} {fields}");
    }
    let request = Request::post(format!("{PROXY}/mpu/create/a/%2e%2e/%2e%2e/b"))
        .header(header::HOST, "127.0.0.1")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(r#"{"path": "x", "num_parts": 1}"#));
    assert_eq!(send(&bench, request.unwrap()).await.status, 400);
    // A part that is too small is found out when the upload is completed.
    let created = begin(&bench, 2).await;
    let mut parts = Vec::new();
    for number in [1, 2] {
        let written = put(&bench, &part_address(&created, number - 1), b"small".to_vec()).await;
        parts.push(json!({"part_number": number, "etag": written.headers[header::ETAG].to_str().unwrap()}));
    }
    let fields = json!({"path": "model.bin", "upload_id": created["upload_id"], "parts": parts});
    assert_eq!(
        post(&bench, "complete", fields).await.code(),
        (400, "INVALID_PARAMETER_VALUE".to_owned())
    );
}

#[tokio::test]
async fn a_presigned_address_gives_ranges() {
    let database = TestDatabase::sqlite().await;
    let bench = Bench::open(database.database.clone()).await;
    let presign = format!("{PROXY}/presigned/{FOLDER}/notes.txt");
    assert_eq!(get(&bench, &presign, None).await.status, 404);
    let artifact = format!("{PROXY}/artifacts/{FOLDER}/notes.txt");
    assert_eq!(put(&bench, &artifact, b"0123456789".to_vec()).await.status, 200);
    let answer = get(&bench, &presign, None).await.json();
    assert_eq!(
        (&answer["file_size"], &answer["headers"]),
        (&json!(10), &json!({}))
    );
    let address = answer["url"].as_str().unwrap().to_owned();
    let address = address.strip_prefix("http://127.0.0.1:8084").unwrap();
    let part = get(&bench, address, Some("bytes=2-4")).await;
    assert_eq!((part.status, part.bytes.as_ref()), (206, b"234".as_slice()));
    bench.clock.advance(Duration::from_secs(5 * 60));
    assert_eq!(get(&bench, address, None).await.status, 403);
}
