//! The source through its routes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use fragua_base::{ManualClock, Timestamp};
use serde_json::Value;
use tower::ServiceExt as _;

use super::{Settings, Source, router};

struct Harness {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    settings: Settings,
}

impl Harness {
    /// A table of 400 rows `row,<n>`, ten batches of 40.
    fn new(batch_seconds: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        let rows: String = (0..400).map(|row| format!("\"row, {row}\",{row}\n")).collect();
        std::fs::write(&path, format!("name,number\n{rows}")).unwrap();
        let settings = Settings {
            path: Some(path),
            batch_seconds,
            seed: 7,
        };
        Self {
            folder,
            clock: Arc::new(ManualClock::at(Timestamp::from_millis(1_000_000))),
            settings,
        }
    }

    fn open(&self) -> Source {
        let state = self.folder.path().join("source.json");
        Source::open(self.settings.clone(), state, self.clock.clone()).unwrap()
    }
}

#[tokio::test]
async fn the_root_tells_the_routes() {
    let (status, body) = get(&Harness::new(0).open(), "/", None).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["routes"]["GET /data?group_number=N"].is_string(), "{body}");
}

async fn get(source: &Source, path: &str, key: Option<&str>) -> (StatusCode, Value) {
    let mut request = Request::get(path);
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let response = router(source.clone())
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

async fn batch_number(source: &Source, group: usize) -> Option<u64> {
    get(source, &format!("/data?group_number={group}"), None).await.1["batch_number"].as_u64()
}

#[tokio::test]
async fn each_request_moves_on_when_the_pause_is_zero_and_the_eleventh_is_refused() {
    let harness = Harness::new(0);
    let source = harness.open();
    for expected in 1..=10 {
        let (status, body) = get(&source, "/data?group_number=7", None).await;
        assert_eq!(
            (status, body["batch_number"].as_u64()),
            (StatusCode::OK, Some(expected))
        );
        let rows = body["data"].as_array().unwrap();
        assert_eq!(rows.len(), 4);
        for row in rows {
            let number: u64 = row[1].as_str().unwrap().parse().unwrap();
            assert_eq!(row[0], format!("row, {number}"));
            assert_eq!(number / 40 + 1, expected, "a row of another batch");
        }
    }
    let (status, body) = get(&source, "/data?group_number=7", None).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["detail"].as_str().unwrap().contains("all 10 batches"));
    assert_eq!(
        batch_number(&source, 6).await,
        Some(1),
        "groups do not share their state"
    );
    get(&source, "/restart_data_generation?group_number=7", None).await;
    assert_eq!(batch_number(&source, 7).await, Some(1));
}

#[tokio::test]
async fn a_batch_stays_until_more_than_the_pause_has_passed() {
    let harness = Harness::new(300);
    let source = harness.open();
    let first = get(&source, "/data?group_number=1", None).await.1;
    harness.clock.advance(Duration::from_secs(300));
    let second = get(&source, "/data?group_number=1", None).await.1;
    assert_eq!(
        (&first["batch_number"], &second["batch_number"]),
        (&Value::from(1), &Value::from(1))
    );
    assert_ne!(first["data"], second["data"], "each request draws anew");
    harness.clock.advance(Duration::from_millis(1));
    assert_eq!(batch_number(&source, 1).await, Some(2));
}

#[tokio::test]
async fn the_same_key_gets_the_same_rows_even_after_a_restart() {
    let harness = Harness::new(0);
    let source = harness.open();
    let first = get(&source, "/data?group_number=2", Some("dag/run/load")).await;
    assert_eq!(
        get(&source, "/data?group_number=2", Some("dag/run/load")).await,
        first
    );
    let reopened = harness.open();
    assert_eq!(
        get(&reopened, "/data?group_number=2", Some("dag/run/load")).await,
        first
    );
    assert_eq!(
        batch_number(&reopened, 2).await,
        Some(2),
        "the state survives, and the repeats cost no batch"
    );
}

#[tokio::test]
async fn bad_requests_name_the_parameter() {
    let harness = Harness::new(0);
    let source = harness.open();
    for query in [
        "",
        "?group_number=",
        "?group_number=0",
        "?group_number=11",
        "?group_number=two",
        "?group_number=1&group_number=2",
    ] {
        for path in ["/data", "/restart_data_generation"] {
            let (status, body) = get(&source, &format!("{path}{query}"), None).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}{query}");
            assert!(
                body["detail"]
                    .as_str()
                    .unwrap()
                    .starts_with("group_number must be"),
                "{path}{query}"
            );
        }
    }
    let long = "k".repeat(1_025);
    let (status, _) = get(&source, "/data?group_number=1", Some(&long)).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_sample_that_is_compiled_in_has_thirteen_columns() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    let source = Source::open(Settings::default(), folder.path().join("source.json"), clock).unwrap();
    let (_, body) = get(&source, "/data?group_number=1", None).await;
    let rows = body["data"].as_array().unwrap();
    assert_eq!(rows.len(), 1_162);
    assert!(rows.iter().all(|row| row.as_array().unwrap().len() == 13));
}

#[test]
fn a_broken_state_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("source.json");
    std::fs::write(&file, "{").unwrap();
    let error = Source::open(
        Settings::default(),
        file.clone(),
        Arc::new(ManualClock::default()),
    )
    .err()
    .unwrap();
    assert!(format!("{error:#}").contains(file.to_str().unwrap()));
}

#[test]
fn rows_of_different_length_are_refused() {
    let table = format!("a,b\n{}1\n", "1,2\n".repeat(200));
    let error = super::rows::Rows::parse(table.as_bytes()).err().unwrap();
    assert!(format!("{error:#}").contains("202"), "{error:#}");
}
