//! How much a bucket may hold.
//!
//! To count a bucket takes a look at each of its rows, so a count is remembered and what this process writes is added
//! to it. Before a write is refused the bucket is counted anew. Processes that write to one bucket at the same time may
//! go beyond its quota by what they wrote since their last counts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fragua_base::Timestamp;

use super::Local;
use crate::store::usage;
use crate::{BucketName, Error};

/// How long a count is good for.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// What is known of one bucket, in bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Account {
    counted_at: Option<Timestamp>,
    counted: u64,
    /// Written by this process since the count.
    added: u64,
    /// Being written by this process.
    reserved: u64,
}

impl Account {
    fn has_room(&self, size_bytes: u64, quota_bytes: u64) -> bool {
        let held = self.counted.saturating_add(self.added).saturating_add(self.reserved);
        held.saturating_add(size_bytes) <= quota_bytes
    }
}

#[derive(Debug, Default, Clone)]
pub(super) struct Quotas {
    accounts: Arc<Mutex<HashMap<BucketName, Account>>>,
}

impl Quotas {
    fn accounts(&self) -> MutexGuard<'_, HashMap<BucketName, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves room where the last count says that there is some.
    fn reserve(&self, bucket: &BucketName, size_bytes: u64, quota_bytes: u64) -> Option<Reservation> {
        let mut accounts = self.accounts();
        let account = accounts.entry(bucket.clone()).or_default();
        if !account.has_room(size_bytes, quota_bytes) {
            return None;
        }
        account.reserved += size_bytes;
        Some(Reservation {
            quotas: self.clone(),
            bucket: bucket.clone(),
            size_bytes,
        })
    }

    fn is_counted(&self, bucket: &BucketName, now: Timestamp) -> bool {
        let counted_at = self.accounts().get(bucket).and_then(|account| account.counted_at);
        counted_at.is_some_and(|counted_at| now.since(counted_at) < COUNTED_FOR)
    }

    fn count(&self, bucket: &BucketName, now: Timestamp, counted: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(bucket.clone()).or_default();
        account.counted_at = Some(now);
        account.counted = counted;
        account.added = 0;
    }
}

/// Room for a write that is under way; given back when dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    quotas: Quotas,
    bucket: BucketName,
    size_bytes: u64,
}

impl Reservation {
    /// Notes that the write is done.
    pub(super) fn fill(self) {
        if let Some(account) = self.quotas.accounts().get_mut(&self.bucket) {
            account.added += self.size_bytes;
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(account) = self.quotas.accounts().get_mut(&self.bucket) {
            account.reserved = account.reserved.saturating_sub(self.size_bytes);
        }
    }
}

impl Local {
    /// Reserves room for a write, in a bucket that has a quota. What a write replaces is counted until it is gone.
    pub(super) async fn reserve(
        &self,
        bucket: &BucketName,
        size_bytes: u64,
    ) -> Result<Option<Reservation>, Error> {
        let Some(quota_bytes) = self.remembered_settings(bucket).await?.quota_bytes else {
            return Ok(None);
        };
        let quotas = &self.inner.quotas;
        let now = self.inner.clock.now();
        if quotas.is_counted(bucket, now)
            && let Some(reservation) = quotas.reserve(bucket, size_bytes, quota_bytes)
        {
            return Ok(Some(reservation));
        }
        let usage = usage::of_bucket(self.database(), bucket).await?;
        quotas.count(bucket, now, usage.size_bytes + usage.noncurrent_bytes);
        match quotas.reserve(bucket, size_bytes, quota_bytes) {
            Some(reservation) => Ok(Some(reservation)),
            None => Err(Error::QuotaExceeded {
                bucket: bucket.to_string(),
                quota_bytes,
            }),
        }
    }
}
