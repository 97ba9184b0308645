//! Keys of the inference API, each for some models or for all.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use fragua_base::{Secret, Timestamp, random_hex};
use subtle::ConstantTimeEq as _;

use crate::store::serving_keys as store;
use crate::tokens::hash;
use crate::{Auth, Error};

const PREFIX: &str = "frk_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;
/// So many names fit into a text column of every engine, however they are spelled.
const MOST_MODELS: usize = 100;

/// What is known of a serving key; the key itself is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServingKey {
    /// Its public part: 16 hexadecimal digits.
    pub id: String,
    /// What its owner calls it; several keys may have one name.
    pub name: String,
    /// Which models it is for.
    pub scope: KeyScope,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its time is over.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// A key and what its bearer is known by.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) key: Arc<ServingKey>,
    pub(crate) hash: Secret,
}

/// Which registered models a key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyScope {
    /// Every model, those too that are registered later.
    AllModels,
    /// Every version of the models of these names.
    Models(BTreeSet<String>),
}

/// A serving key to make.
#[derive(Debug, Clone)]
pub struct NewServingKey {
    /// What its owner calls it: 1 to 200 characters.
    pub name: String,
    /// Which models it is for.
    pub scope: KeyScope,
    /// How long it is good for; without end where there is none.
    pub lifetime: Option<Duration>,
}

impl KeyScope {
    /// Returns whether the registered model of this name is in it. Upper and lower case differ.
    pub fn allows(&self, model: &str) -> bool {
        match self {
            Self::AllModels => true,
            Self::Models(names) => names.contains(model),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let Self::Models(names) = self else {
            return Ok(());
        };
        if names.is_empty() || names.len() > MOST_MODELS {
            let reason = format!(
                "a serving key is for 1 to {MOST_MODELS} models, or for all; {} were named",
                names.len()
            );
            return Err(Error::InvalidServingKey { reason });
        }
        let is_name = |name: &&String| {
            (1..=256).contains(&name.len())
                && !name.contains(['/', ':', '@'])
                && !name.chars().any(char::is_control)
        };
        match names.iter().find(|name| !is_name(name)) {
            None => Ok(()),
            Some(name) => Err(Error::InvalidServingKey {
                reason: format!(
                    "{:?} is no name of a registered model: a key is for all versions and aliases of a model, so give \
                     its name alone, without models:/, @ALIAS or /VERSION",
                    name.chars().take(80).collect::<String>()
                ),
            }),
        }
    }
}

impl ServingKey {
    /// Returns whether the key opens anything at an instant.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

impl Auth {
    /// Makes a key of the inference API. Only its hash is kept, so the key that is returned cannot be shown again.
    ///
    /// # Errors
    /// [`Error::InvalidServingKey`] for a name or a scope that no key can have, and when the database fails.
    pub async fn create_serving_key(&self, new: NewServingKey) -> Result<(ServingKey, Secret), Error> {
        let NewServingKey {
            name,
            scope,
            lifetime,
        } = new;
        if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            let reason =
                "the name of a serving key has 1 to 200 characters, none of them a control character"
                    .to_owned();
            return Err(Error::InvalidServingKey { reason });
        }
        scope.check()?;
        let now = self.clock.now();
        let key = ServingKey {
            id: random_hex(ID_BYTES),
            name,
            scope,
            created_at: now,
            expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
            last_used_at: None,
            revoked_at: None,
        };
        let secret = format!("{PREFIX}{}_{}", key.id, random_hex(SECRET_BYTES));
        let inserting = store::insert(&self.database, &key, hash(&secret));
        self.serving_ring.change(inserting).await?;
        Ok((key, Secret::new(secret)))
    }

    /// Returns every serving key, oldest first, those too that were revoked or whose time is over.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn serving_keys(&self) -> Result<Vec<ServingKey>, Error> {
        let kept = store::all(&self.database).await?;
        Ok(kept.into_iter().map(|kept| (*kept.key).clone()).collect())
    }

    /// Returns whether any serving key is valid now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_valid_serving_key(&self) -> Result<bool, Error> {
        let now = self.clock.now();
        let keys = self.serving_keys().await?;
        Ok(keys.iter().any(|key| key.is_valid_at(now)))
    }

    /// Takes a serving key back: at once in this process, in others within three seconds. Returns whether there is one
    /// of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_serving_key(&self, id: &str) -> Result<bool, Error> {
        let revoking = store::revoke(&self.database, id, self.clock.now());
        self.serving_ring.change(revoking).await
    }

    /// Returns what is known of a key that somebody sent. Keys are kept in memory for three seconds, so that few requests
    /// ask the database.
    ///
    /// # Errors
    /// [`Error::UnknownServingKey`], [`Error::ServingKeyExpired`], [`Error::ServingKeyRevoked`], and when the database
    /// fails.
    pub async fn check_serving_key(&self, sent: &str) -> Result<Arc<ServingKey>, Error> {
        let id = id_of(sent).ok_or(Error::UnknownServingKey)?;
        let load = async {
            let keys = store::all(&self.database).await?;
            Ok(keys.into_iter().map(|kept| (kept.key.id.clone(), kept)).collect())
        };
        let kept = self.serving_ring.find(id, || self.clock.now(), load).await?;
        let kept = kept.ok_or(Error::UnknownServingKey)?;
        let is_it = hash(sent).as_bytes().ct_eq(kept.hash.expose().as_bytes());
        if !bool::from(is_it) {
            return Err(Error::UnknownServingKey);
        }
        let (key, now) = (&kept.key, self.clock.now());
        if let Some(at) = key.revoked_at {
            return Err(Error::ServingKeyRevoked {
                id: key.id.clone(),
                at,
            });
        }
        if let Some(at) = key.expires_at.filter(|at| *at <= now) {
            return Err(Error::ServingKeyExpired {
                id: key.id.clone(),
                at,
            });
        }
        self.serving_ring.uses.note(id, now);
        Ok(Arc::clone(key))
    }

    /// Writes when serving keys were last used, as far as it is not written: to be called now and then, aside from what
    /// answers requests.
    ///
    /// # Errors
    /// When the database fails; it is written the next time then.
    pub async fn write_serving_key_uses(&self) -> Result<(), Error> {
        let write = async |uses: &HashMap<String, Timestamp>| store::note_uses(&self.database, uses).await;
        self.serving_ring.uses.write(write).await
    }
}

/// Returns the public part of a key, nothing where the text cannot be one.
fn id_of(sent: &str) -> Option<&str> {
    let (id, secret) = sent.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex = |text: &str, bytes: usize| {
        text.len() == 2 * bytes && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_a_key_has_an_id() {
        let (id, secret) = ("0123456789abcdef", "0f".repeat(SECRET_BYTES));
        assert_eq!(id_of(&format!("frk_{id}_{secret}")), Some(id));
        for wrong in [
            String::new(),
            "frk_".to_owned(),
            format!("frg_{id}_{secret}"),
            format!("frk_{id}{secret}"),
            format!("frk_{id}_{secret}0"),
            format!("frk_{id}_{}", secret.to_uppercase()),
            format!("frk_{}_{secret}", &id[1..]),
            format!("frk_{id}_{secret} "),
        ] {
            assert_eq!(id_of(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_scope_is_of_names_alone() {
        let scope = |names: &[&str]| KeyScope::Models(names.iter().map(|name| (*name).to_owned()).collect());
        assert!(KeyScope::AllModels.check().is_ok() && KeyScope::AllModels.allows("any"));
        assert!(scope(&["forest", "a b"]).check().is_ok());
        assert!(scope(&["forest"]).allows("forest"));
        for other in ["Forest", "forest ", "forest2", ""] {
            assert!(!scope(&["forest"]).allows(other), "{other:?}");
        }
        for wrong in [
            "forest@champion",
            "models:/forest",
            "forest/3",
            "",
            "a\nb",
            &"x".repeat(257),
        ] {
            let error = scope(&["good", wrong]).check().unwrap_err().to_string();
            assert!(error.contains("without models:/"), "{error}");
        }
        let many: Vec<String> = (0..=MOST_MODELS).map(|number| number.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(scope(&many).check().is_err() && scope(&[]).check().is_err());
    }
}
