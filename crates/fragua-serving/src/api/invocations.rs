//! `POST /invocations`: MLflow's scoring protocol.

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Refusal;
use super::admission::{Admitted, Answer, Manner, answer};
use crate::frame::{FrameError, rows_of_csv, rows_of_json, rows_of_parquet};
use crate::metrics::Route;
use crate::model::Predictions;
use crate::model_ref::ModelRef;
use crate::{Error, Serving};

pub(super) async fn invocations(State(serving): State<Serving>, request: Request) -> Response {
    of_model(serving, None, request).await
}

pub(super) async fn of_model(
    serving: Serving,
    model: Option<Result<ModelRef, Error>>,
    request: Request,
) -> Response {
    let manner = Manner {
        route: Route::Invocations,
        body_limit: serving.settings().max_body_bytes,
        refuse: Refusal::into_response,
    };
    answer(serving, model, manner, request, predict_frame).await
}

/// The forms of a body that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Parquet,
}

fn predict_frame(admitted: Admitted) -> Answer {
    let content_type = admitted.parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let form = match form_of(content_type) {
        Ok(form) => form,
        Err(refusal) => {
            return Answer::refusal((StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal).into_response());
        }
    };
    let model = &admitted.model;
    let settings = admitted.serving.settings();
    let max_rows = settings.max_rows;
    let rows = match form {
        Form::Json => rows_of_json(&model.features, &admitted.body, max_rows),
        Form::Csv => rows_of_csv(&model.features, &admitted.body, max_rows),
        Form::Parquet => rows_of_parquet(
            &model.features,
            admitted.body,
            max_rows,
            settings.max_unpacked_bytes(),
        ),
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) => return Answer::refusal(refusal(error, max_rows)),
    };
    match model.predict(&rows) {
        Ok(predictions) => Answer::warned(frame_body(&predictions), rows, predictions),
        Err(error) => Answer::refusal(error.into_response()),
    }
}

/// Decides by the content type; `Err` holds the text of the 415 answer.
fn form_of(content_type: &str) -> Result<Form, String> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts.filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !name.trim().eq_ignore_ascii_case("charset") {
            return Err(format!("unrecognized content type parameter: {}", name.trim()));
        }
        if !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8") {
            return Err("only UTF-8 is supported as charset".to_owned());
        }
    }
    match essence.as_str() {
        "application/json" => Ok(Form::Json),
        "text/csv" => Ok(Form::Csv),
        "application/vnd.apache.parquet" => Ok(Form::Parquet),
        other => Err(format!(
            "content type {other:?} is not supported; send application/json, text/csv or application/vnd.apache.parquet"
        )),
    }
}

fn refusal(error: FrameError, max_rows: usize) -> Response {
    let (code, message) = match error {
        FrameError::BadRequest(message) => ("BAD_REQUEST", message),
        FrameError::MissingColumns(message) => ("INVALID_PARAMETER_VALUE", message),
        FrameError::TooManyRows(rows) => {
            let error = Error::TooManyRows {
                rows,
                limit: max_rows,
            };
            return error.into_response();
        }
    };
    let body = json!({ "error_code": code, "message": message });
    (StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
}

/// Renders the frame that `mlflow.pyfunc` makes of our ONNX models, as records: the class, then the probabilities.
fn frame_body(predictions: &Predictions) -> Response {
    // `, "name": ` for each output; the first one of a record needs no comma.
    let keys: Vec<String> = predictions
        .model
        .outputs
        .iter()
        .map(|name| format!(", {}: ", json!(name)))
        .collect();
    let Some((label_key, probability_keys)) = keys.split_first() else {
        return Error::Internal("a model without outputs was loaded".to_owned()).into_response();
    };
    let length = 32 + predictions.labels.len() * (16 + keys.len() * 24);
    let mut body = Vec::with_capacity(length);
    match write_records(&mut body, predictions, label_key, probability_keys) {
        Ok(()) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => Error::Internal(error.to_string()).into_response(),
    }
}

fn write_records(
    body: &mut Vec<u8>,
    predictions: &Predictions,
    label_key: &str,
    probability_keys: &[String],
) -> serde_json::Result<()> {
    body.extend_from_slice(b"{\"predictions\": [");
    for (row, label) in predictions.labels.iter().enumerate() {
        body.extend_from_slice(if row == 0 { b"{" } else { b", {" });
        body.extend_from_slice(label_key.trim_start_matches(", ").as_bytes());
        serde_json::to_writer(&mut *body, label)?;
        for (key, probability) in probability_keys.iter().zip(predictions.probabilities(row)) {
            body.extend_from_slice(key.as_bytes());
            serde_json::to_writer(&mut *body, &f64::from(*probability))?;
        }
        body.push(b'}');
    }
    body.extend_from_slice(b"]}");
    Ok(())
}
