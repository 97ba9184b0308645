//! Learning numbers: every model, its losses, weights, figures and refusals.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::{
    Categorical, Column, Error, Event, Label, NoProgress, Pipeline, Progress, Table, Task, TrainConfig,
    TrainReport, fit, train,
};
use serde_json::{Value, json};
use std::sync::Mutex;

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

/// A price around a million: up with `size`, by `town`, and with a step at `age` 5; some gaps, one column of noise.
fn houses(rows: usize) -> Table {
    let mut noise = Noise(3);
    let towns = ["Lugo", "Vigo", "Oia"];
    let (mut sizes, mut ages, mut noises, mut codes, mut prices) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rows {
        let (size, age, town) = (
            noise.next(),
            (noise.next() * 10.0).floor(),
            (noise.next() * 3.0) as u32,
        );
        let price = 40.0 * size + 10.0 * f64::from(town) + if age < 5.0 { 8.0 } else { 0.0 };
        prices.push(1e6 + 1e3 * (price + noise.next()));
        sizes.push(if noise.next() < 0.05 { f64::NAN } else { size });
        ages.push(age);
        noises.push(noise.next());
        codes.push(town);
    }
    let towns = Categorical::new(towns.map(str::to_owned).to_vec(), codes).unwrap();
    Table::new(vec![
        ("size".into(), Column::Numeric(sizes)),
        ("age".into(), Column::Numeric(ages)),
        ("noise".into(), Column::Numeric(noises)),
        ("town".into(), Column::Categorical(towns)),
        ("price".into(), Column::Numeric(prices)),
    ])
    .unwrap()
}

fn config(extra: Value) -> TrainConfig {
    let mut config = json!({ "target": "price", "search": { "n_iter": 6, "cv": 3 } });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn models() -> [Value; 6] {
    [
        json!({ "model": "random_forest", "n_estimators": 20 }),
        json!({ "model": "extra_trees", "n_estimators": 20, "min_samples_leaf": 2 }),
        json!({ "model": "gradient_boosting", "n_estimators": 40 }),
        json!({ "model": "gradient_boosting", "n_estimators": 40, "loss": "absolute_error", "subsample": 0.7 }),
        json!({ "model": "gradient_boosting", "n_estimators": 40, "loss": "huber", "n_iter_no_change": 5 }),
        json!({ "model": "linear_regression", "alpha": 0.001, "l1_ratio": 0.5 }),
    ]
}

fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.unwrap().install(work)
}

#[test]
fn every_model_learns_numbers_and_gives_the_same_bits_on_any_number_of_threads() {
    let table = houses(2_000);
    for imputer in ["median", "none"] {
        for candidate in models() {
            if imputer == "none" && candidate["model"] == "linear_regression" {
                continue;
            }
            let config = config(json!({
                "candidates": [candidate], "preparation": { "numeric": { "imputer": imputer } },
            }));
            let train = || train(&table, &config, &NoProgress).unwrap();
            let one = with_threads(1, train);
            assert!(one.metrics["r2"] > 0.9, "{candidate}: {:?}", one.metrics);
            assert_eq!(one.feature_importance[3].feature, "noise", "{candidate}");
            let two = with_threads(2, train);
            assert_eq!(one.pipeline.to_bytes(), two.pipeline.to_bytes(), "{candidate}");
            assert_eq!((&one.metrics, &one.intervals), (&two.metrics, &two.intervals));
            let read = Pipeline::load(&one.pipeline.to_bytes()).unwrap();
            assert_eq!(
                read.predict(&table).unwrap(),
                one.pipeline.predict(&table).unwrap()
            );
        }
    }
}

/// Large enough that several threads count the rows of one tree.
#[test]
fn boosting_of_many_rows_gives_the_same_bits_on_any_number_of_threads() {
    let table = houses(80_000);
    let candidate = json!({
        "model": "gradient_boosting", "n_estimators": 5, "subsample": 0.8, "colsample_bytree": 0.8,
        "n_iter_no_change": 3, "max_cat_to_onehot": 1, "learning_rate": 0.5, "loss": "huber",
    });
    let config = config(json!({ "candidates": [candidate] }));
    let fit = || fit(&table, &config, &NoProgress).unwrap();
    let one = with_threads(1, fit);
    assert_eq!(one.to_bytes(), with_threads(3, fit).to_bytes());
    assert!(one.evaluate(&table).unwrap().metrics["r2"] > 0.8);
}

#[test]
fn the_report_of_a_regression_tells_the_whole_story() {
    let table = houses(1_200);
    #[derive(Default)]
    struct Settled(Mutex<Option<(Task, String)>>);
    impl Progress for Settled {
        fn event(&self, event: Event<'_>) {
            if let Event::TaskSettled { task, reason } = event {
                *self.0.lock().unwrap() = Some((task, reason.to_owned()));
            }
        }
    }
    let settled = Settled::default();
    let report = train(&table, &config(json!({ "candidates": models() })), &settled).unwrap();
    let reason = "`candidates[5].model` says so".to_owned();
    assert_eq!(settled.0.into_inner().unwrap(), Some((Task::Regression, reason)));
    assert_eq!(
        (report.task, report.pipeline.task()),
        (Task::Regression, Task::Regression)
    );
    assert_eq!(report.candidates.len(), 6);
    assert!(
        report
            .candidates
            .iter()
            .all(|candidate| candidate.scoring.name() == "r2")
    );
    assert_eq!(report.test_rows.len(), 360);
    assert!(report.classes.is_empty() && report.confusion_matrix.is_none() && report.labels.is_empty());
    assert!(
        report.baseline["r2"].abs() < 0.05,
        "the mean explains nothing: {:?}",
        report.baseline
    );
    for (name, value) in &report.metrics {
        let interval = report.intervals[name];
        assert!(
            interval.low <= *value && *value <= interval.high,
            "{name}: {value} and {interval:?}"
        );
    }
    let held_out = table.select_rows(&report.test_rows);
    let evaluation = report.pipeline.evaluate(&held_out).unwrap();
    assert_eq!(evaluation.metrics, report.metrics);
    assert!(evaluation.confusion_matrix.is_none());
    let predictions = report.pipeline.predict(&held_out).unwrap();
    assert!(predictions.probabilities.is_empty() && predictions.classes.is_empty());
    assert!(matches!(predictions.labels[0], Label::Number(price) if (1e6..1.1e6).contains(&price)));
}

#[test]
fn what_is_predicted_follows_from_the_target_unless_something_says_it() {
    let table = houses(400);
    let task = |extra: Value| -> (Task, String) {
        let mut settings = json!({ "candidates": [{ "model": "random_forest", "n_estimators": 3 }] });
        for (key, value) in extra.as_object().unwrap() {
            settings[key] = value.clone();
        }
        let report = train(&table, &config(settings), &NoProgress).unwrap();
        (report.task, report.task_reason)
    };
    let reason = |task: Task, reason: &str| (task, reason.to_owned());
    assert_eq!(
        task(json!({})),
        reason(Task::Regression, "`price` holds numbers with fractions")
    );
    let whole = reason(Task::Classification, "`age` holds 10 different whole numbers");
    assert_eq!(task(json!({ "target": "age" })), whole);
    assert_eq!(
        task(json!({ "target": "town" })),
        reason(Task::Classification, "`town` holds texts")
    );
    let said = reason(Task::Regression, "`task` says so");
    assert_eq!(task(json!({ "target": "age", "task": "regression" })), said);
    let scored = json!({ "target": "age", "search": { "scoring": "neg_mean_absolute_error" } });
    assert_eq!(task(scored), reason(Task::Regression, "`search.scoring` says so"));
}

#[test]
fn what_cannot_be_asked_of_numbers_is_refused() {
    let table = houses(200);
    let check = |extra: Value, expected: &str| {
        let error = train(&table, &config(extra), &NoProgress)
            .unwrap_err()
            .to_string();
        assert_eq!(error, expected);
    };
    let logistic = json!({ "model": "logistic_regression" });
    let linear = json!({ "model": "linear_regression" });
    check(
        json!({ "task": "regression", "candidates": [logistic] }),
        "candidates[0].model: logistic_regression is for classification, but `task` asks for regression",
    );
    check(
        json!({ "candidates": [linear, logistic] }),
        "candidates[1].model: logistic_regression is for classification, but `candidates[0].model` asks for regression",
    );
    check(
        json!({ "candidates": [linear], "search": { "scoring": "f1_macro" } }),
        "search.scoring: f1_macro is for classification, but `candidates[0].model` asks for regression; for regression there \
         are r2, explained_variance, neg_mean_squared_error, neg_root_mean_squared_error, neg_mean_absolute_error, \
         neg_median_absolute_error, neg_mean_absolute_percentage_error",
    );
    check(
        json!({ "target": "town", "task": "regression" }),
        "task: expected classification: `town` holds texts",
    );
    check(
        json!({ "candidates": [{ "model": "random_forest", "class_weight": "balanced" }] }),
        "class_weight: numbers have no classes to weigh",
    );
    check(
        json!({ "candidates": [linear], "preparation": { "numeric": { "imputer": "none" } } }),
        "preparation.numeric.imputer: linear_regression cannot see missing values; use median, most_frequent or knn",
    );
    check(
        json!({ "weight": "price" }),
        "weight: expected another column than the target",
    );
    check(
        json!({ "weight": "size" }),
        &format!(
            "row {}, column `size`: expected a weight of at least 0, got NaN",
            first_gap(&table) + 1
        ),
    );
    check(
        json!({ "weight": "town" }),
        "row 1, column `town`: expected a weight of at least 0, got a text",
    );
}

fn first_gap(table: &Table) -> usize {
    let Column::Numeric(sizes) = table.column("size").unwrap() else {
        panic!("numeric")
    };
    sizes.iter().position(|size| size.is_nan()).unwrap()
}

fn numbers(pipeline: &Pipeline, table: &Table) -> Vec<f64> {
    let number = |label: &Label| match label {
        Label::Number(number) => *number,
        other => panic!("{other}"),
    };
    pipeline
        .predict(table)
        .unwrap()
        .labels
        .iter()
        .map(number)
        .collect()
}

fn fit_one(table: &Table, candidate: Value, extra: Value) -> Result<Pipeline, Error> {
    let mut settings = json!({ "task": "regression", "candidates": [candidate] });
    for (key, value) in extra.as_object().unwrap() {
        settings[key] = value.clone();
    }
    fit(table, &config(settings), &NoProgress)
}

/// One column, a number that follows it exactly, and an outlier at the end.
fn line_with_outlier() -> Table {
    let xs: Vec<f64> = (0..101).map(f64::from).collect();
    let mut ys: Vec<f64> = xs.iter().map(|x| 3.0 * x + 7.0).collect();
    ys[100] = 1e5;
    Table::new(vec![
        ("x".into(), Column::Numeric(xs)),
        ("price".into(), Column::Numeric(ys)),
    ])
    .unwrap()
}

#[test]
fn a_row_without_weight_is_not_learned_from() {
    let table = line_with_outlier();
    let mut weights = vec![2.0; 101];
    weights[100] = 0.0;
    let columns: Vec<(String, Column)> = (table.names().iter().cloned().zip(table.columns().to_vec()))
        .chain([("w".to_owned(), Column::Numeric(weights))])
        .collect();
    let weighted = Table::new(columns).unwrap();
    for (candidate, near) in [
        (json!({ "model": "linear_regression" }), 1e-6),
        (
            json!({ "model": "random_forest", "n_estimators": 10, "bootstrap": false }),
            1e-2,
        ),
        (json!({ "model": "extra_trees", "n_estimators": 10 }), 1e-2),
        (
            json!({ "model": "gradient_boosting", "min_samples_leaf": 1, "learning_rate": 0.3 }),
            1.0,
        ),
    ] {
        let plain = fit_one(&table, candidate.clone(), json!({})).unwrap();
        let learned = fit_one(&weighted, candidate.clone(), json!({ "weight": "w" })).unwrap();
        assert_eq!(learned.features().len(), 1, "the weight is no feature");
        let (plain, learned) = (numbers(&plain, &table), numbers(&learned, &table));
        assert!((learned[50] - 157.0).abs() < near, "{candidate}: {}", learned[50]);
        assert!(learned[100] < 310.0, "{candidate}: {}", learned[100]);
        assert!(plain[100] > 1_000.0, "{candidate}: {}", plain[100]);
    }
}

#[test]
fn a_weight_of_two_is_a_row_twice() {
    let all = houses(250);
    // Without gaps and without a scaler: what they are filled with, and the scale, would see the rows twice.
    let Column::Numeric(sizes) = all.column("size").unwrap() else {
        panic!("numeric")
    };
    let whole: Vec<usize> = (0..250).filter(|&row| !sizes[row].is_nan()).take(200).collect();
    let table = all.select_rows(&whole);
    let doubled: Vec<usize> = (0..200).chain(0..100).collect();
    let repeated = table.select_rows(&doubled);
    let weights = (0..200).map(|row| if row < 100 { 2.0 } else { 1.0 }).collect();
    let columns: Vec<(String, Column)> = (table.names().iter().cloned().zip(table.columns().to_vec()))
        .chain([("w".to_owned(), Column::Numeric(weights))])
        .collect();
    let weighted = Table::new(columns).unwrap();
    let raw = json!({ "numeric": { "scaler": "none" } });
    for candidate in [
        json!({ "model": "linear_regression" }),
        json!({ "model": "linear_regression", "alpha": 10.0, "l1_ratio": 0.3, "tol": 1e-12 }),
        json!({ "model": "random_forest", "n_estimators": 3, "bootstrap": false, "max_depth": 4 }),
    ] {
        let twice = fit_one(&repeated, candidate.clone(), json!({ "preparation": raw })).unwrap();
        let once = fit_one(
            &weighted,
            candidate.clone(),
            json!({ "preparation": raw, "weight": "w" }),
        )
        .unwrap();
        for (one, two) in numbers(&once, &table).iter().zip(numbers(&twice, &table)) {
            assert!(
                (one - two).abs() < 1e-6 * two.abs(),
                "{candidate}: {one} and {two}"
            );
        }
    }
}

#[test]
fn robust_losses_hardly_see_an_outlier() {
    let table = line_with_outlier();
    let middle = |loss: &str| {
        let candidate =
            json!({ "model": "gradient_boosting", "loss": loss, "n_estimators": 200, "min_samples_leaf": 5 });
        numbers(&fit_one(&table, candidate, json!({})).unwrap(), &table)[97]
    };
    assert!(middle("squared_error") > 1_000.0);
    assert!(
        (middle("absolute_error") - 298.0).abs() < 15.0,
        "{}",
        middle("absolute_error")
    );
    assert!((middle("huber") - 298.0).abs() < 30.0, "{}", middle("huber"));
}

#[test]
fn a_number_follows_the_direction_that_is_asked_for() {
    let table = houses(1_500);
    let candidate =
        |direction: i8| json!({ "model": "gradient_boosting", "monotonic_cst": { "noise": direction } });
    for direction in [1, -1] {
        let pipeline = fit_one(&table, candidate(direction), json!({})).unwrap();
        let words = Categorical::new(vec!["Vigo".into()], vec![0; 100]).unwrap();
        let ramp = Table::new(vec![
            ("size".into(), Column::Numeric(vec![0.5; 100])),
            ("age".into(), Column::Numeric(vec![3.0; 100])),
            (
                "noise".into(),
                Column::Numeric((0..100).map(|step| f64::from(step) / 100.0).collect()),
            ),
            ("town".into(), Column::Categorical(words)),
        ])
        .unwrap();
        let follows = |pair: &[f64]| f64::from(direction) * (pair[1] - pair[0]) >= 0.0;
        assert!(numbers(&pipeline, &ramp).windows(2).all(follows));
    }
}

#[test]
fn columns_that_say_the_same_do_not_break_least_squares() {
    let xs: Vec<f64> = (0..50).map(|x| f64::from(x * x % 17)).collect();
    let ys = xs.iter().map(|x| 5.0 - 2.0 * x + 0.5).collect();
    let table = Table::new(vec![
        ("x".into(), Column::Numeric(xs.clone())),
        (
            "same".into(),
            Column::Numeric(xs.iter().map(|x| 10.0 * x + 1.0).collect()),
        ),
        ("constant".into(), Column::Numeric(vec![4.0; 50])),
        ("price".into(), Column::Numeric(ys)),
    ])
    .unwrap();
    let pipeline = fit_one(&table, json!({ "model": "linear_regression" }), json!({})).unwrap();
    for (x, y) in xs.iter().zip(numbers(&pipeline, &table)) {
        assert!((y - (5.5 - 2.0 * x)).abs() < 1e-9, "{x}: {y}");
    }
}

#[test]
fn a_strong_lasso_leaves_the_mean() {
    let table = houses(300);
    let candidate = json!({ "model": "linear_regression", "alpha": 1e8, "l1_ratio": 1.0 });
    let predicted = numbers(&fit_one(&table, candidate, json!({})).unwrap(), &table);
    let Column::Numeric(prices) = table.column("price").unwrap() else {
        panic!("numeric")
    };
    let mean = prices.iter().sum::<f64>() / 300.0;
    assert!(predicted.iter().all(|number| (number - mean).abs() < 1e-6));
}

#[test]
fn a_truth_that_is_a_text_or_missing_cannot_be_compared_with() {
    let table = houses(200);
    let pipeline = fit_one(&table, json!({ "model": "linear_regression" }), json!({})).unwrap();
    let with_price = |price: Column| {
        let mut columns: Vec<(String, Column)> = table
            .names()
            .iter()
            .cloned()
            .zip(table.columns().to_vec())
            .collect();
        columns[4].1 = price;
        pipeline
            .evaluate(&Table::new(columns).unwrap())
            .unwrap_err()
            .to_string()
    };
    let words = Categorical::new(vec!["much".into()], vec![0; 200]).unwrap();
    assert_eq!(
        with_price(Column::Categorical(words)),
        "row 1, column `price`: expected a number, got a text"
    );
    let gap = (0..200)
        .map(|row| if row == 6 { f64::NAN } else { 1.0 })
        .collect();
    assert_eq!(
        with_price(Column::Numeric(gap)),
        "row 7, column `price`: the true number is missing"
    );
}

#[test]
fn a_report_can_do_without_intervals() {
    let report: TrainReport = train(
        &houses(200),
        &config(json!({ "candidates": [{ "model": "linear_regression" }], "intervals": { "resamples": 0 } })),
        &NoProgress,
    )
    .unwrap();
    assert!(report.intervals.is_empty());
}
