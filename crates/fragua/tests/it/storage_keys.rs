//! Keys of the object store: made on the command line, asked for over S3.

use std::time::Duration;

use fragua_auth::AccessKey;
use fragua_base::{Clock as _, SystemClock};
use fragua_storage::{BucketName, PresignedRequest, presigned_url};
use serde_json::{Value, json};

use crate::support::{Project, client};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn keys_are_made_listed_turned_off_and_revoked() {
    let project = Project::empty();
    let made = project
        .run(&[
            "storage-keys",
            "create",
            "--name",
            "ana",
            "--bucket",
            "data",
            "--access",
            "read",
        ])
        .await;
    assert!(made.ok, "{}", made.stderr);
    let lines: Vec<&str> = made.stdout.lines().collect();
    let id = lines[0]
        .strip_prefix("export AWS_ACCESS_KEY_ID='FRK")
        .unwrap()
        .trim_end_matches('\'');
    let id = format!("FRK{id}");
    let secret = lines[1]
        .strip_prefix("export AWS_SECRET_ACCESS_KEY='")
        .unwrap()
        .trim_end_matches('\'');
    assert_eq!((lines.len(), secret.len()), (2, 40));
    assert!(
        made.stderr.contains("the only time its secret is shown"),
        "{}",
        made.stderr
    );

    let listed = project.run(&["storage-keys", "list", "--json"]).await.stdout;
    assert!(!listed.contains(secret));
    let listed = json(&listed);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["state"]),
        (&json!(id), &json!("valid"))
    );
    assert_eq!(
        listed[0]["policy"]["Statement"][0]["Resource"],
        json!(["arn:aws:s3:::data", "arn:aws:s3:::data/*"])
    );
    for (verb, state) in [
        ("disable", "disabled"),
        ("enable", "valid"),
        ("revoke", "revoked"),
    ] {
        let changed = project.run(&["storage-keys", verb, &id]).await;
        assert!(changed.ok, "{}", changed.stderr);
        let listed = project.run(&["storage-keys", "list"]).await.stdout;
        let line = listed.lines().find(|line| line.starts_with(&id)).unwrap();
        assert!(line.contains(&format!("ana   {state}")), "{listed}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_with_the_reason() {
    let project = Project::empty();
    project.write(
        "open.json",
        r#"{"Statement": {"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}}"#,
    );
    let file = project.path("open.json");
    let file = file.to_str().unwrap();
    for (arguments, words) in [
        (vec!["create", "--name", " "], "1 to 200 characters"),
        (
            vec!["create", "--name", "x", "--policy", file],
            "\"NotAction\" is not offered",
        ),
        (
            vec!["create", "--name", "x", "--policy", "none.json"],
            "cannot read none.json",
        ),
        (
            vec!["create", "--name", "x", "--policy", file, "--bucket", "b"],
            "cannot be used with",
        ),
        (
            vec!["revoke", "FRK0"],
            "`fragua storage-keys list` tells their ids",
        ),
    ] {
        let mut all = vec!["storage-keys"];
        all.extend(arguments);
        let refused = project.run(&all).await;
        assert!(
            !refused.ok && refused.stderr.contains(words),
            "{all:?}: {}",
            refused.stderr
        );
    }
}

#[tokio::test]
async fn a_running_server_takes_the_keys_and_logs_what_they_do() {
    let project = Project::empty();
    let server = project.up(&[]).await;
    let storage = server.address("storage").to_owned();
    let made = project
        .run(&[
            "storage-keys",
            "create",
            "--name",
            "ana",
            "--bucket",
            "data",
            "--json",
        ])
        .await;
    let made = json(&made.stdout);
    let key = AccessKey::new(made["id"].as_str().unwrap(), made["secret"].as_str().unwrap()).unwrap();
    let put = async |bucket: &str, host: Option<&str>| {
        let bucket = BucketName::parse(bucket).unwrap();
        let request = PresignedRequest {
            endpoint: &storage,
            region: "us-east-1",
            method: "PUT",
            bucket: Some(&bucket),
            key: None,
            query: &[],
            lifetime: Duration::from_secs(60),
            now: SystemClock.now(),
        };
        let mut request = client().put(presigned_url(&key, request).unwrap());
        if let Some(host) = host {
            request = request.header("host", host);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!((put("data", None).await, put("other", None).await), (200, 403));
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    let listed = json(&project.run(&["storage-keys", "list", "--json"]).await.stdout);
    assert!(
        listed[0]["last_used_at"].is_string(),
        "it is written at the end: {listed}"
    );
}
