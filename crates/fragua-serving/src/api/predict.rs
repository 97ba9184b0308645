//! `POST /predict`: one flat record in, one class out, as the old stack's API did it.

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::SerializeMap as _;
use serde_json::Value;

use super::Refusal;
use super::admission::{Admitted, Answer, Manner, answer};
use super::validation::{Unprocessable, bad_flag, check_body};
use crate::aftermath::Predicted;
use crate::metrics::Route;
use crate::model::{Explanation, Predictions, UnknownCategory};
use crate::model_ref::ModelRef;
use crate::row::boolean_in;
use crate::{Error, Serving};

/// A record is small, and an answer may repeat it once a missing field.
const MAX_RECORD_BYTES: usize = 256 * 1024;

pub(super) async fn predict(State(serving): State<Serving>, request: Request) -> Response {
    of_model(serving, None, request).await
}

pub(super) async fn of_model(
    serving: Serving,
    model: Option<Result<ModelRef, Error>>,
    request: Request,
) -> Response {
    let manner = Manner {
        route: Route::Predict,
        body_limit: serving.settings().max_body_bytes.min(MAX_RECORD_BYTES),
        refuse: Refusal::into_response,
    };
    answer(serving, model, manner, request, predict_record).await
}

fn predict_record(admitted: Admitted) -> Answer {
    let Admitted {
        model, parts, body, ..
    } = admitted;
    let flags = flag(&parts, "proba").and_then(|proba| Ok((proba, flag(&parts, "explain")?)));
    let (with_probabilities, explained) = match flags {
        Ok(flags) => flags,
        Err(refusal) => return Answer::refusal(refusal.into_response()),
    };
    let is_json = is_json(&parts);
    let fast = if is_json { model.read_record(&body) } else { None };
    let row = match fast.map_or_else(|| check_body(&model, is_json, &body), Ok) {
        Ok(row) => row,
        Err(refusal) => return Answer::refusal(refusal.into_response()),
    };
    let rows = vec![row];
    let explanation = match explained.then(|| model.explain(&rows)).transpose() {
        Ok(explanations) => explanations.and_then(|explanations| explanations.into_iter().next()),
        Err(error) => return Answer::refusal(error.into_response()),
    };
    match model.predict(&rows) {
        Ok(predictions) => Answer {
            response: axum::Json(PredictionBody {
                predictions: &predictions,
                with_probabilities,
                explanation: explanation.as_ref(),
                unknown: &model.unknown_categories(&rows),
            })
            .into_response(),
            predicted: Some(Predicted { rows, predictions }),
        },
        Err(error) => Answer::refusal(error.into_response()),
    }
}

/// `{"Prediction": …, "Model Version": …}`, with `"Probabilities"`, `"Contributions"` and `"Baseline"` on demand, and
/// with `"Warnings"` where training has not seen a text of the row.
struct PredictionBody<'a> {
    predictions: &'a Predictions,
    with_probabilities: bool,
    explanation: Option<&'a Explanation>,
    unknown: &'a [UnknownCategory],
}

impl Serialize for PredictionBody<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let model = &self.predictions.model;
        let mut body = serializer.serialize_map(None)?;
        body.serialize_entry("Prediction", &self.predictions.labels.first())?;
        body.serialize_entry("Model Version", &model.version_value())?;
        if self.with_probabilities {
            let probabilities = model.labels.iter().zip(self.predictions.probabilities(0));
            let by_label: serde_json::Map<String, Value> = probabilities
                .map(|(label, probability)| (label.to_string(), Value::from(f64::from(*probability))))
                .collect();
            body.serialize_entry("Probabilities", &by_label)?;
        }
        if let Some(explanation) = self.explanation {
            let by_name: serde_json::Map<String, Value> = explanation
                .contributions
                .iter()
                .map(|(name, contribution)| (name.clone(), Value::from(*contribution)))
                .collect();
            body.serialize_entry("Contributions", &by_name)?;
            body.serialize_entry("Baseline", &explanation.base)?;
        }
        if !self.unknown.is_empty() {
            let warnings: Vec<String> = self.unknown.iter().map(ToString::to_string).collect();
            body.serialize_entry("Warnings", &warnings)?;
        }
        body.end()
    }
}

/// FastAPI reads a body as JSON when its type says so; any other body is a text to it.
fn is_json(parts: &Parts) -> bool {
    let Some(content_type) = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let Some(subtype) = essence.strip_prefix("application/") else {
        return false;
    };
    subtype == "json" || subtype.ends_with("+json")
}

/// Reads a boolean of the query by pydantic's rules; one that is not there is false.
fn flag(parts: &Parts, name: &str) -> Result<bool, Unprocessable> {
    let query = parts.uri.query().unwrap_or_default();
    let value = url::form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value)
        .last();
    match value {
        None => Ok(false),
        Some(value) => boolean_in(&value).ok_or_else(|| bad_flag(name, &value)),
    }
}
