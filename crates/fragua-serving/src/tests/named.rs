//! Models by name, alias and version.

use axum::http::StatusCode;
use serde_json::json;

use super::support::{Role, broken, forest, record, settings, text_forest};
use crate::{ModelRef, RegisteredModel, Settings};

#[tokio::test]
async fn each_version_has_its_address() {
    let role = Role::ready().await;
    role.registry.put("4", text_forest());
    for (path, version) in [
        ("/predict", 3),
        ("/models/forest/predict", 3),
        ("/models/forest@champion/predict", 3),
        ("/models/forest/versions/3/predict", 3),
        ("/models/forest/versions/4/predict", 4),
        ("/models/forest/versions/latest/predict", 4),
    ] {
        let answered = role.post_json(path, &record()).await;
        assert_eq!(answered.status, StatusCode::OK, "{path}: {}", answered.text);
        assert_eq!(answered.json()["Model Version"], version, "{path}");
        assert_eq!(answered.headers["x-model-version"], version.to_string(), "{path}");
        assert_eq!(answered.headers["x-request-id"].len(), 32, "{path}");
    }
    let frame = json!({ "dataframe_records": [record()] });
    let answered = role
        .post_json("/models/forest/versions/4/invocations", &frame)
        .await;
    assert_eq!(answered.json()["predictions"][0]["label"], "fir");
    // Both addresses of version 3 answer with one copy in memory.
    let by_version = role
        .serving
        .endpoint(&ModelRef::version("forest", "3").unwrap())
        .await;
    let by_version = by_version.unwrap().current().unwrap();
    assert!(std::sync::Arc::ptr_eq(
        &by_version,
        &role.serving.current().unwrap()
    ));
}

#[tokio::test]
async fn what_is_not_registered_is_not_found() {
    let role = Role::ready().await;
    for (path, reason) in [
        (
            "/models/birch/predict",
            "the registry has no model birch with the alias champion; train one, then set the alias",
        ),
        (
            "/models/forest@rival/predict",
            "the registry has no model forest with the alias rival; train one, then set the alias",
        ),
        (
            "/models/forest/versions/9/predict",
            "the registry has no version 9 of a model forest",
        ),
    ] {
        let answered = role.post_json(path, &record()).await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answered.json(), json!({ "detail": reason }), "{path}");
    }
    let answered = role
        .post_json("/models/forest/versions/x/predict", &record())
        .await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert!(answered.text.contains("neither a number"), "{}", answered.text);
    assert_eq!(role.serving.endpoints().len(), 1);
}

#[tokio::test]
async fn a_version_that_cannot_be_served_says_why_and_is_read_once() {
    let role = Role::ready().await;
    role.registry.put("4", broken());
    let answered = role
        .post_json("/models/forest/versions/4/predict", &record())
        .await;
    assert_eq!(answered.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        answered.text.contains("version 4 of forest cannot be served"),
        "{}",
        answered.text
    );
    let reads = role.registry.reads();
    role.post_json("/models/forest/versions/4/predict", &record())
        .await;
    assert_eq!(role.registry.reads(), reads);
    let shown = role.get("/models/forest/versions/4").await.json();
    assert_eq!(shown["problem"]["kind"], "cannot_be_served");
    let page = role.get("/metrics").await.text;
    let line = "fragua_serving_problem{endpoint=\"models:/forest/4\",version=\"4\",role=\"live\",kind=\"cannot_be_served\"} 1\n";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn the_model_that_was_not_used_for_the_longest_time_makes_room() {
    let role = Role::ready_with(Settings {
        max_models: 3,
        ..settings()
    })
    .await;
    for version in ["4", "5", "6"] {
        role.registry.put(version, forest());
    }
    for version in ["4", "5", "4", "6"] {
        let path = format!("/models/forest/versions/{version}/predict");
        assert_eq!(role.post_json(&path, &record()).await.status, StatusCode::OK);
    }
    let models: Vec<String> = role
        .serving
        .endpoints()
        .iter()
        .map(|endpoint| endpoint.model_ref().to_string())
        .collect();
    assert_eq!(
        models,
        ["models:/forest@champion", "models:/forest/4", "models:/forest/6"]
    );
}

#[tokio::test]
async fn the_registry_can_be_listed() {
    let role = Role::ready().await;
    role.registry.put("4", forest());
    let expected = RegisteredModel {
        name: "forest".to_owned(),
        aliases: vec![("champion".to_owned(), 3)],
        versions: vec![4, 3],
    };
    assert_eq!(role.serving.registered_models().await.unwrap(), [expected]);
}

#[tokio::test]
async fn an_answer_is_explained_on_request() {
    let role = Role::ready().await;
    let answered = role
        .post_json("/predict?explain=1&proba=1", &record())
        .await
        .json();
    let label = answered["Prediction"].to_string();
    let probability = answered["Probabilities"][&label].as_f64().unwrap();
    let contributions = answered["Contributions"].as_object().unwrap();
    assert_eq!(
        contributions.keys().collect::<Vec<_>>(),
        ["Elevation", "Slope", "Area"]
    );
    let sum: f64 = contributions.values().map(|value| value.as_f64().unwrap()).sum();
    let score = answered["Baseline"].as_f64().unwrap() + sum;
    assert!((score - probability).abs() < 1e-6, "{answered}");
}
