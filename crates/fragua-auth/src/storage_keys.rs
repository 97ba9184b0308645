//! Keys of the object store, each with a policy that says what it is for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fragua_base::{Secret, Timestamp, random_hex};

use crate::store::{access_keys, storage_keys as store};
use crate::{Auth, Error, Policy, PolicyOf};

const PREFIX: &str = "FRK";

/// What is known of a key of the object store; its secret is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageKey {
    /// Its public half, which signatures name.
    pub id: String,
    /// Whom it is for; several keys may have one name. Policies of buckets can name it.
    pub name: String,
    /// What it may do.
    pub policy: Policy,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its time is over.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// Since when it is turned off.
    pub disabled_at: Option<Timestamp>,
    /// When it was taken back.
    pub revoked_at: Option<Timestamp>,
}

/// A key of the object store to make.
#[derive(Debug, Clone)]
pub struct NewStorageKey {
    /// Whom it is for: 1 to 200 characters.
    pub name: String,
    /// What it may do.
    pub policy: Policy,
    /// How long it is good for; without end where there is none.
    pub lifetime: Option<Duration>,
}

/// Whom a key of the object store belongs to.
#[derive(Debug, Clone)]
pub enum StorageIdentity {
    /// The owner of the store, who may do everything.
    Root,
    /// Somebody who may do what a policy says.
    Key(Arc<StorageKey>),
}

impl StorageKey {
    /// Returns whether the key opens anything at an instant.
    pub fn is_valid_at(&self, now: Timestamp) -> bool {
        self.check(now).is_ok()
    }

    fn check(&self, now: Timestamp) -> Result<(), Error> {
        let state = match (self.revoked_at, self.disabled_at, self.expires_at) {
            (Some(at), ..) => format!("was revoked at {at}"),
            (None, Some(at), _) => format!("has been disabled since {at}"),
            (None, None, Some(at)) if at <= now => format!("expired at {at}"),
            _ => return Ok(()),
        };
        let id = self.id.clone();
        Err(Error::StorageKeyUnusable { id, state })
    }
}

impl Auth {
    /// Makes a key of the object store. Its secret is kept, because signatures are checked with it, and is shown this
    /// once.
    ///
    /// # Errors
    /// [`Error::InvalidStorageKey`] for a name that no key can have, [`Error::InvalidPolicy`] for a policy that cannot be kept,
    /// and when the database fails.
    pub async fn create_storage_key(&self, new: NewStorageKey) -> Result<(StorageKey, Secret), Error> {
        let NewStorageKey {
            name,
            policy,
            lifetime,
        } = new;
        if name.trim().is_empty() || name.chars().count() > 200 || name.chars().any(char::is_control) {
            let reason =
                "the name of a storage key has 1 to 200 characters, none of them a control character"
                    .to_owned();
            return Err(Error::InvalidStorageKey { reason });
        }
        // What is kept must say what was asked for: a document too long or with an empty name would open nothing. A key that
        // is to open nothing by itself may have what policies of buckets give it.
        let opens_nothing = policy == Policy::nothing();
        if !opens_nothing && Policy::parse(&policy.to_json(), PolicyOf::Key)? != policy {
            let reason = "the policy cannot be written as it can be read again".to_owned();
            return Err(Error::InvalidPolicy { reason });
        }
        let now = self.clock.now();
        let key = StorageKey {
            id: format!("{PREFIX}{}", random_hex(8).to_uppercase()),
            name,
            policy,
            created_at: now,
            expires_at: lifetime.map(|lifetime| now.plus(lifetime)),
            last_used_at: None,
            disabled_at: None,
            revoked_at: None,
        };
        let secret = Secret::new(random_hex(20));
        let inserting = store::insert(&self.database, &key, &secret);
        self.storage_ring.change(inserting).await?;
        Ok((key, secret))
    }

    /// Returns every key of the object store but the owner's, oldest first, those too that are good no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storage_keys(&self) -> Result<Vec<StorageKey>, Error> {
        let keys = store::all(&self.database).await?;
        Ok(keys.into_iter().map(|(key, _)| key).collect())
    }

    /// Takes a key of the object store back: at once in this process, in others within three seconds. Returns whether
    /// there is one of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_storage_key(&self, id: &str) -> Result<bool, Error> {
        let revoking = store::revoke(&self.database, id, self.clock.now());
        self.storage_ring.change(revoking).await
    }

    /// Turns a key of the object store off or on again, as fast as it is revoked. Returns whether there is one of this
    /// id that is not revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_storage_key_enabled(&self, id: &str, is_enabled: bool) -> Result<bool, Error> {
        let since = (!is_enabled).then(|| self.clock.now());
        let changing = store::set_disabled(&self.database, id, since);
        self.storage_ring.change(changing).await
    }

    /// Returns the secret and the owner of a key of the object store, `None` when there is no such key. Keys are kept in
    /// memory for three seconds.
    ///
    /// # Errors
    /// [`Error::StorageKeyUnusable`], and when the database fails.
    pub async fn storage_identity(&self, id: &str) -> Result<Option<(Secret, StorageIdentity)>, Error> {
        let load = async {
            let root = access_keys::root(&self.database).await?;
            let root = root.map(|key| (key.id, (key.secret, StorageIdentity::Root)));
            let keys = store::all(&self.database).await?.into_iter();
            let keys =
                keys.map(|(key, secret)| (key.id.clone(), (secret, StorageIdentity::Key(Arc::new(key)))));
            Ok(keys.chain(root).collect())
        };
        let Some(found) = self.storage_ring.find(id, || self.clock.now(), load).await? else {
            return Ok(None);
        };
        let (secret, identity) = &*found;
        if let StorageIdentity::Key(key) = identity {
            key.check(self.clock.now())?;
        }
        Ok(Some((secret.clone(), identity.clone())))
    }

    /// Takes note that a key of the object store was used; [`Auth::write_storage_key_uses`] writes it.
    pub fn storage_key_used(&self, key: &StorageKey) {
        self.storage_ring.uses.note(&key.id, self.clock.now());
    }

    /// Writes when keys of the object store were last used, as far as it is not written: to be called now and then.
    ///
    /// # Errors
    /// When the database fails; it is written the next time then.
    pub async fn write_storage_key_uses(&self) -> Result<(), Error> {
        let writing = async |uses: &HashMap<String, Timestamp>| store::note_uses(&self.database, uses).await;
        self.storage_ring.uses.write(writing).await
    }
}
