//! What is found out about a model beside its figures.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::judge::{PartialGrid, SliceRows};
use fragua_learn::{
    Categorical, Column, Judgement, MISSING_CODE, NoProgress, Table, TrainConfig, TrainReport, judge,
    judge_pipeline, train,
};
use serde_json::{Value, json};

const ROWS: usize = 900;

/// Numbers between 0 and 1 that have nothing to do with each other.
fn noise(row: usize, stream: u64) -> f64 {
    let mut mixed =
        (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

fn words(words: &[&str], code: impl Fn(usize) -> Option<u32>) -> Column {
    let dictionary = words.iter().map(|word| (*word).to_owned()).collect();
    let codes = (0..ROWS).map(|row| code(row).unwrap_or(MISSING_CODE)).collect();
    Column::Categorical(Categorical::new(dictionary, codes).unwrap())
}

fn numbers(number: impl Fn(usize) -> f64) -> Column {
    Column::Numeric((0..ROWS).map(number).collect())
}

/// `size` decides, `place` helps, `nothing` does not; in the `group` "wild" the class is anybody's guess.
fn table() -> Table {
    let group = |row: usize| match row % 20 {
        0..=11 => Some(0),
        12..=17 => Some(1),
        18 if row % 40 == 18 => Some(2),
        18 => Some(3),
        _ => None,
    };
    let size = |row: usize| noise(row, 1);
    let place = |row: usize| (noise(row, 2) * 3.0) as u32;
    let says = |row: usize| size(row) + 0.15 * f64::from(place(row)) > 0.65;
    let class = move |row: usize| match group(row) {
        Some(1) => u32::from(noise(row, 4) > 0.5),
        _ => u32::from(says(row)),
    };
    let amount = move |row: usize| 10.0 * size(row) + 2.0 * f64::from(place(row)) + noise(row, 5);
    Table::new(vec![
        ("size".into(), numbers(size)),
        (
            "place".into(),
            words(&["p0", "p1", "p2"], move |row| Some(place(row))),
        ),
        ("nothing".into(), numbers(|row| noise(row, 3))),
        ("group".into(), words(&["calm", "wild", "rare", "rarer"], group)),
        ("kind".into(), words(&["no", "yes"], move |row| Some(class(row)))),
        ("amount".into(), numbers(amount)),
    ])
    .unwrap()
}

fn config(extra: Value) -> TrainConfig {
    let mut config = json!({
        "target": "kind", "features": ["size", "place", "nothing"], "search": { "n_iter": 1, "cv": 3, "scoring": "accuracy" },
        "candidates": [{ "model": "random_forest", "n_estimators": 30, "min_samples_leaf": 5 }],
        "intervals": { "resamples": 100 },
    });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn judged(extra: Value) -> (TrainReport, Judgement) {
    let config = config(extra);
    let report = train(&table(), &config, &NoProgress).unwrap();
    let judgement = judge(&table(), &config, &report, &NoProgress).unwrap();
    (report, judgement)
}

#[test]
fn shuffling_a_column_that_decides_costs_most_and_one_that_does_not_nothing() {
    let (report, judgement) = judged(json!({}));
    let permutation = judgement.permutation.unwrap();
    assert_eq!(permutation.rows, report.test_rows.len());
    assert_eq!(permutation.score, report.metrics["accuracy"]);
    let names: Vec<&str> = permutation
        .columns
        .iter()
        .map(|column| column.feature.as_str())
        .collect();
    assert_eq!(names, ["size", "place", "nothing"]);
    let [size, place, nothing] = &permutation.columns[..] else {
        panic!("three columns")
    };
    assert!(size.mean > 0.1 && size.std > 0.0, "{size:?}");
    assert!(
        place.mean > 0.01 && nothing.mean.abs() < 0.03,
        "{place:?} {nothing:?}"
    );
    let contributions = judgement.contributions.unwrap();
    assert_eq!(contributions.columns[0].feature, "size");
    let example = contributions.example.unwrap();
    let sum: f64 = example.columns.iter().map(|column| column.contribution).sum();
    assert!((example.base + sum - example.score).abs() < 1e-9);
}

#[test]
fn partial_dependence_of_a_line_is_the_line() {
    let (_, judgement) = judged(json!({
        "target": "amount", "task": "regression", "candidates": [{ "model": "linear_regression" }],
        "search": { "n_iter": 1, "cv": 3 }, "judge": { "partial_dependence": { "columns": 2, "points": 5, "rows": 100 } },
    }));
    let [size, place] = &judgement.partial_dependence[..] else {
        panic!("{:?}", judgement.partial_dependence)
    };
    let PartialGrid::Numbers(grid) = &size.grid else {
        panic!("{size:?}")
    };
    assert_eq!((size.feature.as_str(), grid.len(), size.rows), ("size", 5, 100));
    for pair in 1..5 {
        let slope = (size.means[0][pair] - size.means[0][0]) / (grid[pair] - grid[0]);
        assert!((slope - 10.0).abs() < 0.2, "{slope}");
    }
    let PartialGrid::Texts(texts) = &place.grid else {
        panic!("{place:?}")
    };
    let at = |text: &str| place.means[0][texts.iter().position(|known| known == text).unwrap()];
    assert!((at("p2") - at("p0") - 4.0).abs() < 0.2);
    let residuals = judgement.residuals.unwrap();
    assert!(
        residuals.mean_error.abs() < 0.1 && residuals.quantiles[0] > -1.0 && residuals.quantiles[2] < 1.0
    );
    assert_eq!(
        residuals.errors.iter().map(|range| range.rows).sum::<usize>(),
        270
    );
    assert!(judgement.reliability.is_none());
    // A coefficient of 10, times the distance from the mean.
    let contributions = judgement.contributions.unwrap();
    assert_eq!(contributions.columns[0].feature, "size");
    let example = contributions.example.unwrap();
    let sum: f64 = example.columns.iter().map(|part| part.contribution).sum();
    assert!((example.base + sum - example.score).abs() < 1e-9);
}

#[test]
fn calibration_makes_probabilities_come_true() {
    // Deep trees without a bootstrap are far too sure of themselves.
    let sure = json!([{ "model": "extra_trees", "n_estimators": 3 }]);
    let (_, own) = judged(json!({ "candidates": sure }));
    let own = own.reliability.unwrap();
    for method in ["sigmoid", "isotonic"] {
        let (report, judgement) = judged(json!({ "candidates": sure, "calibrate": method }));
        assert_eq!(report.pipeline.calibration().unwrap().name(), method);
        let reliability = judgement.reliability.unwrap();
        let gaps = (
            own.expected_calibration_error,
            reliability.expected_calibration_error,
        );
        assert!(gaps.1 < 0.6 * gaps.0, "{method}: {gaps:?}");
        assert!(reliability.brier_score < own.brier_score, "{method}");
        assert!((report.metrics["brier_score"] - reliability.brier_score).abs() < 1e-12);
    }
}

#[test]
fn the_learning_curve_is_on_the_folds_of_the_search() {
    let (report, judgement) = judged(json!({
        "candidates": [{ "model": "logistic_regression" }], "judge": { "learning_curve": { "shares": [0.1, 0.5, 1.0] } },
    }));
    let curve = judgement.learning_curve.unwrap();
    let rows: Vec<usize> = curve.points.iter().map(|point| point.rows).collect();
    assert_eq!(rows, [42, 211, 420]);
    let last = curve.points.last().unwrap();
    let best = report.best_candidate();
    assert_eq!((last.mean, last.std), (best.mean, best.std));
    assert!(curve.points.iter().all(|point| point.learned_mean > 0.5));
}

#[test]
fn a_slice_where_the_model_fails_is_marked() {
    let (report, judgement) =
        judged(json!({ "judge": { "slices": { "columns": ["group", "size"], "min_rows": 20 } } }));
    let [size, group] = &judgement.slices[..] else {
        panic!("{:?}", judgement.slices)
    };
    assert_eq!((size.column.as_str(), size.slices.len()), ("size", 4));
    assert_eq!(group.overall, Some(report.metrics["accuracy"]));
    let total: usize = group.slices.iter().map(|slice| slice.rows).sum();
    assert_eq!(total, report.test_rows.len());
    let of: Vec<&SliceRows> = group.slices.iter().map(|slice| &slice.of).collect();
    let text = |text: &str| SliceRows::Text(text.to_owned());
    assert_eq!(
        of,
        [
            &text("calm"),
            &text("wild"),
            &SliceRows::OtherTexts(2),
            &SliceRows::Missing
        ]
    );
    let worse: Vec<bool> = group.slices.iter().map(|slice| slice.is_worse).collect();
    assert_eq!(worse, [false, true, false, false]);
    let wild = &group.slices[1];
    let interval = wild.interval.unwrap();
    assert!(interval.low < wild.score.unwrap() && wild.score.unwrap() < interval.high);
    assert!(
        group
            .slices
            .iter()
            .all(|slice| slice.is_small == (slice.rows < 20))
    );
}

#[test]
fn a_few_numbers_are_slices_and_many_are_ranges() {
    let grade = |row: usize| if row % 11 == 7 { f64::NAN } else { (row % 3) as f64 };
    let mut columns: Vec<(String, Column)> = table()
        .names()
        .iter()
        .cloned()
        .zip(table().columns().to_vec())
        .collect();
    columns.push(("grade".into(), numbers(grade)));
    let table = Table::new(columns).unwrap();
    let config = config(json!({ "judge": { "slices": { "columns": ["grade", "nothing"], "ranges": 2 } } }));
    let report = train(&table, &config, &NoProgress).unwrap();
    let judgement = judge(&table, &config, &report, &NoProgress).unwrap();
    let [nothing, grade] = &judgement.slices[..] else {
        panic!("{:?}", judgement.slices)
    };
    let of: Vec<&SliceRows> = grade.slices.iter().map(|slice| &slice.of).collect();
    let one = |number: f64| SliceRows::Range(number, number);
    assert_eq!(of, [&one(0.0), &one(1.0), &one(2.0), &SliceRows::Missing]);
    let rows: Vec<usize> = nothing.slices.iter().map(|slice| slice.rows).collect();
    assert_eq!(rows, [135, 135]);
}

#[test]
fn the_number_of_threads_does_not_matter() {
    let config = config(json!({ "judge": { "learning_curve": { "shares": [0.4] } } }));
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let report = train(&table(), &config, &NoProgress).unwrap();
            serde_json::to_string(&judge(&table(), &config, &report, &NoProgress).unwrap()).unwrap()
        })
    };
    assert_eq!(on(1), on(2));
}

#[test]
fn parts_are_left_out_by_a_count_of_zero() {
    let (_, judgement) = judged(json!({ "judge": {
        "permutation": { "repeats": 0 }, "partial_dependence": { "columns": 0 }, "contributions": { "rows": 0 },
        "reliability": { "bins": 0 }, "slices": { "most": 0 },
    } }));
    assert!(judgement.permutation.is_none() && judgement.partial_dependence.is_empty());
    assert!(
        judgement.contributions.is_none() && judgement.reliability.is_none() && judgement.slices.is_empty()
    );
}

#[test]
fn mistakes_name_the_key_and_what_would_be_right() {
    let read = |judge: Value| -> String {
        let config = serde_json::from_value::<TrainConfig>(json!({ "target": "kind", "judge": judge }));
        match config {
            Err(error) => error.to_string(),
            Ok(config) => config.check().unwrap_err().to_string(),
        }
    };
    for (judge, expected) in [
        (
            json!({ "slice": {} }),
            "unknown field `slice`, expected one of `language`, `permutation`",
        ),
        (
            json!({ "permutation": { "repeat": 3 } }),
            "unknown field `repeat`, expected one of `repeats`",
        ),
        (
            json!({ "language": "fr" }),
            "unknown variant `fr`, expected `en` or `es`",
        ),
        (
            json!({ "learning_curve": { "shares": [1.0, 0.5] } }),
            "judge.learning_curve.shares: expected rising shares above 0 and up to 1, such as [0.1, 0.3, 1.0]",
        ),
        (
            json!({ "reliability": { "bins": 1 } }),
            "judge.reliability.bins: expected 0 or at least 2, got 1",
        ),
        (
            json!({ "permutation": { "scoring": "r2" }, "slices": { "scoring": "accuracy" } }),
            "judge.slices.scoring: accuracy is for classification, but `judge.permutation.scoring` asks for regression",
        ),
    ] {
        let error = read(judge);
        assert!(error.contains(expected), "{error}");
    }
    let calibrated = json!({ "target": "amount", "task": "regression", "calibrate": "sigmoid" });
    let error = serde_json::from_value::<TrainConfig>(calibrated)
        .unwrap()
        .check()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "calibrate: sigmoid is for classification, but `task` asks for regression"
    );
}

#[test]
fn a_column_to_slice_by_must_be_there_and_a_figure_must_fit_the_model() {
    let config = config(json!({}));
    let report = train(&table(), &config, &NoProgress).unwrap();
    let with = |judge: Value| {
        let mut config = TrainConfig::new("kind");
        config.judge = serde_json::from_value(judge).unwrap();
        judge_pipeline(&report.pipeline, &table(), &config, &NoProgress)
            .unwrap_err()
            .to_string()
    };
    let error = with(json!({ "slices": { "columns": ["grp"] } }));
    assert!(error.starts_with("column `grp` is not in the table"), "{error}");
    let error = with(json!({ "slices": { "scoring": "r2" } }));
    assert_eq!(
        error,
        "judge.slices.scoring: r2 is for regression, but the model is for classification"
    );
}
