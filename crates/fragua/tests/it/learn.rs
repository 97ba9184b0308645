//! `fragua learn`: models from CSV files.

use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};

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
    check(
        &with_config,
        "train.yaml:2:1: unknown key `candidats`; did you mean candidates?",
    )
    .await;
    for (written, expected) in [
        (
            "candidates:\n  - model: random_forrest\n",
            "train.yaml:3:5: unknown variant `random_forrest`; did you mean random_forest?",
        ),
        (
            "candidates:\n  - model: random_forest\n    n_estimators: {int: [5, many]}\n",
            "train.yaml:4:5: n_estimators: int: expected [low, high], two numbers",
        ),
        (
            "candidates:\n  - model: random_forest\n    n_estimators: 0\n",
            "train.yaml:4:5: candidates[0].n_estimators: expected 1 to 5000, got 0",
        ),
        (
            "search: { n_iter: some }\n",
            "train.yaml:2:11: n_iter: expected a whole number, found string \"some\"",
        ),
        (
            "on_bad_cell: ignore\n",
            "train.yaml:2:1: unknown variant `ignore`, expected one of `refuse`, `null`, `skip`",
        ),
        ("candidates: [\n", "train.yaml: "),
    ] {
        project.write("train.yaml", &format!("target: price\n{written}"));
        check(&with_config, expected).await;
    }
    project.write(
        "judge.yaml",
        "target: price\njudge: { permutations: { repeats: 2 } }\n",
    );
    let with_judge = ["compare", "--data", "flats.csv", "--config", "judge.yaml"];
    check(
        &with_judge,
        "judge.yaml:2:10: unknown key `permutations`; did you mean permutation?",
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

#[tokio::test]
async fn fit_refuses_a_bad_cell_among_numbers_and_tells_the_types() {
    let project = Project::without_file();
    let rows = flats(300, true).replacen("\n30.5,", "\nabc,", 1);
    project.write("flats.csv", &rows);
    let config = "target: price\nsearch: { n_iter: 1, cv: 2 }\ncandidates: [{ model: linear_regression }]\n";
    let fit = async |more: &str| {
        project.write("train.yaml", &format!("{config}{more}"));
        let arguments = [
            "fit",
            "--data",
            "flats.csv",
            "--config",
            "train.yaml",
            "--model",
            "model",
            "--no-card",
        ];
        learn(&project, &arguments).await
    };
    let (ok, _, told) = fit("").await;
    let expected = "row 1, column `size`: expected a number, got the text \"abc\"; of the column's 300 cells 299 are \
                    numbers. If they are texts, say so in the configuration: `types: {size: text}`";
    assert!(!ok && told.contains(expected), "{told}");
    let (ok, _, told) = fit("on_bad_cell: skip\n").await;
    assert!(
        ok && told.contains("1 cells or rows could not be read; rows left out: 1"),
        "{told}"
    );
    assert!(
        told.contains("columns of numbers: size\ncolumns of texts: town (3 different), dear (2 different)\n"),
        "{told}"
    );
    let (ok, _, told) = fit("on_bad_cell: null\n").await;
    assert!(ok && told.contains("rows left out: 0"), "{told}");
    let (ok, _, told) = fit("types: { size: text }\n").await;
    assert!(
        ok && told.contains("columns of texts: size (102 different), town"),
        "{told}"
    );
}

/// JSON lines and a database give the same model, and predictions are written as Parquet, which is read back.
#[tokio::test]
async fn rows_come_from_json_lines_parquet_and_queries() {
    let project = Project::without_file();
    let text = flats(120, true);
    let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let mut objects = String::new();
    for fields in lines {
        let object: serde_json::Map<String, Value> = names
            .iter()
            .zip(fields)
            .map(|(name, field)| {
                let value = field
                    .parse::<f64>()
                    .map_or_else(|_| json!(field), |number| json!(number));
                ((*name).to_owned(), value)
            })
            .collect();
        objects += &format!("{}\n", Value::Object(object));
    }
    project.write("flats.csv", &text);
    project.write("flats.jsonl", &objects);
    project.write("train.yaml", CONFIG);
    let fit = |data: &'static str, model: &'static str| {
        [
            "fit",
            "--data",
            data,
            "--config",
            "train.yaml",
            "--no-card",
            "--json",
            "--model",
            model,
        ]
    };
    let of_csv = json(&learned(&project, &fit("flats.csv", "csv")).await.0);
    let of_lines = json(&learned(&project, &fit("flats.jsonl", "lines")).await.0);
    assert_eq!(of_csv["metrics"], of_lines["metrics"]);

    let predict = [
        "predict",
        "--data",
        "flats.jsonl",
        "--model",
        "csv",
        "--output",
        "scored.parquet",
    ];
    let (told, _) = learned(&project, &predict).await;
    assert_eq!(told.trim(), "120 rows written to scored.parquet");
    let again = ["predict", "--data", "scored.parquet", "--model", "csv"];
    let (from_parquet, _) = learned(&project, &again).await;
    let (from_csv, _) = learned(&project, &["predict", "--data", "flats.csv", "--model", "csv"]).await;
    assert_eq!(from_parquet, from_csv);

    let bad = objects.replacen("\"size\":30.5", "\"size\":\"large\"", 1);
    project.write("bad.jsonl", &bad);
    let evaluate = ["evaluate", "--data", "bad.jsonl", "--model", "csv"];
    let (ok, _, told) = learn(&project, &evaluate).await;
    assert!(
        !ok && told.contains("row 1, column `size`: expected a number, got the text \"large\""),
        "{told}"
    );
    let (_, told) = learned(&project, &[&evaluate[..], &["--on-bad-cell", "skip"]].concat()).await;
    assert!(
        told.contains("1 cells or rows could not be read; rows left out: 1"),
        "{told}"
    );

    let (ok, _, told) = learn(
        &project,
        &["compare", "--data", "sqlite:x.db", "--target", "price"],
    )
    .await;
    assert!(!ok && told.contains("give the rows as --query"), "{told}");
    let query = [
        "compare",
        "--data",
        "flats.csv",
        "--target",
        "price",
        "--query",
        "SELECT 1",
    ];
    let (ok, _, told) = learn(&project, &query).await;
    assert!(!ok && told.contains("--query is for a database"), "{told}");
}

/// A comparison that was cut short, in the middle of a line, goes on from the candidates that it noted.
#[tokio::test]
async fn a_comparison_goes_on_from_its_notes() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(120, true));
    project.write("train.yaml", CONFIG);
    let compare = [
        "compare",
        "--data",
        "flats.csv",
        "--config",
        "train.yaml",
        "--json",
        "--resume",
        "notes.jsonl",
    ];
    let whole = json(&learned(&project, &compare).await.0);
    let notes = std::fs::read_to_string(project.path("notes.jsonl")).unwrap();
    assert_eq!(notes.lines().count(), 3, "{notes}");

    let cut = notes.trim_end().len() - 9;
    project.write("notes.jsonl", &notes[..cut]);
    let (again, told) = learned(&project, &compare).await;
    assert!(told.contains("1 finished candidates are known"), "{told}");
    let again = json(&again);
    for candidate in 0..2 {
        let scores = |of: &Value| of["candidates"][candidate]["fold_scores"].clone();
        assert_eq!(scores(&again), scores(&whole));
    }
    let noted = std::fs::read_to_string(project.path("notes.jsonl")).unwrap();
    assert_eq!(noted.lines().count(), 3, "{noted}");

    project.write("flats.csv", &flats(121, true));
    let (ok, _, told) = learn(&project, &compare).await;
    assert!(
        !ok && told.contains("it is of a search with other rows"),
        "{told}"
    );
}

#[tokio::test]
async fn an_interrupt_ends_a_search_with_what_it_knows() {
    let project = Project::without_file();
    project.write("flats.csv", &flats(300, true));
    let many = CONFIG
        .replace("n_iter: 2", "n_iter: 400")
        .replace("n_estimators: 20", "n_estimators: { int: [1, 400] }");
    project.write("train.yaml", &many);
    let arguments = [
        "learn",
        "compare",
        "--data",
        "flats.csv",
        "--config",
        "train.yaml",
        "--json",
    ];
    let mut command = fragua(&arguments);
    command
        .current_dir(project.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    while !told.next_line().await.unwrap().unwrap().starts_with("candidate ") {}
    let process = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    kill(process, Signal::SIGINT).unwrap();
    let reading = tokio::spawn(async move { while told.next_line().await.unwrap().is_some() {} });
    let output = child.wait_with_output().await.unwrap();
    reading.await.unwrap();
    assert!(output.status.success(), "{}", output.status);
    let comparison = json(&String::from_utf8(output.stdout).unwrap());
    let candidates = comparison["candidates"].as_array().unwrap();
    let stopped = candidates
        .iter()
        .filter(|candidate| !candidate["stopped"].is_null())
        .count();
    assert!(0 < stopped && stopped < candidates.len(), "{comparison}");
}
