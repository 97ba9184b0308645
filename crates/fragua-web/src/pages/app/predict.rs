//! The form that predicts.

use std::sync::Arc;
use std::time::Instant;

use askama::Template;
use axum::extract::{RawForm, State};
use axum::http::HeaderMap;
use axum::response::Response;
use fragua_base::ErrorKind;
use fragua_serving::{Feature, ServedModel};

use super::answer::{Answer, Opinion, Request, Why, base};
use super::fields::{fields, parameter, record};
use super::lineage::Lineage;
use super::{App, Chosen, Head, NoModel, remember};
use crate::error::{Error, render};
use crate::filters;
use crate::form::{Field, Kind};
use crate::format;
use crate::page::{Page, encode, parse_query};

#[derive(Template)]
#[template(path = "app/predict.html")]
struct PredictPage<'a> {
    page: &'a Page,
    head: Head,
    no_model: Option<NoModel>,
    action: String,
    fields: Vec<Field>,
    lineage: Option<Lineage>,
    problem: String,
    result: Option<Answered>,
}

/// What a row was answered.
struct Answered {
    answer: Answer,
    why: Why,
    request: Request,
    /// Where the answer is kept, while there is a log.
    kept_address: Option<String>,
    opinion: Option<Opinion>,
    version: String,
    took: String,
}

/// Shows the form with the model's example. An address with values is a form to share: it shows what they give.
pub(super) async fn show(State(app): State<App>, page: Page, headers: HeaderMap) -> Result<Response, Error> {
    let chosen = Chosen::of(&app, &page).await?;
    let Some(model) = chosen.model.clone() else {
        return answer_empty(&app, &page, &chosen).await;
    };
    let named = |feature: &Feature| {
        let value = page.parameter(&parameter(&feature.name))?;
        Some((feature.name.clone(), value.to_owned()))
    };
    let given: Vec<(String, String)> = model.features.iter().filter_map(named).collect();
    if given.is_empty() {
        let fields = fields(&page, &model, None, &[]);
        return render(&form_page(&app, &page, &chosen, &model, fields).await);
    }
    answer(&app, &page, &headers, &chosen, model, &given).await
}

pub(super) async fn predict(
    State(app): State<App>,
    page: Page,
    headers: HeaderMap,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let form = parse_query(&String::from_utf8_lossy(&body));
    let chosen = Chosen::of(&app, &page).await?;
    match chosen.model.clone() {
        Some(model) => answer(&app, &page, &headers, &chosen, model, &form).await,
        None => answer_empty(&app, &page, &chosen).await,
    }
}

async fn answer(
    app: &App,
    page: &Page,
    headers: &HeaderMap,
    chosen: &Chosen,
    model: Arc<ServedModel>,
    form: &[(String, String)],
) -> Result<Response, Error> {
    let record = record(&model.features, form);
    let started = Instant::now();
    let row = match model.check_record(&record) {
        Ok(row) => row,
        Err(errors) => {
            let fields = fields(page, &model, Some(form), &errors);
            let problem = page.tn("form-fields-wrong", &(errors.len() as u64));
            return render(&PredictPage {
                problem,
                ..form_page(app, page, chosen, &model, fields).await
            });
        }
    };
    let fields = fields(page, &model, Some(form), &[]);
    let predicted = app
        .serving
        .predict_for_app(&chosen.endpoint, Arc::clone(&model), vec![row.clone()])
        .await;
    let (id, predictions) = match predicted {
        Ok(predicted) => predicted,
        Err(error) if error.kind() == ErrorKind::Internal => return Err(error.into()),
        Err(error) => {
            return render(&PredictPage {
                problem: error.to_string(),
                ..form_page(app, page, chosen, &model, fields).await
            });
        }
    };
    let took = started.elapsed().as_micros() as f64;
    let label = predictions
        .labels
        .first()
        .map_or_else(String::new, ToString::to_string);
    let answer = Answer::of(&model.labels, label, predictions.probabilities(0));
    let is_kept = app.serving.log().is_some();
    let path = match chosen.spelled.as_str() {
        "" => "/predict".to_owned(),
        _ => format!("{}/predict", chosen.endpoint.model_ref().path()),
    };
    let result = Answered {
        why: Why::of(&app.serving, &model, row, &record, &answer).await,
        request: Request::of(&app.serving, page, &path, &chosen.spelled, &record),
        kept_address: is_kept.then(|| format!("{}predictions/{}", base(page), encode(id.as_str()))),
        opinion: is_kept.then(|| Opinion::new(id.as_str(), 0, Some(&model), &answer.label)),
        version: model.version.clone(),
        took: format!("{} ms", format::number((took / 100.0).round() / 10.0)),
        answer,
    };
    let mut response = render(&PredictPage {
        result: Some(result),
        ..form_page(app, page, chosen, &model, fields).await
    })?;
    if is_kept {
        remember(headers, id.as_str(), &mut response);
    }
    Ok(response)
}

async fn answer_empty(app: &App, page: &Page, chosen: &Chosen) -> Result<Response, Error> {
    render(&PredictPage {
        page,
        head: Head::of(app, page, chosen, "/").await,
        no_model: Some(NoModel::of(page, chosen)),
        action: String::new(),
        fields: Vec::new(),
        lineage: None,
        problem: String::new(),
        result: None,
    })
}

async fn form_page<'a>(
    app: &App,
    page: &'a Page,
    chosen: &Chosen,
    model: &ServedModel,
    fields: Vec<Field>,
) -> PredictPage<'a> {
    let alias = chosen.endpoint.model_ref().alias_name();
    PredictPage {
        page,
        head: Head::of(app, page, chosen, "/").await,
        no_model: None,
        action: chosen.address("/", &[]),
        fields,
        lineage: Some(Lineage::of(app, page, model, alias).await),
        problem: String::new(),
        result: None,
    }
}

#[cfg(test)]
mod tests {
    use fragua_serving::DataType;
    use serde_json::{Value, json};

    use super::super::fields::{plain, value};
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
        assert_eq!(value(&features[0], ""), None);
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
