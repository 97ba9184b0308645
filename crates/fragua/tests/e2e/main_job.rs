//! The demo and the program over plain HTTP.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::harness::{Server, demo, example_row, get_json, http, rows_by_dag_run, run, succeed, until_task};

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
    let readme = include_str!("../../../../README.md");
    assert!(
        readme.contains(&format!("\n{answer}\n")),
        "README.md tells another answer than {answer}"
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

const SCORING: &str = r#"
dag: scoring
schedule: none
tasks:
  - id: table_to_object
    predict:
      model: cover_type_class
      from: { connection: warehouse, table: cover_type }
      into: { bucket: mlflows3, key: scored/rows.parquet }
  - id: object_to_table
    needs: [table_to_object]
    predict:
      model: cover_type_class/1
      from: { bucket: mlflows3, key: scored/rows.parquet }
      into: { connection: warehouse, table: scored }
  - id: query_to_table
    needs: [object_to_table]
    predict:
      model: cover_type_class@champion
      from: { connection: warehouse, query: "SELECT * FROM scored WHERE label = Cover_Type" }
      into: { connection: warehouse, table: right }
  - id: learn_from_query
    needs: [query_to_table]
    train:
      from: { connection: warehouse, query: "SELECT Elevation, Slope, Cover_Type, fragua_dag_run_id FROM cover_type ORDER BY 1, 2" }
      experiment: few columns
      target: Cover_Type
      candidates: [{ model: random_forest, n_estimators: [5] }]
  - id: learn_from_object
    needs: [learn_from_query]
    train:
      from: { bucket: mlflows3, key: scored/rows.parquet }
      experiment: few columns
      target: Cover_Type
      candidates: [{ model: random_forest, n_estimators: [5] }]
"#;

#[tokio::test]
async fn a_dag_predicts_whole_tables_and_objects_and_learns_from_them() {
    let demo = demo();
    std::fs::write(demo.project().join("dags/scoring.yaml"), SCORING).unwrap();
    let server = Server::start(demo.project());
    let triggered = run(demo.project(), &["dags", "trigger", "scoring", "--json"])
        .output()
        .unwrap();
    let dag_run = succeed(&triggered)["dag_run_id"].as_str().unwrap().to_owned();
    until_task(&server, "scoring", "learn_from_object", "success", 1).await;
    let handed_on = async |task: &str| {
        let url = format!(
            "{}/api/v2/dags/scoring/dagRuns/{dag_run}/taskInstances/{task}/xcomEntries/return_value",
            server.address("orchestrator")
        );
        let entry = get_json(&url).await;
        match &entry["value"] {
            Value::String(text) => serde_json::from_str(text).unwrap(),
            value => value.clone(),
        }
    };
    let to_object: Value = handed_on("table_to_object").await;
    assert_eq!(to_object["into"], "s3://mlflows3/scored/rows.parquet");
    assert_eq!(to_object["rows"], 11_620, "{to_object}");
    let to_table: Value = handed_on("object_to_table").await;
    assert_eq!(to_table["into"], "table://warehouse/scored");
    assert_eq!(
        (&to_table["rows"], &to_table["version"]),
        (&json!(11_620), &json!("1"))
    );
    // The model saw most of these rows: more are right than of those it did not.
    let right: Value = handed_on("query_to_table").await;
    assert!(right["rows"].as_u64().unwrap() > 11_620 * 3 / 4, "{right}");
    let rows = rows_by_dag_run(demo.project(), "scored").await;
    assert_eq!(rows, [(dag_run.clone(), 11_620)].into());
    for (task, name, rows) in [
        ("learn_from_query", "query", 10),
        ("learn_from_object", "rows.parquet", 0),
    ] {
        let learned = handed_on(task).await;
        assert_eq!(learned["rows"], 11_620, "{learned}");
        let run_id = learned["run_id"].as_str().unwrap();
        let url = format!(
            "{}/api/2.0/mlflow/runs/get?run_id={run_id}",
            server.address("tracking")
        );
        let run = get_json(&url).await;
        let dataset = &run["run"]["inputs"]["dataset_inputs"][0]["dataset"];
        assert_eq!(dataset["name"], name);
        let source: Value = serde_json::from_str(dataset["source"].as_str().unwrap()).unwrap();
        assert_eq!(source["batches"].as_array().unwrap().len(), rows, "{source}");
    }
    server.stop();
}
