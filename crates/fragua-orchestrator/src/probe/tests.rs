//! Each kind of connection, good and bad.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use fragua_base::Secret;
use fragua_database::testing::TestDatabase;

use super::*;
use crate::testing::Bench;

/// An orchestrator over a database that lives as long as it does.
async fn bench() -> (Bench, TestDatabase) {
    let test = TestDatabase::sqlite().await;
    (Bench::new(test.database.clone()).await, test)
}

async fn probe(bench: &Bench, url: &str) -> Result<Answered, String> {
    let orchestrator = bench.orchestrator();
    let url = Secret::new(url.to_owned());
    orchestrator.put_connection("other", &url, "").await.unwrap();
    orchestrator.probe_connection("other").await.unwrap().outcome
}

#[tokio::test]
async fn databases_answer() {
    let (bench, _database) = bench().await;
    for test in [
        TestDatabase::sqlite().await,
        TestDatabase::postgres().await,
        TestDatabase::mariadb().await,
    ] {
        assert_eq!(
            probe(&bench, &test.url).await,
            Ok(Answered::Database),
            "{}",
            test.url
        );
    }
}

#[tokio::test]
async fn a_refused_login_is_told_without_the_password() {
    let (bench, _database) = bench().await;
    let missing = probe(&bench, "sqlite:nowhere.db").await;
    assert_eq!(missing, Err("there is no file nowhere.db".to_owned()));
    let closed = probe(&bench, "postgres://user:hunter2-secret@127.0.0.1:1/db").await;
    let reason = closed.unwrap_err();
    assert!(!reason.contains("hunter2-secret"), "{reason}");
    let unknown = bench.orchestrator().probe_connection("ghost").await;
    assert!(matches!(unknown, Err(Error::NotKept { .. })));
}

#[tokio::test]
async fn http_servers_answer_with_a_status() {
    let (bench, _database) = bench().await;
    let routes = Router::new()
        .route("/", get(|| async { "here" }))
        .route("/closed", get(|| async { StatusCode::UNAUTHORIZED }))
        .route("/broken", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    assert_eq!(
        probe(&bench, &format!("http://{base}/")).await,
        Ok(Answered::Http(200))
    );
    assert_eq!(
        probe(&bench, &format!("http://{base}/nowhere")).await,
        Ok(Answered::Http(404))
    );
    let refused = probe(&bench, &format!("http://user:secret-word@{base}/closed")).await;
    assert!(refused.unwrap_err().contains("refuses the credentials"));
    assert!(probe(&bench, &format!("http://{base}/broken")).await.is_err());
    assert_eq!(probe(&bench, &format!("ssh://{base}")).await, Ok(Answered::Port));
    assert!(probe(&bench, "ssh://127.0.0.1:1").await.is_err());
    assert!(probe(&bench, "mailto:someone").await.is_err());
}

#[tokio::test]
async fn an_object_store_is_asked_with_a_signature() {
    let (bench, _database) = bench().await;
    let refusal = |status, code: &'static str| {
        let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code></Error>");
        (status, [("content-type", "application/xml")], body)
    };
    let routes = Router::new()
        .route(
            "/",
            get(move || async move { refusal(StatusCode::FORBIDDEN, "AccessDenied") }),
        )
        .route(
            "/{bucket}",
            get(move |headers: axum::http::HeaderMap| async move {
                let signed = headers
                    .get("authorization")
                    .and_then(|value| value.to_str().ok())
                    .unwrap_or_default();
                match signed.contains("Credential=good/") {
                    true => refusal(StatusCode::NOT_FOUND, "NoSuchBucket"),
                    false => refusal(StatusCode::FORBIDDEN, "InvalidAccessKeyId"),
                }
            }),
        );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    assert_eq!(
        probe(&bench, &format!("http://good:secret-word@{base}")).await,
        Ok(Answered::ObjectStore)
    );
    let refused = probe(&bench, &format!("http://bad:secret-word@{base}")).await;
    assert_eq!(
        refused,
        Err("the object store says InvalidAccessKeyId".to_owned())
    );
}
