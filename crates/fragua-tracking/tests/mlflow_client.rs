//! The unmodified Python client of MLflow against a real listener: every flow that people use every day, with the
//! MLflow of today and the last one of the series before.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[allow(dead_code, reason = "each program uses a part of it")]
mod support;

use sea_orm::ConnectionTrait as _;
use support::{Client, Server};

async fn run(client: Client, script: &str) {
    let server = Server::start().await;
    server.run(client, script).await;
    server.stop().await;
}

/// Fills the experiment `many` with 10,000 runs. Beside the protocol: it is reading them that is tested.
async fn search(client: Client) {
    let server = Server::start().await;
    let transaction = server.runs.database.begin().await.unwrap();
    let numbers =
        "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i < 9999)";
    for statement in [
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, workspace) \
         VALUES (7000, 'many', 'mlflow-artifacts:/7000', 'active', 'default')",
        &format!(
            "{numbers} INSERT INTO runs (run_uuid, name, source_type, status, start_time, lifecycle_stage, \
             artifact_uri, experiment_id) SELECT printf('%032x', i), 'run-' || i, 'UNKNOWN', 'FINISHED', i, 'active', \
             'mlflow-artifacts:/7000/' || printf('%032x', i) || '/artifacts', 7000 FROM numbers"
        ),
        &format!(
            "{numbers} INSERT INTO tags (key, value, run_uuid) \
             SELECT 'mlflow.runName', 'run-' || i, printf('%032x', i) FROM numbers"
        ),
        &format!(
            "{numbers} INSERT INTO params (key, value, run_uuid) SELECT 'side', i % 7, printf('%032x', i) FROM numbers"
        ),
        &format!(
            "{numbers} INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid) \
             SELECT 'score', i, 0, 0, 0, printf('%032x', i) FROM numbers"
        ),
    ] {
        transaction.execute_unprepared(statement).await.unwrap();
    }
    transaction.commit().await.unwrap();
    server.run(client, "search.py").await;
    server.stop().await;
}

mod mlflow_3 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_are_logged() {
        run(Client::Mlflow3, "runs.py").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_are_searched() {
        search(Client::Mlflow3).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn models_are_logged_and_loaded() {
        run(Client::Mlflow3, "models.py").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn models_are_registered() {
        run(Client::Mlflow3, "registry.py").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn webhooks_are_sent() {
        run(Client::Mlflow3, "webhooks.py").await;
    }
}

mod mlflow_2 {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_are_logged() {
        run(Client::Mlflow2, "runs.py").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn runs_are_searched() {
        search(Client::Mlflow2).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn models_are_logged_and_loaded() {
        run(Client::Mlflow2, "models.py").await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn models_are_registered() {
        run(Client::Mlflow2, "registry.py").await;
    }
}
