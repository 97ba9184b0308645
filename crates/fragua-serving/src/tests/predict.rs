use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::support::{Role, number_forest, record, settings, text_forest};
use crate::Settings;

fn record_with(field: &str, value: Value) -> Value {
    let mut record = record();
    record[field] = value;
    record
}

#[tokio::test]
async fn a_record_is_answered_with_the_old_stacks_keys() {
    let role = Role::ready().await;
    let answered = role.post_json("/predict", &record()).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(answered.text, r#"{"Prediction":1,"Model Version":3}"#);
    let high = role
        .post_json("/predict", &record_with("Elevation", json!("2990.0")))
        .await;
    assert_eq!(high.text, r#"{"Prediction":7,"Model Version":3}"#);
    let extra = role
        .post_json("/predict", &record_with("Other", json!([1])))
        .await;
    assert_eq!(extra.text, r#"{"Prediction":1,"Model Version":3}"#);
}

#[tokio::test]
async fn unknown_texts_are_predicted_and_told() {
    let role = Role::ready().await;
    for (area, expected) in [
        ("", Value::Null),
        (
            "Nowhere",
            json!(["Area: training has not seen \"Nowhere\", which counts as unknown"]),
        ),
    ] {
        let answered = role
            .post_json("/predict", &record_with("Area", json!(area)))
            .await;
        assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
        assert_eq!(answered.json()["Warnings"], expected);
    }
}

#[tokio::test]
async fn a_missing_field_is_told_with_those_that_are_not_taken() {
    let role = Role::ready().await;
    let mut misspelt = record_with("slope", json!(3.5));
    misspelt.as_object_mut().unwrap().remove("Slope");
    let refused = role.post_json("/predict", &misspelt).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let detail = &refused.json()["detail"][0];
    assert_eq!(
        (&detail["type"], &detail["loc"][1]),
        (&json!("missing"), &json!("Slope"))
    );
    assert_eq!(detail["ctx"], json!({ "not_taken": ["slope"] }));
}

#[tokio::test]
async fn numbers_beyond_any_mountain_are_predicted() {
    let role = Role::ready().await;
    for slope in [
        json!("inf"),
        json!("-inf"),
        json!("nan"),
        json!(1e300),
        json!(-1e300),
    ] {
        let answered = role
            .post_json("/predict?proba=1", &record_with("Slope", slope.clone()))
            .await;
        assert_eq!(answered.status, StatusCode::OK, "{slope}: {}", answered.text);
    }
}

#[tokio::test]
async fn classes_that_are_texts_stay_texts() {
    let role = Role::new(settings());
    role.registry.put("1", text_forest());
    role.registry.point(Some("1"));
    role.serving.follow_alias().await;
    let answered = role
        .post_json("/predict?proba=true", &record_with("Elevation", json!(2990)))
        .await;
    let body = answered.json();
    assert_eq!(body["Prediction"], json!("\"fir\""));
    let names: Vec<&String> = body["Probabilities"].as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn a_regression_answers_numbers() {
    let role = Role::new(settings());
    role.registry.put("1", number_forest());
    role.registry.point(Some("1"));
    role.serving.follow_alias().await;
    let high = record_with("Elevation", json!(2990));
    let body = role.post_json("/predict", &high).await.json();
    let number = body["Prediction"].as_f64().unwrap();
    assert!((number - 7.0).abs() < 0.5, "{body}");
    let frame = role
        .post_json("/invocations", &json!({ "dataframe_records": [high] }))
        .await
        .json();
    assert_eq!(frame, json!({ "predictions": [{ "prediction": number }] }));
    let schemas = role.get("/openapi.json").await.json()["components"]["schemas"].clone();
    let mut answers = schemas
        .as_object()
        .unwrap()
        .values()
        .map(|schema| &schema["properties"]["Prediction"]["type"]);
    assert!(answers.any(|kind| kind == "number"), "{schemas}");
}

#[tokio::test]
async fn probabilities_come_on_demand() {
    let role = Role::ready().await;
    for query in ["1", "true", "on"] {
        let body = role
            .post_json(&format!("/predict?proba={query}"), &record())
            .await
            .json();
        let probabilities = body["Probabilities"].as_object().unwrap();
        assert_eq!(probabilities.keys().collect::<Vec<_>>(), ["1", "2", "7"]);
        let sum: f64 = probabilities
            .values()
            .map(|probability| probability.as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        assert!(probabilities["1"].as_f64() > probabilities["7"].as_f64());
    }
    let body = role.post_json("/predict?proba=0", &record()).await.json();
    assert!(body.get("Probabilities").is_none());
    let refused = role.post_json("/predict?proba=maybe", &record()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        refused.json(),
        json!({ "detail": [{
            "type": "bool_parsing",
            "loc": ["query", "proba"],
            "msg": "Input should be a valid boolean, unable to interpret input",
            "input": "maybe",
        }] })
    );
}

/// Expected bodies are those of FastAPI 0.165 with pydantic 2.14 for the same model and request.
#[tokio::test]
async fn refusals_are_those_of_fastapi() {
    let role = Role::ready().await;
    let check = async |body: &str, expected: Value| {
        let answered = role.post("/predict", "application/json", body.to_owned()).await;
        assert_eq!(answered.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(answered.text, json!({ "detail": expected }).to_string(), "{body}");
    };
    let not_a_record = |input: Value| {
        json!([{
            "type": "model_attributes_type",
            "loc": ["body"],
            "msg": "Input should be a valid dictionary or object to extract fields from",
            "input": input,
        }])
    };
    let invalid = |position: usize, error: &str| {
        json!([{
            "type": "json_invalid",
            "loc": ["body", position],
            "msg": "JSON decode error",
            "input": {},
            "ctx": { "error": error },
        }])
    };
    check(
        r#"{"Elevation":1900,"Area":"Rawah"}"#,
        json!([{
            "type": "missing",
            "loc": ["body", "Slope"],
            "msg": "Field required",
            "input": { "Elevation": 1900, "Area": "Rawah" },
        }]),
    )
    .await;
    check(
        r#"{"Area":3,"Elevation":"abc","Slope":"x"}"#,
        json!([
            {
                "type": "int_parsing",
                "loc": ["body", "Elevation"],
                "msg": "Input should be a valid integer, unable to parse string as an integer",
                "input": "abc",
            },
            {
                "type": "float_parsing",
                "loc": ["body", "Slope"],
                "msg": "Input should be a valid number, unable to parse string as a number",
                "input": "x",
            },
            { "type": "string_type", "loc": ["body", "Area"], "msg": "Input should be a valid string", "input": 3 },
        ]),
    )
    .await;
    check(
        r#"{"Elevation":1.5,"Slope":null,"Area":"Rawah"}"#,
        json!([
            {
                "type": "int_from_float",
                "loc": ["body", "Elevation"],
                "msg": "Input should be a valid integer, got a number with a fractional part",
                "input": 1.5,
            },
            { "type": "float_type", "loc": ["body", "Slope"], "msg": "Input should be a valid number", "input": null },
        ]),
    )
    .await;
    let empty = json!([{ "type": "missing", "loc": ["body"], "msg": "Field required", "input": null }]);
    check("", empty).await;
    check("[]", not_a_record(json!([]))).await;
    check("null", not_a_record(json!(null))).await;
    check("\"x\"", not_a_record(json!("x"))).await;
    check(
        "{",
        invalid(1, "Expecting property name enclosed in double quotes"),
    )
    .await;
    check(r#"{"Elevation":}"#, invalid(13, "Expecting value")).await;
    check(r#"{"Elevation":1} x"#, invalid(16, "Extra data")).await;
    check(
        "{\"ñ\":1,}",
        invalid(7, "Expecting property name enclosed in double quotes"),
    )
    .await;
}

#[tokio::test]
async fn a_body_that_is_not_json_by_its_type_is_a_text() {
    let role = Role::ready().await;
    for content_type in ["text/plain", "application/x-www-form-urlencoded"] {
        let answered = role.post("/predict", content_type, record().to_string()).await;
        assert_eq!(
            answered.status,
            StatusCode::UNPROCESSABLE_ENTITY,
            "{content_type}"
        );
        assert_eq!(answered.json()["detail"][0]["type"], "model_attributes_type");
        assert_eq!(answered.json()["detail"][0]["input"], json!(record().to_string()));
    }
    for content_type in [
        "application/json; charset=utf-8",
        "application/vnd.api+json",
        "APPLICATION/JSON",
    ] {
        let answered = role.post("/predict", content_type, record().to_string()).await;
        assert_eq!(answered.status, StatusCode::OK, "{content_type}");
    }
    let answered = role.post("/predict", "application/json", vec![0xff_u8]).await;
    assert_eq!(answered.status, StatusCode::BAD_REQUEST);
    assert_eq!(
        answered.text,
        r#"{"detail":"There was an error parsing the body"}"#
    );
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_as_by_fastapi() {
    let role = Role::ready().await;
    let check = async |method: Method, path: &str, status: u16, body: &str| {
        let request = Request::builder()
            .method(method.clone())
            .uri(path)
            .body(Body::empty())
            .unwrap();
        let answered = role.send(request).await;
        assert_eq!(answered.status.as_u16(), status, "{method} {path}");
        assert_eq!(answered.text, body, "{method} {path}");
        answered.header(header::ALLOW).to_owned()
    };
    let not_allowed = r#"{"detail":"Method Not Allowed"}"#;
    assert_eq!(check(Method::GET, "/predict", 405, not_allowed).await, "POST");
    assert_eq!(check(Method::PUT, "/predict", 405, not_allowed).await, "POST");
    assert_eq!(check(Method::GET, "/invocations", 405, not_allowed).await, "POST");
    check(Method::POST, "/ping", 405, not_allowed).await;
    check(Method::GET, "/nope", 404, r#"{"detail":"Not Found"}"#).await;
    check(Method::POST, "/nope", 404, r#"{"detail":"Not Found"}"#).await;
    let redirected = role.post_json("/predict/", &record()).await;
    assert_eq!(redirected.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(redirected.header(header::LOCATION), "/predict");
}

#[tokio::test]
async fn bodies_have_a_limit_whether_announced_or_not() {
    let role = Role::ready_with(Settings {
        max_body_bytes: 64,
        ..settings()
    })
    .await;
    let large = format!("{}{}", record(), " ".repeat(100));
    let announced = Request::post("/predict").header(header::CONTENT_LENGTH, large.len());
    let announced = announced.body(Body::from(large.clone())).unwrap();
    assert_eq!(role.send(announced).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = large
        .into_bytes()
        .into_iter()
        .map(|byte| Ok::<_, std::io::Error>(vec![byte]));
    let streamed = Body::from_stream(futures::stream::iter(chunks));
    let answered = role.post("/predict", "application/json", streamed).await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        answered.json()["detail"].as_str().unwrap().contains("64 bytes"),
        "{}",
        answered.text
    );
    assert_eq!(role.post_json("/predict", &record()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn one_request_too_many_is_told_to_come_back() {
    let role = Role::ready_with(Settings {
        max_in_flight: 1,
        ..settings()
    })
    .await;
    let (sender, receiver) = futures::channel::mpsc::unbounded::<Result<Vec<u8>, std::io::Error>>();
    let slow = role.post("/predict", "application/json", Body::from_stream(receiver));
    tokio::pin!(slow);
    // The first request has its place and waits for its body.
    assert!(futures::poll!(slow.as_mut()).is_pending());
    let refused = role.post_json("/predict", &record()).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header(header::RETRY_AFTER), "1");
    assert!(
        role.get("/metrics")
            .await
            .text
            .contains("fragua_serving_in_flight 1\n")
    );
    sender
        .unbounded_send(Ok(record().to_string().into_bytes()))
        .unwrap();
    drop(sender);
    assert_eq!(slow.await.status, StatusCode::OK);
    assert_eq!(role.post_json("/predict", &record()).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_does_not_come_ends() {
    let role = Role::ready_with(Settings {
        body_timeout: Duration::from_millis(5),
        ..settings()
    })
    .await;
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answered = role.post("/predict", "application/json", never).await;
    assert_eq!(answered.status, StatusCode::REQUEST_TIMEOUT);
}
