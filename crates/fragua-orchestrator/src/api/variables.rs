//! Variables.

use fragua_base::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::kept::{self, Bulk, Kept};
use crate::Orchestrator;
use crate::listing::Column;

pub(super) struct Variables;

/// A variable.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Variable {
    key: String,
    /// What is no text is kept as JSON.
    value: Value,
    #[serde(default)]
    description: Option<String>,
}

/// What stands in the place of a value that nobody is to read.
pub(super) const HIDDEN: &str = "***";

/// Parts of names whose values Airflow hides.
const SENSITIVE: [&str; 12] = [
    "access_token",
    "api_key",
    "apikey",
    "authorization",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "token",
];

pub(super) fn is_sensitive(name: &str) -> bool {
    let name = name.to_lowercase();
    SENSITIVE.iter().any(|part| name.contains(part))
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/api/v2/variables",
            "Lists the variables",
            kept::list::<Variables>,
        )
        .list(Variables::COLUMNS),
        post(
            "/api/v2/variables",
            "Keeps a new variable",
            kept::create::<Variables>,
        )
        .body::<Variable>(),
        patch(
            "/api/v2/variables",
            "Changes many variables",
            kept::bulk::<Variables>,
        )
        .body::<Bulk>(),
        get(
            "/api/v2/variables/{variable_key}",
            "Returns a variable",
            kept::get_one::<Variables>,
        ),
        patch(
            "/api/v2/variables/{variable_key}",
            "Changes a variable",
            kept::patch_one::<Variables>,
        )
        .query(&["update_mask"])
        .body::<Variable>(),
        delete(
            "/api/v2/variables/{variable_key}",
            "Removes a variable",
            kept::delete_one::<Variables>,
        ),
    ]
}

impl Kept for Variables {
    type Body = Variable;
    const PLURAL: &'static str = "variables";
    const KEY: &'static str = "key";
    const COLUMNS: &'static [Column] = &[
        Column::text("key", "key"),
        Column::text("variable_key", "key"),
        Column::text("description", "description"),
        Column::truth("is_encrypted", "is_encrypted"),
    ];

    async fn all(orchestrator: &Orchestrator) -> Result<Vec<Value>, Failure> {
        let variables = orchestrator.variables().await?.into_iter();
        let shown = variables.map(|variable| {
            json!({
                "key": variable.name,
                "value": variable.value.expose(),
                "description": (!variable.description.is_empty()).then_some(variable.description),
                // Those of the settings stand there as they are.
                "is_encrypted": !variable.is_setting,
                "team_name": null,
            })
        });
        Ok(shown.collect())
    }

    fn hide(mut kept: Value) -> Value {
        if kept["key"].as_str().is_some_and(is_sensitive) {
            kept["value"] = HIDDEN.into();
        }
        kept
    }

    fn unhide(given: &mut Map<String, Value>, kept: &Value) {
        if given.get("value").is_some_and(|value| value == HIDDEN)
            && kept["key"].as_str().is_some_and(is_sensitive)
        {
            given.insert("value".to_owned(), kept["value"].clone());
        }
    }

    async fn put(orchestrator: &Orchestrator, variable: Variable) -> Result<(), Failure> {
        let known = orchestrator.variables().await?;
        if known
            .iter()
            .any(|known| known.name == variable.key && known.is_setting)
        {
            return Err(set_elsewhere("variable", &variable.key));
        }
        let value = match variable.value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        let description = variable.description.unwrap_or_default();
        Ok(orchestrator
            .put_variable(&variable.key, &Secret::new(value), &description)
            .await?)
    }

    async fn remove(orchestrator: &Orchestrator, name: &str) -> Result<(), Failure> {
        Ok(orchestrator.delete_variable(name).await?)
    }
}

pub(super) fn set_elsewhere(kind: &str, name: &str) -> Failure {
    Failure::conflict(format!(
        "the {kind} {name:?} comes from the settings of the server, and is changed there"
    ))
}
