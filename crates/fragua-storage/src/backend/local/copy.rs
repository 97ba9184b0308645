//! The bytes of copies.

use std::io;

use fragua_base::random_hex;
use futures::StreamExt as _;

use super::Local;
use super::sink::NewBlob;
use crate::checksum::{Checksum, ChecksumAlgorithm, Expected, ExpectedChecksum};
use crate::encryption::{CustomerKey, Encrypt, Encryption};
use crate::object::{ObjectMeta, PartSizes};
use crate::{BucketName, Error};

/// A blob that got no row yet, and what is to be noted of its bytes.
pub(super) struct Copied {
    pub(super) blob: NewBlob,
    pub(super) etag: String,
    pub(super) checksum: Option<Checksum>,
    pub(super) encryption: Option<Encryption>,
    pub(super) parts: PartSizes,
}

/// What is asked of the bytes of a copy.
pub(super) struct AskedOfCopy<'options> {
    pub(super) checksum: Option<ChecksumAlgorithm>,
    pub(super) source_key: Option<&'options CustomerKey>,
    /// `None` keeps what is encrypted as it is.
    pub(super) encryption: Option<&'options Encrypt>,
}

impl Local {
    /// Copies bytes, without moving them where they are to be encrypted as they are.
    ///
    /// The inner error is that of the source's file, which may have gone since its row was read.
    pub(super) async fn copy_bytes(
        &self,
        (blob, meta): (String, &ObjectMeta),
        target: &BucketName,
        asked: &AskedOfCopy<'_>,
    ) -> Result<io::Result<Copied>, Error> {
        let wanted = match (asked.encryption, &meta.encryption) {
            (None, Some(_)) => return self.copy_as_it_is(blob, meta, asked).await,
            (None, None) => self.wanted_encryption(target, &Encrypt::AsBucket).await?,
            (Some(wanted), _) => {
                meta.check_customer_key(asked.source_key)?;
                self.wanted_encryption(target, wanted).await?
            }
        };
        let stays = match (&meta.encryption, &wanted) {
            (None, None) => true,
            (Some(encryption), Some(Encrypt::CustomerKey(key))) => encryption.open_with(key).is_some(),
            (Some(encryption), Some(_)) => !encryption.is_customer_key(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if stays {
            self.copy_as_it_is(blob, meta, asked).await
        } else {
            self.copy_anew(blob, meta, asked, wanted).await
        }
    }

    async fn copy_as_it_is(
        &self,
        blob: String,
        meta: &ObjectMeta,
        asked: &AskedOfCopy<'_>,
    ) -> Result<io::Result<Copied>, Error> {
        let blobs = &self.inner.blobs;
        let wanted = asked.checksum;
        let is_known = |sum: &Checksum| !sum.is_composite() && Some(sum.algorithm) == wanted;
        let unknown = wanted.filter(|_| !meta.checksum.as_ref().is_some_and(is_known));
        let checksum = match unknown {
            None => Ok(meta.checksum.clone()),
            Some(algorithm) => {
                let seal = self.seal(meta, asked.source_key)?;
                let sum = blobs.checksum(&blob, seal, meta.size_bytes, algorithm);
                sum.await.map(Some)
            }
        };
        let checksum = match checksum {
            Ok(checksum) => checksum,
            Err(error) => return Ok(Err(error)),
        };
        let copied = blobs.duplicate(&blob).await;
        Ok(copied.map(|blob| Copied {
            blob,
            checksum,
            etag: meta.etag.clone(),
            encryption: meta.encryption.clone(),
            parts: meta.parts.clone(),
        }))
    }

    /// Decrypts the bytes, encrypts them, or both. The entity tag stays where it may be told.
    async fn copy_anew(
        &self,
        blob: String,
        meta: &ObjectMeta,
        asked: &AskedOfCopy<'_>,
        wanted: Option<Encrypt>,
    ) -> Result<io::Result<Copied>, Error> {
        let encryption = self.new_encryption(wanted.as_ref())?;
        let seal = self.seal(meta, asked.source_key)?;
        let body = match self
            .inner
            .blobs
            .read((&blob, None), seal, 0..meta.size_bytes)
            .await
        {
            Ok(body) => body.boxed(),
            Err(error) => return Ok(Err(error)),
        };
        let was_of_customer = meta.encryption.as_ref().is_some_and(Encryption::is_customer_key);
        let expected = Expected {
            size: Some(meta.size_bytes),
            checksum: asked.checksum.map(ExpectedChecksum::compute),
            wants_md5: was_of_customer,
            md5: None,
        };
        let keeping = self.keeping(encryption.as_ref());
        let stored = self.inner.blobs.store(body, expected, keeping).await?;
        let (etag, parts) = match &wanted {
            Some(Encrypt::CustomerKey(_)) => (random_hex(16), PartSizes::default()),
            _ if was_of_customer => (stored.etag(), PartSizes::default()),
            _ => (meta.etag.clone(), meta.parts.clone()),
        };
        Ok(Ok(Copied {
            blob: stored.blob,
            etag,
            checksum: stored.digest.checksum.or_else(|| meta.checksum.clone()),
            encryption: encryption.map(|(encryption, _)| encryption),
            parts,
        }))
    }
}
