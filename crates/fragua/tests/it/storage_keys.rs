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
    let create = async |access: &str| {
        let named = ["storage-keys", "create", "--name", "ana", "--bucket", "data"];
        project.run(&[&named[..], &["--access", access]].concat()).await
    };
    let refused = create("read").await;
    assert!(
        !refused.ok && refused.stderr.contains("there is no bucket data"),
        "{}",
        refused.stderr
    );
    let made = create("full").await;
    assert!(made.ok, "{}", made.stderr);
    let lines: Vec<&str> = made.stdout.lines().collect();
    let value = |name: &str| {
        let start = format!("export {name}='");
        let line = lines.iter().find_map(|line| line.strip_prefix(&start)).unwrap();
        line.trim_end_matches('\'').to_owned()
    };
    let (id, secret) = (value("AWS_ACCESS_KEY_ID"), value("AWS_SECRET_ACCESS_KEY"));
    let secret = secret.as_str();
    assert!(id.starts_with("FRK") && value("AWS_ENDPOINT_URL_S3").starts_with("http://"));
    assert_eq!((lines.len(), secret.len()), (4, 40));
    assert!(
        made.stderr.contains("there is no bucket data yet"),
        "{}",
        made.stderr
    );
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
async fn a_second_key_of_a_name_was_made_without_a_word() {
    let project = Project::empty();
    let create = async || project.run(&["storage-keys", "create", "--name", "ana"]).await;
    let (first, second) = (create().await, create().await);
    let words = "has the name \"ana\", too";
    assert!(first.ok && !first.stderr.contains(words), "{}", first.stderr);
    assert!(second.ok && second.stderr.contains(words), "{}", second.stderr);
}

/// What a client of boto3 does that has nothing but the variables.
const SIGNED_ADDRESSES: &str = r#"
import urllib.request
import boto3

s3 = boto3.client("s3")
s3.create_bucket(Bucket="data")
put = s3.generate_presigned_url("put_object", Params={"Bucket": "data", "Key": "k"})
urllib.request.urlopen(urllib.request.Request(put, data=b"rows", method="PUT"))
get = s3.generate_presigned_url("get_object", Params={"Bucket": "data", "Key": "k"})
assert "X-Amz-Signature" in get, get
form = s3.generate_presigned_post("data", "k")
assert "x-amz-signature" in form["fields"], form
print(urllib.request.urlopen(get).read().decode())
"#;

#[tokio::test]
async fn addresses_that_boto3_signed_with_the_printed_variables_were_refused() {
    let project = Project::empty();
    let server = project.up(&["--roles", "storage"]).await;
    let root = json(&project.run(&["keys", "--json"]).await.stdout);
    let named = [
        "storage-keys",
        "create",
        "--name",
        "ana",
        "--bucket",
        "data",
        "--json",
    ];
    let made = json(&project.run(&named).await.stdout);
    let python = std::env::var_os("FRAGUA_TEST_PYTHON")
        .expect("FRAGUA_TEST_PYTHON names no interpreter: run the tests with `cargo xtask test`");
    for (keys, names) in [
        (
            &root,
            [
                "AWS_ENDPOINT_URL_S3",
                "AWS_DEFAULT_REGION",
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
            ],
        ),
        (&made, ["endpoint", "region", "id", "secret"]),
    ] {
        let [endpoint, region, id, secret] = names.map(|name| keys[name].as_str().unwrap());
        let mut command = std::process::Command::new(&python);
        command
            .args(["-c", SIGNED_ADDRESSES])
            .env_clear()
            .env("HOME", project.path(""))
            .env("AWS_ENDPOINT_URL_S3", endpoint)
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_ACCESS_KEY_ID", id)
            .env("AWS_SECRET_ACCESS_KEY", secret);
        let finished = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&finished.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&finished.stdout), "rows\n", "{said}");
    }
    server.stop().await;
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
            vec!["create", "--name", "x", "--bucket", "No_Such"],
            "may hold only lower-case letters",
        ),
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
