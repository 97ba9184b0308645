//! Keys of the object store, each with a policy that says what it is for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fragua_base::{Secret, Timestamp, random_hex};

use crate::store::{access_keys, storage_keys as store};
use crate::{Auth, Error, Policy};

const PREFIX: &str = "FRK";

/// How long a key counts as what it was when it was read: the longest that a revocation by another process takes.
const KNOWN_FOR: Duration = Duration::from_secs(3);

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

/// Keys that were read a moment ago, so that few requests ask the database.
#[derive(Debug, Default)]
pub(crate) struct Identities {
    seen: Mutex<HashMap<String, Seen>>,
}

#[derive(Debug, Clone)]
struct Seen {
    at: Timestamp,
    secret: Secret,
    identity: StorageIdentity,
}

impl Identities {
    fn find(&self, id: &str, now: Timestamp) -> Option<(Secret, StorageIdentity)> {
        let seen = self
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()?;
        // A clock that was set back makes what was seen old, not new for ever.
        let age = now.as_millis().checked_sub(seen.at.as_millis())?;
        let age = Duration::from_millis(u64::try_from(age).ok()?);
        (age < KNOWN_FOR).then_some((seen.secret, seen.identity))
    }

    fn keep(&self, id: &str, seen: Seen) {
        let mut all = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(id.to_owned(), seen);
    }

    pub(crate) fn forget(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
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
    /// [`Error::InvalidStorageKey`] for a name that no key can have, and when the database fails.
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
        store::insert(&self.database, &key, &secret).await?;
        Ok((key, secret))
    }

    /// Returns every key of the object store but the owner's, oldest first, those too that are good no more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn storage_keys(&self) -> Result<Vec<StorageKey>, Error> {
        store::all(&self.database).await
    }

    /// Takes a key of the object store back: at once in this process, in others within three seconds. Returns whether
    /// there is one of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn revoke_storage_key(&self, id: &str) -> Result<bool, Error> {
        let revoked = store::revoke(&self.database, id, self.clock.now()).await;
        self.identities.forget();
        revoked
    }

    /// Turns a key of the object store off or on again, as fast as it is revoked. Returns whether there is one of this
    /// id that is not revoked.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_storage_key_enabled(&self, id: &str, is_enabled: bool) -> Result<bool, Error> {
        let since = (!is_enabled).then(|| self.clock.now());
        let changed = store::set_disabled(&self.database, id, since).await;
        self.identities.forget();
        changed
    }

    /// Returns the secret and the owner of a key of the object store, `None` when there is no such key. Keys are kept in
    /// memory for three seconds.
    ///
    /// # Errors
    /// [`Error::StorageKeyUnusable`], and when the database fails.
    pub async fn storage_identity(&self, id: &str) -> Result<Option<(Secret, StorageIdentity)>, Error> {
        let now = self.clock.now();
        if let Some((secret, identity)) = self.identities.find(id, now) {
            if let StorageIdentity::Key(key) = &identity {
                key.check(now)?;
            }
            return Ok(Some((secret, identity)));
        }
        let found = match access_keys::find_secret(&self.database, id).await? {
            Some(secret) => Some((secret, StorageIdentity::Root)),
            None => store::find(&self.database, id)
                .await?
                .map(|(key, secret)| (secret, StorageIdentity::Key(Arc::new(key)))),
        };
        let Some((secret, identity)) = found else {
            return Ok(None);
        };
        if let StorageIdentity::Key(key) = &identity {
            key.check(now)?;
        }
        let seen = Seen {
            at: now,
            secret: secret.clone(),
            identity: identity.clone(),
        };
        self.identities.keep(id, seen);
        Ok(Some((secret, identity)))
    }

    /// Takes note that a key of the object store was used; [`Auth::write_storage_key_uses`] writes it.
    pub fn storage_key_used(&self, key: &StorageKey) {
        self.storage_uses.note(&key.id, self.clock.now());
    }

    /// Writes when keys of the object store were last used, as far as it is not written: to be called now and then.
    ///
    /// # Errors
    /// When the database fails; it is written the next time then.
    pub async fn write_storage_key_uses(&self) -> Result<(), Error> {
        let writing = async |uses: &HashMap<String, Timestamp>| store::note_uses(&self.database, uses).await;
        self.storage_uses.write(writing).await
    }
}
