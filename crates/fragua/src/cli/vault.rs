//! `fragua variables` and `fragua connections`: what tasks are given by name, kept encrypted in the database.

use std::io::Read as _;
use std::process::ExitCode;

use clap::Subcommand;
use fragua_base::Secret;
use fragua_orchestrator::{NamedConnection, Variable};
use serde_json::json;
use url::Url;

use super::desk::Desk;
use super::{Common, output};

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
    },
    /// Removes a variable
    Delete {
        /// Name of the variable
        name: String,
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
    /// Makes a connection, or changes the one of this name
    Set {
        /// Name of the connection
        name: String,
        /// Its address, such as postgres://user:password@host:5432/database; - reads it from standard input
        url: String,
        /// What it is for
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Removes a connection
    Delete {
        /// Name of the connection
        name: String,
    },
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
        Variables::List { json } => {
            let variables = orchestrator.variables().await?;
            let place = |variable: &Variable| place(variable.is_setting);
            if json {
                let shown = variables.iter().map(|variable| {
                    json!({ "key": variable.name, "description": variable.description, "kept_in": place(variable) })
                });
                output::json(&shown.collect::<Vec<_>>())?;
            } else {
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
                output::table(["variable", "kept in", "description"], &rows)?;
            }
        }
        Variables::Get { name } => {
            let variables = orchestrator.variables().await?;
            let found = variables.into_iter().find(|variable| variable.name == name);
            let found = found.ok_or_else(|| anyhow::anyhow!("there is no variable {name:?}"))?;
            output::line(found.value.expose())?;
        }
        Variables::Set {
            name,
            value,
            description,
        } => {
            orchestrator
                .put_variable(&name, &read(value)?, &description)
                .await?;
            output::line(&format!("variable {name} is set"))?;
        }
        Variables::Delete { name } => {
            orchestrator.delete_variable(&name).await?;
            output::line(&format!("variable {name} is gone"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
    match command {
        Connections::List { json } => {
            let connections = orchestrator.connections().await?;
            if json {
                let shown = connections.iter().map(|named| {
                    json!({
                        "connection_id": named.name,
                        "address": without_password(named),
                        "description": named.description,
                        "kept_in": place(named.is_setting),
                    })
                });
                output::json(&shown.collect::<Vec<_>>())?;
            } else {
                let rows: Vec<[String; 4]> = connections
                    .iter()
                    .map(|named| {
                        [
                            named.name.clone(),
                            without_password(named),
                            place(named.is_setting).to_owned(),
                            named.description.clone(),
                        ]
                    })
                    .collect();
                output::table(["connection", "address", "kept in", "description"], &rows)?;
            }
        }
        Connections::Set {
            name,
            url,
            description,
        } => {
            orchestrator
                .put_connection(&name, &read(url)?, &description)
                .await?;
            output::line(&format!("connection {name} is set"))?;
        }
        Connections::Delete { name } => {
            orchestrator.delete_connection(&name).await?;
            output::line(&format!("connection {name} is gone"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
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
fn without_password(named: &NamedConnection) -> String {
    let written = named.connection.url.expose();
    let Ok(mut url) = Url::parse(written) else {
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
    use fragua_orchestrator::Connection;

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
            let named = NamedConnection {
                name: "n".to_owned(),
                connection: Connection::new(url),
                description: String::new(),
                is_setting: false,
            };
            assert_eq!(without_password(&named), shown);
        }
    }
}
