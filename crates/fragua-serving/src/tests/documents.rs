use axum::http::{StatusCode, header};
use serde_json::{Value, json};

use super::support::{Role, settings};

#[tokio::test]
async fn openapi_follows_the_signature() {
    let role = Role::ready().await;
    let document = role.get("/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "forest");
    assert_eq!(document["info"]["version"], "3");
    let operation = &document["paths"]["/predict"]["post"];
    assert_eq!(operation["operationId"], "predict_predict_post");
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body, &json!({ "$ref": "#/components/schemas/Forest" }));
    let refusal = &operation["responses"]["422"]["content"]["application/json"]["schema"];
    assert_eq!(
        refusal,
        &json!({ "$ref": "#/components/schemas/HTTPValidationError" })
    );
    let record = &document["components"]["schemas"]["Forest"];
    let properties = record["properties"].as_object().unwrap();
    assert_eq!(
        properties.keys().collect::<Vec<_>>(),
        ["Elevation", "Slope", "Area"]
    );
    assert_eq!(record["required"], json!(["Elevation", "Slope", "Area"]));
    assert_eq!(record["title"], "Forest");
    let types: Vec<&Value> = properties.values().map(|property| &property["type"]).collect();
    assert_eq!(types, [&json!("integer"), &json!("number"), &json!("string")]);
    assert_eq!(properties["Elevation"]["title"], "Elevation");
    assert!(
        properties["Area"]["description"]
            .as_str()
            .unwrap()
            .contains("Cache, Neota, Rawah")
    );
    let example = role.serving.current().unwrap().example();
    for (name, property) in properties {
        assert_eq!(property["default"], example[name], "{name}");
    }
    let answered = role.post_json("/predict", &Value::Object(example)).await;
    assert_eq!(answered.status, StatusCode::OK, "the defaults are a good record");
}

/// As FastAPI 0.165 publishes them.
#[tokio::test]
async fn error_schemas_are_those_of_fastapi() {
    let role = Role::ready().await;
    let schemas = role.get("/openapi.json").await.json()["components"]["schemas"].clone();
    assert_eq!(
        schemas["HTTPValidationError"],
        json!({
            "properties": {
                "detail": {
                    "items": { "$ref": "#/components/schemas/ValidationError" },
                    "type": "array",
                    "title": "Detail",
                },
            },
            "type": "object",
            "title": "HTTPValidationError",
        })
    );
    assert_eq!(
        schemas["ValidationError"],
        json!({
            "properties": {
                "loc": {
                    "items": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
                    "type": "array",
                    "title": "Location",
                },
                "msg": { "type": "string", "title": "Message" },
                "type": { "type": "string", "title": "Error Type" },
                "input": { "title": "Input" },
                "ctx": { "type": "object", "title": "Context" },
            },
            "type": "object",
            "required": ["loc", "msg", "type"],
            "title": "ValidationError",
        })
    );
}

#[tokio::test]
async fn docs_come_from_this_server_alone() {
    let role = Role::ready().await;
    let page = role.get("/docs").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("<title>forest version 3 - Swagger UI</title>"));
    assert!(!page.text.contains("http"), "an address outside: {}", page.text);
    assert!(
        page.header(header::CONTENT_SECURITY_POLICY)
            .contains("script-src 'self'")
    );
    let quoted = page.text.split('"').filter(|text| text.starts_with("docs/"));
    for file in quoted {
        let answered = role.get(&format!("/{file}")).await;
        assert_eq!(answered.status, StatusCode::OK, "{file}");
        assert!(!answered.text.is_empty(), "{file}");
    }
    let start = role.get("/docs/swagger-initializer.js").await;
    assert!(start.text.contains("\"openapi.json\""), "{}", start.text);
    assert!(start.text.contains("\"BaseLayout\""), "{}", start.text);
    assert!(start.header(header::CONTENT_TYPE).contains("javascript"));
    assert_eq!(role.get("/docs/nope.js").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn health_tells_up_from_ready() {
    let role = Role::new(settings());
    let health = role.get("/health").await;
    assert_eq!(health.status, StatusCode::OK);
    assert_eq!(
        health.json(),
        json!({ "status": "ok", "ready": false, "model_uri": "models:/forest@champion" })
    );
    assert_eq!(
        role.get("/health/ready").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(role.get("/ping").await.status, StatusCode::NOT_FOUND);

    let role = Role::ready().await;
    let ready = role.get("/health/ready").await;
    assert_eq!(ready.status, StatusCode::OK);
    assert_eq!(
        ready.json()["model"],
        json!({
            "name": "forest",
            "version": 3,
            "alias": "champion",
            "run_id": "run3",
            "created_at": "2025-04-02T00:00:00Z",
            "loaded_at": "2025-04-02T00:00:00Z",
        })
    );
    let ping = role.get("/ping").await;
    assert_eq!((ping.status, ping.text.as_str()), (StatusCode::OK, "\n"));
    assert_eq!(role.get("/version").await.status, StatusCode::OK);
}

#[tokio::test]
async fn metrics_count_by_version_route_and_status() {
    let role = Role::ready().await;
    role.post_json("/predict", &json!({})).await;
    role.post_json(
        "/predict",
        &json!({ "Elevation": 1900, "Slope": 3.5, "Area": "Rawah" }),
    )
    .await;
    let page = role.get("/metrics").await;
    assert!(
        page.header(header::CONTENT_TYPE)
            .starts_with("text/plain; version=0.0.4")
    );
    let labels = "model=\"forest\",version=\"3\",route=\"predict\"";
    for line in [
        format!("fragua_serving_requests_total{{{labels},status=\"200\"}} 1"),
        format!("fragua_serving_errors_total{{{labels},status=\"422\"}} 1"),
        format!("fragua_serving_rows_total{{{labels}}} 1"),
        format!("fragua_serving_request_seconds_count{{{labels}}} 2"),
        "fragua_serving_model_loads_total{outcome=\"loaded\"} 1".to_owned(),
        "fragua_serving_model_info{model=\"forest\",version=\"3\",alias=\"champion\",role=\"live\"} 1"
            .to_owned(),
    ] {
        assert!(
            page.text.lines().any(|found| found == line),
            "{line} is not in\n{}",
            page.text
        );
    }
}

/// Each route that is described is there, and says what it is told wrong in the way it describes.
#[tokio::test]
async fn every_described_route_is_there() {
    let role = Role::ready().await;
    let document = role.get("/openapi.json").await.json();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let address = path
            .replace("{model}", "forest")
            .replace("{version}", "3")
            .replace("{request_id}", "one");
        for (method, operation) in operations.as_object().unwrap() {
            let request = axum::http::Request::builder()
                .method(method.to_uppercase().as_str())
                .uri(&address)
                .header("content-type", "application/json");
            let answered = role.send(request.body("{}".into()).unwrap()).await;
            let status = answered.status.as_u16().to_string();
            let unknown = answered.text == r#"{"detail":"Not Found"}"#;
            assert!(
                !unknown && status != "405" && status != "500",
                "{method} {path}: {}",
                answered.text
            );
            let is_described = operation["responses"].get(&status).is_some();
            // Without a database nothing is kept, which is a conflict.
            assert!(
                is_described || status == "409",
                "{method} {path} answers {status}: {}",
                answered.text
            );
        }
    }
}
