//! Tokens of tasks.

use std::time::Duration;

use fragua_base::{Secret, random_hex};
use sha2::{Digest, Sha256};

use crate::store::tokens as store;
use crate::{Auth, Error};

const PREFIX: &str = "frg_";

/// What a valid task token says of its bearer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskToken {
    /// What the token was made for, such as `dag/run`.
    pub subject: String,
}

impl Auth {
    /// Makes a token for `subject` that is valid for `lifetime`. Only its hash is kept.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn issue_task_token(&self, subject: &str, lifetime: Duration) -> Result<Secret, Error> {
        let token = format!("{PREFIX}{}", random_hex(32));
        let now = self.clock.now();
        store::insert(&self.database, &hash(&token), subject, now, now.plus(lifetime)).await?;
        Ok(Secret::new(token))
    }

    /// Returns who a token was made for, `None` when it is unknown or its time is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn check_token(&self, token: &str) -> Result<Option<TaskToken>, Error> {
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        let subject = store::find_subject(&self.database, &hash(token), self.clock.now()).await?;
        Ok(subject.map(|subject| TaskToken { subject }))
    }
}

/// The token has 256 random bits, so a plain hash cannot be reversed by guessing.
pub(crate) fn hash(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}
