//! Canary and shadow, on every engine.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fragua_database::Database;
use serde_json::{Value, json};

use super::support::{Role, broken, forest, record, settings, text_forest};

async fn role(database: Database) -> Role {
    let role = Role::with_database(settings(), database).await;
    role.registry.put("3", forest());
    role.registry.put("4", text_forest());
    role.registry.point(Some("3"));
    role.serving.follow_alias().await;
    role
}

async fn put(role: &Role, body: Value) -> super::support::Answered {
    let request = Request::put("/models/forest/deployment")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    role.send(request).await
}

async fn version_for(role: &Role, key: &str) -> String {
    let request = Request::post("/predict")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-sticky-key", key)
        .body(Body::from(record().to_string()))
        .unwrap();
    let answered = role.send(request).await;
    assert_eq!(answered.status, StatusCode::OK);
    answered.headers["x-model-version"].to_str().unwrap().to_owned()
}

async fn a_canary_answers_its_share_and_is_promoted(database: Database) {
    let role = role(database.clone()).await;
    let set = put(&role, json!({ "canary": { "version": 4, "percent": 30 } })).await;
    assert_eq!(set.status, StatusCode::OK, "{}", set.text);
    assert_eq!(set.json()["live"], 3);
    let mut by_canary = 0;
    for key in 0..200 {
        let key = format!("customer-{key}");
        let version = version_for(&role, &key).await;
        assert_eq!(version, version_for(&role, &key).await, "{key} moved");
        by_canary += usize::from(version == "4");
    }
    assert!((30..90).contains(&by_canary), "{by_canary} of 200");

    // Another process of the role, or this one after a restart, does the same.
    let again = Role::over_database(role.registry.clone(), settings(), database).await;
    again.serving.follow_alias().await;
    for key in 0..20 {
        let key = format!("customer-{key}");
        assert_eq!(
            version_for(&role, &key).await,
            version_for(&again, &key).await,
            "{key}"
        );
    }

    let promoted = role
        .post_json("/models/forest/deployment/promote", &json!({}))
        .await;
    assert_eq!(promoted.json()["live"], 4, "{}", promoted.text);
    assert_eq!(version_for(&role, "anybody").await, "4");
    let shown = role.get("/models/forest/deployment").await.json();
    assert_eq!((&shown["canary"], &shown["previous"]), (&Value::Null, &json!(3)));

    let rolled_back = role
        .post_json("/models/forest/deployment/rollback", &json!({}))
        .await;
    assert_eq!(rolled_back.json()["live"], 3, "{}", rolled_back.text);
    assert_eq!(version_for(&role, "anybody").await, "3");
    let nothing = role
        .post_json("/models/forest/deployment/rollback", &json!({}))
        .await;
    assert_eq!(nothing.status, StatusCode::CONFLICT);
}

async fn a_shadow_predicts_and_never_answers(database: Database) {
    let role = role(database).await;
    role.registry.put("5", forest());
    for (version, outcome) in [("4", "other"), ("5", "same")] {
        let set = put(&role, json!({ "shadow": version.parse::<i32>().unwrap() })).await;
        assert_eq!(set.status, StatusCode::OK, "{}", set.text);
        assert_eq!(version_for(&role, "a").await, "3");
        let line = format!(
            "fragua_serving_shadow_rows_total{{model=\"forest\",version=\"{version}\",outcome=\"{outcome}\"}} 1\n"
        );
        // The shadow predicts after the answer is gone.
        while !role.serving.metrics_page().contains(&line) {
            tokio::task::yield_now().await;
        }
    }
    let ended = put(&role, json!({})).await.json();
    assert_eq!(ended["shadow"], Value::Null);
    assert!(role.serving.state().shadow.is_none());
}

async fn what_cannot_be_tried_out_changes_nothing(database: Database) {
    let role = role(database).await;
    role.registry.put("6", broken());
    let canary = |version: i32, percent: u32| json!({ "canary": { "version": version, "percent": percent } });
    for (body, status, needle) in [
        (canary(4, 0), 400, "canary.percent: 0 is not between 1 and 100"),
        (canary(4, 101), 400, "canary.percent: 101"),
        (canary(3, 10), 400, "canary.version: version 3 is the one that"),
        (canary(9, 10), 404, "no version 9"),
        (canary(6, 10), 409, "version 6 of forest cannot be served"),
        (
            json!({ "shadow": 6 }),
            409,
            "version 6 of forest cannot be served",
        ),
        (json!({ "canari": 6 }), 422, "canari"),
        (json!({ "canary": 6 }), 422, "canary"),
    ] {
        let answered = put(&role, body.clone()).await;
        assert_eq!(answered.status.as_u16(), status, "{body}: {}", answered.text);
        assert!(answered.text.contains(needle), "{body}: {}", answered.text);
    }
    let shown = role.get("/models/forest/deployment").await.json();
    assert_eq!((&shown["canary"], &shown["shadow"]), (&Value::Null, &Value::Null));
    let promoted = role
        .post_json("/models/forest/deployment/promote", &json!({}))
        .await;
    assert_eq!(promoted.status, StatusCode::CONFLICT);
    let by_version = role.get("/models/forest%2F3/deployment").await;
    assert_eq!(by_version.status, StatusCode::BAD_REQUEST, "{}", by_version.text);
}

fragua_database::each_engine!(
    deployments: a_canary_answers_its_share_and_is_promoted,
    a_shadow_predicts_and_never_answers,
    what_cannot_be_tried_out_changes_nothing,
);
