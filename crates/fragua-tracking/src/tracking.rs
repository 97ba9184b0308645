//! The façade.

use std::fmt;
use std::sync::Arc;

use fragua_base::{SharedClock, Timestamp};
use fragua_database::Database;
use fragua_storage::{BucketName, Storage};
use tokio::sync::{broadcast, watch};

use crate::metric_line::MetricLine;
use crate::permit::Signer;
use crate::purging::Purging;
use crate::store::Family;
use crate::webhooks::{Webhooks, new_secret_key};
use crate::{Change, Error, Settings, store};

/// A listener that lags further behind than this is told so by its receiver and reads the state anew.
const CHANGES_KEPT: usize = 1024;

/// Experiments, runs, models and their artifacts. Cheap to clone.
#[derive(Clone)]
pub struct Tracking {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    family: Family,
    storage: Storage,
    bucket: BucketName,
    settings: Settings,
    clock: SharedClock,
    changes: broadcast::Sender<Change>,
    signer: Signer,
    webhooks: Webhooks,
    metric_line: MetricLine,
    purging: watch::Sender<Purging>,
}

impl Tracking {
    /// Opens tracking: brings the schema up to date, makes the experiment `Default` in an empty database, and the
    /// bucket of the artifacts.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] and [`Error::OtherWorkspaces`] for a database of an MLflow that cannot be opened,
    /// [`Error::InvalidParameter`] for a bad bucket name or secret
    /// key, and failures of the database and the object store.
    pub async fn open(
        database: Database,
        storage: Storage,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let bucket = BucketName::parse(&settings.artifact_bucket)?;
        let family = store::prepare(&database, || clock.now()).await?;
        storage.ensure_bucket(&bucket).await?;
        Self::new(database, family, storage, bucket, settings, clock)
    }

    /// Opens tracking to read what is there: nothing is made or changed, and an MLflow's database that was never opened
    /// here stays as it is. Writing fails where tables of ours are missing. Returns nothing for a database in which
    /// nothing is. The bucket of the artifacts must be there.
    ///
    /// # Errors
    /// As [`Tracking::open`].
    pub async fn open_to_read(
        database: Database,
        storage: Storage,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Option<Self>, Error> {
        let bucket = BucketName::parse(&settings.artifact_bucket)?;
        match store::prepare_to_read(&database).await? {
            Some(family) => Self::new(database, family, storage, bucket, settings, clock).map(Some),
            None => Ok(None),
        }
    }

    fn new(
        database: Database,
        family: Family,
        storage: Storage,
        bucket: BucketName,
        settings: Settings,
        clock: SharedClock,
    ) -> Result<Self, Error> {
        let (changes, _) = broadcast::channel(CHANGES_KEPT);
        let secret_key = settings.secret_key.clone().unwrap_or_else(new_secret_key);
        let signer = Signer::new(secret_key.expose().as_bytes());
        let webhooks = Webhooks::new(&settings, &secret_key)?;
        Ok(Self {
            inner: Arc::new(Inner {
                database,
                family,
                storage,
                bucket,
                settings,
                clock,
                changes,
                signer,
                webhooks,
                metric_line: MetricLine::default(),
                purging: watch::Sender::default(),
            }),
        })
    }

    /// Returns a receiver of what changes from now on in this process.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes.subscribe()
    }

    /// Returns the name of the bucket that holds the artifacts.
    pub fn artifact_bucket(&self) -> &BucketName {
        &self.inner.bucket
    }

    /// Writes to the database and takes it back, to learn whether it can be written.
    ///
    /// # Errors
    /// The database's own.
    pub async fn check_writable(&self) -> Result<(), Error> {
        Ok(self.inner.database.ping_write().await?)
    }

    pub(crate) fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Returns what tells where this database keeps what an older MLflow has no tables for.
    pub(crate) fn family(&self) -> Family {
        self.inner.family
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    pub(crate) fn metric_line(&self) -> &MetricLine {
        &self.inner.metric_line
    }

    pub(crate) fn purging_sender(&self) -> &watch::Sender<Purging> {
        &self.inner.purging
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(crate) fn signer(&self) -> &Signer {
        &self.inner.signer
    }

    pub(crate) fn webhooks_inner(&self) -> &Webhooks {
        &self.inner.webhooks
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    pub(crate) fn tell(&self, change: Change) {
        // Nobody listening is fine.
        let _ = self.inner.changes.send(change);
    }
}

impl fmt::Debug for Tracking {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Tracking")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}
