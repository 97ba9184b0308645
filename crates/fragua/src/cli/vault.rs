//! `fragua variables` and `fragua connections`: what tasks are given by name, kept encrypted in the database.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use fragua_base::Secret;
use fragua_orchestrator::{Connection, ConnectionParts, NamedConnection, Orchestrator, Variable};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::desk::Desk;
use super::output::Form;
use super::{Common, output, transfer};

/// Commands on variables.
#[derive(Debug, Subcommand)]
pub(crate) enum Variables {
    /// Lists the variables, without their values
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Prints the value of a variable
    Get {
        /// Name of the variable
        name: String,
        /// What to print when there is no such variable
        #[arg(long)]
        default: Option<String>,
        #[command(flatten)]
        form: Form,
    },
    /// Makes a variable, or changes the one of this name
    Set {
        /// Name of the variable
        name: String,
        /// Its value; - reads it from standard input
        value: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        form: Form,
    },
    /// Removes a variable
    Delete {
        /// Name of the variable
        name: String,
        #[command(flatten)]
        form: Form,
    },
    /// Writes the variables of the database to a file as JSON, with their values
    Export {
        /// The file; - is standard output
        file: PathBuf,
    },
    /// Sets the variables that a file of JSON tells of: names with values, as Airflow exports them
    Import {
        /// The file; - is standard input
        file: PathBuf,
        #[command(flatten)]
        form: Form,
    },
}

/// Commands on connections.
#[derive(Debug, Subcommand)]
pub(crate) enum Connections {
    /// Lists the connections, without their passwords
    List {
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Shows a connection in its parts, without its password
    Get {
        /// Name of the connection
        name: String,
        /// Prints JSON
        #[arg(long)]
        json: bool,
    },
    /// Makes a connection from its parts or its address; refuses one whose name is taken
    Add(Box<Add>),
    /// Makes a connection from its address, or changes the one of this name
    Set {
        /// Name of the connection
        name: String,
        /// Its address, such as postgres://user:password@host:5432/database; - reads it from standard input
        url: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
        #[command(flatten)]
        form: Form,
    },
    /// Removes a connection
    Delete {
        /// Name of the connection
        name: String,
        #[command(flatten)]
        form: Form,
    },
    /// Tries a connection: whether what it names answers; the status is 1 when it does not
    Test {
        /// Name of the connection
        name: String,
        #[command(flatten)]
        form: Form,
    },
    /// Writes the connections of the database to a file as JSON, with their passwords
    Export {
        /// The file; - is standard output
        file: PathBuf,
    },
    /// Sets the connections that a file of JSON tells of: names with addresses or parts, as Airflow exports them
    Import {
        /// The file; - is standard input
        file: PathBuf,
        #[command(flatten)]
        form: Form,
    },
}

/// Options of `fragua connections add`, which are Airflow's.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name of the connection
    name: String,
    /// Its address, in place of its parts; - reads it from standard input
    #[arg(long, value_name = "URI", conflicts_with_all = ["conn_type", "conn_json"])]
    conn_uri: Option<String>,
    /// Its parts as one JSON object; - reads it from standard input
    #[arg(long, value_name = "JSON", conflicts_with = "conn_type")]
    conn_json: Option<String>,
    /// What it connects to, such as postgres, mysql, sqlite, http or aws
    #[arg(long, required_unless_present_any = ["conn_uri", "conn_json"])]
    conn_type: Option<String>,
    /// Host; of SQLite the file
    #[arg(long)]
    conn_host: Option<String>,
    /// User
    #[arg(long)]
    conn_login: Option<String>,
    /// Password; - reads it from standard input
    #[arg(long)]
    conn_password: Option<String>,
    /// Database; of HTTP the scheme
    #[arg(long)]
    conn_schema: Option<String>,
    /// Port
    #[arg(long)]
    conn_port: Option<u16>,
    /// Whatever else, as one JSON object
    #[arg(long, value_name = "JSON")]
    conn_extra: Option<String>,
    /// What it is for
    #[arg(long, default_value = "")]
    conn_description: String,
    #[command(flatten)]
    form: Form,
}

/// Runs a command on variables.
///
/// # Errors
/// When a setting is wrong, the database cannot be opened, or the orchestrator does not allow what was asked.
pub(crate) async fn variables(common: &Common, command: Variables) -> anyhow::Result<ExitCode> {
    let desk = match &command {
        Variables::List { .. } | Variables::Get { .. } => Desk::open_to_read(common).await?,
        _ => Desk::open(common).await?,
    };
    let orchestrator = &desk.orchestrator;
    match command {
        Variables::List { json } => list_variables(&orchestrator.variables().await?, json)?,
        Variables::Get { name, default, form } => {
            let variables = orchestrator.variables().await?;
            let found = variables.into_iter().find(|variable| variable.name == name);
            let value = found
                .map(|variable| variable.value.expose().to_owned())
                .or(default);
            let value = value.ok_or_else(|| anyhow::anyhow!("there is no variable {name:?}"))?;
            form.say(&value, &json!({ "key": name, "value": value }))?;
        }
        Variables::Set {
            name,
            value,
            description,
            form,
        } => {
            orchestrator
                .put_variable(&name, &read(value)?, &description)
                .await?;
            form.say(
                &format!("variable {name} is set"),
                &json!({ "key": name, "set": true }),
            )?;
        }
        Variables::Delete { name, form } => {
            orchestrator.delete_variable(&name).await?;
            form.say(
                &format!("variable {name} is gone"),
                &json!({ "key": name, "deleted": true }),
            )?;
        }
        Variables::Export { file } => {
            let kept = orchestrator.variables().await?.into_iter();
            let kept = kept.filter(|variable| !variable.is_setting);
            let written: BTreeMap<String, String> = kept
                .map(|variable| (variable.name, variable.value.expose().to_owned()))
                .collect();
            transfer::write(&file, &written)?;
        }
        Variables::Import { file, form } => {
            let read: BTreeMap<String, WrittenVariable> = transfer::read(&file)?;
            let names: Vec<&String> = read.keys().collect();
            for (name, written) in &read {
                let (value, description) = written.parts();
                orchestrator.put_variable(name, &value, description).await?;
            }
            form.say(
                &format!("{} variables are set", names.len()),
                &json!({ "set": names }),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A variable in a file: a value, or a value with what it is for.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenVariable {
    Described(DescribedVariable),
    Value(Value),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DescribedVariable {
    value: Value,
    description: String,
}

impl WrittenVariable {
    fn parts(&self) -> (Secret, &str) {
        let (value, description) = match self {
            Self::Described(described) => (&described.value, described.description.as_str()),
            Self::Value(value) => (value, ""),
        };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (Secret::new(text), description)
    }
}

fn list_variables(variables: &[Variable], as_json: bool) -> anyhow::Result<()> {
    let place = |variable: &Variable| place(variable.is_setting);
    if as_json {
        let shown = variables.iter().map(|variable| {
            json!({ "key": variable.name, "description": variable.description, "kept_in": place(variable) })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<[String; 3]> = variables
        .iter()
        .map(|variable| {
            [
                variable.name.clone(),
                place(variable).to_owned(),
                variable.description.clone(),
            ]
        })
        .collect();
    output::table(["variable", "kept in", "description"], &rows)
}

/// Runs a command on connections.
///
/// # Errors
/// As [`variables`].
pub(crate) async fn connections(common: &Common, command: Connections) -> anyhow::Result<ExitCode> {
    let desk = match &command {
        Connections::List { .. } => Desk::open_to_read(common).await?,
        _ => Desk::open(common).await?,
    };
    let orchestrator = &desk.orchestrator;
    let set = |name: &str, form: Form| {
        form.say(
            &format!("connection {name} is set"),
            &json!({ "connection_id": name, "set": true }),
        )
    };
    match command {
        Connections::List { json } => list_connections(&orchestrator.connections().await?, json)?,
        Connections::Get { name, json } => show_connection(&find(orchestrator, &name).await?, json)?,
        Connections::Add(add) => {
            let known = orchestrator.connections().await?;
            anyhow::ensure!(
                known.iter().all(|named| named.name != add.name),
                "there is a connection {:?} already; `fragua connections set` changes it",
                add.name
            );
            let url = add.url()?;
            orchestrator
                .put_connection(&add.name, &url, &add.conn_description)
                .await?;
            set(&add.name, add.form)?;
        }
        Connections::Set {
            name,
            url,
            description,
            form,
        } => {
            orchestrator
                .put_connection(&name, &read(url)?, &description)
                .await?;
            set(&name, form)?;
        }
        Connections::Delete { name, form } => {
            orchestrator.delete_connection(&name).await?;
            let shown = json!({ "connection_id": name, "deleted": true });
            form.say(&format!("connection {name} is gone"), &shown)?;
        }
        Connections::Test { name, form } => return test(orchestrator, &name, form).await,
        Connections::Export { file } => {
            let kept = orchestrator.connections().await?.into_iter();
            let kept = kept.filter(|named| !named.is_setting);
            let written: BTreeMap<String, String> = kept
                .map(|named| (named.name, named.connection.url.expose().to_owned()))
                .collect();
            transfer::write(&file, &written)?;
        }
        Connections::Import { file, form } => {
            let read: BTreeMap<String, WrittenConnection> = transfer::read(&file)?;
            let mut addresses = Vec::with_capacity(read.len());
            for (name, written) in read {
                let url = written
                    .url()
                    .map_err(|message| anyhow::anyhow!("connection {name:?}: {message}"))?;
                addresses.push((name, url));
            }
            for (name, url) in &addresses {
                orchestrator.put_connection(name, url, "").await?;
            }
            let names: Vec<&String> = addresses.iter().map(|(name, _)| name).collect();
            form.say(
                &format!("{} connections are set", names.len()),
                &json!({ "set": names }),
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(orchestrator: &Orchestrator, name: &str) -> anyhow::Result<NamedConnection> {
    let connections = orchestrator.connections().await?;
    let found = connections.into_iter().find(|named| named.name == name);
    found.ok_or_else(|| anyhow::anyhow!("there is no connection {name:?}"))
}

/// A connection in a file: its address, or its parts.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an address, or parts with conn_type, was expected")]
enum WrittenConnection {
    Address(String),
    Parts(WrittenParts),
}

#[derive(Deserialize)]
struct WrittenParts {
    conn_type: String,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    login: Option<String>,
    #[serde(default)]
    password: Option<Secret>,
    #[serde(default)]
    schema: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    extra: Option<Value>,
}

impl WrittenConnection {
    fn url(self) -> Result<Secret, String> {
        match self {
            Self::Address(address) => Ok(Secret::new(address)),
            Self::Parts(parts) => parts.url(),
        }
    }
}

impl WrittenParts {
    fn url(self) -> Result<Secret, String> {
        let extra = match self.extra {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text),
            Some(other) => Some(other.to_string()),
        };
        let parts = ConnectionParts {
            conn_type: self.conn_type,
            host: self.host,
            login: self.login,
            password: self.password,
            schema: self.schema,
            port: self.port,
            extra: extra.map(Secret::new),
        };
        parts.url()
    }
}

impl Add {
    fn url(&self) -> anyhow::Result<Secret> {
        if let Some(address) = &self.conn_uri {
            return read(address.clone());
        }
        let parts = match (&self.conn_json, &self.conn_type) {
            (Some(text), _) => serde_json::from_str(read(text.clone())?.expose())
                .map_err(|error| anyhow::anyhow!("--conn-json (column {}) has no such parts as {{\"conn_type\": \"postgres\", \"host\": …}}", error.column()))?,
            (None, conn_type) => WrittenParts {
                conn_type: conn_type.clone().unwrap_or_default(),
                host: self.conn_host.clone(),
                login: self.conn_login.clone(),
                password: self.conn_password.clone().map(read).transpose()?,
                schema: self.conn_schema.clone(),
                port: self.conn_port,
                extra: self.conn_extra.clone().map(Value::String),
            },
        };
        parts.url().map_err(anyhow::Error::msg)
    }
}

fn list_connections(connections: &[NamedConnection], as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let shown = connections.iter().map(|named| {
            json!({
                "connection_id": named.name,
                "address": without_password(&named.connection),
                "description": named.description,
                "kept_in": place(named.is_setting),
            })
        });
        return output::json(&shown.collect::<Vec<_>>());
    }
    let rows: Vec<[String; 4]> = connections
        .iter()
        .map(|named| {
            [
                named.name.clone(),
                without_password(&named.connection),
                place(named.is_setting).to_owned(),
                named.description.clone(),
            ]
        })
        .collect();
    output::table(["connection", "address", "kept in", "description"], &rows)
}

/// Shows the parts that are no secrets; of the rest, that there is something.
fn show_connection(named: &NamedConnection, as_json: bool) -> anyhow::Result<()> {
    let parts = ConnectionParts::from(&named.connection);
    let hidden = |secret: &Option<Secret>| secret.as_ref().map(|_| "***");
    let shown = json!({
        "connection_id": named.name,
        "conn_type": parts.conn_type,
        "host": parts.host,
        "login": parts.login,
        "password": hidden(&parts.password),
        "schema": parts.schema,
        "port": parts.port,
        "extra": hidden(&parts.extra),
        "description": named.description,
        "kept_in": place(named.is_setting),
    });
    if as_json {
        return output::json(&shown);
    }
    let fields: Map<String, Value> = match shown {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let rows: Vec<[String; 2]> = fields
        .into_iter()
        .filter(|(_, value)| !value.is_null() && value != "")
        .map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            [name, text]
        })
        .collect();
    output::table(["part", "value"], &rows)
}

async fn test(orchestrator: &Orchestrator, name: &str, form: Form) -> anyhow::Result<ExitCode> {
    find(orchestrator, name).await?;
    let probe = orchestrator.probe_connection(name).await?;
    let (status, message) = match &probe.outcome {
        Ok(answered) => (true, answered.to_string()),
        Err(message) => (false, message.clone()),
    };
    let words = format!("{}: {message}", if status { "ok" } else { "FAIL" });
    form.say(
        &words,
        &json!({ "connection_id": name, "status": status, "message": message }),
    )?;
    Ok(if status {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

const fn place(is_setting: bool) -> &'static str {
    if is_setting { "settings" } else { "database" }
}

fn read(written: String) -> anyhow::Result<Secret> {
    if written != "-" {
        return Ok(Secret::new(written));
    }
    let mut text = String::new();
    std::io::stdin().lock().read_to_string(&mut text)?;
    Ok(Secret::new(text.trim_end_matches('\n')))
}

/// Shows an address without what nobody is to read over a shoulder: the password, and what stands behind the `?`.
fn without_password(connection: &Connection) -> String {
    let Ok(mut url) = Url::parse(connection.url.expose()) else {
        return "***".to_owned();
    };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return format!("{}:***", url.scheme());
    }
    url.set_query(None);
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        for (url, shown) in [
            (
                "postgres://u:hunter2@h:5432/d?sslkey=secret",
                "postgres://u:***@h:5432/d",
            ),
            ("sqlite:/tmp/a.db?mode=rwc", "sqlite:/tmp/a.db"),
            ("hunter2", "***"),
        ] {
            assert_eq!(without_password(&Connection::new(url)), shown);
        }
    }
}
