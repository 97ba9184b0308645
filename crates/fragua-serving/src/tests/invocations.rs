use axum::http::{StatusCode, header};
use fragua_learn::{Categorical, Column};
use serde_json::{Value, json};

use super::support::{Role, settings};
use crate::Settings;

fn record() -> Value {
    json!({ "Elevation": 1900, "Slope": 3.5, "Area": "Rawah" })
}

#[tokio::test]
async fn each_form_gives_the_same_predictions() {
    let role = Role::ready().await;
    let expected = role
        .post_json(
            "/invocations",
            &json!({ "dataframe_records": [record(), record()] }),
        )
        .await;
    assert_eq!(expected.status, StatusCode::OK, "{}", expected.text);
    assert_eq!(expected.header(header::CONTENT_TYPE), "application/json");
    let columns = ["Elevation", "Slope", "Area"];
    let row = json!([1900, 3.5, "Rawah"]);
    for body in [
        json!({ "dataframe_split": { "columns": columns, "data": [row, row] } }),
        json!({ "instances": [record(), record()] }),
        json!({ "inputs": [record(), record()] }),
        json!({ "inputs": { "Elevation": [1900, 1900], "Slope": [3.5, 3.5], "Area": ["Rawah", "Rawah"] } }),
    ] {
        let answered = role.post_json("/invocations", &body).await;
        assert_eq!(answered.text, expected.text, "{body}");
    }
    let csv = "Elevation,Slope,Area\n1900,3.5,Rawah\n1900,3.5,Rawah\n";
    for content_type in ["text/csv", "text/csv; charset=utf-8"] {
        assert_eq!(
            role.post("/invocations", content_type, csv).await.text,
            expected.text
        );
    }
    // Whole numbers of Parquet, an unused column and another order.
    let table = fragua_learn::Table::new(vec![
        (
            "Area".to_owned(),
            Column::Categorical(Categorical::new(vec!["Rawah".to_owned()], vec![0, 0]).unwrap()),
        ),
        ("Elevation".to_owned(), Column::Numeric(vec![1900.0; 2])),
        ("Id".to_owned(), Column::Numeric(vec![7.0; 2])),
        ("Slope".to_owned(), Column::Numeric(vec![3.5; 2])),
    ]);
    let parquet = parquet_of(&table.unwrap());
    assert_eq!(
        role.post("/invocations", PARQUET, parquet).await.text,
        expected.text
    );
}

#[tokio::test]
async fn a_text_that_training_has_not_seen_is_told_in_a_header() {
    let role = Role::ready().await;
    let frame = |areas: &[&str]| {
        let records = areas
            .iter()
            .map(|area| json!({ "Elevation": 1900, "Slope": 3.5, "Area": area }));
        json!({ "dataframe_records": records.collect::<Vec<_>>() })
    };
    let known = role.post_json("/invocations", &frame(&["Rawah"])).await;
    assert!(!known.headers.contains_key("x-model-warnings"));
    let unknown = role
        .post_json("/invocations", &frame(&["Ñu", "Rawah", "Ñu"]))
        .await;
    assert_eq!(
        unknown.json()["predictions"].as_array().unwrap().len(),
        3,
        "{}",
        unknown.text
    );
    let told = unknown.headers["x-model-warnings"].to_str().unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<String>>(told).unwrap(),
        ["Area: training has not seen \"Ñu\", which counts as unknown (2 rows)"]
    );
    // As many rows as make a set worth its while.
    let many = role
        .post_json("/invocations", &frame(&["Rawah", "Mars"].repeat(10)))
        .await;
    let told = many.headers["x-model-warnings"].to_str().unwrap();
    assert!(told.contains("(10 rows)") && !told.contains("Rawah"), "{told}");
}

#[tokio::test]
async fn a_missing_column_is_told_with_those_that_are_not_taken() {
    let role = Role::ready().await;
    let misspelt = json!({ "Elevation": 1900, "slope": 3.5, "Area": "Rawah", "Id": 7 });
    let expected = "the model takes columns that are missing: Slope; it does not take: Id, slope";
    for body in [
        json!({ "dataframe_records": [misspelt] }),
        json!({ "inputs": { "Elevation": [1900], "slope": [3.5], "Area": ["Rawah"], "Id": [7] } }),
        json!({ "dataframe_split": { "columns": ["Elevation", "slope", "Area", "Id"], "data": [[1900, 3.5, "Rawah", 7]] } }),
    ] {
        let refused = role.post_json("/invocations", &body).await;
        assert_eq!(refused.json()["message"], expected, "{body}");
    }
    let refused = role
        .post(
            "/invocations",
            "text/csv",
            "Elevation,slope,Area,Id\n1900,3.5,Rawah,7\n",
        )
        .await;
    assert_eq!(refused.json()["message"], expected);
}

const PARQUET: &str = "application/vnd.apache.parquet";

fn parquet_of(table: &fragua_learn::Table) -> Vec<u8> {
    let mut file = Vec::new();
    fragua_learn::write_parquet(table, &mut file).unwrap();
    file
}

#[tokio::test]
async fn a_parquet_body_is_refused_in_mlflows_form() {
    let role = Role::ready().await;
    let table = |columns| parquet_of(&fragua_learn::Table::new(columns).unwrap());
    let numbers = |name: &str, value: f64| (name.to_owned(), Column::Numeric(vec![value]));
    let area = |name: &str| {
        let texts = Categorical::new(vec!["Rawah".to_owned()], vec![0]).unwrap();
        (name.to_owned(), Column::Categorical(texts))
    };
    for (body, code, needle) in [
        (b"PAR1".to_vec(), "BAD_REQUEST", "Parquet"),
        (
            table(vec![numbers("Elevation", 1900.0), area("Area")]),
            "INVALID_PARAMETER_VALUE",
            "Slope",
        ),
        (
            table(vec![numbers("Elevation", 1900.0), area("Area"), area("Slope")]),
            "BAD_REQUEST",
            "Slope",
        ),
    ] {
        let answered = role.post("/invocations", PARQUET, body).await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{}", answered.text);
        let found = answered.json();
        assert_eq!(found["error_code"], code, "{found}");
        assert!(found["message"].as_str().unwrap().contains(needle), "{found}");
    }
}

#[tokio::test]
async fn a_signature_in_another_order_than_training_answers_the_same() {
    let role = Role::ready().await;
    let mut files = super::support::forest();
    let text = String::from_utf8(files["MLmodel"].clone()).unwrap();
    let elevation = r#"{\"type\":\"long\",\"name\":\"Elevation\",\"required\":true},"#;
    let slope = r#"{\"type\":\"double\",\"name\":\"Slope\",\"required\":true},"#;
    let turned = text.replace(&format!("{elevation}{slope}"), &format!("{slope}{elevation}"));
    assert_ne!(turned, text);
    files.insert("MLmodel".to_owned(), turned.into_bytes());
    role.registry.put("4", files);
    // So many that they go through a table, and one that does not.
    for rows in [1, 50] {
        let elevation = |row: usize| if row.is_multiple_of(2) { 1810 } else { 2990 };
        let records: Vec<Value> = (0..rows)
            .map(|row| json!({ "Elevation": elevation(row), "Slope": 3.5, "Area": "Cache" }))
            .collect();
        let body = json!({ "dataframe_records": records });
        let expected = role.post_json("/invocations", &body).await;
        assert_eq!(expected.status, StatusCode::OK, "{}", expected.text);
        let turned = role
            .post_json("/models/forest/versions/4/invocations", &body)
            .await;
        assert_eq!(turned.text, expected.text);
    }
}

#[tokio::test]
async fn predictions_are_records_of_label_and_probabilities() {
    let role = Role::ready().await;
    let body =
        json!({ "dataframe_records": [record(), { "Elevation": 2990, "Slope": 3.5, "Area": "Rawah" }] });
    let answered = role.post_json("/invocations", &body).await.json();
    let records = answered["predictions"].as_array().unwrap();
    let labels: Vec<&Value> = records.iter().map(|record| &record["label"]).collect();
    assert_eq!(labels, [&json!(1), &json!(7)]);
    for record in records {
        let record = record.as_object().unwrap();
        assert_eq!(
            record.keys().collect::<Vec<_>>(),
            ["label", "proba_1", "proba_2", "proba_7"]
        );
        let sum: f64 = record
            .values()
            .skip(1)
            .map(|probability| probability.as_f64().unwrap())
            .sum();
        assert!((sum - 1.0).abs() < 1e-6, "{sum}");
    }
    let none = role
        .post("/invocations", "text/csv", "Elevation,Slope,Area\n")
        .await;
    assert_eq!(none.json(), json!({ "predictions": [] }));
}

#[tokio::test]
async fn a_batch_larger_than_a_buffer_is_answered_in_order() {
    let role = Role::ready().await;
    let elevations: Vec<i32> = (0..2000)
        .map(|row| if row % 2 == 0 { 1810 } else { 2990 })
        .collect();
    let body = json!({ "inputs": {
        "Elevation": elevations,
        "Slope": vec![3.5; 2000],
        "Area": vec!["Cache"; 2000],
    } });
    let answered = role.post_json("/invocations", &body).await.json();
    let labels: Vec<i64> = answered["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|record| record["label"].as_i64().unwrap())
        .collect();
    let expected: Vec<i64> = (0..2000).map(|row| if row % 2 == 0 { 1 } else { 7 }).collect();
    assert_eq!(labels, expected);
    let page = role.get("/metrics").await.text;
    let line = "fragua_serving_rows_total{model=\"forest\",version=\"3\",route=\"invocations\"} 2000\n";
    assert!(page.contains(line), "{page}");
}

#[tokio::test]
async fn refusals_have_mlflows_form() {
    let role = Role::ready().await;
    let check = async |body: &str, code: &str, needle: &str| {
        let answered = role
            .post("/invocations", "application/json", body.to_owned())
            .await;
        assert_eq!(answered.status, StatusCode::BAD_REQUEST, "{body}");
        let found = answered.json();
        assert_eq!(found["error_code"], code, "{body}");
        assert!(
            found["message"].as_str().unwrap().contains(needle),
            "{body}: {found}"
        );
        assert_eq!(found.as_object().unwrap().len(), 2);
    };
    check("{", "BAD_REQUEST", "not valid JSON").await;
    check("{}", "BAD_REQUEST", "exactly one of").await;
    check(r#"{"inputs":[],"instances":[]}"#, "BAD_REQUEST", "exactly one of").await;
    let no_slope = r#"{"dataframe_records":[{"Elevation":1900,"Area":"Rawah"}]}"#;
    check(no_slope, "INVALID_PARAMETER_VALUE", "Slope").await;
    let no_number = r#"{"dataframe_records":[{"Elevation":1900,"Slope":"x","Area":"Rawah"}]}"#;
    check(
        no_number,
        "BAD_REQUEST",
        "column Slope does not convert to double",
    )
    .await;
}

#[tokio::test]
async fn other_content_types_are_refused_in_plain_text() {
    let role = Role::ready().await;
    for content_type in [
        "application/xml",
        "text/csv; charset=latin-1",
        "text/csv; header=present",
        "application/json; format=pandas-split",
        "application/parquet",
    ] {
        let answered = role.post("/invocations", content_type, "x").await;
        assert_eq!(
            answered.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{content_type}"
        );
        assert!(
            answered.header(header::CONTENT_TYPE).starts_with("text/plain"),
            "{content_type}"
        );
    }
}

#[tokio::test]
async fn rows_have_a_limit() {
    let role = Role::ready_with(Settings {
        max_rows: 2,
        ..settings()
    })
    .await;
    let answered = role
        .post_json(
            "/invocations",
            &json!({ "inputs": [record(), record(), record()] }),
        )
        .await;
    assert_eq!(answered.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        answered.json()["detail"].as_str().unwrap().contains("3 rows"),
        "{}",
        answered.text
    );
    let model = role.serving.current().unwrap();
    let row = model.check_record(record().as_object().unwrap()).unwrap();
    let error = role.serving.predict(vec![row; 3]).await.unwrap_err();
    assert!(
        matches!(error, crate::Error::TooManyRows { rows: 3, limit: 2 }),
        "{error}"
    );
}
