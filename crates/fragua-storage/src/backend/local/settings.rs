//! What is set for each bucket, remembered for a few seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fragua_base::Timestamp;

use super::Local;
use crate::bucket_settings::{BucketSetting, BucketSettings};
use crate::store::{bucket_settings, buckets};
use crate::{BucketName, Error, Versioning};

/// How long a change that another process made may go unseen.
const REMEMBERED_FOR: Duration = Duration::from_secs(5);

/// Buckets that are remembered; names that are asked for and do not exist are not.
const REMEMBERED_BUCKETS: usize = 10_000;

type Entries = HashMap<BucketName, (Timestamp, Arc<BucketSettings>)>;

/// Settings that were read lately.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    entries: Mutex<Entries>,
}

impl Remembered {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, bucket: &BucketName, now: Timestamp) -> Option<Arc<BucketSettings>> {
        let entries = self.entries();
        let (read_at, settings) = entries.get(bucket)?;
        (now.since(*read_at) < REMEMBERED_FOR).then(|| Arc::clone(settings))
    }

    fn keep(&self, bucket: &BucketName, now: Timestamp, settings: &Arc<BucketSettings>) {
        let mut entries = self.entries();
        if entries.len() >= REMEMBERED_BUCKETS {
            entries.clear();
        }
        entries.insert(bucket.clone(), (now, Arc::clone(settings)));
    }

    pub(super) fn forget(&self, bucket: &BucketName) {
        self.entries().remove(bucket);
    }
}

impl Local {
    /// Returns what is set, which may be some seconds old.
    pub(super) async fn remembered_settings(
        &self,
        bucket: &BucketName,
    ) -> Result<Arc<BucketSettings>, Error> {
        match self.inner.remembered.get(bucket, self.inner.clock.now()) {
            Some(settings) => Ok(settings),
            None => self.current_settings(bucket).await,
        }
    }

    /// Reads what is set now.
    pub(super) async fn current_settings(&self, bucket: &BucketName) -> Result<Arc<BucketSettings>, Error> {
        let now = self.inner.clock.now();
        let settings = Arc::new(bucket_settings::read(self.database(), bucket).await?);
        self.inner.remembered.keep(bucket, now, &settings);
        Ok(settings)
    }

    pub(super) async fn change_setting(
        &self,
        bucket: &BucketName,
        setting: &BucketSetting,
    ) -> Result<(), Error> {
        if let BucketSetting::Notification(Some(notification)) = setting {
            let settings = self.current_settings(bucket).await?;
            self.inner
                .webhooks
                .check(notification, settings.notification.as_ref())?;
        }
        let written = bucket_settings::write(self.database(), bucket, setting).await;
        self.inner.remembered.forget(bucket);
        written
    }

    pub(super) async fn change_versioning(
        &self,
        bucket: &BucketName,
        versioning: Versioning,
    ) -> Result<(), Error> {
        let written = buckets::set_versioning(self.database(), bucket, versioning).await;
        self.inner.remembered.forget(bucket);
        written
    }
}
