//! Training as a whole: determinism, search, progress, cancelling, and what the report holds.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::{
    CandidateResult, Categorical, Column, Error, Event, NoProgress, Pipeline, Progress, Table, TrainConfig,
    TrainReport, fit, train,
};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Three classes that depend on two numbers and a word, with some noise and some gaps.
fn table(rows: usize) -> Table {
    let mut state = 7u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1u64 << 31) as f64
    };
    let words = ["ash", "birch", "cedar", "elm"];
    let (mut a, mut b, mut noise, mut codes, mut classes) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rows {
        let (x, y, word) = (random(), random() * 10.0, (random() * 4.0) as u32);
        let class = if x + random() * 0.1 > 0.7 {
            0
        } else if word == 2 || y > 8.0 {
            1
        } else {
            2
        };
        a.push(if random() < 0.05 { f64::NAN } else { x });
        b.push(y.floor());
        noise.push(random());
        codes.push(word);
        classes.push(f64::from(class) * 10.0);
    }
    let words = Categorical::new(words.map(str::to_owned).to_vec(), codes).unwrap();
    Table::new(vec![
        ("a".into(), Column::Numeric(a)),
        ("b".into(), Column::Numeric(b)),
        ("noise".into(), Column::Numeric(noise)),
        ("tree".into(), Column::Categorical(words)),
        ("kind".into(), Column::Numeric(classes)),
    ])
    .unwrap()
}

fn config(extra: Value) -> TrainConfig {
    let mut config = json!({ "target": "kind", "search": { "n_iter": 4, "cv": 3 } });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    serde_json::from_value(config).unwrap()
}

fn all_models() -> Value {
    json!([
        { "model": "random_forest", "n_estimators": 20, "max_depth": [null, 4], "min_samples_leaf": [1, 5] },
        { "model": "gradient_boosting", "n_estimators": 10, "learning_rate": { "log_uniform": [0.05, 0.5] } },
        { "model": "logistic_regression", "C": { "log_uniform": [0.1, 10.0] } },
        { "model": "extra_trees", "n_estimators": 20 },
    ])
}

fn with_threads(threads: usize, table: &Table, config: &TrainConfig) -> TrainReport {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(|| train(table, config, &NoProgress)).unwrap()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let table = table(1_500);
    for (imputer, only) in [
        ("median", None),
        ("knn", Some(0)),
        ("median", Some(1)),
        ("median", Some(2)),
        ("none", Some(3)),
    ] {
        let mut candidates = all_models();
        if let Some(only) = only {
            candidates = json!([candidates[only]]);
        }
        let config = config(json!({
            "candidates": candidates, "preparation": { "numeric": { "imputer": imputer } },
        }));
        let one = with_threads(1, &table, &config);
        for threads in [2, 5] {
            let many = with_threads(threads, &table, &config);
            assert_eq!(one.pipeline.to_bytes(), many.pipeline.to_bytes());
            assert_eq!((one.best, &one.metrics), (many.best, &many.metrics));
            assert_eq!(one.intervals, many.intervals);
            let scores = |report: &TrainReport| -> Vec<(Value, Vec<u64>)> {
                let bits = |result: &CandidateResult| {
                    result.fold_scores.iter().map(|score| score.to_bits()).collect()
                };
                let params = |result: &CandidateResult| serde_json::to_value(&result.params).unwrap();
                report
                    .candidates
                    .iter()
                    .map(|result| (params(result), bits(result)))
                    .collect()
            };
            assert_eq!(scores(&one), scores(&many));
        }
    }
}

/// Large enough that several threads count and part the rows of one tree, which they do in any order.
#[test]
fn boosting_with_everything_gives_the_same_bits_on_any_number_of_threads() {
    let table = table(80_000);
    let candidate = json!({
        "model": "gradient_boosting", "n_estimators": 5, "subsample": 0.8, "colsample_bytree": 0.8,
        "n_iter_no_change": 3, "max_cat_to_onehot": 2, "grow_policy": "depth_wise", "learning_rate": 0.5,
    });
    let config =
        config(json!({ "candidates": [candidate], "preparation": { "numeric": { "imputer": "none" } } }));
    let with_threads = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build()
            .unwrap()
            .install(|| fit(&table, &config, &NoProgress))
            .unwrap()
    };
    let one = with_threads(1);
    assert_eq!(one.to_bytes(), with_threads(3).to_bytes());
    assert!(one.evaluate(&table).unwrap().metrics["accuracy"] > 0.95);
}

/// A table whose class turns from `no` to `yes` as `x` rises, with noise; `word` decides alone for some rows.
fn two_classes(rows: usize) -> Table {
    let whole = table(rows);
    let Column::Numeric(b) = whole.column("b").unwrap() else {
        panic!("numeric")
    };
    let Column::Numeric(noise) = whole.column("noise").unwrap() else {
        panic!("numeric")
    };
    let is_yes = |(b, noise): (&f64, &f64)| u32::from(b + (noise * 7919.0).fract() * 8.0 > 8.0);
    let codes = b.iter().zip(noise).map(is_yes).collect();
    let kinds = Categorical::new(vec!["no".into(), "yes".into()], codes).unwrap();
    let columns = ["b", "noise", "tree"].map(|name| (name.to_owned(), whole.column(name).unwrap().clone()));
    Table::new(
        columns
            .into_iter()
            .chain([("kind".into(), Column::Categorical(kinds))])
            .collect(),
    )
    .unwrap()
}

fn fit_boosting(table: &Table, extra: Value) -> Result<Pipeline, Error> {
    let mut candidate = json!({ "model": "gradient_boosting", "n_estimators": 40 });
    for (key, value) in extra.as_object().unwrap() {
        candidate[key] = value.clone();
    }
    fit(table, &config(json!({ "candidates": [candidate] })), &NoProgress)
}

#[test]
fn chances_follow_the_direction_that_is_asked_for() {
    let rows = two_classes(3_000);
    let ramp = |column: &str| -> Table {
        let steps: Vec<f64> = (0..200).map(f64::from).collect();
        let varied = |name: &str, scale: f64, fixed: f64| {
            let value = |step: &f64| if name == column { step * scale } else { fixed };
            (
                name.to_owned(),
                Column::Numeric(steps.iter().map(value).collect()),
            )
        };
        let words = Categorical::new(vec!["elm".into()], vec![0; steps.len()]).unwrap();
        Table::new(vec![
            varied("b", 0.05, 4.5),
            varied("noise", 0.005, 0.5),
            ("tree".into(), Column::Categorical(words)),
        ])
        .unwrap()
    };
    for (column, direction) in [("b", 1), ("noise", 1), ("noise", -1)] {
        let pipeline = fit_boosting(&rows, json!({ "monotonic_cst": { column: direction } })).unwrap();
        let predicted = pipeline.predict(&ramp(column)).unwrap();
        let chances: Vec<f32> = (0..200).map(|row| predicted.probabilities_of(row)[1]).collect();
        let follows = |pair: &[f32]| f64::from(direction) * f64::from(pair[1] - pair[0]) >= 0.0;
        assert!(
            chances.windows(2).all(follows),
            "{column} {direction}: {chances:?}"
        );
    }
    let free = fit_boosting(&rows, json!({}))
        .unwrap()
        .predict(&ramp("noise"))
        .unwrap();
    let chances: Vec<f32> = (0..200).map(|row| free.probabilities_of(row)[1]).collect();
    assert!(
        !chances.is_sorted() && !chances.is_sorted_by(|a, b| a >= b),
        "nothing to constrain"
    );

    let refused = |table: &Table, constraint: Value, expected: &str| {
        let error = fit_boosting(table, json!({ "monotonic_cst": constraint })).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let expected = "monotonic_cst.tree: expected a column of numbers that is learned from";
    refused(&rows, json!({ "tree": 1 }), expected);
    refused(
        &table(300),
        json!({ "b": 1 }),
        "monotonic_cst.b: only two classes have an order, the target has 3",
    );
    let expected = "candidates[0].monotonic_cst.b: expected 1, -1 or 0, got 2";
    refused(&rows, json!({ "b": 2 }), expected);
}

#[test]
fn boosting_stops_when_rows_held_out_gain_no_more() {
    let rows = two_classes(3_000);
    let size = |extra: Value| fit_boosting(&rows, extra).unwrap().to_bytes().len();
    let fast = json!({ "n_estimators": 400, "learning_rate": 0.5 });
    let mut stopping = fast.clone();
    stopping["n_iter_no_change"] = json!(5);
    assert!(size(stopping.clone()) * 4 < size(fast), "it ran on");
    let test = two_classes(6_000);
    let log_loss = |extra: Value| {
        fit_boosting(&rows, extra)
            .unwrap()
            .evaluate(&test)
            .unwrap()
            .metrics["log_loss"]
    };
    assert!(log_loss(stopping) < log_loss(json!({ "n_estimators": 400, "learning_rate": 0.5 })));
}

#[test]
fn a_leaf_holds_as_many_rows_as_asked() {
    // One column that takes a value a row: a leaf's rows are counted by how many numbers end up in it.
    let rows = two_classes(400);
    let numbered = Column::Numeric((0..400).map(f64::from).collect());
    let kinds = rows.column("kind").unwrap().clone();
    let table = Table::new(vec![("x".into(), numbered), ("kind".into(), kinds)]).unwrap();
    for model in ["random_forest", "extra_trees", "gradient_boosting"] {
        let mut candidate = json!({ "model": model, "n_estimators": 1, "min_samples_leaf": 30 });
        if model == "random_forest" {
            candidate["bootstrap"] = json!(false);
        }
        let pipeline = fit(&table, &config(json!({ "candidates": [candidate] })), &NoProgress).unwrap();
        let predicted = pipeline.predict(&table).unwrap();
        let chances: Vec<u32> = (0..400)
            .map(|row| predicted.probabilities_of(row)[1].to_bits())
            .collect();
        let smallest = chances.chunk_by(|a, b| a == b).map(<[u32]>::len).min().unwrap();
        assert!((30..400).contains(&smallest), "{model}: {smallest}");
    }
}

#[test]
fn a_fit_without_search_takes_one_fixed_model() {
    let table = table(300);
    let error = fit(
        &table,
        &config(json!({ "candidates": all_models() })),
        &NoProgress,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "candidates: expected one model with every parameter fixed"
    );
}

#[test]
fn another_seed_gives_another_model() {
    let table = table(400);
    let with_seed = |seed: u64| {
        let candidates = json!([{ "model": "random_forest", "n_estimators": 5 }]);
        train(
            &table,
            &config(json!({ "seed": seed, "candidates": candidates })),
            &NoProgress,
        )
        .unwrap()
    };
    assert_eq!(with_seed(1).pipeline.to_bytes(), with_seed(1).pipeline.to_bytes());
    assert_ne!(with_seed(1).pipeline.to_bytes(), with_seed(2).pipeline.to_bytes());
}

#[test]
fn the_report_tells_the_whole_story() {
    let table = table(1_500);
    let report = train(
        &table,
        &config(json!({ "candidates": all_models() })),
        &NoProgress,
    )
    .unwrap();
    assert_eq!(report.candidates.len(), 4);
    let best = report.best_candidate();
    assert!(
        report
            .candidates
            .iter()
            .all(|candidate| candidate.mean <= best.mean)
    );
    assert!(
        report
            .candidates
            .iter()
            .all(|candidate| candidate.fold_scores.len() == 3)
    );
    assert_eq!(report.train_rows.len() + report.test_rows.len(), 1_500);
    assert_eq!(report.test_rows.len(), 450);
    assert_eq!(
        report.labels.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["0", "10", "20"]
    );
    let counted: u64 = report
        .confusion_matrix
        .as_ref()
        .unwrap()
        .counts
        .iter()
        .flatten()
        .sum();
    assert_eq!(counted, 450);
    assert!(report.metrics["accuracy"] > 0.9, "{:?}", report.metrics);
    assert!(report.baseline["accuracy"] < 0.6, "{:?}", report.baseline);
    assert_eq!(report.baseline["roc_auc_ovr"], 0.5);
    assert_eq!(report.task_reason, "`candidates[2].model` says so");
    assert_eq!(
        report.intervals.keys().collect::<Vec<_>>(),
        report.metrics.keys().collect::<Vec<_>>()
    );
    for (name, value) in &report.metrics {
        let interval = report.intervals[name];
        assert!(
            interval.low <= *value && *value <= interval.high,
            "{name}: {value} and {interval:?}"
        );
        assert!(interval.high - interval.low < 0.2, "{name}: {interval:?}");
    }

    let importance = &report.feature_importance;
    assert!((importance.iter().map(|item| item.importance).sum::<f64>() - 1.0).abs() < 1e-9);
    assert_eq!(importance[0].feature, "a");
    assert_eq!(importance[3].feature, "noise");

    let evaluation = report
        .pipeline
        .evaluate(&table.select_rows(&report.test_rows))
        .unwrap();
    assert_eq!(evaluation.metrics, report.metrics);
    assert_eq!(evaluation.confusion_matrix, report.confusion_matrix);
    let features = report.pipeline.features();
    assert_eq!(features[3].categories, ["ash", "birch", "cedar", "elm"]);
    assert_eq!((features[1].minimum, features[1].maximum), (Some(0.0), Some(9.0)));
}

#[test]
fn weights_move_the_answers_towards_a_class() {
    let table = table(1_000);
    for model in ["random_forest", "gradient_boosting", "logistic_regression"] {
        let recall = |weight: Value| {
            let mut candidate = json!({ "model": model, "class_weight": weight });
            if model == "random_forest" {
                candidate["max_depth"] = json!(2);
            } else if model == "gradient_boosting" {
                candidate["n_estimators"] = json!(3);
            }
            let report = train(&table, &config(json!({ "candidates": [candidate] })), &NoProgress).unwrap();
            (report.classes[1].recall, report.classes[1].predicted)
        };
        let (plain, favoured) = (recall(json!("none")), recall(json!({ "10": 20.0 })));
        assert!(
            favoured.0 >= plain.0 && favoured.1 > plain.1,
            "{model}: {plain:?} and {favoured:?}"
        );
    }
    let unknown =
        config(json!({ "candidates": [{ "model": "random_forest", "class_weight": { "11": 2.0 } }] }));
    let error = train(&table, &unknown, &NoProgress).unwrap_err().to_string();
    assert_eq!(error, "class_weight: `11` is not a class; there are: 0, 10, 20");
}

/// Rows of the class 10 get a weight of 0, and so no model may answer it; without weights all do.
#[test]
fn a_class_without_weight_is_never_answered() {
    let table = table(900);
    let Column::Numeric(kinds) = table.column("kind").unwrap() else {
        panic!("numeric")
    };
    let weights = kinds
        .iter()
        .map(|&kind| if kind == 10.0 { 0.0 } else { 3.0 })
        .collect();
    let columns = table.names().iter().cloned().zip(table.columns().to_vec());
    let weight = ("weight".to_owned(), Column::Numeric(weights));
    let weighted = Table::new(columns.chain([weight]).collect()).unwrap();
    for candidate in all_models().as_array().unwrap() {
        let mut candidate = candidate.clone();
        for key in ["max_depth", "min_samples_leaf", "learning_rate", "C"] {
            candidate.as_object_mut().unwrap().remove(key);
        }
        let answers = |extra: Value| -> usize {
            let mut settings = json!({ "candidates": [candidate] });
            for (key, value) in extra.as_object().unwrap() {
                settings[key] = value.clone();
            }
            let pipeline = fit(&weighted, &config(settings), &NoProgress).unwrap();
            let predicted = pipeline.predict(&weighted).unwrap();
            predicted.classes.iter().filter(|&&class| class == 1).count()
        };
        assert_eq!(answers(json!({ "weight": "weight" })), 0, "{candidate}");
        assert!(answers(json!({ "exclude": ["weight"] })) > 100, "{candidate}");
    }
}

/// Rows are added and left out where models learn, and nowhere else.
#[test]
fn resampling_changes_what_is_learned_from_and_not_what_is_measured_on() {
    let table = table(700);
    let with = |resampling: Value| {
        let candidates = json!([{ "model": "random_forest", "n_estimators": 10, "max_depth": 4 }]);
        let config = config(json!({ "candidates": candidates, "resampling": resampling }));
        let one = with_threads(1, &table, &config);
        let two = with_threads(2, &table, &config);
        assert_eq!(one.pipeline.to_bytes(), two.pipeline.to_bytes());
        one
    };
    let plain = with(json!([]));
    let sizes = |report: &TrainReport| {
        report
            .classes
            .iter()
            .map(|class| class.support)
            .collect::<Vec<_>>()
    };
    let smallest = (0..3).min_by_key(|&class| sizes(&plain)[class]).unwrap();
    for steps in [
        json!([{ "method": "random_over" }]),
        json!([{ "method": "random_under" }]),
        json!([{ "method": "smote" }]),
        json!([{ "method": "borderline_smote" }]),
        json!([{ "method": "adasyn" }]),
        json!([{ "method": "tomek_links" }]),
        json!([{ "method": "smote", "ratio": 0.9 }, { "method": "edited_neighbours" }]),
    ] {
        let report = with(steps.clone());
        assert_eq!(sizes(&report), sizes(&plain), "{steps}");
        assert_eq!(report.test_rows, plain.test_rows);
        assert_ne!(report.pipeline.to_bytes(), plain.pipeline.to_bytes(), "{steps}");
        let recall = |report: &TrainReport| report.classes[smallest].recall;
        assert!(
            recall(&report) >= recall(&plain) - 0.1,
            "{steps}: {} and {}",
            recall(&report),
            recall(&plain)
        );
        assert!(report.metrics["accuracy"] > 0.8, "{steps}: {:?}", report.metrics);
    }
}

#[test]
fn an_l1_penalty_leaves_out_what_does_not_matter() {
    let table = table(900);
    let noise = |l1_ratio: f64| {
        let candidate =
            json!({ "model": "logistic_regression", "C": 0.05, "l1_ratio": l1_ratio, "max_iter": 5_000 });
        let pipeline = fit(&table, &config(json!({ "candidates": [candidate] })), &NoProgress).unwrap();
        let noise = pipeline
            .feature_importance()
            .into_iter()
            .find(|item| item.feature == "noise");
        noise.unwrap().importance
    };
    assert!(noise(0.0) > 0.0);
    assert_eq!(noise(1.0), 0.0);
}

#[test]
fn progress_tells_every_fold_and_candidate() {
    #[derive(Default)]
    struct Seen {
        folds: AtomicUsize,
        candidates: Mutex<Vec<usize>>,
        fitted: Mutex<Option<usize>>,
    }
    impl Progress for Seen {
        fn event(&self, event: Event<'_>) {
            match event {
                Event::FoldFinished { .. } => drop(self.folds.fetch_add(1, Ordering::Relaxed)),
                Event::CandidateFinished(result) => self.candidates.lock().unwrap().push(result.index),
                Event::FitStarted { candidate } => *self.fitted.lock().unwrap() = Some(candidate),
                _ => {}
            }
        }
    }
    let seen = Seen::default();
    let report = train(&table(600), &config(json!({ "candidates": all_models() })), &seen).unwrap();
    assert_eq!(seen.folds.load(Ordering::Relaxed), 12);
    let mut candidates = seen.candidates.into_inner().unwrap();
    candidates.sort_unstable();
    assert_eq!(candidates, [0, 1, 2, 3]);
    assert_eq!(seen.fitted.into_inner().unwrap(), Some(report.best));
}

#[test]
fn cancelling_stops_the_training_wherever_it_is() {
    struct After {
        asked: AtomicUsize,
        limit: usize,
    }
    impl Progress for After {
        fn is_cancelled(&self) -> bool {
            self.asked.fetch_add(1, Ordering::Relaxed) >= self.limit
        }
    }
    let table = table(400);
    for limit in [0, 1, 10, 100] {
        let progress = After {
            asked: AtomicUsize::new(0),
            limit,
        };
        let result = train(&table, &config(json!({ "candidates": all_models() })), &progress);
        assert!(matches!(result, Err(Error::Cancelled)), "after {limit}");
    }
}

#[test]
fn tables_that_cannot_be_learned_from_are_refused() {
    let whole = table(300);
    let check = |table: &Table, extra: Value, expected: &str| {
        let error = train(table, &config(extra), &NoProgress).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let with_target = |values: Vec<f64>| {
        let count = values.len();
        let rows: Vec<usize> = (0..count).collect();
        let part = whole.select_rows(&rows).select_columns(&["a", "b"]).unwrap();
        let columns = [("a", 0), ("b", 1)].map(|(name, at)| (name.to_owned(), part.columns()[at].clone()));
        Table::new(
            columns
                .into_iter()
                .chain([("kind".to_owned(), Column::Numeric(values))])
                .collect(),
        )
        .unwrap()
    };
    let alternating = |rows: usize| (0..rows).map(|row| (row % 2) as f64).collect::<Vec<f64>>();
    check(
        &whole,
        json!({ "target": "sort" }),
        "column `sort` is not in the table; it has: a, b, noise, tree, kind",
    );
    check(
        &whole,
        json!({ "exclude": ["z"] }),
        "column `z` is not in the table",
    );
    check(
        &whole,
        json!({ "features": ["a", "z"] }),
        "column `z` is not in the table",
    );
    check(
        &whole,
        json!({ "target": "noise", "task": "classification" }),
        "task: expected regression: `noise` holds numbers with fractions",
    );
    check(
        &whole,
        json!({ "target": "noise", "search": { "scoring": "f1_macro" } }),
        "search.scoring: f1_macro is for classification, but `noise` holds numbers with fractions; for regression there are r2, ",
    );
    check(
        &whole,
        json!({ "types": { "a": "text" } }),
        "types.a: the column holds numbers, not texts, where the rows are from",
    );
    check(
        &whole,
        json!({ "target": "a" }),
        "column `a`: the target is missing",
    );
    check(
        &with_target(vec![1.0; 30]),
        json!({}),
        "target `kind` has 1 classes in 30 rows; expected at least 2",
    );
    check(
        &with_target((0..300).map(f64::from).collect()),
        json!({ "task": "classification" }),
        "task: expected regression: `kind` holds 300 different whole numbers, more than the 256 that classes may be",
    );
    check(
        &with_target(alternating(8)),
        json!({ "search": { "cv": 5 } }),
        "fewer than the 5 folds of search.cv",
    );
    let mut gap = alternating(30);
    gap[4] = f64::NAN;
    check(
        &with_target(gap),
        json!({}),
        "row 5, column `kind`: the target is missing",
    );
}

#[test]
fn predicting_names_what_does_not_fit() {
    let table = table(300);
    let candidates = json!([{ "model": "random_forest", "n_estimators": 3 }]);
    let report = train(&table, &config(json!({ "candidates": candidates })), &NoProgress).unwrap();
    let renamed = table.select_columns(&["a", "b", "noise"]).unwrap();
    assert!(
        matches!(report.pipeline.predict(&renamed), Err(Error::MissingColumn { name, .. }) if name == "tree")
    );
    let mut columns: Vec<(String, Column)> = table
        .names()
        .iter()
        .cloned()
        .zip(table.columns().to_vec())
        .collect();
    columns[3].1 = Column::Numeric(vec![1.0; 300]);
    let error = report
        .pipeline
        .predict(&Table::new(columns.clone()).unwrap())
        .unwrap_err()
        .to_string();
    assert_eq!(error, "row 1, column `tree`: expected a text, got a number");
    columns[3].1 = Column::Numeric(vec![f64::NAN; 300]);
    assert_eq!(
        report
            .pipeline
            .predict(&Table::new(columns).unwrap())
            .unwrap()
            .labels
            .len(),
        300
    );
    let empty = table.select_rows(&[]);
    assert!(report.pipeline.predict(&empty).unwrap().labels.is_empty());
}
