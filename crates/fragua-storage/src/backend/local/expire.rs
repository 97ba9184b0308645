//! What the lifecycle rules of buckets say, done.

use fragua_base::Timestamp;

use super::Local;
use super::versions::Walk;
use crate::lifecycle::{KeyVersion, Lifecycle, Verdict, decide, upload_is_over};
use crate::store::objects::{Attributes, key_text};
use crate::store::{bucket_settings, uploads, versions};
use crate::version::{DeleteTarget, VersionId};
use crate::{BucketName, Error, ExpiryReport, UploadQuery};

/// Rows of one read.
const READ_ROWS: usize = 500;

/// Versions that one transaction deletes.
const DELETE_BATCH: usize = 200;

impl Local {
    /// Does for every bucket what its rules say at this instant. Returns what was done, and the failure of a bucket whose
    /// rules could not be applied.
    pub(super) async fn expire(&self, now: Timestamp) -> Result<(ExpiryReport, Option<Error>), Error> {
        let (mut report, mut failed) = (ExpiryReport::default(), None);
        for bucket in bucket_settings::buckets_with(self.database(), "lifecycle").await? {
            match self.expire_in(&bucket, now, &mut report).await {
                // It was deleted meanwhile.
                Ok(()) | Err(Error::BucketNotFound { .. }) => {}
                // The rules of the others do not wait for it.
                Err(error) => {
                    tracing::warn!(%bucket, %error, "the lifecycle rules of a bucket cannot be applied");
                    failed = Some(error);
                }
            }
        }
        Ok((report, failed))
    }

    async fn expire_in(
        &self,
        bucket: &BucketName,
        now: Timestamp,
        report: &mut ExpiryReport,
    ) -> Result<(), Error> {
        let settings = self.current_settings(bucket).await?;
        let Some(lifecycle) = &settings.lifecycle else {
            return Ok(());
        };
        self.expire_versions(bucket, lifecycle, now, report).await?;
        self.expire_uploads(bucket, lifecycle, now, report).await
    }

    async fn expire_versions(
        &self,
        bucket: &BucketName,
        lifecycle: &Lifecycle,
        now: Timestamp,
        report: &mut ExpiryReport,
    ) -> Result<(), Error> {
        let prefix = common_prefix(lifecycle);
        let first = match prefix {
            "" => std::ops::Bound::Unbounded,
            prefix => std::ops::Bound::Included(prefix.as_bytes().to_vec()),
        };
        let start = (first.clone(), versions::Start::Key(first));
        let mut walk = Walk::new(self.database(), bucket, prefix, start, (READ_ROWS, READ_ROWS));
        let mut row = walk.next().await?;
        let (mut place, mut batch, mut looked_at) = (KeyPlace::default(), Vec::new(), 0_usize);
        while let Some((version, is_current)) = row {
            row = walk.next().await?;
            looked_at += 1;
            // What was decided on long ago may have got other tags since.
            if looked_at.is_multiple_of(READ_ROWS) {
                self.delete_expired(bucket, &mut batch, now).await?;
            }
            let is_last = row
                .as_ref()
                .is_none_or(|(next, _)| next.object_key != version.object_key);
            let seen = place.see(&version, is_current, is_last)?;
            let key = key_text(version.object_key)?;
            let (version_to_delete, counter) = match decide(lifecycle, key.as_str(), &seen, now) {
                Verdict::Stays => continue,
                Verdict::Expires => (None, &mut report.expired),
                Verdict::Goes if seen.noncurrent_since.is_some() => {
                    (Some(version.version_id), &mut report.noncurrent)
                }
                Verdict::Goes => (Some(version.version_id), &mut report.markers),
            };
            *counter += 1;
            batch.push(DeleteTarget {
                version: version_to_delete.map(VersionId::stored),
                written_at: Some(seen.modified_at),
                // The two tables are read one after the other: what was current then may seem to be its own successor.
                replaced_at: seen.noncurrent_since,
                ..DeleteTarget::current(key)
            });
            if batch.len() == DELETE_BATCH {
                self.delete_expired(bucket, &mut batch, now).await?;
            }
        }
        self.delete_expired(bucket, &mut batch, now).await
    }

    async fn delete_expired(
        &self,
        bucket: &BucketName,
        batch: &mut Vec<DeleteTarget>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut targets = std::mem::take(batch);
        if targets.is_empty() {
            return Ok(());
        }
        // The oldest of each key first, so that each is still followed by the version that it was seen with.
        targets.reverse();
        targets.sort_by(|one, other| one.key.cmp(&other.key));
        let telling = self.telling(bucket).await?.by_rule(now);
        let deleted = crate::store::objects::delete_many(self.database(), bucket, &targets, &telling).await?;
        self.announce(&telling, deleted.events);
        self.discard(deleted.useless).await;
        Ok(())
    }

    async fn expire_uploads(
        &self,
        bucket: &BucketName,
        lifecycle: &Lifecycle,
        now: Timestamp,
        report: &mut ExpiryReport,
    ) -> Result<(), Error> {
        if lifecycle.enabled().all(|rule| rule.abort_upload_days.is_none()) {
            return Ok(());
        }
        let mut query = UploadQuery::default();
        loop {
            let rows = uploads::list(self.database(), bucket, &query, READ_ROWS).await?;
            let is_last = rows.len() <= READ_ROWS;
            for row in rows.into_iter().take(READ_ROWS) {
                let upload = row.into_upload()?;
                if upload_is_over(lifecycle, upload.key.as_str(), upload.created_at, now) {
                    match self.drop_upload(upload.id.as_str()).await {
                        // It was completed or aborted meanwhile.
                        Err(Error::UploadNotFound { .. }) => {}
                        other => {
                            other?;
                            report.uploads += 1;
                        }
                    }
                }
                query.start_after = Some((upload.key.to_string(), Some(upload.id)));
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// Where a walk is within the versions of one key.
#[derive(Default)]
struct KeyPlace {
    key: Vec<u8>,
    /// When the version that is newer by one was written.
    newer_at: Option<Timestamp>,
    noncurrent: u32,
}

impl KeyPlace {
    fn see(&mut self, row: &versions::Model, is_current: bool, is_last: bool) -> Result<KeyVersion, Error> {
        if self.key != row.object_key {
            *self = Self {
                key: row.object_key.clone(),
                ..Self::default()
            };
        }
        let modified_at = Timestamp::from_millis(row.modified_at);
        let noncurrent_since = self.newer_at.replace(modified_at);
        let newer_noncurrent = self.noncurrent;
        if noncurrent_since.is_some() {
            self.noncurrent += 1;
        }
        let object = match row.blob_id {
            Some(_) => {
                let tags = Attributes::parse(&row.attributes)?.tags;
                Some((u64::try_from(row.size_bytes).unwrap_or(0), tags))
            }
            None => None,
        };
        Ok(KeyVersion {
            modified_at,
            object,
            is_current,
            noncurrent_since,
            newer_noncurrent,
            is_alone: noncurrent_since.is_none() && is_last,
        })
    }
}

/// Returns what the keys of all rules that count begin with.
fn common_prefix(lifecycle: &Lifecycle) -> &str {
    let mut prefixes = lifecycle.enabled().map(|rule| rule.filter.prefix.as_str());
    let Some(mut common) = prefixes.next() else {
        return "";
    };
    for prefix in prefixes {
        let mut length = 0;
        for (one, other) in common.chars().zip(prefix.chars()) {
            if one != other {
                break;
            }
            length += one.len_utf8();
        }
        common = &common[..length];
    }
    common
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LifecycleFilter, LifecycleRule};

    #[test]
    fn a_walk_is_limited_to_what_rules_are_about() {
        for (prefixes, expected) in [
            (&["logs/a", "logs/b"][..], "logs/"),
            (&["ñu", "ña"], "ñ"),
            (&["a", ""], ""),
            (&["a"], "a"),
            (&[], ""),
        ] {
            let rule = |prefix: &&str| LifecycleRule {
                is_enabled: true,
                filter: LifecycleFilter {
                    prefix: (*prefix).to_owned(),
                    ..LifecycleFilter::default()
                },
                ..LifecycleRule::default()
            };
            let rules = prefixes.iter().map(rule).collect();
            assert_eq!(common_prefix(&Lifecycle { rules }), expected);
        }
    }
}
