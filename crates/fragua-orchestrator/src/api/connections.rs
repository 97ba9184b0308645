//! Connections, in the parts that Airflow knows.

use axum::Json;
use fragua_base::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::endpoint::{Endpoint, delete, get, patch, post};
use super::failure::Failure;
use super::kept::{self, Bulk, Kept};
use super::request::Body;
use super::variables::{HIDDEN, is_sensitive, set_elsewhere};
use crate::listing::Column;
use crate::{Connection, ConnectionParts, Orchestrator};

pub(super) struct Connections;

/// A connection.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Parts {
    connection_id: String,
    conn_type: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    password: Option<Secret>,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    /// The text of a JSON object.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    extra: Option<Secret>,
}

impl Parts {
    fn url(&self) -> Result<Secret, Failure> {
        let parts = ConnectionParts {
            conn_type: self.conn_type.clone(),
            host: self.host.clone(),
            login: self.login.clone(),
            password: self.password.clone(),
            schema: self.schema.clone(),
            port: self.port,
            extra: self.extra.clone(),
        };
        parts.url().map_err(|message| {
            let field = message
                .split(' ')
                .next()
                .unwrap_or_default()
                .trim_end_matches(',');
            Failure::invalid("body", field, "value_error", &message)
        })
    }
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/api/v2/connections",
            "Lists the connections",
            kept::list::<Connections>,
        )
        .list(Connections::COLUMNS),
        post(
            "/api/v2/connections",
            "Keeps a new connection",
            kept::create::<Connections>,
        )
        .body::<Parts>(),
        patch(
            "/api/v2/connections",
            "Changes many connections",
            kept::bulk::<Connections>,
        )
        .body::<Bulk>(),
        post(
            "/api/v2/connections/test",
            "Says whether what a connection names answers",
            test,
        )
        .body::<Parts>(),
        get(
            "/api/v2/connections/{connection_id}",
            "Returns a connection",
            kept::get_one::<Connections>,
        ),
        patch(
            "/api/v2/connections/{connection_id}",
            "Changes a connection",
            kept::patch_one::<Connections>,
        )
        .query(&["update_mask"])
        .body::<Parts>(),
        delete(
            "/api/v2/connections/{connection_id}",
            "Removes a connection",
            kept::delete_one::<Connections>,
        ),
    ]
}

/// Hides what the fields of an `extra` hold whose names sound like secrets.
fn hide_extra(extra: &str) -> String {
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(extra) else {
        return HIDDEN.to_owned();
    };
    for (name, value) in &mut fields {
        if is_sensitive(name) {
            *value = HIDDEN.into();
        }
    }
    Value::Object(fields).to_string()
}

impl Kept for Connections {
    type Body = Parts;
    const PLURAL: &'static str = "connections";
    const KEY: &'static str = "connection_id";
    const COLUMNS: &'static [Column] = &[
        Column::text("connection_id", "connection_id"),
        Column::text("conn_id", "connection_id"),
        Column::text("conn_type", "conn_type"),
        Column::text("description", "description"),
        Column::text("host", "host"),
        Column::number("port", "port"),
    ];

    async fn all(orchestrator: &Orchestrator) -> Result<Vec<Value>, Failure> {
        let connections = orchestrator.connections().await?.into_iter();
        let shown = connections.map(|named| {
            let parts = ConnectionParts::from(&named.connection);
            let secret = |secret: &Option<Secret>| secret.as_ref().map(|secret| secret.expose().to_owned());
            json!({
                "connection_id": named.name,
                "conn_type": parts.conn_type,
                "description": (!named.description.is_empty()).then_some(named.description),
                "host": parts.host,
                "login": parts.login,
                "password": secret(&parts.password),
                "schema": parts.schema,
                "port": parts.port,
                "extra": secret(&parts.extra),
                "team_name": null,
            })
        });
        Ok(shown.collect())
    }

    fn hide(mut kept: Value) -> Value {
        if !kept["password"].is_null() {
            kept["password"] = HIDDEN.into();
        }
        if let Some(extra) = kept["extra"].as_str() {
            kept["extra"] = hide_extra(extra).into();
        }
        kept
    }

    fn unhide(given: &mut Map<String, Value>, kept: &Value) {
        if given.get("password").is_some_and(|password| password == HIDDEN) {
            given.insert("password".to_owned(), kept["password"].clone());
        }
        let hidden = kept["extra"].as_str().map(hide_extra);
        if hidden.is_some() && given.get("extra").and_then(Value::as_str) == hidden.as_deref() {
            given.insert("extra".to_owned(), kept["extra"].clone());
        }
    }

    async fn put(orchestrator: &Orchestrator, parts: Parts) -> Result<(), Failure> {
        let known = orchestrator.connections().await?;
        let name = &parts.connection_id;
        if known.iter().any(|known| known.name == *name && known.is_setting) {
            return Err(set_elsewhere("connection", name));
        }
        let description = parts.description.as_deref().unwrap_or_default();
        Ok(orchestrator
            .put_connection(name, &parts.url()?, description)
            .await?)
    }

    async fn remove(orchestrator: &Orchestrator, name: &str) -> Result<(), Failure> {
        Ok(orchestrator.delete_connection(name).await?)
    }
}

/// Takes the password that is kept where the one given is hidden.
async fn test(
    Caller(orchestrator): Caller,
    Body(body): Body<Map<String, Value>>,
) -> Result<Json<Value>, Failure> {
    let mut body = body;
    let all = Connections::all(&orchestrator).await?;
    if let Some(kept) = all
        .iter()
        .find(|kept| Some(&kept["connection_id"]) == body.get("connection_id"))
    {
        Connections::unhide(&mut body, kept);
    }
    let parts: Parts = super::request::read(Value::Object(body))?;
    let probe = orchestrator.probe(&Connection::new(parts.url()?.expose())).await;
    let (status, message) = match probe.outcome {
        Ok(answered) => (true, answered.to_string()),
        Err(message) => (false, message),
    };
    Ok(Json(json!({ "status": status, "message": message })))
}
