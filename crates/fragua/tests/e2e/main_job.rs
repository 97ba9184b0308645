//! The demo and the program over plain HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, demo, example_row, http};

#[test]
fn the_demo_does_the_main_job_and_says_what_it_did() {
    let summary = demo().summary;
    // Ten loads of a tenth of a tenth of 116,202 rows.
    assert_eq!(summary["rows_loaded"], 11_620);
    assert!(summary["accuracy"].as_f64().unwrap() > 0.75, "{summary}");
    assert!(summary["f1_macro"].as_f64().unwrap() > 0.6, "{summary}");
    assert_eq!(
        summary["model"],
        json!({ "name": "cover_type_class", "version": 1, "alias": "champion" })
    );
    let cover_type = summary["prediction"]["Prediction"].as_i64().unwrap();
    assert!((1..=7).contains(&cover_type), "{summary}");
    for role in [
        "orchestrator",
        "tracking",
        "storage",
        "console",
        "serving",
        "app",
        "source",
    ] {
        assert!(
            summary["endpoints"][role]
                .as_str()
                .unwrap()
                .starts_with("http://127.0.0.1:"),
            "{role}: {summary}"
        );
    }
}

#[tokio::test]
async fn predict_answers_as_the_old_stack_did() {
    let demo = demo();
    let server = Server::start(demo.project());
    let url = format!("{}/predict", server.address("serving"));
    let client = http();
    let post = async |body: &Value| {
        let response = client.post(&url).json(body).send().await.unwrap();
        (response.status(), response.json::<Value>().await.unwrap())
    };

    let (status, answer) = post(&example_row()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        answer, demo.summary["prediction"],
        "the same model answers after a restart"
    );
    let keys: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["Prediction", "Model Version"]);

    let mut bad = example_row();
    bad.as_object_mut().unwrap().remove("Slope");
    bad["Elevation"] = json!("high");
    let (status, answer) = post(&bad).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let errors: Vec<_> = answer["detail"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| (&error["loc"][1], &error["type"]))
        .collect();
    assert_eq!(errors.len(), 2, "{answer}");
    assert_eq!(errors[1], (&json!("Slope"), &json!("missing")));
    assert_eq!(errors[0].0, &json!("Elevation"));

    let document: Value = client
        .get(format!("{}/openapi.json", server.address("serving")))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(document["paths"]["/predict"]["post"].is_object(), "{document}");
    server.stop();
}
