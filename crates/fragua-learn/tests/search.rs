//! Ways to search, to hold rows out and to compare, seen from outside.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::{
    CandidateResult, Categorical, Column, Error, Event, NoProgress, Progress, Stopped, Table, TrainConfig,
    TrainReport, compare, compare_from, train,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A class that depends on two numbers; `day` rises, `person` has 12 rows each.
fn table(rows: usize) -> Table {
    let noise = |row: usize, step: usize| ((row * step) % 97) as f64 / 97.0;
    let numbers = |step: usize| -> Vec<f64> { (0..rows).map(|row| noise(row, step)).collect() };
    let (one, two) = (numbers(31), numbers(53));
    let kind = |row: usize| f64::from(u8::from(one[row] + 0.5 * two[row] + 0.3 * noise(row, 71) > 0.9));
    let kinds = (0..rows).map(kind).collect();
    let people = (0..rows / 12 + 1).map(|person| format!("p{person}")).collect();
    let person = Categorical::new(people, (0..rows).map(|row| (row / 12) as u32).collect());
    Table::new(vec![
        ("one".into(), Column::Numeric(one)),
        ("two".into(), Column::Numeric(two)),
        (
            "day".into(),
            Column::Numeric((0..rows).map(|row| (rows - row) as f64).collect()),
        ),
        ("person".into(), Column::Categorical(person.unwrap())),
        ("kind".into(), Column::Numeric(kinds)),
    ])
    .unwrap()
}

fn config(search: Value) -> TrainConfig {
    let config = json!({
        "target": "kind", "search": search, "exclude": ["day"], "features": ["one", "two"],
        "candidates": [
            { "model": "gradient_boosting", "n_estimators": 12, "learning_rate": { "log_uniform": [0.0001, 0.5] },
              "min_samples_leaf": [5, 20] },
            { "model": "random_forest", "n_estimators": 12, "max_depth": [1, 2, 3, 4, 5, 6] },
        ],
    });
    serde_json::from_value(config).unwrap()
}

/// Finished candidates, in the order they were.
#[derive(Default)]
struct Watcher(Mutex<Vec<CandidateResult>>);

impl Progress for Watcher {
    fn event(&self, event: Event<'_>) {
        if let Event::CandidateFinished(result) = event {
            self.0.lock().unwrap().push(result.clone());
        }
    }
}

fn trained(table: &Table, search: Value, threads: usize) -> (TrainReport, Vec<CandidateResult>) {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    let watcher = Watcher::default();
    let report = pool.install(|| train(table, &config(search), &watcher)).unwrap();
    (report, watcher.0.into_inner().unwrap())
}

fn told(report: &TrainReport) -> Vec<(Value, Vec<u64>, Option<Stopped>)> {
    let of = |result: &CandidateResult| {
        (
            serde_json::to_value(&result.params).unwrap(),
            result.fold_scores.iter().map(|score| score.to_bits()).collect(),
            result.stopped,
        )
    };
    report.candidates.iter().map(of).collect()
}

#[test]
fn every_way_to_search_gives_the_same_on_any_number_of_threads() {
    let table = table(600);
    for search in [
        json!({ "n_iter": 8, "method": "tpe" }),
        json!({ "n_iter": 8, "method": "tpe", "drop_hopeless": true }),
        json!({ "n_iter": 8, "method": "halving" }),
        json!({ "n_iter": 8, "drop_hopeless": true }),
    ] {
        let (one, finished) = trained(&table, search.clone(), 1);
        let (many, _) = trained(&table, search.clone(), 3);
        assert_eq!(told(&one), told(&many), "{search}");
        assert_eq!(
            (one.candidates.len(), finished.len()),
            (8, 8),
            "{search}: each is finished once"
        );
        let indices: BTreeSet<usize> = finished.iter().map(|result| result.index).collect();
        assert_eq!(indices, (0..8).collect());
        assert!(one.best_candidate().stopped.is_none());
    }
}

#[test]
fn halving_gives_all_to_few() {
    let table = table(900);
    for (resource, shares) in [("rows", [0.25, 0.5]), ("rounds", [0.25, 0.5])] {
        let halving = json!({ "factor": 2, "resource": resource });
        let (report, _) = trained(
            &table,
            json!({ "n_iter": 8, "cv": 3, "method": "halving", "halving": halving }),
            2,
        );
        let stopped_at = |share: f64| {
            let at = |result: &&CandidateResult| match result.stopped {
                Some(Stopped::Halved { share: own }) => (own - share).abs() < 1e-9,
                _ => false,
            };
            report.candidates.iter().filter(at).count()
        };
        // Of 420 rows of a fold a quarter is more than 100.
        assert_eq!(
            (stopped_at(shares[0]), stopped_at(shares[1])),
            (4, 2),
            "{resource}"
        );
        let whole = report.candidates.iter().filter(|result| result.stopped.is_none());
        assert_eq!(whole.count(), 2);
        // Parameters are told as they were drawn, not with the rounds of an early round.
        let rounds =
            |result: &CandidateResult| serde_json::to_value(&result.params).unwrap()["n_estimators"].clone();
        assert!(report.candidates.iter().all(|result| rounds(result) == 12));
    }
}

#[test]
fn hopeless_candidates_are_given_up_and_never_the_best() {
    let (raced, _) = trained(
        &table(600),
        json!({ "n_iter": 10, "cv": 5, "drop_hopeless": true }),
        2,
    );
    let (whole, _) = trained(&table(600), json!({ "n_iter": 10, "cv": 5 }), 2);
    assert_eq!(raced.best, whole.best);
    let dropped = raced.candidates.iter().filter(|result| result.stopped.is_some());
    let dropped: Vec<&CandidateResult> = dropped.collect();
    assert!(!dropped.is_empty());
    for result in dropped {
        let folds = result.fold_scores.len();
        assert!((2..5).contains(&folds));
        assert_eq!(result.stopped, Some(Stopped::Hopeless { folds }));
        assert_eq!(
            result.fold_scores,
            whole.candidates[result.index].fold_scores[..folds]
        );
    }
}

#[test]
fn other_figures_are_told_and_decide_nothing() {
    let search = json!({ "n_iter": 3, "scoring": "accuracy", "also": ["neg_log_loss", "roc_auc_ovr"] });
    let (report, _) = trained(&table(600), search, 2);
    let (plain, _) = trained(&table(600), json!({ "n_iter": 3, "scoring": "accuracy" }), 2);
    assert_eq!(told(&report), told(&plain));
    for (result, plain) in report.candidates.iter().zip(&plain.candidates) {
        assert!(plain.also.is_empty());
        assert_eq!(
            result.also.keys().collect::<Vec<_>>(),
            ["neg_log_loss", "roc_auc_ovr"]
        );
        let loss = &result.also["neg_log_loss"];
        assert!(loss.folds.len() == 3 && loss.mean < 0.0 && loss.std >= 0.0);
        assert!(result.also["roc_auc_ovr"].mean > 0.5);
    }
}

fn numbers(table: &Table, column: &str, rows: &[usize]) -> Vec<f64> {
    let Column::Numeric(values) = table.column(column).unwrap() else {
        panic!("{column} is not numeric")
    };
    rows.iter().map(|&row| values[row]).collect()
}

#[test]
fn by_time_the_latest_rows_are_held_out() {
    let table = table(600);
    let (report, _) = trained(&table, json!({ "n_iter": 2, "folds": { "time": "day" } }), 2);
    let learned = numbers(&table, "day", &report.train_rows);
    let held_out = numbers(&table, "day", &report.test_rows);
    assert_eq!(held_out.len(), 180);
    let latest = learned.iter().copied().fold(f64::MIN, f64::max);
    assert!(held_out.iter().all(|&day| day > latest));
}

#[test]
fn by_group_nobody_is_on_both_sides_and_the_group_is_not_learned_from() {
    let table = table(600);
    let mut config = config(json!({ "n_iter": 2, "folds": { "group": "person" } }));
    config.features = None;
    let report = train(&table, &config, &NoProgress).unwrap();
    let people = |rows: &[usize]| rows.iter().map(|row| row / 12).collect::<BTreeSet<_>>();
    assert!(people(&report.train_rows).is_disjoint(&people(&report.test_rows)));
    assert_eq!(people(&report.test_rows).len(), 15);
    let names: Vec<&str> = report
        .pipeline
        .features()
        .iter()
        .map(|feature| feature.name.as_str())
        .collect();
    assert_eq!(names, ["one", "two"]);
}

/// A class that begins late is in no early fold; every model goes on without it, and calibration does.
#[test]
fn a_class_that_early_folds_do_not_have_stops_no_model() {
    let mut columns: Vec<(String, Column)> = table(400)
        .names()
        .iter()
        .cloned()
        .zip(table(400).columns().to_vec())
        .collect();
    let kinds = (0..400).map(|row| if row < 60 { 2.0 } else { (row % 2) as f64 });
    columns[4].1 = Column::Numeric(kinds.collect());
    let table = Table::new(columns).unwrap();
    for candidate in [
        json!({ "model": "gradient_boosting", "n_estimators": 5 }),
        json!({ "model": "random_forest", "n_estimators": 5 }),
        json!({ "model": "logistic_regression" }),
        json!({ "model": "linear_svm" }),
        json!({ "model": "svc" }),
        json!({ "model": "naive_bayes" }),
    ] {
        let mut config = config(json!({ "n_iter": 1, "folds": { "time": "day" }, "scoring": "accuracy" }));
        config.candidates = vec![serde_json::from_value(candidate.clone()).unwrap()];
        let comparison = compare(&table, &config, &NoProgress).unwrap();
        assert!(comparison.candidates[0].mean.is_finite(), "{candidate}");
        config.calibrate = Some(serde_json::from_value(json!("sigmoid")).unwrap());
        let report = train(&table, &config, &NoProgress).unwrap();
        let predictions = report.pipeline.predict(&table).unwrap();
        assert!(
            predictions.probabilities.iter().all(|share| share.is_finite()),
            "{candidate}"
        );
    }
}

#[test]
fn searches_that_cannot_work_are_refused() {
    let check = |search: Value, expected: &str| {
        let error = match train(&table(200), &config(search), &NoProgress) {
            Err(error @ (Error::Config { .. } | Error::MissingColumn { .. } | Error::Data(_))) => error,
            other => panic!("{other:?}"),
        };
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(
        json!({ "halving": { "factor": 3 } }),
        "search.halving: only `method: halving` has these settings",
    );
    check(
        json!({ "method": "halving", "halving": { "factor": 1 } }),
        "search.halving.factor: expected 2 to 100, got 1",
    );
    check(
        json!({ "method": "halving", "drop_hopeless": true }),
        "search.drop_hopeless: halving gives candidates up in its own way",
    );
    check(
        json!({ "folds": { "time": "when" } }),
        "column `when` is not in the table",
    );
    check(
        json!({ "folds": { "group": "kind" } }),
        "search.folds: expected another column than the target",
    );
    check(
        json!({ "also": ["r2"], "scoring": "accuracy" }),
        "search.also[0]: r2 is for regression",
    );
    check(
        json!({ "folds": { "group": "person" }, "cv": 40 }),
        "groups, fewer than the 40 folds of search.cv",
    );
    let mut rounds = config(json!({ "method": "halving", "halving": { "resource": "rounds" } }));
    rounds
        .candidates
        .push(serde_json::from_value(json!({ "model": "naive_bayes" })).unwrap());
    let error = train(&table(200), &rounds, &NoProgress).unwrap_err();
    assert_eq!(
        error.to_string(),
        "search.halving.resource: naive_bayes has no rounds; use rows"
    );
}

/// Counts folds that were fitted, and has enough after some.
struct Impatient {
    enough: usize,
    folds: AtomicUsize,
    finished: Mutex<Vec<CandidateResult>>,
}

impl Impatient {
    fn after(enough: usize) -> Self {
        Self {
            enough,
            folds: AtomicUsize::new(0),
            finished: Mutex::default(),
        }
    }
}

impl Progress for Impatient {
    fn event(&self, event: Event<'_>) {
        match event {
            Event::FoldFinished { .. } => {
                self.folds.fetch_add(1, Ordering::SeqCst);
            }
            Event::CandidateFinished(result) => self.finished.lock().unwrap().push(result.clone()),
            _ => {}
        }
    }

    fn is_enough(&self) -> bool {
        self.folds.load(Ordering::SeqCst) >= self.enough
    }
}

#[test]
fn a_search_that_was_ended_goes_on_where_it_was_and_finds_the_same() {
    let table = table(400);
    for search in [
        json!({ "n_iter": 8, "cv": 3, "also": ["f1_macro"] }),
        json!({ "n_iter": 8, "cv": 3, "drop_hopeless": true }),
        json!({ "n_iter": 8, "cv": 3, "method": "tpe" }),
        json!({ "n_iter": 8, "cv": 3, "method": "tpe", "drop_hopeless": true }),
    ] {
        let config = config(search.clone());
        let told = |candidates: &[CandidateResult]| -> Vec<Value> {
            let of = |result: &CandidateResult| {
                json!([result.params, result.fold_scores, result.also, result.stopped])
            };
            candidates.iter().map(of).collect()
        };
        let patient = Impatient::after(usize::MAX);
        let whole = compare(&table, &config, &patient).unwrap();
        let all_folds = patient.folds.into_inner();

        // With `drop_hopeless` the first ones are compared fold by fold: all but the last.
        let impatient = Impatient::after(all_folds - 2);
        let short = compare(&table, &config, &impatient);
        let finished = impatient.finished.into_inner().unwrap();
        match short {
            Ok(short) => {
                let is_ended =
                    |result: &&CandidateResult| matches!(result.stopped, Some(Stopped::Ended { .. }));
                let ended = short.candidates.iter().filter(is_ended).count();
                assert!(
                    ended > 0 || short.candidates.len() < whole.candidates.len(),
                    "{search}"
                );
                assert!(short.candidates[short.best].stopped.is_none());
            }
            Err(error) => assert!(matches!(error, Error::Cancelled), "{search}: {error}"),
        }

        // Through a file, as a program that was killed would.
        let known: Vec<CandidateResult> = finished
            .iter()
            .map(|result| serde_json::from_str(&serde_json::to_string(result).unwrap()).unwrap())
            .collect();
        let rest = Impatient::after(usize::MAX);
        let resumed = compare_from(&table, &config, &known, &rest).unwrap();
        assert_eq!(told(&resumed.candidates), told(&whole.candidates), "{search}");
        assert_eq!(resumed.best, whole.best);
        let known_folds: usize = known.iter().map(|result| result.fold_scores.len()).sum();
        assert_eq!(rest.folds.into_inner(), all_folds - known_folds, "{search}");
    }
}

#[test]
fn nothing_is_found_when_it_is_enough_at_once() {
    for method in ["random", "tpe", "halving"] {
        let config = config(json!({ "n_iter": 8, "cv": 3, "method": method }));
        let error = compare(&table(400), &config, &Impatient::after(0)).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{method}: {error}");
    }
}
