//! The unmodified `mlflow` and `boto3` on what the demo left.

use fragua_base::SystemClock;
use serde_json::json;
use std::sync::Arc;

use crate::harness::{Server, demo, python, repository};

/// Runs a client on a running server, with rows to ask for.
fn ask(script: &str, server: &Server) -> serde_json::Value {
    let endpoints = server.project.join(".fragua/endpoints.json");
    let sample = repository().join("examples/covertype/data/covertype-sample.csv.gz");
    python(script, &[endpoints.to_str().unwrap(), sample.to_str().unwrap()])
}

#[test]
fn mlflow_finds_the_runs_and_predicts_what_the_inference_api_predicts() {
    let demo = demo();
    let server = Server::start(demo.project());
    let found = ask("read_with_mlflow.py", &server);

    assert_eq!(found["version"], 1);
    assert_eq!(found["accuracy"], demo.summary["accuracy"]);
    assert!(found["runs"].as_u64().unwrap() >= 1, "{found}");
    assert!(
        found["candidates"].as_u64().unwrap() >= 2,
        "a child run a candidate: {found}"
    );
    let source: serde_json::Value =
        serde_json::from_str(found["datasets"][0]["source"].as_str().unwrap()).unwrap();
    let batches: Vec<_> = source["batches"]
        .as_array()
        .unwrap()
        .iter()
        .map(|batch| batch["source"]["batch_number"].as_u64())
        .collect();
    assert_eq!(
        batches,
        (1..=10).map(Some).collect::<Vec<_>>(),
        "the data set names the batch of each load"
    );
    let artifacts = found["artifacts"].as_array().unwrap();
    for expected in ["judgement.json", "model_card.html"] {
        assert!(artifacts.iter().any(|path| path == expected), "{found}");
    }
    assert_eq!(
        (&found["rows"], &found["equal_labels"]),
        (&1_000.into(), &1_000.into()),
        "{found}"
    );
    assert!(found["largest_difference"].as_f64().unwrap() < 1e-5, "{found}");
    server.stop();
}

#[test]
fn the_inference_api_answers_like_mlflows_own_scoring_server() {
    let demo = demo();
    let server = Server::start(demo.project());
    let found = ask("scoring_server.py", &server);
    server.stop();
    let found = found.as_object().unwrap();
    assert!(found.len() > 20);
    let mut wrong = Vec::new();
    for (request, answers) in found {
        let is_right = answers["status"][0] == answers["status"][1]
            && answers["error_code"][0] == answers["error_code"][1]
            && answers["same_predictions"] == true;
        if !is_right {
            wrong.push(format!("{request}: {answers:#}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tritons_client_predicts_what_the_inference_api_predicts() {
    let demo = demo();
    let server = Server::start(demo.project());
    let found = ask("infer_with_triton.py", &server);
    server.stop();
    for yes in ["live", "ready", "model_ready"] {
        assert_eq!(found[yes], true, "{yes}: {found}");
    }
    assert_eq!(found["server"], "fragua");
    assert_eq!(found["repository"], json!(["cover_type_class"]));
    assert_eq!(found["id"], "asked-by-triton");
    assert_eq!(
        (&found["rows"], &found["equal_labels"]),
        (&json!(100), &json!(100))
    );
    assert!(found["largest_difference"].as_f64().unwrap() < 1e-6, "{found}");
    assert!(
        found["refused"].as_str().unwrap().contains("Elevation"),
        "{found}"
    );
    assert!(
        found["kept"].as_str().unwrap().contains("always in memory"),
        "{found}"
    );
}

#[tokio::test]
async fn boto3_reads_the_model_that_the_training_logged() {
    let demo = demo();
    let server = Server::start(demo.project());
    let auth_file = format!("sqlite:{}", server.project.join(".fragua/auth.db").display());
    let database = fragua_database::Database::open(&auth_file, "auth.database_url")
        .await
        .unwrap();
    let auth = fragua_auth::Auth::open(database, Arc::new(SystemClock))
        .await
        .unwrap();
    let key = auth.root_access_key(None).await.unwrap();
    let found = python(
        "read_with_boto3.py",
        &[&server.address("storage"), &key.id, key.secret.expose()],
    );

    assert_eq!(found["buckets"], serde_json::json!(["mlflows3"]));
    assert_eq!(found["size"], found["listed_size"]);
    assert_eq!(found["tail_is_the_end"], true);
    assert_eq!(found["wrong_secret"], "SignatureDoesNotMatch");
    server.stop();
}
