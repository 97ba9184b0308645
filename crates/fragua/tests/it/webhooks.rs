//! Webhooks of the running program.

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::support::{Project, client};

async fn receive(
    State(received): State<UnboundedSender<(HeaderMap, String)>>,
    headers: HeaderMap,
    body: String,
) {
    received.send((headers, body)).expect("the test waits for it");
}

async fn ask(address: &str, path: &str, body: Value) -> Value {
    let url = format!("{address}/api/2.0/mlflow/{path}");
    let response = client().post(url).json(&body).send().await.expect("an answer");
    assert!(response.status().is_success(), "{path}: {}", response.status());
    response.json().await.expect("JSON")
}

#[tokio::test]
async fn a_webhook_is_told_and_its_secret_outlives_the_program() {
    let (sender, mut received) = unbounded_channel();
    let router = Router::new().route("/hook", post(receive)).with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move { axum::serve(listener, router).await });

    let project = Project::empty();
    let arguments = [
        "--roles",
        "tracking,storage",
        "--set",
        "webhooks.allowed_schemes=http",
        "--set",
        "webhooks.allow_private_addresses=true",
    ];
    let server = project.up(&arguments).await;
    let events = json!([{"entity": "REGISTERED_MODEL", "action": "CREATED"}]);
    let fields = json!({"name": "forge", "url": url, "secret": "hammer", "events": events});
    let made = ask(server.address("tracking"), "webhooks", fields).await;
    server.stop().await;

    let server = project.up(&arguments).await;
    ask(
        server.address("tracking"),
        "registered-models/create",
        json!({"name": "cover"}),
    )
    .await;
    let (headers, body) = received.recv().await.unwrap();
    assert!(headers.contains_key("x-mlflow-signature"), "{headers:?}");
    assert!(body.contains("\"cover\""), "{body}");
    let id = made["webhook"]["webhook_id"].as_str().unwrap();
    let tested = ask(
        server.address("tracking"),
        &format!("webhooks/{id}/test"),
        json!({}),
    )
    .await;
    assert_eq!(tested["result"]["success"], json!(true), "{tested}");
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    receiver.abort();
}
