#![doc = include_str!("../README.md")]

mod access_keys;
mod access_log;
mod bind;
mod error;
mod fernet;
mod guard;
mod key_ring;
mod policy;
mod serving_keys;
mod storage_keys;
mod store;
mod tokens;
mod uses;
mod worker_tokens;

use std::sync::Arc;

use fragua_base::{Secret, SharedClock};
use fragua_database::Database;

pub use access_keys::AccessKey;
pub use access_log::LoggedAccess;
pub use bind::{BindRefused, check_bind};
pub use error::Error;
pub use fernet::{Fernet, new_secret_key};
pub use guard::{Guard, Refusal, Refused, guard};
pub use policy::{Access, Policy, PolicyOf, StorageAccess, Verdict};
pub use serving_keys::{KeyScope, NewServingKey, ServingKey};
pub use storage_keys::{NewStorageKey, StorageIdentity, StorageKey};
pub use tokens::TaskToken;
pub use worker_tokens::WorkerToken;

/// Users' keys and tokens. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Auth {
    database: Database,
    clock: SharedClock,
    serving_ring: Arc<key_ring::KeyRing<serving_keys::Kept>>,
    storage_ring: Arc<key_ring::KeyRing<(Secret, StorageIdentity)>>,
    accesses: Arc<access_log::Pending>,
}

impl Auth {
    /// Opens the tables, making them where they are missing.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated.
    pub async fn open(database: Database, clock: SharedClock) -> Result<Self, Error> {
        database.migrate("auth", store::migrations()).await?;
        Ok(Self {
            database,
            clock,
            serving_ring: Arc::default(),
            storage_ring: Arc::default(),
            accesses: Arc::default(),
        })
    }
}
