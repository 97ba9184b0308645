//! The form that starts a run with parameters.

use askama::Template;
use axum::extract::{Path, RawForm, State};
use axum::response::Response;
use fragua_base::ErrorKind;
use fragua_orchestrator::dag::ParamType;
use fragua_orchestrator::{Dag, Orchestrator, Param, TriggerRequest};
use serde_json::{Map, Value};

use super::dags::run_address;
use crate::error::{Error, render, see_other};
use crate::filters;
use crate::form::{self, Field, Kind};
use crate::format;
use crate::page::{Page, encode, parse_query};
use crate::view::Crumb;

#[derive(Template)]
#[template(path = "orchestrator/trigger.html")]
struct TriggerPage<'a> {
    page: &'a Page,
    dag_id: String,
    crumbs: Vec<Crumb>,
    fields: Vec<Field>,
    rest: Rest,
    problem: String,
}

pub(super) async fn show(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path(dag_id): Path<String>,
) -> Result<Response, Error> {
    let dag = orchestrator.dag(&dag_id).await?.dag;
    let mut fields = fields(&page, &dag, None);
    // A run to do again lends its parameters.
    if let Some(run_id) = page.parameter("from") {
        let run = orchestrator.dag_run(&dag_id, run_id).await?;
        for field in &mut fields {
            if let Some(value) = run.params.get(&field.name) {
                field.value = written(Some(value), &field.kind);
            }
        }
    }
    answer(&page, &dag, fields, Rest::default(), String::new())
}

/// What the form asks beside the parameters, as it was typed.
#[derive(Debug, Clone, Default)]
struct Rest {
    note: String,
    logical_date: String,
    run_id: String,
}

pub(super) async fn start(
    State(orchestrator): State<Orchestrator>,
    page: Page,
    Path(dag_id): Path<String>,
    RawForm(body): RawForm,
) -> Result<Response, Error> {
    let dag = orchestrator.dag(&dag_id).await?.dag;
    let form = parse_query(&String::from_utf8_lossy(&body));
    let text = |name: &str| form::value(&form, name).unwrap_or_default().trim().to_owned();
    let rest = Rest {
        note: text("note"),
        // Names with a dot are those of no parameter.
        logical_date: text("run.date"),
        run_id: text("run.id"),
    };
    let mut fields = fields(&page, &dag, Some(&form));
    // The button of a list sends no fields: the defaults are in force then.
    let params = if form::value(&form, "form").is_some() {
        params(&page, &dag, &mut fields)
    } else {
        Some(Map::new())
    };
    let Some(params) = params else {
        return answer(&page, &dag, fields, rest, String::new());
    };
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let logical_date = form::instant(&rest.logical_date);
    if logical_date.is_none() && !rest.logical_date.is_empty() {
        let problem = format!("{}: {}", page.t("logical-date"), page.t("field-not-date"));
        return answer(&page, &dag, fields, rest, problem);
    }
    let request = TriggerRequest {
        params,
        note: some(&rest.note),
        run_id: some(&rest.run_id),
        logical_date,
    };
    match orchestrator.trigger(&dag_id, request).await {
        Ok(run) => Ok(see_other(&run_address(&run.dag_id, &run.run_id))),
        Err(fragua_orchestrator::Error::InvalidParam { name, reason }) => {
            let problem = match fields.iter_mut().find(|field| field.name == name) {
                Some(field) => {
                    field.error = reason;
                    String::new()
                }
                None => format!("{name} {reason}"),
            };
            answer(&page, &dag, fields, rest, problem)
        }
        Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::InvalidInput) => {
            answer(&page, &dag, fields, rest, error.to_string())
        }
        Err(error) => Err(error.into()),
    }
}

fn answer(
    page: &Page,
    dag: &Dag,
    fields: Vec<Field>,
    rest: Rest,
    problem: String,
) -> Result<Response, Error> {
    let dag_id = dag.dag_id.clone();
    render(&TriggerPage {
        page,
        crumbs: vec![
            Crumb::link(page.t("dags-title"), "/"),
            Crumb::link(dag_id.clone(), format!("/dags/{}", encode(&dag_id))),
            Crumb::here(page.t("trigger")),
        ],
        dag_id,
        fields,
        rest,
        problem,
    })
}

/// Returns the fields of a DAG's parameters, with what was typed or else the defaults.
pub(super) fn fields(page: &Page, dag: &Dag, typed: Option<&Vec<(String, String)>>) -> Vec<Field> {
    dag.params
        .iter()
        .enumerate()
        .map(|(index, (name, param))| {
            let mut field = Field::new(index, name, kind(param));
            if let Some(title) = &param.title {
                field.label.clone_from(title);
            }
            field.value = match typed {
                Some(form) => form::value(form, name).unwrap_or_default().to_owned(),
                None => written(param.default.as_ref(), &field.kind),
            };
            field.hint = hint(page, param);
            field
        })
        .collect()
}

fn kind(param: &Param) -> Kind {
    if let Some(choices) = &param.choices {
        let choices = choices.iter().map(|choice| written(Some(choice), &Kind::Text));
        return Kind::Choice(choices.collect());
    }
    match param.param_type.map(|types| types.of_value) {
        Some(ParamType::Boolean) => Kind::Checkbox,
        Some(ParamType::Integer) => Kind::Number { whole: true },
        Some(ParamType::Number) => Kind::Number { whole: false },
        Some(ParamType::Object | ParamType::Array) => Kind::Json,
        Some(ParamType::String) => Kind::Text,
        _ => match param.default {
            Some(Value::Bool(_)) => Kind::Checkbox,
            Some(Value::Object(_) | Value::Array(_)) => Kind::Json,
            _ => Kind::Text,
        },
    }
}

/// Writes a value as it is typed.
fn written(value: Option<&Value>, kind: &Kind) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) if *kind == Kind::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
        Some(value) => value.to_string(),
    }
}

fn hint(page: &Page, param: &Param) -> String {
    let range = match (
        param.minimum.map(format::number),
        param.maximum.map(format::number),
    ) {
        (Some(lowest), Some(highest)) => {
            page.text_with("field-between", &[("lowest", &lowest), ("highest", &highest)])
        }
        (Some(lowest), None) => page.t1("field-at-least", "lowest", &lowest),
        (None, Some(highest)) => page.t1("field-at-most", "highest", &highest),
        (None, None) => String::new(),
    };
    match (param.description.as_deref().unwrap_or_default(), range.as_str()) {
        ("", range) => range.to_owned(),
        (description, "") => description.to_owned(),
        (description, range) => format!("{description} · {range}"),
    }
}

/// Reads the parameters that were typed, or says at the fields what is wrong. An empty field leaves the default.
pub(super) fn params(page: &Page, dag: &Dag, fields: &mut [Field]) -> Option<Map<String, Value>> {
    let mut params = Map::new();
    let mut is_good = true;
    for field in fields {
        let Some(param) = dag.params.get(&field.name) else {
            continue;
        };
        match read(param, field) {
            Ok(Some(value)) => {
                params.insert(field.name.clone(), value);
            }
            Ok(None) if param.required || param.default.is_none() => {
                field.error = page.t("field-required");
                is_good = false;
            }
            Ok(None) => {}
            Err(text) => {
                field.error = page.t(text);
                is_good = false;
            }
        }
    }
    is_good.then_some(params)
}

fn read(param: &Param, field: &Field) -> Result<Option<Value>, &'static str> {
    let typed = field.value.trim();
    if field.kind == Kind::Checkbox {
        return Ok(Some(Value::Bool(typed == "true")));
    }
    if typed.is_empty() {
        if param.param_type.is_some_and(|types| types.or_null) {
            return Ok(Some(Value::Null));
        }
        // An empty text is a text where the default is one.
        let is_text = matches!(param.default, Some(Value::String(_)));
        return Ok(is_text.then(|| Value::from("")));
    }
    match &field.kind {
        Kind::Choice(_) => {
            let choices = param.choices.iter().flatten();
            let chosen = choices
                .into_iter()
                .find(|choice| written(Some(choice), &Kind::Text) == typed);
            Ok(Some(chosen.cloned().unwrap_or_else(|| Value::from(typed))))
        }
        Kind::Number { whole: true } => match typed.parse::<i64>() {
            Ok(number) => Ok(Some(Value::from(number))),
            Err(_) => Err("field-not-whole"),
        },
        Kind::Number { whole: false } => match typed.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(Value::from(number))),
            _ => Err("field-not-number"),
        },
        Kind::Json => match serde_json::from_str(typed) {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err("field-bad-json"),
        },
        Kind::Text | Kind::Checkbox => Ok(Some(untyped(param, typed))),
    }
}

/// A parameter without a type takes what its default is like.
fn untyped(param: &Param, typed: &str) -> Value {
    let wants_number = param.param_type.is_none() && matches!(param.default, Some(Value::Number(_)));
    if wants_number && let Ok(number @ Value::Number(_)) = serde_json::from_str(typed) {
        return number;
    }
    Value::from(typed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(param: Param, typed: &str, expected: Result<Option<Value>, &'static str>) {
        let mut field = Field::new(0, "p", kind(&param));
        field.value = typed.to_owned();
        assert_eq!(read(&param, &field), expected, "{param:?} {typed:?}");
    }

    #[test]
    fn what_is_typed_gets_the_type_of_the_parameter() {
        let typed = |param_type: ParamType| Param {
            param_type: Some(param_type.into()),
            ..Param::default()
        };
        check(typed(ParamType::Integer), " 12 ", Ok(Some(json!(12))));
        check(typed(ParamType::Integer), "1.5", Err("field-not-whole"));
        check(typed(ParamType::Number), "1.5", Ok(Some(json!(1.5))));
        check(typed(ParamType::Number), "NaN", Err("field-not-number"));
        check(typed(ParamType::Boolean), "", Ok(Some(json!(false))));
        check(typed(ParamType::Boolean), "true", Ok(Some(json!(true))));
        check(typed(ParamType::String), "12", Ok(Some(json!("12"))));
        check(typed(ParamType::String), "", Ok(None));
        let text_or_null = serde_json::from_value(json!({ "type": ["string", "null"] })).unwrap();
        check(text_or_null, "", Ok(Some(Value::Null)));
        check(typed(ParamType::Object), "{\"a\": 1}", Ok(Some(json!({"a": 1}))));
        check(typed(ParamType::Array), "[1", Err("field-bad-json"));
        let choice = Param {
            choices: Some(vec![json!(1), json!("one")]),
            ..Param::default()
        };
        check(choice.clone(), "1", Ok(Some(json!(1))));
        check(choice, "one", Ok(Some(json!("one"))));
        let like_a_number = Param {
            default: Some(json!(6)),
            ..Param::default()
        };
        check(like_a_number, "7", Ok(Some(json!(7))));
        let like_a_text = Param {
            default: Some(json!("a")),
            ..Param::default()
        };
        check(like_a_text, "", Ok(Some(json!(""))));
    }
}
