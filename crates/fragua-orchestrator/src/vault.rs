//! Variables and connections that are kept in the database, encrypted. Those of the settings, the environment among
//! them, come first.

use std::collections::BTreeMap;

use fragua_auth::Fernet;
use fragua_base::Secret;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::audit::About;
use crate::core::Core;
use crate::operator::Connection;
use crate::pools::check_name;
use crate::store::{millis, vault};
use crate::{Error, Orchestrator};

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The name.
    pub name: String,
    /// The value: text, which templates see as `var.value.NAME`, and as `var.json.NAME` where it is JSON.
    pub value: Secret,
    /// What it is for.
    pub description: String,
    /// Whether it comes from the settings, and so cannot be changed here.
    pub is_setting: bool,
}

/// A connection by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedConnection {
    /// The name.
    pub name: String,
    /// The address with its credentials.
    pub connection: Connection,
    /// What it is for.
    pub description: String,
    /// Whether it comes from the settings, and so cannot be changed here.
    pub is_setting: bool,
}

impl Core {
    fn fernet(&self) -> Result<Fernet, Error> {
        let key = self.settings.secret_key.as_ref();
        key.and_then(Fernet::new).ok_or(Error::NoSecretKey)
    }

    /// Returns what is kept of a kind, by name.
    async fn kept(
        &self,
        connection: &impl ConnectionTrait,
        kind: &'static str,
    ) -> Result<Vec<(String, Secret, String)>, Error> {
        let rows = vault::of_kind(connection, kind).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let fernet = self.fernet()?;
        let read = |row: vault::Model| match fernet.decrypt(&row.secret_value) {
            Some(value) => Ok((row.name, Secret::new(value), row.description)),
            None => Err(Error::WrongSecretKey { kind, name: row.name }),
        };
        rows.into_iter().map(read).collect()
    }

    /// Returns every connection that a task may use, by name.
    pub(crate) async fn connections(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<BTreeMap<String, Connection>, Error> {
        let kept = self.kept(connection, vault::CONNECTION).await?;
        let mut all: BTreeMap<String, Connection> = kept
            .into_iter()
            .map(|(name, url, _)| (name, Connection { url }))
            .collect();
        all.extend(self.settings.connections.clone());
        Ok(all)
    }

    /// Returns every variable that a task may use, by name.
    pub(crate) async fn variables(
        &self,
        connection: &impl ConnectionTrait,
    ) -> Result<BTreeMap<String, Value>, Error> {
        let kept = self.kept(connection, vault::VARIABLE).await?;
        let mut all: BTreeMap<String, Value> = kept
            .into_iter()
            .map(|(name, value, _)| (name, Value::from(value.expose())))
            .collect();
        all.extend(self.settings.variables.clone());
        Ok(all)
    }
}

impl Orchestrator {
    /// Returns every variable, by name; of two of one name that of the settings.
    ///
    /// # Errors
    /// [`Error::NoSecretKey`], [`Error::WrongSecretKey`], and when the database fails.
    pub async fn variables(&self) -> Result<Vec<Variable>, Error> {
        let mut all = BTreeMap::new();
        for (name, value, description) in self
            .core
            .kept(self.core.database.reader(), vault::VARIABLE)
            .await?
        {
            let is_setting = false;
            all.insert(
                name.clone(),
                Variable {
                    name,
                    value,
                    description,
                    is_setting,
                },
            );
        }
        for (name, value) in &self.core.settings.variables {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let variable = Variable {
                name: name.clone(),
                value: Secret::new(value),
                description: String::new(),
                is_setting: true,
            };
            all.insert(name.clone(), variable);
        }
        Ok(all.into_values().collect())
    }

    /// Makes a variable, or changes the one of this name.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::NoSecretKey`], and when the database fails.
    pub async fn put_variable(&self, name: &str, value: &Secret, description: &str) -> Result<(), Error> {
        self.put(vault::VARIABLE, name, value, description).await
    }

    /// Removes a variable.
    ///
    /// # Errors
    /// [`Error::NotKept`] when the database has none of this name, and when it fails.
    pub async fn delete_variable(&self, name: &str) -> Result<(), Error> {
        self.take_away(vault::VARIABLE, name).await
    }

    /// Returns every connection, by name; of two of one name that of the settings.
    ///
    /// # Errors
    /// [`Error::NoSecretKey`], [`Error::WrongSecretKey`], and when the database fails.
    pub async fn connections(&self) -> Result<Vec<NamedConnection>, Error> {
        let mut all = BTreeMap::new();
        for (name, url, description) in self
            .core
            .kept(self.core.database.reader(), vault::CONNECTION)
            .await?
        {
            let named = NamedConnection {
                name: name.clone(),
                connection: Connection { url },
                description,
                is_setting: false,
            };
            all.insert(name, named);
        }
        for (name, connection) in &self.core.settings.connections {
            let named = NamedConnection {
                name: name.clone(),
                connection: connection.clone(),
                description: String::new(),
                is_setting: true,
            };
            all.insert(name.clone(), named);
        }
        Ok(all.into_values().collect())
    }

    /// Makes a connection, or changes the one of this name.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`], [`Error::NoSecretKey`], and when the database fails.
    pub async fn put_connection(&self, name: &str, url: &Secret, description: &str) -> Result<(), Error> {
        if url::Url::parse(url.expose()).is_err() {
            return Err(Error::InvalidRequest {
                field: "uri",
                reason: "must be an address such as postgres://user:password@host:5432/database".to_owned(),
            });
        }
        self.put(vault::CONNECTION, name, url, description).await
    }

    /// Removes a connection.
    ///
    /// # Errors
    /// As [`Self::delete_variable`].
    pub async fn delete_connection(&self, name: &str) -> Result<(), Error> {
        self.take_away(vault::CONNECTION, name).await
    }

    async fn put(&self, kind: &str, name: &str, value: &Secret, description: &str) -> Result<(), Error> {
        check_name("name", name)?;
        let now = self.core.now();
        let row = vault::Model {
            kind: kind.to_owned(),
            name: name.to_owned(),
            secret_value: self.core.fernet()?.encrypt(value.expose(), now),
            description: description.to_owned(),
            changed_at: millis(now),
        };
        vault::put(self.core.database.writer(), row).await?;
        // Never the value.
        self.note(&format!("put_{kind}"), About::default(), json!({ "name": name }))
            .await
    }

    async fn take_away(&self, kind: &'static str, name: &str) -> Result<(), Error> {
        if !vault::delete(self.core.database.writer(), kind, name).await? {
            return Err(Error::NotKept {
                kind,
                name: name.to_owned(),
            });
        }
        self.note(
            &format!("delete_{kind}"),
            About::default(),
            json!({ "name": name }),
        )
        .await
    }
}
