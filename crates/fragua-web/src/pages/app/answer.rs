//! What a model answers for a row, and why.

use std::sync::Arc;

use fragua_base::ErrorKind;
use fragua_serving::TrainingProfile;
use fragua_serving::{Label, LoggedPrediction, Row, ServedModel, Serving};
use serde_json::{Map, Value};

use super::fields::{parameter, plain};
use crate::chart::{self, Bar};
use crate::format;
use crate::page::{Page, encode};
use crate::waterfall::{Waterfall, waterfall};

/// Below this distance between the two likeliest classes the page says that it was close.
const CLOSE_CALL: f64 = 0.1;
/// Columns whose contribution is drawn by itself.
const MOST_STEPS: usize = 10;
/// Training rows that are shown beside a new one.
const SIMILAR_ROWS: usize = 5;
/// Columns of such a row: those that count most.
const SIMILAR_COLUMNS: usize = 8;
/// Classes with a bar.
const MOST_BARS: usize = 20;

pub(super) struct Answer {
    pub(super) label: String,
    /// The probability of the predicted class, in words.
    pub(super) confidence: String,
    /// Whether the answer is one of some classes.
    pub(super) is_class: bool,
    pub(super) is_close: bool,
    pub(super) bars: Vec<Bar>,
}

impl Answer {
    pub(super) fn of(labels: &[Label], label: String, probabilities: &[f32]) -> Self {
        let names = labels.iter().map(ToString::to_string);
        let shares: Vec<(String, f64)> = names.zip(probabilities.iter().copied().map(f64::from)).collect();
        let mut sorted: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
        sorted.sort_by(|one, other| other.total_cmp(one));
        let confidence = shares.iter().find(|(name, _)| *name == label);
        let mut bars = chart::shares(&shares);
        bars.truncate(MOST_BARS);
        Self {
            is_close: matches!(sorted[..], [first, second, ..] if first - second < CLOSE_CALL),
            confidence: confidence.map_or_else(String::new, |(_, share)| format::percent(*share)),
            is_class: !labels.is_empty(),
            bars,
            label,
        }
    }

    pub(super) fn of_logged(model: Option<&ServedModel>, logged: &LoggedPrediction) -> Self {
        let labels = model.map_or(&[][..], |model| &model.labels);
        let mut answer = Self::of(labels, written(&logged.prediction), &logged.probabilities);
        answer.is_class |= !logged.probabilities.is_empty();
        answer
    }
}

/// Writes an answer as people read it.
pub(super) fn written(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if !value.is_i64() && !value.is_u64() => format::number(number),
        _ => plain(value),
    }
}

/// Why a row got its answer.
pub(super) struct Why {
    pub(super) waterfall: Option<Waterfall>,
    /// Why nothing is drawn.
    pub(super) note: String,
    pub(super) similar: Option<Similar>,
}

/// Training rows that are like a new one.
pub(super) struct Similar {
    pub(super) columns: Vec<(String, String)>,
    pub(super) target: String,
    pub(super) rows: Vec<SimilarRow>,
    pub(super) of: u64,
}

pub(super) struct SimilarRow {
    pub(super) cells: Vec<(String, bool)>,
    pub(super) truth: String,
    /// How alike, as a percentage.
    pub(super) likeness: String,
    pub(super) is_same: bool,
}

impl Why {
    pub(super) async fn of(
        serving: &Serving,
        model: &Arc<ServedModel>,
        row: Row,
        record: &Map<String, Value>,
        answer: &Answer,
    ) -> Self {
        let explained = serving.explain_with(Arc::clone(model), vec![row]).await;
        let own = |name: &str| record.get(name).map_or_else(String::new, plain);
        let (contributions, waterfall, note) = match explained.map(|mut all| all.pop()) {
            Ok(Some(explanation)) => {
                let drawn = waterfall(explanation.base, &explanation.contributions, MOST_STEPS, own);
                (explanation.contributions, Some(drawn), String::new())
            }
            Ok(None) => (Vec::new(), None, String::new()),
            Err(error) => {
                if error.kind() == ErrorKind::Internal {
                    tracing::error!(%error, "an answer could not be explained");
                }
                let note = if error.kind() == ErrorKind::Internal {
                    String::new()
                } else {
                    error.to_string()
                };
                (Vec::new(), None, note)
            }
        };
        let profile = model.profile.as_deref();
        Self {
            waterfall,
            note,
            similar: profile.and_then(|profile| similar(profile, record, &contributions, answer)),
        }
    }
}

fn similar(
    profile: &TrainingProfile,
    record: &Map<String, Value>,
    contributions: &[(String, f64)],
    answer: &Answer,
) -> Option<Similar> {
    let row: Vec<Value> = profile
        .features
        .iter()
        .map(|column| match record.get(&column.name) {
            Some(Value::Bool(boolean)) => Value::from(u8::from(*boolean)),
            Some(value) => value.clone(),
            None => Value::Null,
        })
        .collect();
    let found = profile.similar(&row, SIMILAR_ROWS);
    if found.is_empty() {
        return None;
    }
    let weight = |name: &str| {
        let known = contributions.iter().find(|(known, _)| known == name);
        known.map_or(0.0, |(_, value)| value.abs())
    };
    let mut chosen: Vec<usize> = (0..profile.features.len()).collect();
    let by_weight = |one: &usize, two: &usize| {
        weight(&profile.features[*two].name).total_cmp(&weight(&profile.features[*one].name))
    };
    chosen.sort_by(by_weight);
    chosen.truncate(SIMILAR_COLUMNS);
    let rows = found.iter().map(|similar| {
        let truth = written(&similar.row.target);
        SimilarRow {
            cells: chosen
                .iter()
                .map(|&column| {
                    (
                        cell(&similar.row.values[column]),
                        same(&similar.row.values[column], &row[column]),
                    )
                })
                .collect(),
            is_same: truth == answer.label,
            likeness: format::percent(1.0 - similar.distance),
            truth,
        }
    });
    Some(Similar {
        columns: chosen
            .iter()
            .map(|&column| (profile.features[column].name.clone(), cell(&row[column])))
            .collect(),
        target: profile.target.name.clone(),
        rows: rows.collect(),
        of: profile.sample.len() as u64,
    })
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        value => written(value),
    }
}

fn same(one: &Value, two: &Value) -> bool {
    match (one.as_f64(), two.as_f64()) {
        (Some(one), Some(two)) => (one - two).abs() < 1e-9,
        _ => one == two,
    }
}

/// The same question for a program, and as a link.
pub(super) struct Request {
    pub(super) curl: Option<String>,
    pub(super) share_address: String,
}

impl Request {
    pub(super) fn of(
        serving: &Serving,
        page: &Page,
        path: &str,
        spelled: &str,
        record: &Map<String, Value>,
    ) -> Self {
        let body = serde_json::to_string_pretty(record).unwrap_or_default();
        // A quote inside single quotes of a shell: close, escape, open again.
        let quoted = body.replace('\'', r"'\''");
        let key = match serving.requires_keys() {
            true => "  -H \"Authorization: Bearer $FRAGUA_SERVING_KEY\" \\\n",
            false => "",
        };
        let curl = page.at_serving(path).map(|address| {
            format!("curl -s {address} \\\n{key}  -H 'content-type: application/json' \\\n  -d '{quoted}'")
        });
        Self {
            curl,
            share_address: format!("{}?{}", base(page), query(spelled, record)),
        }
    }
}

/// Returns the address of the app as others reach it.
pub(super) fn base(page: &Page) -> String {
    page.at_app("/").unwrap_or_else(|| "/".to_owned())
}

/// Returns the parameters that fill the form with a record.
pub(super) fn query(spelled: &str, record: &Map<String, Value>) -> String {
    let model = (!spelled.is_empty()).then(|| format!("model={}", encode(spelled)));
    let fields = record
        .iter()
        .map(|(name, value)| format!("{}={}", encode(&parameter(name)), encode(&plain(value))));
    model.into_iter().chain(fields).collect::<Vec<_>>().join("&")
}

/// What the reader thinks of an answer, or may say about it.
pub(super) struct Opinion {
    pub(super) action: String,
    pub(super) row: u32,
    pub(super) predicted: String,
    /// The classes to choose from; empty where the answer is a number.
    pub(super) choices: Vec<String>,
    pub(super) given: Option<Given>,
    pub(super) problem: String,
}

pub(super) struct Given {
    pub(super) label: String,
    pub(super) note: String,
    pub(super) is_right: bool,
    pub(super) at: fragua_base::Timestamp,
}

impl Opinion {
    pub(super) fn new(id: &str, row: u32, model: Option<&ServedModel>, predicted: &str) -> Self {
        let labels = model.map_or(&[][..], |model| &model.labels);
        Self {
            action: format!("/predictions/{}/feedback", encode(id)),
            row,
            predicted: predicted.to_owned(),
            choices: labels.iter().map(ToString::to_string).collect(),
            given: None,
            problem: String::new(),
        }
    }

    pub(super) fn of_logged(model: Option<&ServedModel>, logged: &LoggedPrediction) -> Self {
        let predicted = written(&logged.prediction);
        let given = logged.feedback.as_ref().map(|feedback| Given {
            label: written(&feedback.label),
            note: feedback.note.clone().unwrap_or_default(),
            is_right: feedback.label == logged.prediction,
            at: feedback.at,
        });
        Self {
            given,
            ..Self::new(&logged.request_id, logged.row, model, &predicted)
        }
    }
}
