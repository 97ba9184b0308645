//! `docs/train-yaml.md` has every key, model, parameter and score of the code, with its default and its bounds.

use fragua_learn::TrainConfig;
use fragua_learn::config::{Candidate, Scoring};
use schemars::schema_for;
use serde_json::{Map, Value, json};

const PAGE: &str = include_str!("../../../docs/train-yaml.md");

/// The text below a heading, up to the next one of its level or above.
fn section<'a>(heading: &str) -> &'a str {
    let level = heading.chars().take_while(|mark| *mark == '#').count();
    let (_, below) = PAGE
        .split_once(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading:?}"));
    let is_end = |line: &str| {
        let marks = line.chars().take_while(|mark| *mark == '#').count();
        marks > 0 && marks <= level
    };
    let mut end = 0;
    for line in below.split_inclusive('\n') {
        if is_end(line) {
            break;
        }
        end += line.len();
    }
    &below[..end]
}

/// The cells of the row of a table that begins with a name.
fn row<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let beginning = format!("| `{name}` |");
    let found = text.lines().find(|line| line.starts_with(&beginning));
    let line = found.unwrap_or_else(|| panic!("`{name}` has no row in {text}"));
    line.trim_matches('|').split(" | ").map(str::trim).collect()
}

/// The names of the models, as the code has them.
fn models() -> Vec<String> {
    let schema = schema_for!(Candidate);
    let models = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let name = |model: &Value| model["properties"]["model"]["const"].as_str().map(str::to_owned);
    models.filter_map(name).collect()
}

fn candidate(model: &str, parameter: Option<(&str, Value)>) -> Value {
    let mut candidate = json!({ "model": model });
    if let Some((name, value)) = parameter {
        candidate[name] = value;
    }
    candidate
}

#[test]
fn each_parameter_of_each_model_has_its_row_with_its_default() {
    assert_eq!(models().len(), 8);
    for model in models() {
        let section = section(&format!("### `{model}`"));
        let defaults: Candidate = serde_json::from_value(candidate(&model, None)).unwrap();
        let defaults: Map<String, Value> = serde_json::from_value(json!(defaults)).unwrap();
        for (name, default) in defaults.iter().filter(|(name, _)| *name != "model") {
            let written = row(section, name)[1].trim_matches('`');
            let told: Value = serde_json::from_str(written).unwrap_or_else(|_| json!(written));
            assert_eq!(&told, default, "{model}.{name}");
        }
        let rows = section.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(
            rows,
            defaults.len() - 1,
            "{model} has rows of what is no parameter"
        );
    }
}

#[test]
fn the_bounds_of_parameters_are_those_of_the_check() {
    let mut seen = 0;
    for model in models() {
        for line in section(&format!("### `{model}`"))
            .lines()
            .filter(|line| line.starts_with("| `"))
        {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let (name, bounds) = (cells[0].trim_matches('`'), cells[2]);
            let numbers: Vec<&str> = bounds
                .split([' ', ','])
                .filter(|word| word.parse::<f64>().is_ok())
                .collect();
            let expected = match numbers[..] {
                [low, high] if bounds.contains(&format!("{low} to {high}")) => {
                    format!("expected {low} to {high}")
                }
                [low] if bounds.contains("at least") => format!("expected at least {low}"),
                _ => continue,
            };
            seen += 1;
            for end in &numbers {
                let end: f64 = end.parse().unwrap();
                let is_low = end == numbers[0].parse::<f64>().unwrap();
                let inside = if end.fract() == 0.0 {
                    json!(end as i64)
                } else {
                    json!(end)
                };
                let whole =
                    ["max_iter", "degree"].contains(&name) || name.contains("max_") || name.contains("n_");
                let outside = match (is_low, whole) {
                    (true, true) => json!(end as i64 - 1),
                    (false, true) => json!(end as i64 + 1),
                    (true, false) => json!(end - end.abs() / 2.0 - 1e-16),
                    (false, false) => json!(end * 1.01),
                };
                assert_eq!(refusal(&model, name, inside), None, "{model}.{name}");
                let refused = refusal(&model, name, outside.clone()).unwrap_or_default();
                assert!(
                    refused.contains(&expected),
                    "{model}.{name}: {outside}: {refused:?}"
                );
            }
        }
    }
    assert!(seen > 30, "only {seen} bounds were found");
}

/// What is said of a value of a parameter.
fn refusal(model: &str, name: &str, value: Value) -> Option<String> {
    let config = json!({ "target": "t", "candidates": [candidate(model, Some((name, value)))] });
    let config: TrainConfig = match serde_json::from_value(config) {
        Ok(config) => config,
        Err(error) => return Some(error.to_string()),
    };
    config.check().err().map(|error| error.to_string())
}

#[test]
fn each_score_is_listed_for_its_task() {
    let section = section("### Scores");
    for scoring in Scoring::ALL {
        let task = match scoring.task() {
            fragua_learn::Task::Classification => "| classes |",
            fragua_learn::Task::Regression => "| numbers |",
        };
        let line = section.lines().find(|line| line.starts_with(task)).unwrap();
        assert!(
            line.contains(&format!("`{}`", scoring.name())),
            "{}",
            scoring.name()
        );
    }
    let schema = serde_json::to_value(schema_for!(Scoring)).unwrap();
    assert_eq!(words(&schema).len(), Scoring::ALL.len(), "Scoring::ALL lacks one");
}

#[test]
fn each_key_and_each_word_of_the_configuration_is_in_the_page() {
    let schema = serde_json::to_value(schema_for!(TrainConfig)).unwrap();
    for name in schema["properties"].as_object().unwrap().keys() {
        row(section("## Keys"), name);
    }
    for (definition, heading) in [
        ("SearchConfig", "## Search"),
        ("NumericConfig", "## Preparation"),
        ("CategoricalConfig", "## Preparation"),
        ("Resampling", "## Resampling"),
    ] {
        for name in schema["$defs"][definition]["properties"]
            .as_object()
            .unwrap()
            .keys()
        {
            row(section(heading), name);
        }
    }
    for definition in [
        "ResamplingMethod",
        "SearchMethod",
        "Folds",
        "HalvingResource",
        "NumericImputer",
        "Scaler",
        "NeighborWeights",
        "CategoricalImputer",
        "TextEncoding",
        "DatePart",
        "OneHotDrop",
        "CalibrationMethod",
        "ColumnType",
        "GrowPolicy",
        "KernelKind",
        "NumberLoss",
    ] {
        let known = words(&schema["$defs"][definition]);
        assert!(!known.is_empty(), "{definition}: {}", schema["$defs"][definition]);
        for word in known {
            let is_told = PAGE.contains(&format!("`{word}`")) || PAGE.contains(&format!("`{{ {word}: "));
            assert!(is_told, "{definition}: {word} is not in the page");
        }
    }
}

/// The words of an enum.
fn words(schema: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    let variants = schema["oneOf"].as_array().into_iter().flatten();
    for variant in variants.chain([schema]) {
        found.extend(
            variant["enum"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str),
        );
        found.extend(variant.get("const").and_then(Value::as_str));
        found.extend(
            variant["properties"]
                .as_object()
                .into_iter()
                .flat_map(Map::keys)
                .map(String::as_str),
        );
    }
    found
}
