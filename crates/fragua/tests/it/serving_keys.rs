//! Keys of the inference API: made on the command line, asked for over HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{Project, client};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn keys_are_made_listed_and_revoked() {
    let project = Project::empty();
    let made = project
        .run(&[
            "serving-keys",
            "create",
            "--name",
            "orders",
            "--model",
            "b",
            "--model",
            "a",
            "--expires",
            "7",
        ])
        .await;
    assert!(made.ok, "{}", made.stderr);
    let key = made.stdout.trim();
    assert_eq!(
        key.len(),
        "frk__".len() + 16 + 64,
        "standard output has the key alone: {key}"
    );
    let id = &key[4..20];
    assert!(
        made.stderr
            .contains(&format!("the key {id} is for a, b and expires ")),
        "{}",
        made.stderr
    );
    assert!(
        made.stderr
            .contains("serving.require_api_key is true; it is false here"),
        "{}",
        made.stderr
    );

    let all = project
        .run(&["serving-keys", "create", "--name", "all", "--json"])
        .await;
    let all = json(&all.stdout);
    assert_eq!((&all["models"], &all["expires_at"]), (&Value::Null, &Value::Null));
    assert!(all["key"].as_str().unwrap().contains(all["id"].as_str().unwrap()));

    let listed = project.run(&["serving-keys", "list", "--json"]).await;
    assert!(!listed.stdout.contains(key) && !listed.stdout.contains(&key[21..]));
    let listed = json(&listed.stdout);
    assert_eq!(listed[0]["id"], id);
    assert_eq!(listed[0]["models"], json!(["a", "b"]));
    assert_eq!(listed[0]["last_used_at"], Value::Null);
    assert_eq!(listed[1]["state"], "valid");

    let revoked = project.run(&["serving-keys", "revoke", id]).await;
    assert_eq!(
        revoked.stdout,
        format!("serving key {id} is revoked\n"),
        "{}",
        revoked.stderr
    );
    let listed = project.run(&["serving-keys", "list"]).await.stdout;
    let line = listed.lines().find(|line| line.starts_with(id)).unwrap();
    assert!(line.contains("orders  a, b        revoked"), "{listed}");
}

#[tokio::test]
async fn what_cannot_be_a_key_is_refused_with_the_fix() {
    let project = Project::empty();
    for (arguments, words) in [
        (
            vec!["create", "--name", "x", "--model", "forest@champion"],
            "\"forest@champion\" is no name of a registered model",
        ),
        (vec!["create", "--name", ""], "1 to 200 characters"),
        (
            vec!["create", "--name", "x", "--expires", "0"],
            "0 is not in 1..=36500",
        ),
        (
            vec!["revoke", "0123456789abcdef"],
            "`fragua serving-keys list` tells their ids",
        ),
    ] {
        let mut all = vec!["serving-keys"];
        all.extend(arguments);
        let refused = project.run(&all).await;
        assert!(
            !refused.ok && refused.stderr.contains(words),
            "{all:?}: {}",
            refused.stderr
        );
    }
    let listed = project.run(&["serving-keys", "list", "--json"]).await;
    assert_eq!(json(&listed.stdout), json!([]));
}

#[tokio::test]
async fn a_server_that_requires_keys_asks_for_them_and_the_app_works() {
    let project = Project::empty();
    project.write("fragua.toml", "[serving]\nrequire_api_key = true\n");
    let server = project.up(&["--set", "log.filter=debug,hyper=trace"]).await;
    let serving = server.address("serving").to_owned();
    let status = async |path: &str, key: Option<&str>| {
        let mut request = client().post(format!("{serving}{path}")).json(&json!({}));
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        request.send().await.unwrap().status()
    };
    assert_eq!(status("/predict", None).await, StatusCode::UNAUTHORIZED);

    let made = project
        .run(&[
            "serving-keys",
            "create",
            "--name",
            "orders",
            "--model",
            "cover_type_class",
        ])
        .await;
    let key = made.stdout.trim().to_owned();
    assert!(!made.stderr.contains("it is false here"), "{}", made.stderr);
    let is_not_ready = StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(
        status("/predict", Some(&key)).await,
        is_not_ready,
        "there is no model yet"
    );
    assert_eq!(
        status("/models/other/predict", Some(&key)).await,
        StatusCode::FORBIDDEN
    );
    for (role, path) in [("serving", "/health"), ("serving", "/openapi.json"), ("app", "/")] {
        let url = format!("{}{path}", server.address(role));
        let answer = client().get(&url).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{url}");
    }
    let (ok, said) = server.stop().await;
    assert!(ok, "{said}");
    let warned = said.contains("no API key is valid, so nobody can ask for predictions");
    assert!(warned, "there was none at the start");
    assert!(
        said.contains("/models/other/predict"),
        "every request is in the log"
    );
    assert!(!said.contains(&key[21..]), "no key is");

    let listed = project.run(&["serving-keys", "list", "--json"]).await;
    let listed = json(&listed.stdout);
    assert!(
        listed[0]["last_used_at"].is_string(),
        "it is written at the end: {listed}"
    );
}
