//! The form that predicts.

use std::time::Instant;

use askama::Template;
use axum::extract::{RawForm, State};
use axum::response::Response;
use axum::response::sse::Event;
use axum::routing::get;
use axum::{Json, Router};
use fragua_base::ErrorKind;
use fragua_serving::{DataType, Feature, FieldError, FieldErrorKind, Predictions, ServedModel, Serving};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use tokio_stream::wrappers::WatchStream;

use crate::chart::{self, Bar};
use crate::error::{Error, render};
use crate::form::{self, Field, Kind};
use crate::format;
use crate::headline;
use crate::live;
use crate::page::{Page, encode, parse_query};
use crate::site::{Role, Site};

/// Below this distance between the two likeliest classes the page says that it was close.
const CLOSE_CALL: f64 = 0.1;
const HEADLINE_METRICS: usize = 4;

/// Returns the pages of the app: the form of the served model, which works with and without script, and `/health`.
pub fn app_pages(serving: Serving, site: Site) -> Router {
    let routes = Router::new()
        .route("/", get(show).post(predict))
        .route("/events", get(events))
        .route("/health", get(health))
        .with_state(serving);
    site.frame(Role::App, routes)
}

async fn health(State(serving): State<Serving>) -> Json<Value> {
    Json(json!({ "status": "healthy", "model_loaded": serving.current().is_some() }))
}

#[derive(Template)]
#[template(path = "app/predict.html")]
struct PredictPage<'a> {
    page: &'a Page,
    model: Option<ModelView>,
    /// Why there is no model.
    no_model: String,
    wanted: String,
    train_address: Option<String>,
    registry_address: Option<String>,
    links: Vec<Link>,
    fields: Vec<Field>,
    problem: String,
    result: Option<ResultView>,
    request: Option<RequestView>,
}

struct ModelView {
    name: String,
    version: String,
    alias: String,
    facts: Vec<Fact>,
}

struct Fact {
    name: String,
    value: String,
    address: Option<String>,
}

struct Link {
    label: String,
    address: String,
    icon: &'static str,
}

struct ResultView {
    label: String,
    /// The probability of the predicted class, in words.
    confidence: String,
    is_close: bool,
    bars: Vec<Bar>,
    took: String,
}

/// The same question for a program.
struct RequestView {
    curl: String,
    share_address: String,
}

/// Shows the form with the model's example. An address with values is a form to share: it shows what they give.
async fn show(State(serving): State<Serving>, page: Page) -> Result<Response, Error> {
    let Some(model) = serving.current() else {
        return empty(&serving, &page);
    };
    let named = |feature: &Feature| Some((feature.name.clone(), page.parameter(&feature.name)?.to_owned()));
    let given: Vec<(String, String)> = model.features.iter().filter_map(named).collect();
    if given.is_empty() {
        let fields = fields(&page, &model, None, &[]);
        return render(&form_page(&page, &serving, &model, fields));
    }
    answer(&serving, &page, &model, &given).await
}

async fn predict(
    State(serving): State<Serving>,
    page: Page,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    match serving.current() {
        Some(model) => answer(&serving, &page, &model, &form).await,
        None => empty(&serving, &page),
    }
}

async fn answer(
    serving: &Serving,
    page: &Page,
    model: &ServedModel,
    form: &[(String, String)],
) -> Result<Response, Error> {
    let record = record(&model.features, form);
    let started = Instant::now();
    let row = match model.check_record(&record) {
        Ok(row) => row,
        Err(errors) => {
            let fields = fields(page, model, Some(form), &errors);
            let problem = page.tn("form-fields-wrong", &(errors.len() as u64));
            return render(&PredictPage {
                problem,
                ..form_page(page, serving, model, fields)
            });
        }
    };
    let fields = fields(page, model, Some(form), &[]);
    match serving.predict(vec![row]).await {
        Ok(predictions) => {
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            let result = result(&predictions, took);
            let request = page
                .at_serving("/predict")
                .map(|address| request(page, &address, &record));
            render(&PredictPage {
                result: Some(result),
                request,
                ..form_page(page, serving, &predictions.model, fields)
            })
        }
        Err(error) if error.kind() == ErrorKind::Internal => Err(error.into()),
        Err(error) => render(&PredictPage {
            problem: error.to_string(),
            ..form_page(page, serving, model, fields)
        }),
    }
}

/// Tells a page that another version answers, or that none does.
async fn events(State(serving): State<Serving>, page: Page) -> Response {
    let changes = WatchStream::from_changes(serving.watch());
    let events = changes.map(|_| Event::default().event("change").data("1"));
    live::stream(events, page.site().shutdown())
}

fn empty(serving: &Serving, page: &Page) -> Result<Response, Error> {
    let state = serving.state();
    let settings = serving.settings();
    let loading = page.t1("no-model-loading", "uri", &settings.model_ref().to_string());
    render(&PredictPage {
        page,
        model: None,
        no_model: state.explanation().map_or(loading, str::to_owned),
        wanted: settings.alias.clone(),
        train_address: page.at_orchestrator("/"),
        registry_address: page.at_tracking(&format!("/models/{}", encode(&settings.model))),
        links: Vec::new(),
        fields: Vec::new(),
        problem: String::new(),
        result: None,
        request: None,
    })
}

fn form_page<'a>(
    page: &'a Page,
    serving: &Serving,
    model: &ServedModel,
    fields: Vec<Field>,
) -> PredictPage<'a> {
    let model_path = format!("/models/{}", encode(&model.name));
    let links = [
        (page.at_serving("/docs"), "role-docs", "external"),
        (page.at_tracking(&model_path), "registry", "cube"),
        (page.at_orchestrator("/"), "role-orchestrator", "graph"),
    ];
    let links = links
        .into_iter()
        .filter_map(|(address, text, icon)| {
            Some(Link {
                label: page.t(text),
                address: address?,
                icon,
            })
        })
        .collect();
    PredictPage {
        page,
        model: Some(model_view(page, &serving.settings().alias, model)),
        no_model: String::new(),
        wanted: String::new(),
        train_address: None,
        registry_address: None,
        links,
        fields,
        problem: String::new(),
        result: None,
        request: None,
    }
}

fn model_view(page: &Page, alias: &str, model: &ServedModel) -> ModelView {
    let fact = |text: &str, value: String, address: Option<String>| Fact {
        name: page.t(text),
        value,
        address,
    };
    let model_path = format!("/models/{}", encode(&model.name));
    let version_path = format!("{model_path}#version-{}", encode(&model.version));
    let mut facts = vec![
        fact("name", model.name.clone(), page.at_tracking(&model_path)),
        fact(
            "version",
            format!("v{}", model.version),
            page.at_tracking(&version_path),
        ),
        fact("alias", alias.to_owned(), None),
    ];
    if let Some(run_id) = &model.run_id {
        let address = page.at_tracking(&format!("/runs/{}", encode(run_id)));
        facts.push(fact("trained-by", format::shorten(run_id, 12), address));
    }
    facts.push(fact(
        "registered",
        format!("{} UTC", format::instant(model.created_at)),
        None,
    ));
    facts.push(fact("classes", format::integer(model.labels.len() as u64), None));
    for name in headline_metrics(model) {
        let value = format::number(model.metrics[name]);
        facts.push(Fact {
            name: name.clone(),
            value,
            address: None,
        });
    }
    ModelView {
        name: model.name.clone(),
        version: model.version.clone(),
        alias: alias.to_owned(),
        facts,
    }
}

/// Chooses the few figures that people ask for first.
fn headline_metrics(model: &ServedModel) -> Vec<&String> {
    let mut names: Vec<&String> = model.metrics.keys().collect();
    names.sort_by_key(|name| headline::rank(name));
    names.truncate(HEADLINE_METRICS);
    names
}

/// Makes the fields of the form: filled with what was typed, or with the model's example.
fn fields(
    page: &Page,
    model: &ServedModel,
    typed: Option<&[(String, String)]>,
    errors: &[FieldError],
) -> Vec<Field> {
    model
        .features
        .iter()
        .enumerate()
        .map(|(index, feature)| {
            let mut field = Field::new(index, &feature.name, kind(feature));
            field.label = feature.name.replace('_', " ");
            field.value = match typed {
                Some(form) => form::value(form, &feature.name)
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
                None => plain(&feature.example),
            };
            field.hint = hint(page, feature);
            let error = errors.iter().find(|error| error.field == feature.name);
            field.error = error.map_or_else(String::new, |error| page.t(error_text(error.kind)));
            if field.error.is_empty() {
                field.warning = warning(page, feature, &field.value);
            }
            field
        })
        .collect()
}

fn kind(feature: &Feature) -> Kind {
    match feature.data_type {
        DataType::Boolean => Kind::Checkbox,
        DataType::Text if feature.categories.is_empty() => Kind::Text,
        DataType::Text => Kind::Choice(feature.categories.clone()),
        whole_or_not => Kind::Number {
            whole: whole_or_not.is_integer(),
        },
    }
}

/// Writes a value as it is typed.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
            .map_or_else(|| number.to_string(), |number| format!("{number:.0}")),
        other => other.to_string(),
    }
}

fn hint(page: &Page, feature: &Feature) -> String {
    let Some(range) = feature.range else {
        return String::new();
    };
    let (lowest, highest) = (format::number(range.min), format::number(range.max));
    page.text_with("range-seen", &[("lowest", &lowest), ("highest", &highest)])
}

fn warning(page: &Page, feature: &Feature, value: &str) -> String {
    if let Some(range) = feature.range
        && let Ok(number) = value.parse::<f64>()
        && !(range.min..=range.max).contains(&number)
    {
        return page.t("outside-range");
    }
    if !feature.categories.is_empty() && !feature.categories.iter().any(|known| known == value) {
        return page.t("unknown-category");
    }
    String::new()
}

fn error_text(kind: FieldErrorKind) -> &'static str {
    match kind {
        FieldErrorKind::Missing => "field-missing",
        FieldErrorKind::FloatType | FieldErrorKind::FloatParsing => "field-not-number",
        FieldErrorKind::IntType | FieldErrorKind::IntParsing | FieldErrorKind::IntFromFloat => {
            "field-not-whole"
        }
        FieldErrorKind::IntParsingSize => "field-too-large",
        FieldErrorKind::BoolType | FieldErrorKind::BoolParsing => "field-not-boolean",
        FieldErrorKind::StringType => "field-not-text",
    }
}

/// Makes the record that the inference API would get: an empty field is no value.
fn record(features: &[Feature], form: &[(String, String)]) -> Map<String, Value> {
    let mut record = Map::new();
    for feature in features {
        let typed = form::value(form, &feature.name).unwrap_or_default().trim();
        if feature.data_type == DataType::Boolean {
            record.insert(feature.name.clone(), Value::Bool(typed == "true"));
        } else if !typed.is_empty() {
            record.insert(feature.name.clone(), number_or_text(feature, typed));
        }
    }
    record
}

fn number_or_text(feature: &Feature, typed: &str) -> Value {
    if feature.is_text() {
        return Value::from(typed);
    }
    if let Ok(whole) = typed.parse::<i64>() {
        return Value::from(whole);
    }
    match typed.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::from(number),
        // The check says what is wrong with it.
        _ => Value::from(typed),
    }
}

fn result(predictions: &Predictions, took_micros: u64) -> ResultView {
    let label = predictions
        .labels
        .first()
        .map_or_else(String::new, ToString::to_string);
    let names = predictions.model.labels.iter().map(ToString::to_string);
    let shares: Vec<(String, f64)> = names
        .zip(predictions.probabilities(0).iter().copied().map(f64::from))
        .collect();
    let mut sorted: Vec<f64> = shares.iter().map(|(_, share)| *share).collect();
    sorted.sort_by(|one, other| other.total_cmp(one));
    let is_close = matches!(sorted[..], [first, second, ..] if first - second < CLOSE_CALL);
    let confidence = shares
        .iter()
        .find(|(name, _)| *name == label)
        .map_or_else(String::new, |(_, share)| format::percent(*share));
    ResultView {
        bars: chart::shares(&shares),
        took: format!(
            "{} ms",
            format::number((took_micros as f64 / 100.0).round() / 10.0)
        ),
        label,
        confidence,
        is_close,
    }
}

fn request(page: &Page, address: &str, record: &Map<String, Value>) -> RequestView {
    let body = serde_json::to_string_pretty(record).unwrap_or_default();
    // A quote inside single quotes of a shell: close, escape, open again.
    let quoted = body.replace('\'', r"'\''");
    let query: Vec<String> = record
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(&plain(value))))
        .collect();
    let base = page.at_app("/").unwrap_or_else(|| "/".to_owned());
    RequestView {
        curl: format!("curl -s {address} \\\n  -H 'content-type: application/json' \\\n  -d '{quoted}'"),
        share_address: format!("{base}?{}", query.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(name: &str, data_type: DataType) -> Feature {
        Feature {
            name: name.to_owned(),
            data_type,
            required: true,
            range: None,
            categories: Vec::new(),
            example: Value::Null,
        }
    }

    #[test]
    fn a_form_becomes_the_record_of_the_api() {
        let features = [
            feature("Elevation", DataType::Long),
            feature("Slope", DataType::Double),
            feature("Soil", DataType::Text),
            feature("Wet", DataType::Boolean),
            feature("Gone", DataType::Double),
        ];
        let form = parse_query("Elevation=2596&Slope=3.5&Soil=+C7745+&Wet=true&Gone=&Extra=1");
        let made = Value::Object(record(&features, &form));
        assert_eq!(
            made,
            json!({"Elevation": 2596, "Slope": 3.5, "Soil": "C7745", "Wet": true})
        );
        let form = parse_query("Elevation=high&Slope=NaN&Soil=12");
        let made = Value::Object(record(&features, &form));
        assert_eq!(
            made,
            json!({"Elevation": "high", "Slope": "NaN", "Soil": "12", "Wet": false})
        );
    }

    #[test]
    fn example_values_are_written_as_they_are_typed() {
        for (value, expected) in [
            (json!(2596.0), "2596"),
            (json!(3.25), "3.25"),
            (json!("Rawah"), "Rawah"),
            (json!(null), ""),
            (json!(true), "true"),
        ] {
            assert_eq!(plain(&value), expected);
        }
    }
}
