//! Broken bodies on every route that takes one: each gets an answer, and none is the server's fault.

use axum::body::Body;
use axum::http::{Request, header};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use super::support::{Role, forest, record, settings};

const CSV: &str = "Elevation,Slope,Area\n1900,3.5,Rawah\n2990,1,\"Ne\"\"ota\"\n";

/// Something to do to a body.
#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Insert(prop::sample::Index, &'static str),
}

/// What parsers stumble over.
const WORDS: [&str; 14] = [
    "null",
    "NaN",
    "-",
    "1e999",
    "[",
    "{",
    "\"",
    "\\u0000",
    "\\ud800",
    ",",
    "99999999999999999999",
    "true",
    "\n",
    "\u{feff}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<prop::sample::Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        place().prop_map(Damage::Cut),
        (place(), place()).prop_map(|(from, to)| Damage::Repeat(from, to)),
        (place(), prop::sample::select(&WORDS[..])).prop_map(|(at, word)| Damage::Insert(at, word)),
    ]
}

fn damaged(body: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut body = body.to_vec();
    for damage in damages {
        if body.is_empty() {
            break;
        }
        let length = body.len();
        match damage {
            Damage::Set(at, byte) => body[at.index(length)] = *byte,
            Damage::Cut(at) => body.truncate(at.index(length)),
            Damage::Repeat(from, to) => {
                let (one, two) = (from.index(length), to.index(length));
                let part = body[one.min(two)..one.max(two)].to_vec();
                body.extend(part);
            }
            Damage::Insert(at, word) => {
                let at = at.index(length);
                body.splice(at..at, word.bytes());
            }
        }
    }
    body
}

/// A route with a body that it takes.
fn requests() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json_of = |value: serde_json::Value| value.to_string().into_bytes();
    let columns = ["Elevation", "Slope", "Area"];
    let options = fragua_learn::ReadOptions::default();
    let (table, _) = fragua_learn::read_bytes(CSV.as_bytes(), &options).unwrap();
    let mut parquet = Vec::new();
    fragua_learn::write_parquet(&table, &mut parquet).unwrap();
    let tensors = json!({ "inputs": [
        { "name": "Elevation", "shape": [2], "datatype": "INT64", "data": [1805, 2900] },
        { "name": "Slope", "shape": [2, 1], "datatype": "FP64", "data": [[1.5], [2.5]] },
        { "name": "Area", "shape": [2], "datatype": "BYTES", "data": ["Cache", "Rawah"] },
    ] });
    const JSON: &str = "application/json";
    const PARQUET: &str = "application/vnd.apache.parquet";
    vec![
        ("/predict?explain=1", JSON, json_of(record())),
        (
            "/invocations",
            JSON,
            json_of(json!({ "dataframe_records": [record(), record()] })),
        ),
        (
            "/invocations",
            JSON,
            json_of(json!({ "dataframe_split": { "columns": columns, "data": [[1900, 3.5, "Rawah"]] } })),
        ),
        (
            "/invocations",
            JSON,
            json_of(json!({ "inputs": { "Elevation": [1], "Slope": [2], "Area": ["x"] } })),
        ),
        ("/invocations", "text/csv", CSV.into()),
        ("/invocations", PARQUET, parquet.clone()),
        ("/v2/models/forest/infer", JSON, json_of(tensors)),
        ("/v2/repository/index", JSON, json_of(json!({ "ready": true }))),
        ("/batch", "text/csv", CSV.into()),
        ("/batch?on_bad_cell=null", PARQUET, parquet),
        (
            "/batch",
            "application/x-ndjson",
            "{\"Elevation\":1900,\"Slope\":3.5,\"Area\":\"Rawah\"}\n"
                .repeat(2)
                .into(),
        ),
        (
            "/feedback",
            JSON,
            json_of(json!({ "request_id": "order-1", "label": 1, "row": 0 })),
        ),
        ("/models/forest/deployment/promote", JSON, json_of(json!({}))),
    ]
}

#[test]
fn a_broken_body_is_never_the_servers_fault() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (role, _test) = runtime.block_on(async {
        let test = fragua_database::testing::TestDatabase::sqlite().await;
        let role = Role::with_database(settings(), test.database.clone()).await;
        role.registry.put("3", forest());
        role.registry.point(Some("3"));
        role.serving.follow_alias().await;
        (role, test)
    });
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let requests = requests();
    let ran = runner.run(&prop::collection::vec(damage(), 1..4), |damages| {
        for (path, content_type, body) in &requests {
            let request = Request::post(*path).header(header::CONTENT_TYPE, *content_type);
            let request = request.body(Body::from(damaged(body, &damages))).unwrap();
            let answered = runtime.block_on(role.send(request));
            prop_assert!(
                !answered.status.is_server_error(),
                "{path} {content_type}: {}",
                answered.text
            );
        }
        Ok(())
    });
    ran.unwrap();
}
