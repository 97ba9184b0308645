//! `fragua learn`: models from CSV files.

use serde_json::{Value, json};

use crate::support::{Project, finish, fragua};

const CONFIG: &str = "\
# Where a task's rows and models are is of no interest here.
connection: warehouse
table: flats
experiment: flats
register: flats
target: price
search: { n_iter: 2, cv: 3 }
intervals: { resamples: 50 }
candidates:
  - { model: linear_regression }
  - { model: gradient_boosting, n_estimators: 20, min_samples_leaf: 5 }
";

/// Flats whose price follows their size and town, and whether they are dear.
fn flats(rows: usize, with_truth: bool) -> String {
    let mut text = String::from(if with_truth {
        "size,town,price,dear\n"
    } else {
        "size,town\n"
    });
    for row in 0..rows {
        let size = 30.5 + (row * 37 % 101) as f64;
        let town = ["Lugo", "Vigo", "Oia"][row * 13 % 3];
        let price = 2.0 * size + if town == "Vigo" { 50.25 } else { 0.0 } + (row % 7) as f64 / 10.0;
        text += &format!("{size},{town}");
        if with_truth {
            text += &format!(",{price},{}", if price > 180.0 { "yes" } else { "no" });
        }
        text += "\n";
    }
    text
}

/// Runs `fragua learn` in the project's folder.
async fn learn(project: &Project, arguments: &[&str]) -> (bool, String, String) {
    let mut all = vec!["learn"];
    all.extend(arguments);
    let mut command = fragua(&all);
    command.current_dir(project.path(""));
    let finished = finish(command).await;
    (finished.ok, finished.stdout, finished.stderr)
}

async fn learned(project: &Project, arguments: &[&str]) -> (String, String) {
    let (ok, stdout, stderr) = learn(project, arguments).await;
    assert!(ok, "{arguments:?}: {stderr}");
    (stdout, stderr)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn numbers_are_fitted_evaluated_and_predicted() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(300, true));
    project.write("new.csv", &flats(5, false));
    project.write("train.yaml", CONFIG);

    let fit = [
        "fit",
        "--data",
        "flats.csv",
        "--config",
        "train.yaml",
        "--model",
        "out/model",
        "--json",
    ];
    let (fitted, told) = learned(&project, &fit).await;
    assert!(
        told.contains("regression: `candidates[0].model` says so"),
        "{told}"
    );
    assert!(told.contains("candidate 1: r2 "), "{told}");
    let fitted = json(&fitted);
    assert_eq!(
        (&fitted["task"], &fitted["rows"]),
        (&json!("regression"), &json!(300))
    );
    assert_eq!(fitted["candidates"].as_array().unwrap().len(), 2);
    // The class `dear` says much about the price, and so is a feature like any other.
    assert!(
        fitted["metrics"]["r2"].as_f64().unwrap() > 0.99,
        "{}",
        fitted["metrics"]
    );
    assert!(fitted["intervals"]["r2"]["low"].is_f64());
    assert!(fitted["baseline"]["r2"].as_f64().unwrap() < 0.1);
    assert!(project.path("out/model/MLmodel").exists() && project.path("out/model/model.onnx").exists());
    let columns = fitted["judgement"]["permutation"]["columns"].as_array().unwrap();
    assert_eq!(columns[0]["feature"], "size");
    let card = std::fs::read_to_string(project.path("out/model/model_card.html")).unwrap();
    for part in [
        "<html lang=\"en\">",
        "<h1>model</h1>",
        "Partial dependence",
        "Predicted less true",
    ] {
        assert!(card.contains(part), "{part} is not in the card");
    }

    let evaluate = [
        "evaluate",
        "--data",
        "flats.csv",
        "--model",
        "out/model",
        "--json",
    ];
    let evaluated = json(&learned(&project, &evaluate).await.0);
    assert!(evaluated["metrics"]["r2"].as_f64().unwrap() > 0.99, "{evaluated}");
    assert_eq!(evaluated["rows"], 300);
    assert_eq!(evaluated["judgement"], Value::Null);
    let with_card = [&evaluate[..], &["--card", "tarjeta.html", "--language", "es"]].concat();
    let evaluated = json(&learned(&project, &with_card).await.0);
    assert_eq!(evaluated["judgement"]["rows"], 300);
    let card = std::fs::read_to_string(project.path("tarjeta.html")).unwrap();
    assert!(card.contains("<html lang=\"es\">") && card.contains("Dependencia parcial"));
    let judge = "target: price\njudge: { slices: { columns: [dear], scoring: r2 }, partial_dependence: { columns: 0 } }\n";
    project.write("judge.yaml", judge);
    let with_config = [&evaluate[..], &["--card", "card.html", "--config", "judge.yaml"]].concat();
    let evaluated = json(&learned(&project, &with_config).await.0);
    assert_eq!(evaluated["judgement"]["slices"][0]["column"], "dear");
    assert_eq!(evaluated["judgement"]["partial_dependence"], json!([]));

    // A column that the model learned from is missing.
    let (ok, _, told) = learn(
        &project,
        &["predict", "--data", "new.csv", "--model", "out/model"],
    )
    .await;
    assert!(
        !ok && told.contains("column `dear` is not in the table; it has: size, town"),
        "{told}"
    );
    let predict = [
        "predict",
        "--data",
        "flats.csv",
        "--model",
        "out/model/pipeline.fragua",
    ];
    let (rows, _) = learned(&project, &predict).await;
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!((rows[0], rows.len()), ("prediction", 301));
    let first: f64 = rows[1].parse().unwrap();
    assert!((first - 61.0).abs() < 5.0, "{first}");
}

#[tokio::test]
async fn classes_are_fitted_and_predicted_with_their_probabilities() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(300, true));
    project.write("new.csv", &flats(5, false));
    let config =
        "exclude: [price]\nsearch: { n_iter: 1, cv: 2 }\ncandidates:\n  - { model: logistic_regression }\n";
    project.write("train.yaml", config);
    let fit = [
        "fit",
        "--data",
        "flats.csv",
        "--target",
        "dear",
        "--config",
        "train.yaml",
        "--model",
        "model",
        "--no-card",
    ];
    let (report, _) = learned(&project, &fit).await;
    for part in [
        "90 of 300 rows held out; best: logistic_regression(",
        "FIGURE",
        "balanced_accuracy",
        "written to model",
    ] {
        assert!(report.contains(part), "{part} is not in {report}");
    }
    assert!(!report.contains("its card") && !project.path("model/model_card.html").exists());
    let (rows, _) = learned(&project, &["predict", "--data", "new.csv", "--model", "model"]).await;
    let rows: Vec<&str> = rows.lines().collect();
    assert_eq!((rows[0], rows.len()), ("label,proba_no,proba_yes", 6));
    let (records, _) = learned(
        &project,
        &["predict", "--data", "new.csv", "--model", "model", "--json"],
    )
    .await;
    let records = json(&records);
    assert_eq!(records.as_array().unwrap().len(), 5);
    for (record, row) in records.as_array().unwrap().iter().zip(&rows[1..]) {
        assert!(row.starts_with(record["label"].as_str().unwrap()));
        let sum = record["proba_no"].as_f64().unwrap() + record["proba_yes"].as_f64().unwrap();
        assert!((sum - 1.0).abs() < 1e-6, "{record}");
    }
}

#[tokio::test]
async fn models_are_compared_on_the_same_folds() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(200, true));
    project.write("train.yaml", CONFIG);
    let compare = ["compare", "--data", "flats.csv", "--config", "train.yaml"];
    let (ranked, _) = learned(&project, &compare).await;
    let lines: Vec<&str> = ranked.lines().collect();
    assert!(lines[0].starts_with("R2"), "{ranked}");
    assert_eq!(lines.len(), 3, "{ranked}");
    let (compared, _) = learned(&project, &[&compare[..], &["--json"]].concat()).await;
    let compared = json(&compared);
    let means: Vec<f64> = compared["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|candidate| candidate["mean"].as_f64().unwrap())
        .collect();
    let best = compared["best"].as_u64().unwrap() as usize;
    assert!(means.iter().all(|mean| *mean <= means[best]), "{compared}");
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(50, true));
    project.write("train.yaml", "target: price\ncandidats: []\n");
    let check = async |arguments: &[&str], expected: &str| {
        let (ok, _, told) = learn(&project, arguments).await;
        assert!(!ok && told.contains(expected), "{expected} is not in {told}");
    };
    let with_config = ["compare", "--data", "flats.csv", "--config", "train.yaml"];
    check(&with_config, "train.yaml: ").await;
    check(&with_config, "unknown field `candidats`").await;
    project.write(
        "judge.yaml",
        "target: price\njudge: { permutations: { repeats: 2 } }\n",
    );
    let with_judge = ["compare", "--data", "flats.csv", "--config", "judge.yaml"];
    check(
        &with_judge,
        "unknown field `permutations`, expected one of `language`, `permutation`",
    )
    .await;
    check(
        &["compare", "--data", "flats.csv", "--target", "rent"],
        "column `rent` is not in the table",
    )
    .await;
    check(
        &["compare", "--data", "none.csv", "--target", "price"],
        "none.csv cannot be read",
    )
    .await;
    check(&["compare", "--data", "flats.csv"], "--target <COLUMN>").await;
    let no_model = ["evaluate", "--data", "flats.csv", "--model", "flats.csv"];
    check(&no_model, "this is not a pipeline file").await;
}
