//! The filters of five lists, some thousands from each of some seeds, read by MLflow's own parser and by ours.

use std::collections::BTreeMap;
use std::process::Command;

use serde::Deserialize;

use crate::search::{Condition, Searchable, Subject, Test, conditions_of};

/// Found something each; a reason that none of them shows any more leaves the table.
const SEEDS: [&str; 3] = ["7", "8", "9"];
const FILTERS: &str = "5000";

/// A clause as kind, key, operator and values.
type Clause = Vec<String>;

#[derive(Debug, Deserialize)]
struct Case {
    list: String,
    filter: String,
    /// What MLflow reads; nothing where it refuses.
    read: Option<Vec<Clause>>,
}

/// Where we read otherwise than MLflow on purpose.
type Difference = (&'static str, fn(&Case, Option<&[Clause]>) -> bool);

const DIFFERENCES: [Difference; 11] = [
    (
        "a key is not empty, and with other signs than letters, digits and _ . - / : it stands in quotes",
        |case, ours| {
            ours.is_none()
                && case
                    .read
                    .iter()
                    .flatten()
                    .any(|clause| is_glued(&clause[1], &case.filter))
        },
    ),
    (
        "a key may begin with a digit and hold - / : without quotes",
        |case, ours| {
            let is_plain = |key: &str| {
                key.split('.')
                    .any(|part| part.starts_with(|first: char| first.is_ascii_digit()))
                    || key.contains(['-', '/', ':'])
            };
            case.read.is_none() && ours.iter().copied().flatten().any(|clause| is_plain(&clause[1]))
        },
    ),
    (
        "texts in a list have commas between them; MLflow joins those without, as Python does",
        |case, ours| ours.is_none() && case.filter.contains("' '") && case.read.is_some(),
    ),
    (
        "double quotes are quotes for logged models too; MLflow keeps them as a part of the text there",
        |case, ours| {
            let bare = |clauses: &[Clause]| -> Vec<Clause> {
                let clause = |clause: &Clause| {
                    clause
                        .iter()
                        .map(|word| word.trim_matches('"').to_owned())
                        .collect()
                };
                clauses.iter().map(clause).collect()
            };
            let read = case.read.as_deref();
            case.list == "logged_models" && read.is_some() && read.map(bare) == ours.map(bare)
        },
    ),
    (
        "an alias is one of the attribute alone; MLflow also renames a parameter or tag with such a key",
        |case, ours| {
            let renamed = |(theirs, ours): (&Clause, &Clause)| {
                theirs == ours
                    || theirs[0] != "attribute"
                        && theirs[1] == "start_time"
                        && ours[1].eq_ignore_ascii_case("created")
            };
            case.read
                .iter()
                .flatten()
                .zip(ours.iter().copied().flatten())
                .all(renamed)
                && case.read.is_some()
                && ours.is_some()
        },
    ),
    (
        "an operator may be written in small letters for experiments too",
        |case, ours| {
            let is_small = |word: &str| {
                let operators = ["LIKE", "ILIKE", "IN", "NOT", "IS", "NULL"];
                operators.contains(&word.to_uppercase().as_str()) && word != word.to_uppercase()
            };
            case.read.is_none()
                && ours.is_some()
                && case.list == "experiments"
                && case.filter.split_whitespace().any(is_small)
        },
    ),
    (
        "whole numbers are compared with fractions and exponents too",
        |case, ours| {
            case.read.is_none()
                && ours.is_some()
                && matches!(case.list.as_str(), "experiments" | "model_versions")
                && words_of(&case.filter)
                    .any(|word| word.parse::<f64>().is_ok() && word.parse::<i64>().is_err())
        },
    ),
    (
        "the number of an experiment may stand without quotes",
        |case, ours| {
            let compared =
                |clause: &Clause| clause[1] == "experiment_id" && matches!(&*clause[2], "=" | "!=");
            case.read.is_none() && case.list == "experiments" && ours.iter().copied().flatten().any(compared)
        },
    ),
    (
        "logged models know each word for an entity, and their aliases behind `attributes.`",
        |case, ours| {
            case.read.is_none()
                && ours.is_some()
                && case.list == "logged_models"
                && ["metric.", "param.", "tag.", "attributes."]
                    .iter()
                    .any(|word| case.filter.contains(word))
        },
    ),
    (
        "a number with an exponent may begin or end with its dot",
        |case, ours| {
            let is_such = |word: &str| {
                let (digits, exponent) = word.split_once(['e', 'E']).unwrap_or((word, ""));
                let digits = digits.trim_start_matches(['+', '-']);
                !exponent.is_empty() && (digits.starts_with('.') || digits.ends_with('.'))
            };
            case.read.is_none() && ours.is_some() && words_of(&case.filter).any(is_such)
        },
    ),
    (
        "a text that is no number stands in quotes; MLflow takes words without for logged models",
        |case, ours| {
            let is_bare = |value: &String| {
                !case.filter.contains(&format!("'{value}'"))
                    && !value.starts_with('"')
                    && value.parse::<f64>().is_err()
            };
            let has_bare = |clause: &Clause| clause[3..].iter().any(is_bare);
            case.list == "logged_models" && ours.is_none() && case.read.iter().flatten().any(has_bare)
        },
    ),
];

/// What stands between blanks and operators.
fn words_of(filter: &str) -> impl Iterator<Item = &str> {
    filter.split([' ', '\t', '\r', '\n', '<', '>', '=', '!'])
}

/// Whether a key that MLflow reads is empty, or glued from tokens: without quotes, and with what only quotes can hold.
fn is_glued(key: &str, filter: &str) -> bool {
    let plain = |character: char| character.is_alphanumeric() || "_.-/:".contains(character);
    let quoted = ['`', '"']
        .iter()
        .any(|quote| filter.contains(&format!("{quote}{key}{quote}")));
    key.is_empty() || key.ends_with('.') || !quoted && !key.chars().all(plain)
}

fn list_of(name: &str) -> Searchable {
    match name {
        "runs" => Searchable::Runs,
        "experiments" => Searchable::Experiments,
        "registered_models" => Searchable::RegisteredModels,
        "model_versions" => Searchable::ModelVersions,
        "logged_models" => Searchable::LoggedModels,
        other => panic!("no list {other}"),
    }
}

fn clause(condition: &Condition) -> Clause {
    let (kind, key) = match &condition.subject {
        Subject::Column { name, .. } => ("attribute", *name),
        Subject::Duration => ("attribute", "duration"),
        Subject::Metric(key) => ("metric", key.as_str()),
        Subject::Param(key) => ("parameter", key.as_str()),
        Subject::Tag(key) => ("tag", key.as_str()),
        Subject::Dataset(column) => ("dataset", *column),
        Subject::DatasetContext => ("dataset", "context"),
    };
    let (operator, values) = match &condition.test {
        Test::Number(operator, number) => (operator.to_string(), vec![format!("{:016x}", number.to_bits())]),
        Test::Text(operator, text) => (operator.to_string(), vec![text.clone()]),
        Test::In { negated, values } => (if *negated { "NOT IN" } else { "IN" }.to_owned(), values.clone()),
        Test::Null { negated: false } => ("IS NULL".to_owned(), Vec::new()),
        Test::Null { negated: true } => ("IS NOT NULL".to_owned(), Vec::new()),
    };
    [kind.to_owned(), key.to_owned(), operator]
        .into_iter()
        .chain(values)
        .collect()
}

fn cases(seed: &str) -> Vec<Case> {
    let python = std::env::var_os("FRAGUA_TEST_PYTHON")
        .expect("FRAGUA_TEST_PYTHON names no interpreter with mlflow: run the tests with `cargo xtask test`");
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/tests/filters_read_by_mlflow.py"
        ))
        .args([seed, FILTERS])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .env("GIT_PYTHON_REFRESH", "quiet")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn filters_are_read_as_mlflow_reads_them() {
    let mut same = 0;
    let mut differing: BTreeMap<&str, usize> = DIFFERENCES.iter().map(|(reason, _)| (*reason, 0)).collect();
    let mut unexplained = Vec::new();
    for case in SEEDS.into_iter().flat_map(cases) {
        let ours = conditions_of(list_of(&case.list), &case.filter);
        let ours = ours.map(|conditions| conditions.iter().map(clause).collect::<Vec<_>>());
        if ours.as_ref().ok() == case.read.as_ref() {
            same += usize::from(ours.is_ok());
            continue;
        }
        let holds = |(_, holds): &&Difference| holds(&case, ours.as_deref().ok());
        match DIFFERENCES.iter().find(holds) {
            Some((reason, _)) => *differing.entry(reason).or_default() += 1,
            None => unexplained.push((case, ours)),
        }
    }
    assert!(
        unexplained.is_empty(),
        "{} filters: {unexplained:#?}",
        unexplained.len()
    );
    assert!(same > 3_000, "only {same} filters were read by both");
    // A reason that nothing shows any more leaves the table.
    assert!(differing.values().all(|times| *times > 0), "{differing:#?}");
}
