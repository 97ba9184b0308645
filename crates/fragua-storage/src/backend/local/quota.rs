//! How much a bucket may hold.
//!
//! To count a bucket takes a look at each of its rows, so a count is remembered and what this process writes is added
//! to it. Before a write is refused the bucket is counted anew, unless that was done in this second. Processes that write to
//! one bucket at the same time may go beyond its quota by what they wrote since their last counts.
//!
//! The parts of an upload take room when they are written, and the object that they become takes their place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fragua_base::Timestamp;

use super::Local;
use crate::store::usage;
use crate::{BucketName, Error};

/// How long a count is good for.
const COUNTED_FOR: Duration = Duration::from_secs(10);

/// How long writes are refused without another count; what this process deletes ends it.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// What is known of one bucket, in bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Account {
    counted_at: Option<Timestamp>,
    counted: u64,
    /// Written by this process since the count, or while it was made.
    added: u64,
    /// Being written by this process.
    reserved: u64,
}

impl Account {
    fn has_room(&self, size_bytes: u64, quota_bytes: u64) -> bool {
        let held = self
            .counted
            .saturating_add(self.added)
            .saturating_add(self.reserved);
        held.saturating_add(size_bytes) <= quota_bytes
    }
}

#[derive(Debug, Default, Clone)]
pub(super) struct Quotas {
    accounts: Arc<Mutex<HashMap<BucketName, Account>>>,
    /// One count at a time, so that a count does not take the place of a later one.
    counting: Arc<tokio::sync::Mutex<()>>,
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

    /// Says yes, with the room reserved, or no where the last count is enough to know.
    fn decide(
        &self,
        bucket: &BucketName,
        size_bytes: u64,
        quota_bytes: u64,
        now: Timestamp,
    ) -> Option<Option<Reservation>> {
        let age = now.since(self.account(bucket).counted_at?);
        if age >= COUNTED_FOR {
            return None;
        }
        let reservation = self.reserve(bucket, size_bytes, quota_bytes);
        (reservation.is_some() || age < REFUSED_FOR).then_some(reservation)
    }

    fn account(&self, bucket: &BucketName) -> Account {
        self.accounts().get(bucket).copied().unwrap_or_default()
    }

    /// Notes a count that was begun when `added_before` had been written.
    fn count(&self, bucket: &BucketName, now: Timestamp, counted: u64, added_before: u64) {
        let mut accounts = self.accounts();
        let account = accounts.entry(bucket.clone()).or_default();
        account.counted_at = Some(now);
        account.counted = counted;
        account.added -= added_before.min(account.added);
    }

    /// Notes that there is more room than was counted.
    pub(super) fn forget(&self, bucket: &BucketName) {
        if let Some(account) = self.accounts().get_mut(bucket) {
            account.counted_at = None;
        }
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
    /// Fails where there is no room, before a body is sent; the room is taken once the bytes are there.
    pub(super) async fn expect_room(
        &self,
        bucket: &BucketName,
        size_bytes: Option<u64>,
    ) -> Result<(), Error> {
        if let Some(size_bytes) = size_bytes {
            drop(self.reserve(bucket, size_bytes).await?);
        }
        Ok(())
    }

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
        let refused = Error::QuotaExceeded {
            bucket: bucket.to_string(),
            quota_bytes,
        };
        if let Some(decided) = quotas.decide(bucket, size_bytes, quota_bytes, now) {
            return decided.map(Some).ok_or(refused);
        }
        let _alone = quotas.counting.lock().await;
        // Who waited for another's count goes by that.
        if let Some(decided) = quotas.decide(bucket, size_bytes, quota_bytes, now) {
            return decided.map(Some).ok_or(refused);
        }
        let added_before = quotas.account(bucket).added;
        let usage = usage::of_bucket(self.database(), bucket).await?;
        let of_parts = usage::of_parts(self.database(), bucket).await?;
        let counted = usage.size_bytes + usage.noncurrent_bytes + of_parts;
        quotas.count(bucket, now, counted, added_before);
        let reservation = quotas.reserve(bucket, size_bytes, quota_bytes);
        reservation.map(Some).ok_or(refused)
    }
}
