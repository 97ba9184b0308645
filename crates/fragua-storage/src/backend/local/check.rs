//! Every object compared with its bytes, and every file with the objects.

use std::collections::HashSet;
use std::ops::Bound;

use fragua_base::Timestamp;

use super::Local;
use super::encryption::segments;
use super::sealed::{Seal, Segment, file_size};
use super::verify::{Depth, Form, Noted, Sound, verify};
use super::versions::Walk;
use crate::backend::Place;
use crate::store::objects::{Attributes, key_text};
use crate::store::{buckets, garbage, objects, parts, uploads, versions};
use crate::upkeep::{CheckReport, Damage, Problem, RepairReport, Verified};
use crate::version::{DeleteTarget, VersionId};
use crate::{BucketName, Encryption, Error, ObjectKey, UploadQuery};

/// Rows of one read.
const READ_ROWS: usize = 500;

impl Local {
    /// Looks at everything: objects, versions, parts of uploads, files.
    pub(super) async fn check_all(&self, depth: Depth) -> Result<CheckReport, Error> {
        let mut report = CheckReport::default();
        for (bucket, _) in buckets::names(self.database()).await? {
            self.check_versions(&bucket, depth, &mut report.verified).await?;
            self.check_parts(&bucket, depth, &mut report.verified).await?;
        }
        report.orphans = self.orphans().await?;
        Ok(report)
    }

    /// Looks at everything and removes files that nothing refers to and, when asked to, objects without bytes.
    pub(super) async fn repair_all(
        &self,
        depth: Depth,
        removes_objects: bool,
    ) -> Result<RepairReport, Error> {
        let found = self.check_all(depth).await?;
        let orphans_removed = self.inner.blobs.remove(found.orphans.clone()).await.len() as u64;
        let mut report = RepairReport {
            orphans_removed,
            ..RepairReport::default()
        };
        if removes_objects {
            for damage in &found.verified.damaged {
                if damage.problem == Problem::BytesMissing && self.remove_damaged(damage).await? {
                    report.objects_removed += 1;
                    report.removed.push(damage.clone());
                }
            }
        }
        report.found = found;
        Ok(report)
    }

    /// Says how bytes lie in a file; those of clients' keys cannot be read here.
    fn form(&self, lying: Option<(&Encryption, Vec<Segment>)>) -> Form {
        let Some((encryption, segments)) = lying else {
            return Form::Plain;
        };
        match self.data_key(encryption, None) {
            Ok(key) => Form::Sealed(Seal { key, segments }),
            Err(_) => Form::Locked {
                file_bytes: file_size(&segments),
            },
        }
    }

    async fn remove_damaged(&self, damage: &Damage) -> Result<bool, Error> {
        let Some(version) = damage.version_id.clone() else {
            // Who uploads finds out when the parts are put together, and sends the part again.
            return Ok(false);
        };
        let bucket = BucketName::parse(&damage.bucket)?;
        let target = DeleteTarget {
            version: Some(VersionId::stored(version)),
            written_at: Some(damage.written_at),
            ..DeleteTarget::current(ObjectKey::parse(damage.key.clone())?)
        };
        let telling = self.telling(&bucket).await?;
        let deleted = objects::delete_many(self.database(), &bucket, &[target], &telling).await?;
        let is_removed = !deleted.useless.is_empty();
        self.announce(&telling, deleted.events);
        self.discard(deleted.useless).await;
        Ok(is_removed)
    }

    async fn check_versions(
        &self,
        bucket: &BucketName,
        depth: Depth,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let start = (Bound::Unbounded, versions::Start::Key(Bound::Unbounded));
        let mut walk = Walk::new(self.database(), bucket, "", start, (READ_ROWS, READ_ROWS));
        while let Some((row, _)) = walk.next().await? {
            self.check_version(bucket, row, depth, verified).await?;
        }
        Ok(())
    }

    /// Looks at one version; one that was deleted meanwhile is passed over.
    pub(super) async fn check_version(
        &self,
        bucket: &BucketName,
        row: versions::Model,
        depth: Depth,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let Some(blob) = row.blob_id else { return Ok(()) };
        let key = key_text(row.object_key)?;
        let attributes = Attributes::parse(&row.attributes)?;
        let size_bytes = u64::try_from(row.size_bytes).unwrap_or(0);
        let lying = attributes.encryption.as_ref();
        let lying = lying.map(|encryption| (encryption, segments(encryption, &attributes.parts, size_bytes)));
        let form = self.form(lying);
        let noted = Noted::new(blob, row.size_bytes, row.etag, attributes, form);
        let problem = match verify(&self.inner.blobs, &noted, depth).await {
            Ok(sound) => {
                verified.objects += 1;
                verified.bytes += noted.size_bytes;
                verified.without_checksum += u64::from(sound == Sound::Size && depth != Depth::Sizes);
                return Ok(());
            }
            Err(problem) => problem,
        };
        let version = VersionId::stored(row.version_id);
        let place = Place { bucket, key: &key };
        match objects::find_version(self.database(), place, &version).await {
            Ok(now) if now.blob_id == noted.blob => verified.add_damage(Damage {
                bucket: bucket.to_string(),
                key: key.to_string(),
                version_id: Some(version.to_string()),
                part: None,
                problem,
                written_at: Timestamp::from_millis(row.modified_at),
            }),
            Ok(_)
            | Err(
                Error::VersionNotFound { .. } | Error::BucketNotFound { .. } | Error::IsDeleteMarker { .. },
            ) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    async fn check_parts(
        &self,
        bucket: &BucketName,
        depth: Depth,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let mut query = UploadQuery::default();
        loop {
            let rows = uploads::list(self.database(), bucket, &query, READ_ROWS).await?;
            let is_last = rows.len() <= READ_ROWS;
            for row in rows.into_iter().take(READ_ROWS) {
                let upload = row.into_upload()?;
                let number = crate::multipart::MAX_PART_NUMBER as usize;
                for part in parts::list(self.database(), upload.id.as_str(), 0, number).await? {
                    self.check_part(bucket, &upload, part, depth, verified).await?;
                }
                query.start_after = Some((upload.key.to_string(), Some(upload.id)));
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn check_part(
        &self,
        bucket: &BucketName,
        upload: &crate::Upload,
        row: parts::Model,
        depth: Depth,
        verified: &mut Verified,
    ) -> Result<(), Error> {
        let (blob, size_bytes) = (row.blob_id.clone(), row.size_bytes);
        let part = row.into_part();
        let segment = Segment {
            part_number: part.number,
            size_bytes: part.size_bytes,
        };
        let encryption = upload.encryption.as_ref();
        let form = self.form(encryption.map(|encryption| (encryption, vec![segment])));
        let attributes = Attributes {
            checksum: part.checksum,
            ..Attributes::default()
        };
        let noted = Noted::new(blob, size_bytes, part.etag, attributes, form);
        let Err(problem) = verify(&self.inner.blobs, &noted, depth).await else {
            return Ok(());
        };
        let is_needed = !garbage::needed(self.database(), std::slice::from_ref(&noted.blob))
            .await?
            .is_empty();
        if is_needed {
            verified.add_damage(Damage {
                bucket: bucket.to_string(),
                key: upload.key.to_string(),
                version_id: None,
                part: Some((upload.id.to_string(), part.number)),
                problem,
                written_at: part.modified_at,
            });
        }
        Ok(())
    }

    /// Finds files that nothing refers to.
    ///
    /// What is being written lies in the folder of its instance as well, until its row is there: so files are looked at
    /// first, then these folders, then the rows. Where the file system has no second names, nothing may be written
    /// meanwhile.
    async fn orphans(&self) -> Result<Vec<String>, Error> {
        let mut orphans = Vec::new();
        for folder in self.inner.blobs.folders_of_blobs().await? {
            let files = self.inner.blobs.blobs_in(folder).await?;
            let incoming: HashSet<String> = self.inner.blobs.incoming().await?.into_iter().collect();
            let known: HashSet<String> = garbage::needed(self.database(), &files)
                .await?
                .into_iter()
                .chain(garbage::among(self.database(), &files).await?)
                .collect();
            let is_orphan = |blob: &String| !incoming.contains(blob) && !known.contains(blob);
            orphans.extend(files.into_iter().filter(is_orphan));
        }
        Ok(orphans)
    }
}
