//! Tokens of workers on other machines.

use fragua_base::{Secret, Timestamp, random_hex};

use crate::store::worker_tokens as store;
use crate::tokens::hash;
use crate::{Auth, Error};

const PREFIX: &str = "frgw_";

/// What is known of a worker token; the token itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerToken {
    /// What its owner calls it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

impl Auth {
    /// Makes a token that lets workers of other machines run tasks, under a name to revoke it by. Only its hash is kept.
    ///
    /// # Errors
    /// [`Error::WorkerTokenExists`] when there is one of this name, [`Error::InvalidWorkerToken`] for an empty or very
    /// long name, and when the database fails.
    pub async fn create_worker_token(&self, name: &str) -> Result<Secret, Error> {
        if name.is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            return Err(Error::InvalidWorkerToken);
        }
        let token = format!("{PREFIX}{}", random_hex(32));
        store::insert(&self.database, name, &hash(&token), self.clock.now())
            .await
            .map_err(|error| match error {
                Error::Database(fragua_database::Error::Unique { .. }) => Error::WorkerTokenExists {
                    name: name.to_owned(),
                },
                other => other,
            })?;
        Ok(Secret::new(token))
    }

    /// Returns the worker tokens, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn worker_tokens(&self) -> Result<Vec<WorkerToken>, Error> {
        store::all(&self.database).await
    }

    /// Revokes the worker token of this name. Returns whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_worker_token(&self, name: &str) -> Result<bool, Error> {
        store::delete(&self.database, name).await
    }

    /// Returns the name that a worker token was made under; nothing when it is unknown or revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn check_worker_token(&self, token: &str) -> Result<Option<String>, Error> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        store::find_name(&self.database, &hash(token)).await
    }
}
