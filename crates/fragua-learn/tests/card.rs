//! The model card: whole, harmless whatever the rows hold, in two languages.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

use fragua_learn::card::Fact;
use fragua_learn::config::{IntervalConfig, Language};
use fragua_learn::{
    Categorical, Column, MISSING_CODE, ModelCard, NoProgress, Table, TrainConfig, TrainReport, judge,
    judge_pipeline, train,
};
use serde_json::{Value, json};

const ROWS: usize = 240;
/// What somebody might put in a cell, a name or a title.
const FOREIGN: &str = "<script>alert('x')</script>&\"";

fn texts(words: &[&str], code: impl Fn(usize) -> Option<u32>) -> Column {
    let dictionary = words.iter().map(|word| (*word).to_owned()).collect();
    let codes = (0..ROWS).map(|row| code(row).unwrap_or(MISSING_CODE)).collect();
    Column::Categorical(Categorical::new(dictionary, codes).unwrap())
}

fn table() -> Table {
    let size = |row: usize| (row * 37 % 101) as f64 / 10.0;
    let place = |row: usize| (row * 13 % 3) as u32;
    Table::new(vec![
        (
            format!("size {FOREIGN}"),
            Column::Numeric((0..ROWS).map(size).collect()),
        ),
        (
            format!("place {FOREIGN}"),
            texts(&[FOREIGN, "b", "c"], |row| (row % 9 != 4).then_some(place(row))),
        ),
        (
            format!("kind {FOREIGN}"),
            texts(&["no", FOREIGN, "maybe"], |row| {
                Some((size(row) as u32 / 3).min(2).max(u32::from(place(row) == 1)))
            }),
        ),
        (
            "half".into(),
            texts(&["no", FOREIGN], |row| Some(u32::from(size(row) > 5.0))),
        ),
        (
            format!("price {FOREIGN}"),
            Column::Numeric(
                (0..ROWS)
                    .map(|row| 1e4 * size(row) + f64::from(place(row)))
                    .collect(),
            ),
        ),
    ])
    .unwrap()
}

fn trained(target: &str, extra: Value) -> (TrainConfig, TrainReport) {
    let features = [format!("size {FOREIGN}"), format!("place {FOREIGN}")];
    let mut config = json!({
        "target": target, "features": features, "search": { "n_iter": 2, "cv": 2 }, "intervals": { "resamples": 20 },
        "candidates": [{ "model": "random_forest", "n_estimators": 5, "max_depth": [2, 4] }],
        "judge": { "learning_curve": { "shares": [0.5, 1.0] }, "slices": { "min_rows": 5 } },
    });
    for (key, value) in extra.as_object().unwrap() {
        config[key] = value.clone();
    }
    let config: TrainConfig = serde_json::from_value(config).unwrap();
    let report = train(&table(), &config, &NoProgress).unwrap();
    (config, report)
}

fn card(target: &str, extra: Value) -> String {
    let (config, report) = trained(target, extra);
    let judgement = judge(&table(), &config, &report, &NoProgress).unwrap();
    ModelCard::of_training(FOREIGN, &config, &report, &judgement)
        .made_at("2026-01-31 12:00 UTC")
        .fact(Fact::Rows, FOREIGN)
        .to_html()
}

fn cards() -> Vec<String> {
    let kind = format!("kind {FOREIGN}");
    let price = format!("price {FOREIGN}");
    let spanish = json!({ "learning_curve": { "shares": [0.5, 1.0] }, "language": "es" });
    let linear = json!([{ "model": "linear_regression" }, { "model": "gradient_boosting", "n_estimators": 5, "min_samples_leaf": 5 }]);
    let (_, report) = trained(&kind, json!({}));
    let evaluation = report
        .pipeline
        .evaluate_with_intervals(&table(), &IntervalConfig::default(), 1)
        .unwrap();
    let judgement =
        judge_pipeline(&report.pipeline, &table(), &TrainConfig::new(&kind), &NoProgress).unwrap();
    let evaluated = ModelCard::of_evaluation(
        FOREIGN,
        &report.pipeline,
        &evaluation,
        &judgement,
        Language::Spanish,
    );
    vec![
        card(&kind, json!({})),
        card(
            &kind,
            json!({ "judge": spanish, "candidates": [{ "model": "logistic_regression" }] }),
        ),
        card("half", json!({ "calibrate": "isotonic", "judge": spanish })),
        card(&price, json!({ "task": "regression", "candidates": linear })),
        card(
            &price,
            json!({ "task": "regression", "candidates": linear, "judge": spanish, "search": { "n_iter": 1, "cv": 2, "scoring": "neg_mean_absolute_error" } }),
        ),
        evaluated.to_html(),
    ]
}

/// The tags of a page, without attributes; panics where one does not end.
fn tags(html: &str) -> Vec<&str> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(begin) = rest.find('<') {
        let end = begin + rest[begin..].find('>').expect("a tag ends");
        tags.push(&rest[begin + 1..end]);
        rest = &rest[end + 1..];
    }
    tags
}

#[test]
fn every_element_ends_where_it_should() {
    for html in cards() {
        let mut open: Vec<&str> = Vec::new();
        for tag in tags(&html) {
            let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap();
            if let Some(ended) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(ended), "in {open:?}");
            } else if !tag.ends_with('/') && !["meta", "!DOCTYPE"].contains(&name) {
                open.push(name);
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }
}

#[test]
fn nothing_runs_and_nothing_comes_from_outside() {
    for html in cards() {
        let tags = tags(&html);
        for tag in &tags {
            let name = tag.trim_start_matches('/').split(' ').next().unwrap();
            assert!(
                ![
                    "script",
                    "link",
                    "iframe",
                    "img",
                    "image",
                    "object",
                    "use",
                    "a href=\"h"
                ]
                .contains(&name),
                "{tag}"
            );
            let runs = |part: &str| part.starts_with("on") && part.contains('=');
            assert!(
                !tag.split(' ').any(runs) && !tag.contains("src=") && !tag.contains("javascript:"),
                "{tag}"
            );
        }
        for outside in ["http://", "https://", "url(", "@import", "alert('x')"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;"));
        assert!(html.contains("prefers-color-scheme:dark"));
        assert!(html.contains("<meta name=\"viewport\""));
        for number in ["NaN", "inf,", ">inf<", "\"inf"] {
            assert!(!html.contains(number), "{number}");
        }
    }
}

#[test]
fn what_was_found_is_told_in_the_reader_s_language() {
    let cards = cards();
    let titles = |html: &str| -> Vec<String> {
        let parts = html.split("<h2>").skip(1);
        parts
            .map(|part| part.split("</h2>").next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        titles(&cards[0]),
        [
            "Metrics",
            "Classes",
            "Calibration",
            "What it looks at",
            "Partial dependence",
            "Slices",
            "Learning curve",
            "Limits",
            "Search",
            "Data and preparation",
            "Origin"
        ]
    );
    assert_eq!(
        titles(&cards[4]),
        [
            "Métricas",
            "Errores",
            "En qué se fija",
            "Dependencia parcial",
            "Segmentos",
            "Curva de aprendizaje",
            "Límites",
            "Búsqueda",
            "Datos y preparación",
            "Origen"
        ]
    );
    assert_eq!(
        titles(&cards[5]),
        [
            "Métricas",
            "Clases",
            "Calibración",
            "En qué se fija",
            "Dependencia parcial",
            "Segmentos",
            "Límites",
            "Datos y preparación",
            "Origen"
        ]
    );
    assert!(cards[0].contains("<html lang=\"en\">") && cards[1].contains("<html lang=\"es\">"));
    assert!(cards[2].contains("calibradas: isotonic"));
    for (english, spanish) in [
        ("Most frequent mistakes", "Errores más frecuentes"),
        ("baseline", "referencia"),
    ] {
        assert!(cards[0].contains(english) && !cards[0].contains(spanish));
        assert!(
            cards[1].contains(spanish) && !cards[1].contains(english),
            "{english}"
        );
    }
}
