//! Variables and connections.

use std::sync::Arc;

use fragua_base::Secret;
use fragua_database::Database;
use serde_json::json;

use super::RETRY;
use crate::core::Core;
use crate::scheduler::attempts;
use crate::testing::Bench;
use crate::{Error, OperatorCatalog, Orchestrator, Settings};

async fn variables_and_connections_are_kept_encrypted(database: Database) {
    let mut bench = Bench::new(database).await;
    bench.write("retry.yaml", RETRY).await;
    let orchestrator = bench.orchestrator();
    let secret = |text: &str| fragua_base::Secret::new(text);
    orchestrator
        .put_variable("city", &secret("Madrid"), "where")
        .await
        .unwrap();
    orchestrator
        .put_variable("city", &secret("{\"name\": \"Sevilla\"}"), "where")
        .await
        .unwrap();
    let url = "postgres://u:hunter2@h/d";
    orchestrator
        .put_connection("lake", &secret(url), "")
        .await
        .unwrap();
    let rows = crate::store::vault::of_kind(bench.core.database.reader(), "connection")
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert!(
        rows[0].secret_value.starts_with("gAAAA"),
        "a Fernet token: {}",
        rows[0].secret_value
    );

    bench.trigger("retry").await;
    let lease = bench.claim_one("first").await;
    let (_, run) = attempts::assignment(&bench.core, &lease).await.unwrap();
    let reader = bench.core.database.reader();
    let context = bench
        .core
        .task_context(reader, &run, &lease.key, &lease.token)
        .await
        .unwrap();
    assert_eq!(context.connection_url("lake").unwrap().expose(), url);
    assert_eq!(context.variables["city"], json!("{\"name\": \"Sevilla\"}"));
    let kept = orchestrator.variables().await.unwrap();
    assert_eq!(
        (kept.len(), kept[0].description.as_str(), kept[0].is_setting),
        (1, "where", false)
    );

    for wrong in ["", "a/b", " a"] {
        let refused = orchestrator.put_variable(wrong, &secret("x"), "").await;
        assert!(matches!(refused, Err(Error::InvalidRequest { .. })), "{wrong:?}");
    }
    let no_address = orchestrator.put_connection("x", &secret("nowhere"), "").await;
    assert!(matches!(no_address, Err(Error::InvalidRequest { .. })));
    orchestrator.delete_variable("city").await.unwrap();
    let gone = orchestrator.delete_variable("city").await;
    assert!(matches!(gone, Err(Error::NotKept { .. })), "{gone:?}");
    let log = orchestrator.audit_log(None, 100, 0).await.unwrap();
    let said = format!("{log:?}");
    assert!(
        said.contains("put_connection") && said.contains("delete_variable"),
        "{said}"
    );
    assert!(!said.contains("hunter2") && !said.contains("Madrid"), "{said}");
}

async fn secrets_are_encrypted_again_with_a_new_key(database: Database) {
    let (old, new) = (fragua_auth::new_secret_key(), fragua_auth::new_secret_key());
    let keys = |keys: &[&Secret]| {
        let keys: Vec<&str> = keys.iter().map(|key| key.expose()).collect();
        Some(Secret::new(keys.join(",")))
    };
    let bench = Bench::new(database).await;
    let open = |secret_key: Option<Secret>| {
        let settings = Settings {
            secret_key,
            ..bench.core.settings.clone()
        };
        let (database, clock) = (bench.core.database.clone(), bench.clock.clone());
        let core = Core::new(database, settings, OperatorCatalog::builtin(), clock);
        Orchestrator::over(Arc::new(core))
    };
    let orchestrator = open(keys(&[&old]));
    orchestrator
        .put_variable("city", &Secret::new("Madrid"), "")
        .await
        .unwrap();
    orchestrator
        .put_connection("web", &Secret::new("http://u:p@h"), "")
        .await
        .unwrap();
    let orchestrator = open(keys(&[&new]));
    let wrong = orchestrator.rotate_fernet_key().await;
    assert!(matches!(wrong, Err(Error::WrongSecretKey { .. })), "{wrong:?}");
    let orchestrator = open(keys(&[&new, &old]));
    assert_eq!(orchestrator.rotate_fernet_key().await.unwrap(), 2);
    let orchestrator = open(keys(&[&new]));
    assert_eq!(
        orchestrator.variables().await.unwrap()[0].value,
        Secret::new("Madrid")
    );
    assert_eq!(
        orchestrator.connections().await.unwrap()[0]
            .connection
            .url
            .expose(),
        "http://u:p@h"
    );
}

fragua_database::each_engine!(engines:
    secrets_are_encrypted_again_with_a_new_key,
    variables_and_connections_are_kept_encrypted,
);
