//! Uploads in parts: each part is a blob; the object is made of them at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use fragua_base::random_hex;
use md5::{Digest, Md5};

use super::blobs::Keeping;
use super::encryption::{file_bytes, runs, segments};

use super::sealed::{Seal, SegmentKey};
use super::sink::NewBlob;
use super::{Local, NewObject, attributes, content_type};
use crate::backend::Place;
use crate::checksum::{Checksum, ChecksumAlgorithm, Expected, ExpectedChecksum};
use crate::encryption::{CustomerKey, Encryption, check_customer_key};
use crate::events::ObjectEventKind;
use crate::listing::MAX_PAGE;
use crate::multipart::{
    CompleteUpload, CompletedPart, CreateUpload, MAX_PART_NUMBER, MIN_PART_BYTES, Part, PartList,
    PartOptions, UploadId, UploadList, UploadQuery,
};
use crate::object::{ObjectMeta, PartSizes};
use crate::store::uploads::UploadAttributes;
use crate::store::{buckets, objects, parts, uploads};
use crate::stream::BodyStream;
use crate::{BucketName, Error};

/// Uploads that are being put together now: who asks again, because the answer took long, waits for it.
#[derive(Debug, Default)]
pub(super) struct Completing(Mutex<BTreeMap<UploadId, Weak<tokio::sync::Mutex<()>>>>);

impl Completing {
    fn turn(&self, upload: &UploadId) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = turns.get(upload).and_then(Weak::upgrade) {
            return turn;
        }
        turns.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        turns.insert(upload.clone(), Arc::downgrade(&turn));
        turn
    }
}

impl Local {
    pub(super) async fn begin_upload(
        &self,
        place: Place<'_>,
        options: CreateUpload,
    ) -> Result<UploadId, Error> {
        let wanted = self.wanted_encryption(place.bucket, &options.encryption).await?;
        let mut object = attributes(options.headers, options.user_metadata, options.tags);
        object.encryption = self
            .new_encryption(wanted.as_ref())?
            .map(|(encryption, _)| encryption);
        let attributes = UploadAttributes {
            object,
            checksum_algorithm: options.checksum_algorithm,
            full_object_checksum: options.full_object_checksum,
        };
        let upload_id = random_hex(16);
        let row = uploads::Model {
            upload_id: upload_id.clone(),
            bucket: place.bucket.as_str().to_owned(),
            object_key: place.key.as_str().as_bytes().to_vec(),
            content_type: content_type(options.content_type)?,
            attributes: attributes.to_json(),
            created_at: self.inner.clock.now().as_millis(),
        };
        uploads::insert(self.database(), row).await?;
        Ok(UploadId::new(upload_id))
    }

    pub(super) async fn write_part(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        number: u32,
        options: PartOptions,
        body: BodyStream<'_>,
    ) -> Result<Part, Error> {
        let attributes = uploads::find(self.database(), place, upload)
            .await?
            .attributes()?;
        if let (Some(begun), Some(sent)) = (attributes.checksum_algorithm, &options.checksum)
            && begun != sent.algorithm
        {
            let sent = sent.algorithm;
            return Err(Error::UploadMismatch {
                reason: format!("the upload was begun with {begun} checksums and the part came with {sent}"),
            });
        }
        self.expect_room(place.bucket, options.expected_size).await?;
        let encryption = attributes.object.encryption;
        check_upload_key(encryption.as_ref(), options.customer_key.as_ref())?;
        let keeping = Keeping {
            key: match &encryption {
                None => None,
                Some(encryption) => Some(SegmentKey {
                    key: self.data_key(encryption, options.customer_key.as_ref())?,
                    part_number: number,
                }),
            },
            max_bytes: self.inner.settings.max_object_bytes,
            // Parts are joined as they lie, in files.
            small_bytes: 0,
        };
        let hides_md5 = encryption.as_ref().is_some_and(Encryption::is_customer_key);
        let asked = attributes.checksum_algorithm.map(ExpectedChecksum::compute);
        let expected = Expected {
            size: options.expected_size,
            md5: options.expected_md5,
            checksum: options.checksum.or(asked),
            wants_md5: !hides_md5,
        };
        let stored = self.inner.blobs.store(body, expected, keeping).await?;
        let etag = if hides_md5 { random_hex(16) } else { stored.etag() };
        let (digest, blob) = (stored.digest, stored.blob);
        let row = parts::Model {
            upload_id: upload.as_str().to_owned(),
            part_number: i32::try_from(number).unwrap_or(i32::MAX),
            blob_id: blob.id().to_owned(),
            size_bytes: i64::try_from(digest.size_bytes).unwrap_or(i64::MAX),
            etag,
            checksum: digest.checksum.as_ref().map(parts::checksum_text),
            modified_at: self.inner.clock.now().as_millis(),
        };
        let local = self.clone();
        let reservation = self.reserve(place.bucket, digest.size_bytes).await?;
        Self::to_the_end(async move {
            // From here on there may be a row.
            let (blob, _) = blob.keep();
            match parts::put(local.database(), row.clone()).await {
                Ok(replaced) => {
                    if let Some(reservation) = reservation {
                        reservation.fill();
                    }
                    local.inner.blobs.settle(vec![blob]).await;
                    local.discard(Vec::from_iter(replaced)).await;
                    Ok(Part {
                        encryption,
                        ..row.into_part()
                    })
                }
                Err(error) => Err(local.undo(blob, error).await),
            }
        })
        .await
    }

    /// Makes the object. Its etag is the MD5 of the parts' MD5s with their number.
    pub(super) async fn assemble(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        wanted: &[CompletedPart],
        options: CompleteUpload,
    ) -> Result<ObjectMeta, Error> {
        let turn = self.inner.completing.turn(upload);
        let _alone = turn.lock().await;
        let row = match uploads::find(self.database(), place, upload).await {
            Err(error @ Error::UploadNotFound { .. }) => {
                return self.completed_before(place, wanted).await?.ok_or(error);
            }
            found => found?,
        };
        objects::check_condition(self.database(), place, options.condition.as_ref()).await?;
        let upload_attributes = row.attributes()?;
        let customer_key = options.customer_key.as_ref();
        if customer_key.is_some() {
            check_upload_key(upload_attributes.object.encryption.as_ref(), customer_key)?;
        }
        let written = parts::list(self.database(), upload.as_str(), 0, MAX_PART_NUMBER as usize).await?;
        let chosen = choose(written, wanted)?;
        let size_bytes = chosen.iter().map(|(_, part)| part.size_bytes).sum();
        options.check_size(size_bytes)?;
        let limit_bytes = self.inner.settings.max_object_bytes;
        if size_bytes > limit_bytes {
            return Err(Error::TooLarge { limit_bytes });
        }
        let etag = multipart_etag(chosen.iter().map(|(_, part)| part.etag.as_str()));
        let whole = whole_checksum(&upload_attributes, &options)?;
        let part_sizes = PartSizes::from_iter(chosen.iter().map(|(_, part)| part.size_bytes));
        let mut attributes = upload_attributes.object;
        attributes.parts = part_sizes;
        let mut seal = None;
        if let Some(encryption) = &mut attributes.encryption {
            encryption.parts = runs(chosen.iter().map(|(_, part)| part.number));
            if whole.is_some() {
                seal = Some(Seal {
                    key: self.data_key(encryption, customer_key)?,
                    segments: segments(encryption, &attributes.parts, size_bytes),
                });
            }
        }
        let file_bytes = file_bytes(attributes.encryption.as_ref(), &attributes.parts, size_bytes);
        let (blob, whole) = self.join(&chosen, file_bytes, seal, whole).await?;
        let composite = || composite(upload_attributes.checksum_algorithm?, &chosen);
        let checksum = whole.or_else(composite);
        check_checksum(checksum.as_ref(), options.checksum.as_ref())?;
        attributes.checksum = checksum;
        let new = NewObject {
            content_type: row.content_type,
            attributes,
            condition: options.condition,
            finished_upload: Some(upload.clone()),
            kind: ObjectEventKind::CompleteUpload,
        };
        let place = (place.bucket.clone(), place.key.clone());
        self.clone().commit(place, (blob, size_bytes, etag), new).await
    }

    /// Finds the object that these parts became, for who did not hear the answer. No other upload has their entity tags.
    async fn completed_before(
        &self,
        place: Place<'_>,
        wanted: &[CompletedPart],
    ) -> Result<Option<ObjectMeta>, Error> {
        let etag = multipart_etag(wanted.iter().map(|part| part.etag.as_str()));
        let current = objects::current(self.database().reader(), place).await?;
        let completed = current.filter(|row| row.etag == etag);
        completed.map(objects::Model::into_meta).transpose()
    }

    async fn join(
        &self,
        chosen: &[(String, Part)],
        file_bytes: u64,
        seal: Option<Seal>,
        whole: Option<ChecksumAlgorithm>,
    ) -> Result<(NewBlob, Option<Checksum>), Error> {
        let blobs = &self.inner.blobs;
        let joined = match chosen {
            [(only, part)] if whole.is_none() || part.checksum.as_ref().map(|sum| sum.algorithm) == whole => {
                let checksum = part.checksum.clone().filter(|_| whole.is_some());
                blobs.duplicate(only).await.map(|blob| (blob, checksum))
            }
            several => {
                let ids = several.iter().map(|(blob, _)| blob.clone()).collect();
                blobs.concatenate(ids, file_bytes, seal, whole).await
            }
        };
        joined.map_err(Error::disk("cannot put the parts of an upload together"))
    }

    pub(super) async fn drop_upload(&self, upload: &str) -> Result<(), Error> {
        let transaction = self.database().begin().await?;
        let useless = uploads::delete(&transaction, upload).await?;
        transaction.commit().await?;
        self.discard(useless).await;
        Ok(())
    }

    pub(super) async fn parts_of(
        &self,
        place: Place<'_>,
        upload: &UploadId,
        after: u32,
        limit: usize,
    ) -> Result<PartList, Error> {
        let upload = uploads::find(self.database(), place, upload)
            .await?
            .into_upload()?;
        let rows = parts::list(self.database(), upload.id.as_str(), after, limit + 1).await?;
        let is_truncated = rows.len() > limit;
        let parts: Vec<Part> = rows
            .into_iter()
            .take(limit)
            .map(parts::Model::into_part)
            .collect();
        let next = parts.last().map(|part| part.number).filter(|_| is_truncated);
        Ok(PartList { upload, parts, next })
    }

    pub(super) async fn uploads_of(
        &self,
        bucket: &BucketName,
        query: &UploadQuery,
    ) -> Result<UploadList, Error> {
        buckets::check(self.database().reader(), bucket).await?;
        let limit = query.limit.map_or(MAX_PAGE, |limit| limit.min(MAX_PAGE));
        let rows = uploads::list(self.database(), bucket, query, limit).await?;
        // A page of none has nothing behind which the next one begins.
        let is_truncated = rows.len() > limit && limit > 0;
        let uploads = rows
            .into_iter()
            .take(limit)
            .map(uploads::Model::into_upload)
            .collect::<Result<_, _>>()?;
        Ok(UploadList {
            uploads,
            is_truncated,
        })
    }
}

/// Fails unless the key that came with a part is the one that the upload was begun with.
fn check_upload_key(encryption: Option<&Encryption>, key: Option<&CustomerKey>) -> Result<(), Error> {
    let reason = match check_customer_key(encryption, key) {
        Err(Error::CustomerKeyMissing) => {
            "the multipart upload initiate requested encryption; subsequent part requests must include the \
             appropriate encryption parameters"
        }
        Err(Error::CustomerKeyDiffers) => {
            "the provided encryption parameters did not match the ones used originally"
        }
        Err(Error::CustomerKeyUnneeded) => {
            "the multipart upload initiate did not request encryption with a key of the client"
        }
        other => return other,
    };
    Err(Error::UploadMismatch {
        reason: reason.to_owned(),
    })
}

/// Returns which checksum over all bytes to compute: the upload's, or the one that the client compares with where the
/// upload was begun without any.
fn whole_checksum(
    upload: &UploadAttributes,
    options: &CompleteUpload,
) -> Result<Option<ChecksumAlgorithm>, Error> {
    let sent = options.checksum.as_ref().map(|checksum| checksum.algorithm);
    let differs = |reason: String| Err(Error::UploadMismatch { reason });
    let Some(begun) = upload.checksum_algorithm else {
        return match options.full_object_checksum {
            Some(false) => differs("the upload was begun without checksums of its parts".to_owned()),
            _ => Ok(sent),
        };
    };
    if let Some(sent) = sent.filter(|sent| *sent != begun) {
        return differs(format!(
            "the upload was begun with {begun} checksums and completed with {sent}"
        ));
    }
    if options
        .full_object_checksum
        .is_some_and(|is_full| is_full != upload.full_object_checksum)
    {
        let kind = if upload.full_object_checksum {
            "FULL_OBJECT"
        } else {
            "COMPOSITE"
        };
        return differs(format!("the upload was begun with the checksum type {kind}"));
    }
    Ok(upload.full_object_checksum.then_some(begun))
}

/// Compares the object's checksum with the one that the client sent, which may leave out how many parts it is over.
fn check_checksum(found: Option<&Checksum>, sent: Option<&Checksum>) -> Result<(), Error> {
    let Some(sent) = sent else { return Ok(()) };
    let is_same = found.is_some_and(|found| {
        let bare = found.value.split('-').next().unwrap_or_default();
        found.value == sent.value || bare == sent.value
    });
    if is_same {
        return Ok(());
    }
    Err(Error::ChecksumMismatch {
        algorithm: sent.algorithm.as_str(),
    })
}

/// Finds the parts that the client names among those written, with their blobs.
fn choose(written: Vec<parts::Model>, wanted: &[CompletedPart]) -> Result<Vec<(String, Part)>, Error> {
    let mut written = written
        .into_iter()
        .map(|row| (row.blob_id.clone(), row.into_part()));
    let mut chosen = Vec::with_capacity(wanted.len());
    // Both are in order of their numbers.
    for (index, named) in wanted.iter().enumerate() {
        let invalid = || Error::InvalidPart {
            part_number: named.number,
        };
        let (blob, part) = written
            .find(|(_, part)| part.number == named.number)
            .ok_or_else(invalid)?;
        let sum_differs = part.checksum.as_ref().is_some_and(|own| {
            let mut comparable = named
                .checksums
                .iter()
                .filter(|sum| sum.algorithm == own.algorithm);
            comparable.any(|sum| sum != own)
        });
        if part.etag != named.etag || sum_differs {
            return Err(invalid());
        }
        if index + 1 < wanted.len() && part.size_bytes < MIN_PART_BYTES {
            return Err(Error::PartTooSmall {
                part_number: part.number,
                size_bytes: part.size_bytes,
            });
        }
        chosen.push((blob, part));
    }
    Ok(chosen)
}

fn multipart_etag<'etag>(parts: impl ExactSizeIterator<Item = &'etag str>) -> String {
    let (mut md5, count) = (Md5::new(), parts.len());
    for etag in parts {
        md5.update(hex::decode(etag).unwrap_or_default());
    }
    format!("{}-{count}", hex::encode(md5.finalize()))
}

fn composite(algorithm: ChecksumAlgorithm, chosen: &[(String, Part)]) -> Option<Checksum> {
    let of_algorithm = |checksum: &&Checksum| checksum.algorithm == algorithm;
    let sums: Option<Vec<&str>> = chosen
        .iter()
        .map(|(_, part)| {
            part.checksum
                .as_ref()
                .filter(of_algorithm)
                .map(|checksum| checksum.value.as_str())
        })
        .collect();
    algorithm.composite(sums?.into_iter())
}

#[cfg(test)]
mod tests {
    use fragua_base::Timestamp;

    use super::*;

    fn part(number: i32, size_bytes: i64) -> parts::Model {
        parts::Model {
            upload_id: "u".to_owned(),
            part_number: number,
            blob_id: format!("blob{number}"),
            size_bytes,
            etag: hex::encode(Md5::digest(number.to_string())),
            checksum: None,
            modified_at: Timestamp::default().as_millis(),
        }
    }

    fn named(number: u32) -> CompletedPart {
        CompletedPart {
            number,
            etag: hex::encode(Md5::digest(number.to_string())),
            checksums: Vec::new(),
        }
    }

    #[test]
    fn named_parts_must_be_there_and_large_enough() {
        let large = i64::try_from(MIN_PART_BYTES).unwrap();
        let written = || vec![part(1, large), part(3, large), part(7, 1)];
        let check = |numbers: &[u32]| {
            let wanted: Vec<CompletedPart> = numbers.iter().copied().map(named).collect();
            choose(written(), &wanted)
                .map(|parts| parts.into_iter().map(|(blob, _)| blob).collect::<Vec<_>>())
        };
        assert_eq!(check(&[1, 3, 7]).unwrap(), ["blob1", "blob3", "blob7"]);
        assert_eq!(check(&[3, 7]).unwrap(), ["blob3", "blob7"]);
        assert_eq!(check(&[7]).unwrap(), ["blob7"]);
        assert!(matches!(
            check(&[1, 2]),
            Err(Error::InvalidPart { part_number: 2 })
        ));
        let small_first = choose(vec![part(1, 5), part(2, 5)], &[named(1), named(2)]);
        assert!(matches!(
            small_first,
            Err(Error::PartTooSmall {
                part_number: 1,
                size_bytes: 5
            })
        ));
        let other_etag = CompletedPart {
            etag: "0".repeat(32),
            ..named(1)
        };
        assert!(matches!(
            choose(written(), &[other_etag]),
            Err(Error::InvalidPart { part_number: 1 })
        ));
    }

    #[test]
    fn the_etag_counts_the_parts() {
        let expected = hex::encode(Md5::digest(Md5::digest("1")));
        let etag = multipart_etag([named(1).etag.as_str()].into_iter());
        assert_eq!(etag, format!("{expected}-1"));
    }
}
