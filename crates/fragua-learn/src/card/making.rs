//! How the model was made, and of what.

use super::chart::strip;
use super::{Fact, ModelCard, Page, Training, code};
use crate::config::{Language, Task};
use crate::feature::{Feature, FeatureKind};
use crate::metrics::Interval;
use crate::picture::escape;
use serde_json::Value;

/// Rows of a table that are seen at once.
const MAX_ROWS: usize = 20;

impl ModelCard<'_> {
    pub(super) fn search_section(&self, page: &mut Page) {
        let words = page.words;
        let Some(Training { config, report }) = self.training else {
            return;
        };
        let best = report.best_candidate();
        let name = best.scoring.name();
        let metric = escape(&words.metric(name));
        let folds = config.search.cv;
        let lead = match (words.0, report.candidates.len()) {
            (Language::English, 1) => format!(
                "One set of parameters was scored by “{metric}” on {folds} folds of the rows that are learned from, then fitted \
                 on all of them."
            ),
            (Language::Spanish, 1) => format!(
                "Un conjunto de parámetros se midió según «{metric}» en {folds} pliegues de las filas de las que aprende y \
                 después se ajustó con todas."
            ),
            (Language::English, count) => format!(
                "{count} sets of parameters were compared by “{metric}” on {folds} folds of the rows that are learned from; the \
                 best one was fitted on all of them."
            ),
            (Language::Spanish, count) => format!(
                "Se compararon {count} conjuntos de parámetros según «{metric}» en {folds} pliegues de las filas de las que \
                 aprende; el mejor se ajustó con todas."
            ),
        };
        page.open("search", page.say("Search", "Búsqueda"), &lead);
        let turn = |score: f64| if name.starts_with("neg_") { -score } else { score };
        let mut ranked: Vec<_> = report.candidates.iter().collect();
        ranked.sort_by(|one, two| one.by_rank(two));
        let ends = || {
            ranked
                .iter()
                .flat_map(|candidate| [candidate.mean - candidate.std, candidate.mean + candidate.std])
        };
        let (one, two) = (
            turn(ends().filter(|end| end.is_finite()).fold(f64::MAX, f64::min)),
            turn(ends().filter(|end| end.is_finite()).fold(f64::MIN, f64::max)),
        );
        let range = (one.min(two), one.max(two));
        let rows: Vec<Vec<String>> = ranked
            .iter()
            .map(|candidate| {
                let mean = turn(candidate.mean);
                let interval = Interval {
                    low: mean - candidate.std,
                    high: mean + candidate.std,
                };
                let params = candidate.params.to_map();
                let params: Vec<String> = params
                    .iter()
                    .filter(|(key, value)| *key != "model" && *value != "{}")
                    .map(|(key, value)| match value.parse::<f64>() {
                        // A number that was drawn has more digits than anybody reads.
                        Ok(number) if value.len() > 8 => format!(
                            "{}=<span title=\"{}\">{}</span>",
                            escape(key),
                            escape(value),
                            words.number(number)
                        ),
                        _ => format!("{}={}", escape(key), escape(value)),
                    })
                    .collect();
                let badge = if candidate.index == report.best {
                    format!(
                        " <span class=\"badge good\">{}</span>",
                        page.say("best", "el mejor")
                    )
                } else if candidate.stopped.is_some() {
                    format!(
                        " <span class=\"badge\">{}</span>",
                        page.say("given up early", "descartado pronto")
                    )
                } else {
                    String::new()
                };
                vec![
                    format!("{}{badge}", escape(&words.model(candidate.params.model_name()))),
                    words.figure(mean),
                    words.figure(candidate.std),
                    strip(range, mean, Some(interval), None),
                    format!("<span class=\"params\">{}</span>", params.join(" · ")),
                ]
            })
            .collect();
        let heads = [
            page.say("Model", "Modelo"),
            page.say("#Mean", "#Media"),
            page.say("#Deviation", "#Desviación"),
            "",
            page.say("Parameters", "Parámetros"),
        ];
        let (seen, rest) = rows.split_at(rows.len().min(MAX_ROWS));
        page.table(&heads, seen);
        if !rest.is_empty() {
            let more = format!("{} {}", rest.len(), page.say("more", "más"));
            page.body.push_str(&format!("<details><summary>{more}</summary>"));
            page.table(&heads, rest);
            page.body.push_str("</details>");
        }
        page.close();
    }

    pub(super) fn data_section(&self, page: &mut Page) {
        let words = page.words;
        let pipeline = self.pipeline;
        let lead = match (words.0, self.training) {
            (Language::English, Some(Training { report, .. })) => format!(
                "{} were learned from, {} held out. Ranges and texts are those that were learned from.",
                words.rows(report.train_rows.len()),
                words.rows(report.test_rows.len())
            ),
            (Language::Spanish, Some(Training { report, .. })) => format!(
                "Aprendió de {}; se apartaron {}. Los rangos y textos son aquellos de los que aprendió.",
                words.rows(report.train_rows.len()),
                words.rows(report.test_rows.len())
            ),
            (Language::English, None) => "Ranges and texts are those that the model learned from.".to_owned(),
            (Language::Spanish, None) => {
                "Los rangos y textos son aquellos de los que el modelo aprendió.".to_owned()
            }
        };
        page.open(
            "data",
            page.say("Data and preparation", "Datos y preparación"),
            &lead,
        );
        let rows: Vec<Vec<String>> = pipeline
            .features()
            .iter()
            .map(|feature| feature_row(page, feature))
            .collect();
        let heads = [
            page.say("Column", "Columna"),
            page.say("Kind", "Tipo"),
            page.say("Values", "Valores"),
            page.say("Gaps", "Huecos"),
        ];
        let (seen, rest) = rows.split_at(rows.len().min(MAX_ROWS));
        page.table(&heads, seen);
        if !rest.is_empty() {
            let more = format!("{} {}", rest.len(), page.say("more columns", "columnas más"));
            page.body.push_str(&format!("<details><summary>{more}</summary>"));
            page.table(&heads, rest);
            page.body.push_str("</details>");
        }
        if let Some(training) = self.training {
            preparation(page, training);
        }
        page.close();
    }

    pub(super) fn origin_section(&self, page: &mut Page) {
        page.open("origin", page.say("Origin", "Origen"), "");
        let mut facts: Vec<(&str, String)> = Vec::new();
        if !self.made_at.is_empty() {
            facts.push((page.say("Card made", "Ficha hecha"), escape(&self.made_at)));
        }
        for (fact, value) in &self.facts {
            let name = match fact {
                Fact::Run => page.say("Run", "Ejecución"),
                Fact::Experiment => page.say("Experiment", "Experimento"),
                Fact::DagRun => page.say("DAG run", "Ejecución del DAG"),
                Fact::Rows => page.say("Rows from", "Filas de"),
                Fact::Digest => page.say("Digest of the rows", "Huella de las filas"),
                Fact::Model => page.say("Model", "Modelo"),
            };
            facts.push((name, code(value)));
        }
        let task = match self.pipeline.task() {
            Task::Classification => page.say("classification", "clasificación"),
            Task::Regression => page.say("regression", "regresión"),
        };
        facts.push((
            page.say("Target", "Objetivo"),
            format!("{} ({task})", code(self.pipeline.target())),
        ));
        if let Some(Training { config, .. }) = self.training {
            facts.push((page.say("Seed", "Semilla"), code(&config.seed.to_string())));
        }
        page.body.push_str("<dl>");
        for (name, value) in facts {
            page.body.push_str(&format!("<dt>{name}</dt><dd>{value}</dd>"));
        }
        page.body.push_str("</dl>");
        if let Some(Training { config, .. }) = self.training {
            let text = serde_json::to_string_pretty(config).unwrap_or_default();
            let name = page.say("The whole configuration", "La configuración entera");
            page.body.push_str(&format!(
                "<details><summary>{name}</summary><pre>{}</pre></details>",
                escape_lines(&text)
            ));
        }
        page.close();
    }
}

/// Text with its line breaks, for a block of code.
fn escape_lines(text: &str) -> String {
    text.lines().map(escape).collect::<Vec<_>>().join("\n")
}

fn feature_row(page: &Page, feature: &Feature) -> Vec<String> {
    let words = page.words;
    let (kind, values) = match feature.kind {
        FeatureKind::Category => {
            let count = feature.categories.len();
            let first: Vec<String> = feature
                .categories
                .iter()
                .take(4)
                .map(|text| escape(text))
                .collect();
            let more = if count > 4 { ", …" } else { "" };
            let values = format!(
                "{} <span class=\"note\">{}{more}</span>",
                words.count(count),
                first.join(", ")
            );
            (page.say("text", "texto"), values)
        }
        FeatureKind::Integer | FeatureKind::Number => {
            let kind = match feature.kind {
                FeatureKind::Integer => page.say("whole number", "número entero"),
                _ => page.say("number", "número"),
            };
            let values = match (feature.minimum, feature.median, feature.maximum) {
                (Some(low), Some(middle), Some(high)) => format!(
                    "{} {} {} <span class=\"note\">{} {}</span>",
                    words.number(low),
                    page.say("to", "a"),
                    words.number(high),
                    page.say("median", "mediana"),
                    words.number(middle)
                ),
                _ => "–".to_owned(),
            };
            (kind, values)
        }
    };
    let gaps = if feature.has_missing {
        page.say("yes", "sí")
    } else {
        page.say("none", "ninguno")
    };
    vec![code(&feature.name), kind.to_owned(), values, gaps.to_owned()]
}

/// What happened to the columns and rows before the model.
fn preparation(page: &mut Page, Training { config, report }: Training<'_>) {
    let named = |value: Value| match value {
        Value::String(text) => code(&text),
        other => code(&other.to_string()),
    };
    let name_of = |value: serde_json::Result<Value>| named(value.unwrap_or_default());
    let features = report.pipeline.features();
    let has = |is_text: bool| {
        features
            .iter()
            .any(|feature| (feature.kind == FeatureKind::Category) == is_text)
    };
    let mut steps: Vec<(&str, String)> = Vec::new();
    let prepared = &config.preparation;
    if has(false) {
        let filled = name_of(serde_json::to_value(prepared.numeric.imputer));
        steps.push((page.say("Missing numbers", "Números que faltan"), filled));
        if !report.pipeline.has_trees() {
            let scaled = name_of(serde_json::to_value(prepared.numeric.scaler));
            steps.push((page.say("Scaling", "Escala"), scaled));
        }
    }
    if has(true) {
        let filled = name_of(serde_json::to_value(prepared.categorical.imputer));
        steps.push((page.say("Missing texts", "Textos que faltan"), filled));
        let encoded = name_of(serde_json::to_value(prepared.categorical.encoding));
        steps.push((page.say("Texts as", "Textos como"), encoded));
    }
    if !prepared.columns.is_empty() {
        let count = prepared.columns.len().to_string();
        steps.push((
            page.say(
                "Columns prepared in their own way",
                "Columnas preparadas a su manera",
            ),
            count,
        ));
    }
    if !config.resampling.is_empty() {
        let methods = config
            .resampling
            .iter()
            .map(|step| name_of(serde_json::to_value(step.method)));
        steps.push((
            page.say("Resampling", "Remuestreo"),
            methods.collect::<Vec<_>>().join(", "),
        ));
    }
    if let Some(weight) = &config.weight {
        steps.push((page.say("Rows weighed by", "Filas ponderadas por"), code(weight)));
    }
    if let Some(method) = config.calibrate {
        steps.push((
            page.say("Probabilities calibrated by", "Probabilidades calibradas con"),
            code(method.name()),
        ));
    }
    let share = page.words.percent(config.split.test_size);
    steps.push((page.say("Held out", "Apartado"), share));
    page.body.push_str(&format!(
        "<h3>{}</h3><dl>",
        page.say("Preparation", "Preparación")
    ));
    for (name, value) in steps {
        page.body.push_str(&format!("<dt>{name}</dt><dd>{value}</dd>"));
    }
    page.body.push_str("</dl>");
}
