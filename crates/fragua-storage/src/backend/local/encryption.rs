//! How the bytes of objects are encrypted, and what opens them.

use fragua_base::random_hex;
use fragua_database::Database;
use std::ops::Bound;

use super::Local;
use super::sealed::{Seal, Segment, SegmentKey, file_size};
use super::versions::Walk;
use crate::encryption::{CustomerKey, DataKey, Encrypt, Encryption, KeptKey};
use crate::object::{ObjectMeta, PartSizes};
use crate::store::objects::Attributes;
use crate::store::{buckets, objects, uploads, versions};
use crate::{BucketName, DefaultEncryption, Error, UploadQuery};

/// Rows of one read.
const READ_ROWS: usize = 500;

/// How a new object is encrypted: what is kept of its key, and the key.
pub(super) type NewEncryption = (Encryption, DataKey);

impl Local {
    /// Says what is to be done; `None` leaves the bytes as they are.
    pub(super) async fn wanted_encryption(
        &self,
        bucket: &BucketName,
        asked: &Encrypt,
    ) -> Result<Option<Encrypt>, Error> {
        match asked {
            Encrypt::AsBucket => {
                let default = self.remembered_settings(bucket).await?.encryption;
                let is_wanted =
                    default == Some(DefaultEncryption::Aes256) || self.inner.settings.encrypts_all;
                Ok(is_wanted.then_some(Encrypt::Aes256))
            }
            other => Ok(Some(other.clone())),
        }
    }

    /// Makes a key for a new object.
    pub(super) fn new_encryption(&self, wanted: Option<&Encrypt>) -> Result<Option<NewEncryption>, Error> {
        match wanted {
            None | Some(Encrypt::AsBucket) => Ok(None),
            Some(Encrypt::Aes256) => {
                let key = DataKey(rand::random());
                Ok(Some((self.inner.key_ring.wrap(&key)?, key)))
            }
            Some(Encrypt::CustomerKey(key)) => {
                let encryption = Encryption::with_customer_key(key, random_hex(16));
                let data_key = encryption.open_with(key);
                Ok(data_key.map(|data_key| (encryption, data_key)))
            }
        }
    }

    pub(super) fn data_key(
        &self,
        encryption: &Encryption,
        key: Option<&CustomerKey>,
    ) -> Result<DataKey, Error> {
        match &encryption.key {
            KeptKey::Wrapped { key_id, wrapped } => self.inner.key_ring.unwrap(key_id, wrapped),
            KeptKey::Customer { .. } => {
                let key = key.ok_or(Error::CustomerKeyMissing)?;
                encryption.open_with(key).ok_or(Error::CustomerKeyDiffers)
            }
        }
    }

    /// Returns what it takes to read an object; `None` where its bytes are not encrypted.
    pub(super) fn seal(&self, meta: &ObjectMeta, key: Option<&CustomerKey>) -> Result<Option<Seal>, Error> {
        let Some(encryption) = &meta.encryption else {
            return Ok(None);
        };
        Ok(Some(Seal {
            key: self.data_key(encryption, key)?,
            segments: segments(encryption, &meta.parts, meta.size_bytes),
        }))
    }

    /// Encrypts each data key with the first key of the ring; the bytes of objects stay as they are. Returns how many
    /// there were.
    ///
    /// What moves to another table meanwhile is found by the next pass, so that the last two find nothing.
    pub(super) async fn rewrap_all(&self) -> Result<u64, Error> {
        let (mut total, mut passes_without) = (0, 0);
        while passes_without < 2 {
            let mut rewrapped = 0;
            for (bucket, _) in buckets::names(self.database()).await? {
                rewrapped += self.rewrap_versions(&bucket).await?;
                rewrapped += self.rewrap_uploads(&bucket).await?;
            }
            total += rewrapped;
            passes_without = if rewrapped == 0 { passes_without + 1 } else { 0 };
        }
        Ok(total)
    }

    /// Encrypts a data key with the first key of the ring; returns whether it was not.
    pub(super) fn rewrap(&self, attributes: &mut Attributes) -> Result<bool, Error> {
        let Some(encryption) = &mut attributes.encryption else {
            return Ok(false);
        };
        let Some(rewrapped) = self.inner.key_ring.rewrap(encryption)? else {
            return Ok(false);
        };
        *encryption = rewrapped;
        Ok(true)
    }

    async fn rewrap_versions(&self, bucket: &BucketName) -> Result<u64, Error> {
        let start = (Bound::Unbounded, versions::Start::Key(Bound::Unbounded));
        let mut walk = Walk::new(self.database(), bucket, "", start, (READ_ROWS, READ_ROWS));
        let mut count = 0;
        while let Some((row, _)) = walk.next().await? {
            let mut attributes = Attributes::parse(&row.attributes)?;
            if self.rewrap(&mut attributes)? {
                let text = attributes.to_json();
                let database: &Database = self.database();
                count += versions::change_attributes(database, &row, &text).await?;
                count += objects::change_attributes(database, &row, &text).await?;
            }
        }
        Ok(count)
    }

    async fn rewrap_uploads(&self, bucket: &BucketName) -> Result<u64, Error> {
        let mut query = UploadQuery::default();
        let mut count = 0;
        loop {
            let rows = uploads::list(self.database(), bucket, &query, READ_ROWS).await?;
            let is_last = rows.len() <= READ_ROWS;
            for row in rows.into_iter().take(READ_ROWS) {
                let mut attributes = row.attributes()?;
                if self.rewrap(&mut attributes.object)? {
                    count += uploads::change_attributes(self.database(), &row, &attributes).await?;
                }
                let upload = row.into_upload()?;
                query.start_after = Some((upload.key.to_string(), Some(upload.id)));
            }
            if is_last {
                return Ok(count);
            }
        }
    }
}

/// Returns how the bytes of an object lie in its file.
pub(super) fn segments(encryption: &Encryption, parts: &PartSizes, size_bytes: u64) -> Vec<Segment> {
    if encryption.parts.is_empty() {
        return vec![Segment {
            part_number: 0,
            size_bytes,
        }];
    }
    let numbers = encryption
        .parts
        .iter()
        .flat_map(|(first, count)| *first..*first + *count);
    let segment = |(part_number, size_bytes)| Segment {
        part_number,
        size_bytes,
    };
    numbers.zip(parts.iter()).map(segment).collect()
}

/// Returns how many bytes an object takes in its file.
pub(super) fn file_bytes(encryption: Option<&Encryption>, parts: &PartSizes, size_bytes: u64) -> u64 {
    encryption.map_or(size_bytes, |encryption| {
        file_size(&segments(encryption, parts, size_bytes))
    })
}

/// Returns the numbers as runs of a first one and a count.
pub(super) fn runs(numbers: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == number => *count += 1,
            _ => runs.push((number, 1)),
        }
    }
    runs
}

/// Returns what a new segment is encrypted with.
pub(super) fn segment_key(encryption: Option<&NewEncryption>) -> Option<SegmentKey> {
    encryption.map(|(_, key)| SegmentKey {
        key: key.clone(),
        part_number: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_parts_are_kept_as_runs() {
        let mut encryption = Encryption::wrapped(String::new(), String::new());
        let whole = Segment {
            part_number: 0,
            size_bytes: 9,
        };
        assert_eq!(segments(&encryption, &PartSizes::from_iter([4, 5]), 9), [whole]);
        encryption.parts = runs([1, 2, 5].into_iter());
        assert_eq!(encryption.parts, [(1, 2), (5, 1)]);
        let found = segments(&encryption, &PartSizes::from_iter([4, 4, 1]), 9);
        let found: Vec<(u32, u64)> = found
            .iter()
            .map(|segment| (segment.part_number, segment.size_bytes))
            .collect();
        assert_eq!(found, [(1, 4), (2, 4), (5, 1)]);
    }
}
