//! The Open Inference Protocol.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::support::{Role, forest, number_forest, record, settings};

fn tensors() -> Value {
    json!([
        { "name": "Elevation", "shape": [2], "datatype": "INT64", "data": [1805, 2900] },
        { "name": "Slope", "shape": [2, 1], "datatype": "FP64", "data": [[1.5], [2.5]] },
        { "name": "Area", "shape": [2], "datatype": "BYTES", "data": ["Cache", "Rawah"] },
    ])
}

#[tokio::test]
async fn tensors_are_predicted_like_records() {
    let role = Role::ready().await;
    let body = json!({ "id": "order 7", "inputs": tensors(), "parameters": { "content_type": "pd" } });
    let answered = role.post_json("/v2/models/forest/infer", &body).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let answered = answered.json();
    assert_eq!(
        (
            &answered["model_name"],
            &answered["model_version"],
            &answered["id"]
        ),
        (&json!("forest"), &json!("3"), &json!("order 7"))
    );
    let [label, probabilities] = answered["outputs"].as_array().unwrap().as_slice() else {
        panic!("{answered}");
    };
    assert_eq!(label["datatype"], "INT64");
    assert_eq!(label["shape"], json!([2]));
    assert_eq!(probabilities["shape"], json!([2, 3]));
    assert_eq!(probabilities["data"].as_array().unwrap().len(), 6);
    let flat = json!({ "Elevation": 2900, "Slope": 2.5, "Area": "Rawah" });
    let single = role.post_json("/predict", &flat).await.json();
    assert_eq!(label["data"][1], single["Prediction"]);

    let wanted = json!({ "inputs": tensors(), "outputs": [{ "name": "probabilities" }] });
    let answered = role
        .post_json("/v2/models/forest/versions/3/infer", &wanted)
        .await
        .json();
    assert_eq!(answered["outputs"].as_array().unwrap().len(), 1);
    assert_eq!(answered.get("id"), None);
}

#[tokio::test]
async fn a_model_tells_its_tensors() {
    let role = Role::ready().await;
    let metadata = role.get("/v2/models/forest").await.json();
    assert_eq!(metadata["versions"], json!(["3"]));
    assert_eq!(
        metadata["inputs"],
        json!([
            { "name": "Elevation", "datatype": "INT64", "shape": [-1] },
            { "name": "Slope", "datatype": "FP64", "shape": [-1] },
            { "name": "Area", "datatype": "BYTES", "shape": [-1] },
        ])
    );
    assert_eq!(
        metadata["outputs"][0],
        json!({ "name": "label", "datatype": "INT64", "shape": [-1] })
    );
    assert_eq!(metadata["outputs"][1]["shape"], json!([-1, 3]));

    let role = Role::new(settings());
    role.registry.put("1", number_forest());
    role.registry.point(Some("1"));
    assert_eq!(
        role.get("/v2/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    role.serving.follow_alias().await;
    assert_eq!(role.get("/v2/health/ready").await.status, StatusCode::OK);
    assert_eq!(role.get("/v2/health/live").await.json(), json!({ "live": true }));
    assert_eq!(role.get("/v2").await.json()["name"], "fragua");
    let metadata = role.get("/v2/models/forest/versions/1").await.json();
    let outputs = metadata["outputs"].as_array().unwrap();
    assert_eq!((outputs.len(), &outputs[0]["datatype"]), (1, &json!("FP64")));
}

#[tokio::test]
async fn faults_are_told_in_the_form_of_the_protocol() {
    let role = Role::ready().await;
    for (path, body, status, needle) in [
        (
            "/v2/models/birch/infer",
            json!({ "inputs": tensors() }),
            404,
            "no model birch",
        ),
        (
            "/v2/models/forest/infer",
            json!({}),
            400,
            "missing field `inputs`",
        ),
        (
            "/v2/models/forest/infer",
            json!({ "inputs": [] }),
            400,
            "input \"Elevation\" is missing",
        ),
        (
            "/v2/models/forest/infer",
            json!({ "inputs": tensors(), "outputs": [{ "name": "margin" }] }),
            400,
            "there is no output \"margin\"; there is: label, probabilities",
        ),
        (
            "/v2/repository/models/birch/load",
            json!({}),
            404,
            "no model birch",
        ),
        (
            "/v2/repository/models/birch/unload",
            json!({}),
            404,
            "not in memory",
        ),
        (
            "/v2/repository/models/forest/unload",
            json!({}),
            409,
            "always in memory",
        ),
        (
            "/v2/repository/index",
            json!({ "ready": 1 }),
            400,
            "no index request",
        ),
    ] {
        let answered = role.post_json(path, &body).await;
        assert_eq!(answered.status.as_u16(), status, "{path}: {}", answered.text);
        let error = answered.json()["error"].as_str().unwrap().to_owned();
        assert!(error.contains(needle), "{path}: {error}");
    }
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_by_call() {
    let role = Role::ready().await;
    role.registry.put("4", forest());
    let ready = role.get("/v2/models/forest/versions/4/ready").await;
    assert_eq!(ready.json(), json!({ "name": "forest", "ready": true }));
    assert_eq!(
        role.post_json("/v2/repository/models/forest/load", &json!({}))
            .await
            .status,
        200
    );
    let index = role
        .post_json("/v2/repository/index", &json!({ "ready": true }))
        .await
        .json();
    let states: Vec<_> = index
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["version"], &entry["state"]))
        .collect();
    assert_eq!(
        states,
        [(&json!("3"), &json!("READY")), (&json!("4"), &json!("READY"))]
    );
    assert_eq!(role.post_json("/predict", &record()).await.status, 200);
}
