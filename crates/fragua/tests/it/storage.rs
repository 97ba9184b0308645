//! The bytes of all objects, looked at and mended on the command line.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

use std::fs;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use fragua_auth::AccessKey;
use fragua_base::{Clock as _, SystemClock};
use fragua_storage::{BucketName, ObjectKey, PresignedRequest, presigned_url};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Project, client};
use crate::workers::until;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn a_check_finds_what_nobody_misses_and_a_repair_removes_it() {
    let project = Project::empty();
    let sound = project.run(&["storage", "check"]).await;
    assert!(sound.ok, "{}", sound.stderr);
    assert_eq!(
        sound.stdout,
        "0 versions (0 bytes) as they were written, 0 damaged, 0 files without an object\n"
    );
    assert!(
        !project.path(".fragua").exists(),
        "a project that was never started is only read"
    );
    assert!(project.run(&["storage", "repair"]).await.ok);

    let orphan = "0123456789abcdef".repeat(2);
    let folder = project.path(".fragua/objects/blobs/01");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(&orphan), "nobody's").unwrap();
    let found = project.run(&["storage", "check", "--quick", "--json"]).await;
    assert!(!found.ok);
    assert_eq!(json(&found.stdout)["orphans"], json!([orphan]));

    let repaired = project.run(&["storage", "repair"]).await;
    assert!(repaired.ok, "{}", repaired.stderr);
    assert!(
        repaired
            .stdout
            .ends_with("removed 1 file without an object and 0 objects without bytes\n"),
        "{}",
        repaired.stdout
    );
    assert!(!folder.join(&orphan).exists());
    assert!(project.run(&["storage", "check"]).await.ok);
}

#[tokio::test]
async fn objects_of_another_s3_are_not_checked_here() {
    let project = Project::empty();
    project.write("fragua.toml", "[storage]\nendpoint = \"http://127.0.0.1:9\"\n");
    let refused = project.run(&["storage", "check"]).await;
    assert!(!refused.ok);
    assert!(
        refused
            .stderr
            .contains("the objects are kept by another S3 (storage.endpoint comes from: "),
        "{}",
        refused.stderr
    );
}

/// Asks the S3 API, with all of the signature in the address.
async fn ask(
    endpoint: &str,
    key: &AccessKey,
    (object, query): (Option<&str>, &[(&str, &str)]),
    body: &'static str,
) {
    let bucket = BucketName::parse("data").unwrap();
    let object = object.map(|object| ObjectKey::parse(object).unwrap());
    let request = PresignedRequest {
        endpoint,
        region: "us-east-1",
        method: "PUT",
        bucket: Some(&bucket),
        key: object.as_ref(),
        query,
        lifetime: Duration::from_secs(60),
        now: SystemClock.now(),
    };
    let request = client().put(presigned_url(key, request).unwrap()).body(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    assert!(status.is_success(), "{status} {}", answer.text().await.unwrap());
}

#[tokio::test]
async fn an_object_that_comes_is_told_to_a_webhook_and_to_the_sensor_that_waits() {
    let (sender, mut received) = mpsc::unbounded_channel();
    let receive = async |State(sender): State<mpsc::UnboundedSender<(HeaderMap, String)>>,
                         headers: HeaderMap,
                         body: String| sender.send((headers, body)).unwrap();
    let router = Router::new().fallback(receive).with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let webhook = format!(
        "object_webhooks.rows.url=http://{}/hook",
        listener.local_addr().unwrap()
    );
    let receiver = tokio::spawn(async move { axum::serve(listener, router).await });

    let project = Project::with_dag(
        "waits",
        "dag: waits\ntasks:\n  - { id: rows, object_sensor: { bucket: data, key: in/año.csv, poke_interval: 1h } }\n",
    );
    let made = project
        .run(&[
            "storage-keys",
            "create",
            "--name",
            "ana",
            "--access",
            "full",
            "--json",
        ])
        .await;
    let made = json(&made.stdout);
    let key = AccessKey::new(made["id"].as_str().unwrap(), made["secret"].as_str().unwrap()).unwrap();
    let server = project
        .up(&[
            "--roles",
            "orchestrator,storage",
            "--set",
            &webhook,
            "--set",
            "object_webhooks.rows.secret=hammer",
            "--set",
            "webhooks.allowed_schemes=http",
            "--set",
            "webhooks.allow_private_addresses=true",
        ])
        .await;
    let endpoint = server.address("storage");
    ask(endpoint, &key, (None, &[]), "").await;
    let notification = "<NotificationConfiguration><QueueConfiguration><Id>all</Id><Queue>arn:aws:sqs:::rows</Queue>\
                        <Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>";
    ask(endpoint, &key, (None, &[("notification", "")]), notification).await;

    assert!(project.run(&["dags", "unpause", "waits"]).await.ok);
    let run = project.trigger("waits").await;
    let until_state = async |wanted: &str| {
        until(wanted, async || {
            let state = project.run(&["tasks", "state", "waits", "rows", &run]).await;
            (state.stdout.trim() == wanted).then_some(())
        })
        .await;
    };
    until_state("up_for_reschedule").await;
    ask(endpoint, &key, (Some("in/año.csv"), &[]), "1,2").await;
    until_state("success").await;

    let (headers, body) = received.recv().await.unwrap();
    let header = |name: &str| headers[name].to_str().unwrap();
    let (id, seconds) = (header("x-fragua-delivery-id"), header("x-fragua-timestamp"));
    assert_eq!(
        header("x-fragua-signature"),
        fragua_webhook::sign("hammer", id, seconds, &body)
    );
    let record = &json(&body)["Records"][0];
    assert_eq!(
        (&record["eventName"], &record["s3"]["object"]["key"]),
        (&json!("ObjectCreated:Put"), &json!("in/a%C3%B1o.csv"))
    );
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    receiver.abort();
}

#[tokio::test]
async fn the_key_of_the_store_is_replaced() {
    let project = Project::empty();
    let key = || fs::read_to_string(project.path(".fragua/storage.key")).unwrap();
    assert!(project.run(&["storage", "repair"]).await.ok);
    let before = key();
    let rotated = project.run(&["storage", "rotate-key", "--json"]).await;
    assert!(rotated.ok, "{}", rotated.stderr);
    assert_eq!(json(&rotated.stdout), json!({ "rotated": 0 }));
    assert!(key() != before && !key().contains(','), "the old key is gone");
    // Keys of a setting are given there, the new one first.
    let alone = "storage.secret_key=cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    let asked = project.run(&["storage", "rotate-key", "--set", alone]).await;
    assert!(!asked.ok && asked.stderr.contains("NEW,OLD"), "{}", asked.stderr);
    let both = format!("{alone},{}", key().trim());
    let rotated = project.run(&["storage", "rotate-key", "--set", &both]).await;
    assert!(rotated.ok, "{}", rotated.stderr);
    let server = project.up(&["--roles", "storage"]).await;
    let refused = project.run(&["storage", "rotate-key"]).await;
    assert!(
        !refused.ok && refused.stderr.contains("end it first"),
        "{}",
        refused.stderr
    );
    server.stop().await;
}
