//! One prediction from the log: what was asked, what was answered, why, and what turned out to be true.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::http::HeaderMap;
use axum::response::Response;
use fragua_base::{ErrorKind, Timestamp};
use fragua_serving::{Error as ServingError, LoggedPrediction};
use fragua_serving::{ModelRef, PredictionLog, RequestId, ServedModel};
use serde_json::Value;

use super::answer::{Answer, Opinion, Request, Why, query, written};
use super::fields::plain;
use super::lineage::Lineage;
use super::{App, remembered};
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form;
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::view::Crumb;

/// The log is written a moment after the answer: so often a page looks again, with this much time between.
const LOOKS: usize = 20;
const PAUSE: Duration = Duration::from_millis(100);
/// Longest note.
const MOST_NOTE: usize = 2_000;

#[derive(Template)]
#[template(path = "app/prediction.html")]
struct PredictionPage<'a> {
    page: &'a Page,
    crumbs: Vec<Crumb>,
    model: String,
    version: String,
    role: String,
    source: String,
    at: Timestamp,
    took: String,
    rows: Vec<RowLink>,
    inputs: Vec<(String, String)>,
    answer: Answer,
    why: Why,
    lineage: Option<Lineage>,
    opinion: Opinion,
    /// The form with these values.
    again_address: String,
    request: Option<Request>,
}

/// One of several rows of a request.
struct RowLink {
    number: u32,
    prediction: String,
    truth: String,
    address: String,
    is_here: bool,
}

pub(super) async fn show(
    State(app): State<App>,
    page: Page,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Response, Error> {
    let is_ours = remembered(&headers).contains(&id);
    let rows = rows(&app, &page, &id, is_ours).await?;
    let wanted = page.parameter("row").and_then(|row| row.parse().ok());
    answer(&app, &page, &id, rows, wanted.unwrap_or(0), String::new()).await
}

/// Takes down what turned out to be true.
pub(super) async fn feedback(
    State(app): State<App>,
    page: Page,
    Path(id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let field = |name: &str| form::value(&form, name).unwrap_or_default().trim();
    let row: u32 = field("row")
        .parse()
        .map_err(|_| Error::Invalid(page.t("form-unknown")))?;
    let logged = rows(&app, &page, &id, true).await?;
    let Some(found) = logged.iter().find(|logged| logged.row == row) else {
        return Err(missing(&page, &id));
    };
    let label = match field("do") {
        "right" => found.prediction.clone(),
        _ => match read_label(&found.prediction, field("label")) {
            Some(label) => label,
            None => {
                let problem = page.t(if field("label").is_empty() {
                    "feedback-missing"
                } else {
                    "field-not-number"
                });
                return answer(&app, &page, &id, logged, row, problem).await;
            }
        },
    };
    let note = format::shorten(field("note"), MOST_NOTE);
    let request_id = RequestId::parse(&id)?;
    let given = log(&app, &page)?
        .give_feedback(&request_id, row, label, Some(note))
        .await;
    match given {
        Ok(_) => Ok(see_other(&format!("/predictions/{}?row={row}", encode(&id)))),
        Err(error @ ServingError::InvalidField { .. }) => {
            answer(&app, &page, &id, logged, row, error.to_string()).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads a truth as it was typed: of the kind of the answer.
fn read_label(like: &Value, typed: &str) -> Option<Value> {
    match like {
        _ if typed.is_empty() => None,
        Value::Number(_) => match (typed.parse::<i64>(), typed.parse::<f64>()) {
            (Ok(whole), _) => Some(Value::from(whole)),
            (_, Ok(number)) if number.is_finite() => Some(Value::from(number)),
            _ => None,
        },
        Value::Bool(_) => typed.parse::<bool>().ok().map(Value::from),
        _ => Some(Value::from(typed)),
    }
}

fn log<'a>(app: &'a App, page: &Page) -> Result<&'a PredictionLog, Error> {
    let log = app.serving.log();
    log.ok_or_else(|| Error::Part {
        kind: ErrorKind::Conflict,
        message: page.t("kept-none"),
    })
}

fn missing(page: &Page, id: &str) -> Error {
    Error::Part {
        kind: ErrorKind::NotFound,
        message: page.t1("prediction-missing", "id", id),
    }
}

/// Returns the rows of a request that answered; waits a moment for those that were asked for just now.
async fn rows(app: &App, page: &Page, id: &str, is_new: bool) -> Result<Vec<LoggedPrediction>, Error> {
    let (log, request_id) = (log(app, page)?, RequestId::parse(id)?);
    for look in 0..LOOKS {
        let mut rows = log.prediction(&request_id).await?;
        rows.retain(|row| row.role != "shadow");
        if !rows.is_empty() {
            return Ok(rows);
        }
        if !is_new {
            break;
        }
        if look + 1 < LOOKS {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Err(missing(page, id))
}

/// Returns the version that answered, where it can be served now.
async fn model_of(app: &App, logged: &LoggedPrediction) -> Option<Arc<ServedModel>> {
    let reference = ModelRef::version(&logged.model, &logged.version).ok()?;
    let is_it = |model: &Arc<ServedModel>| model.name == logged.model && model.version == logged.version;
    if let Some(model) = app.serving.current().filter(is_it) {
        return Some(model);
    }
    app.serving
        .endpoint(&reference)
        .await
        .ok()?
        .current()
        .filter(is_it)
}

async fn answer(
    app: &App,
    page: &Page,
    id: &str,
    logged: Vec<LoggedPrediction>,
    wanted: u32,
    problem: String,
) -> Result<Response, Error> {
    let Some(shown) = logged.iter().find(|row| row.row == wanted).or(logged.first()) else {
        return Err(missing(page, id));
    };
    let model = model_of(app, shown).await;
    let answer = Answer::of_logged(model.as_deref(), shown);
    // What is kept of a row is a record again; gaps are null there and absent in a request.
    let mut record = shown.inputs.clone();
    record.retain(|_, value| !value.is_null());
    let row = model.as_ref().and_then(|model| model.check_record(&record).ok());
    let why = match (&model, row) {
        (Some(model), Some(row)) => Why::of(&app.serving, model, row, &record, &answer).await,
        _ => Why {
            waterfall: None,
            note: page.t1("version-gone", "version", &shown.version),
            similar: None,
        },
    };
    let spelled = format!("{}/{}", shown.model, shown.version);
    let lineage = match &model {
        Some(model) => Some(Lineage::of(app, page, model, None).await),
        None => None,
    };
    let path =
        ModelRef::version(&shown.model, &shown.version).map(|model| format!("{}/predict", model.path()));
    let mut opinion = Opinion::of_logged(model.as_deref(), shown);
    opinion.problem = problem;
    let number = shown.row;
    let links = logged.iter().map(|row| RowLink {
        number: row.row,
        prediction: written(&row.prediction),
        truth: row
            .feedback
            .as_ref()
            .map_or_else(String::new, |feedback| written(&feedback.label)),
        address: page.only("row", &row.row.to_string()),
        is_here: row.row == number,
    });
    let took = format::number((shown.took_microseconds as f64 / 100.0).round() / 10.0);
    render(&PredictionPage {
        page,
        crumbs: vec![
            Crumb::link(page.t("tab-history"), "/history"),
            Crumb::here(format::shorten(id, 13)),
        ],
        rows: if logged.len() > 1 {
            links.collect()
        } else {
            Vec::new()
        },
        inputs: shown
            .inputs
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        answer,
        why,
        lineage,
        opinion,
        again_address: format!("/?{}", query(&spelled, &record)),
        request: path
            .ok()
            .map(|path| Request::of(&app.serving, page, &path, &spelled, &record)),
        model: shown.model.clone(),
        version: shown.version.clone(),
        role: shown.role.clone(),
        source: shown.source.clone(),
        at: shown.at,
        took: format!("{took} ms"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::read_label;

    #[test]
    fn a_truth_is_of_the_kind_of_the_answer() {
        for (like, typed, expected) in [
            (json!(2), "3", Some(json!(3))),
            (json!(2.5), "3.25", Some(json!(3.25))),
            (json!(2), "many", None),
            (json!(2), "NaN", None),
            (json!("pine"), "3", Some(json!("3"))),
            (json!("pine"), "", None),
            (json!(true), "false", Some(json!(false))),
        ] {
            assert_eq!(read_label(&like, typed), expected, "{typed:?}");
        }
    }
}
