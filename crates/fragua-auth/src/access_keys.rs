//! Access keys of the object store.

use fragua_base::{Secret, random_hex};

use crate::store::access_keys as store;
use crate::{Auth, Error};

/// A pair that S3 requests are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// The public half: 3 to 128 letters, digits, `_`, `-` or `.`.
    pub id: String,
    /// The secret half: 8 to 128 printable ASCII characters.
    pub secret: Secret,
}

impl AccessKey {
    /// Checks a pair that somebody chose.
    ///
    /// # Errors
    /// When S3 clients could not send it.
    pub fn new(id: impl Into<String>, secret: impl Into<String>) -> Result<Self, Error> {
        let (id, secret) = (id.into(), secret.into());
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if !(3..=128).contains(&id.len()) || !id.bytes().all(word) {
            let reason = "must be 3 to 128 letters, digits, `_`, `-` or `.`";
            return Err(Error::InvalidAccessKey { part: "id", reason });
        }
        if !(8..=128).contains(&secret.len()) || !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            let reason = "must be 8 to 128 printable ASCII characters without spaces";
            return Err(Error::InvalidAccessKey {
                part: "secret",
                reason,
            });
        }
        Ok(Self {
            id,
            secret: Secret::new(secret),
        })
    }

    fn random() -> Self {
        Self {
            id: format!("FRG{}", random_hex(8).to_uppercase()),
            secret: Secret::new(random_hex(20)),
        }
    }
}

impl Auth {
    /// Returns the key that owns the store: `given` by the settings, else the one made at the first start.
    ///
    /// A key given by the settings replaces the one kept before, so that an old secret stops working.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn root_access_key(&self, given: Option<AccessKey>) -> Result<AccessKey, Error> {
        if let Some(key) = given {
            let replacing = store::replace_root(&self.database, &key, self.clock.now());
            self.storage_ring.change(replacing).await?;
            return Ok(key);
        }
        // Pages that only read ask too: nothing is written where there is a key.
        if let Some(key) = store::root(&self.database).await? {
            return Ok(key);
        }
        let made = AccessKey::random();
        let inserting = store::insert_root_if_missing(&self.database, &made, self.clock.now());
        self.storage_ring.change(inserting).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_clients_cannot_send_are_refused() {
        for (id, secret, good) in [
            ("minioadmin", "minioadmin", true),
            ("AKIA.x_y-z", "wJalrXUtnFEMI/K7MDENG", true),
            ("ab", "longenough", false),
            ("with space", "longenough", false),
            ("ñandú", "longenough", false),
            ("good", "short", false),
            ("good", "has a space", false),
        ] {
            assert_eq!(AccessKey::new(id, secret).is_ok(), good, "{id} {secret}");
        }
    }

    #[test]
    fn a_random_key_is_valid() {
        let key = AccessKey::random();
        assert_eq!(AccessKey::new(key.id.clone(), key.secret.expose()).unwrap(), key);
    }
}
