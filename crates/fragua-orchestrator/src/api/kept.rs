//! What is kept by name: variables, connections and pools. Their endpoints are alike.

use std::future::Future;

use axum::Json;
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::failure::Failure;
use super::request::{Body, Path, Query, read};
use crate::Orchestrator;
use crate::listing::Column;

/// A kind of thing that is kept by name.
pub(super) trait Kept: Send + Sync + 'static {
    /// What one is made of.
    type Body: DeserializeOwned + JsonSchema + Send;
    /// The key of a list of them.
    const PLURAL: &'static str;
    /// The field with the name.
    const KEY: &'static str;
    /// What a list is narrowed and ordered by.
    const COLUMNS: &'static [Column];

    /// Returns all of them as they are kept, secrets included.
    fn all(orchestrator: &Orchestrator) -> impl Future<Output = Result<Vec<Value>, Failure>> + Send;

    /// Takes away what nobody is to read.
    fn hide(kept: Value) -> Value;

    /// Puts back what was hidden in what a reader sends back.
    fn unhide(given: &mut Map<String, Value>, kept: &Value);

    /// Keeps one, in place of the one of its name.
    fn put(orchestrator: &Orchestrator, body: Self::Body)
    -> impl Future<Output = Result<(), Failure>> + Send;

    /// Removes one.
    fn remove(orchestrator: &Orchestrator, name: &str) -> impl Future<Output = Result<(), Failure>> + Send;
}

async fn find<K: Kept>(orchestrator: &Orchestrator, name: &str) -> Result<Option<Value>, Failure> {
    let mut all = K::all(orchestrator).await?.into_iter();
    Ok(all.find(|kept| kept[K::KEY] == name))
}

async fn existing<K: Kept>(orchestrator: &Orchestrator, name: &str) -> Result<Value, Failure> {
    let missing = || {
        let singular = K::PLURAL.trim_end_matches('s');
        Failure::not_found(format!("The {singular} with {} `{name}` was not found", K::KEY))
    };
    find::<K>(orchestrator, name).await?.ok_or_else(missing)
}

pub(super) async fn list<K: Kept>(
    Caller(orchestrator): Caller,
    query: Query,
) -> Result<Json<Value>, Failure> {
    let listing = query.listing(K::COLUMNS, &[(K::KEY, false)])?;
    let all = K::all(&orchestrator).await?.into_iter().map(K::hide);
    let (part, total) = listing.of(all.collect());
    Ok(Json(json!({ K::PLURAL: part, "total_entries": total })))
}

pub(super) async fn get_one<K: Kept>(
    Caller(orchestrator): Caller,
    Path(name): Path<String>,
) -> Result<Json<Value>, Failure> {
    Ok(Json(K::hide(existing::<K>(&orchestrator, &name).await?)))
}

pub(super) async fn create<K: Kept>(
    Caller(orchestrator): Caller,
    Body(body): Body<Map<String, Value>>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let name = name_in::<K>(&body)?;
    make::<K>(&orchestrator, body).await?;
    let made = existing::<K>(&orchestrator, &name).await?;
    Ok((StatusCode::CREATED, Json(K::hide(made))))
}

fn name_in<K: Kept>(body: &Map<String, Value>) -> Result<String, Failure> {
    let name = body.get(K::KEY).and_then(Value::as_str);
    let missing = || Failure::invalid("body", K::KEY, "missing", "Field required");
    name.map(str::to_owned).ok_or_else(missing)
}

async fn make<K: Kept>(orchestrator: &Orchestrator, body: Map<String, Value>) -> Result<(), Failure> {
    let name = name_in::<K>(&body)?;
    if find::<K>(orchestrator, &name).await?.is_some() {
        let singular = K::PLURAL.trim_end_matches('s');
        return Err(Failure::conflict(format!(
            "The {singular} with {}: `{name}` already exists",
            K::KEY
        )));
    }
    K::put(orchestrator, read(Value::Object(body))?).await
}

pub(super) async fn patch_one<K: Kept>(
    Caller(orchestrator): Caller,
    Path(name): Path<String>,
    query: Query,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let given = body.get(K::KEY).and_then(Value::as_str);
    if given.is_some_and(|given| given != name) {
        return Err(Failure::bad_request(format!(
            "the {} of the body is not that of the path",
            K::KEY
        )));
    }
    let mask: Vec<String> = query
        .all("update_mask")
        .flat_map(|names| names.split(','))
        .map(str::to_owned)
        .collect();
    change::<K>(&orchestrator, &name, body, &mask).await?;
    Ok(Json(K::hide(existing::<K>(&orchestrator, &name).await?)))
}

/// Changes the fields that are given, or those of them that a mask names.
async fn change<K: Kept>(
    orchestrator: &Orchestrator,
    name: &str,
    mut given: Map<String, Value>,
    mask: &[String],
) -> Result<(), Failure> {
    let kept = existing::<K>(orchestrator, name).await?;
    K::unhide(&mut given, &kept);
    let mut whole = match kept {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let is_meant = |field: &String| mask.is_empty() || mask.contains(field);
    whole.extend(given.into_iter().filter(|(field, _)| is_meant(field)));
    whole.insert(K::KEY.to_owned(), name.into());
    K::put(orchestrator, read(Value::Object(whole))?).await
}

pub(super) async fn delete_one<K: Kept>(
    Caller(orchestrator): Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    existing::<K>(&orchestrator, &name).await?;
    K::remove(&orchestrator, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Many changes, each by itself.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Bulk {
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "lowercase")]
enum Action {
    Create {
        entities: Vec<Map<String, Value>>,
        #[serde(default)]
        action_on_existence: OnExistence,
    },
    Update {
        entities: Vec<Map<String, Value>>,
        #[serde(default)]
        update_mask: Option<Vec<String>>,
        #[serde(default)]
        action_on_non_existence: OnAbsence,
    },
    Delete {
        entities: Vec<Named>,
        #[serde(default)]
        action_on_non_existence: OnAbsence,
    },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnExistence {
    #[default]
    Fail,
    Skip,
    Overwrite,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum OnAbsence {
    #[default]
    Fail,
    Skip,
}

/// A name, or an object that has it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Named {
    Name(String),
    Object(Map<String, Value>),
}

/// What became of each entity of one kind of action.
#[derive(Debug, Default)]
struct Outcome {
    success: Vec<String>,
    errors: Vec<Value>,
}

impl Outcome {
    fn note(&mut self, name: String, done: Result<bool, Failure>) {
        match done {
            Ok(true) => self.success.push(name),
            Ok(false) => {}
            Err(failure) => {
                let status = failure.status().as_u16();
                self.errors
                    .push(json!({ "error": failure.words(), "status_code": status }));
            }
        }
    }

    fn shown(self) -> Value {
        json!({ "success": self.success, "errors": self.errors })
    }
}

pub(super) async fn bulk<K: Kept>(
    Caller(orchestrator): Caller,
    Body(body): Body<Bulk>,
) -> Result<Json<Value>, Failure> {
    let orchestrator = &orchestrator;
    let mut shown = json!({ "create": null, "update": null, "delete": null });
    for action in body.actions {
        let mut outcome = Outcome::default();
        let kind = match action {
            Action::Create {
                entities,
                action_on_existence,
            } => {
                for entity in entities {
                    let name = name_in::<K>(&entity).unwrap_or_default();
                    let done = create_in_bulk::<K>(orchestrator, entity, action_on_existence).await;
                    outcome.note(name, done);
                }
                "create"
            }
            Action::Update {
                entities,
                update_mask,
                action_on_non_existence,
            } => {
                let mask = update_mask.unwrap_or_default();
                for entity in entities {
                    let name = name_in::<K>(&entity).unwrap_or_default();
                    let done = change::<K>(orchestrator, &name, entity, &mask)
                        .await
                        .map(|()| true);
                    outcome.note(name, unless_absent(done, action_on_non_existence));
                }
                "update"
            }
            Action::Delete {
                entities,
                action_on_non_existence,
            } => {
                for entity in entities {
                    let name = match entity {
                        Named::Name(name) => name,
                        Named::Object(fields) => name_in::<K>(&fields).unwrap_or_default(),
                    };
                    let done = match existing::<K>(orchestrator, &name).await {
                        Ok(_) => K::remove(orchestrator, &name).await.map(|()| true),
                        Err(failure) => Err(failure),
                    };
                    outcome.note(name, unless_absent(done, action_on_non_existence));
                }
                "delete"
            }
        };
        shown[kind] = outcome.shown();
    }
    Ok(Json(shown))
}

async fn create_in_bulk<K: Kept>(
    orchestrator: &Orchestrator,
    entity: Map<String, Value>,
    on_existence: OnExistence,
) -> Result<bool, Failure> {
    let name = name_in::<K>(&entity)?;
    let is_there = find::<K>(orchestrator, &name).await?.is_some();
    match on_existence {
        OnExistence::Skip if is_there => Ok(false),
        OnExistence::Overwrite if is_there => {
            K::put(orchestrator, read(Value::Object(entity))?).await?;
            Ok(true)
        }
        _ => make::<K>(orchestrator, entity).await.map(|()| true),
    }
}

fn unless_absent(done: Result<bool, Failure>, on_absence: OnAbsence) -> Result<bool, Failure> {
    match done {
        Err(failure) if failure.status() == StatusCode::NOT_FOUND && on_absence == OnAbsence::Skip => {
            Ok(false)
        }
        done => done,
    }
}
