//! Uploads of large artifacts in parts.

use std::io;

use bytes::Bytes;
use fragua_storage::{CompleteUpload, CompletedPart, CreateUpload, Part, PartOptions, UploadId};
use futures::Stream;

use crate::artifacts::ArtifactPath;
use crate::{Error, Tracking, validation};

impl Tracking {
    /// Begins an upload in parts. The artifact appears when it is completed.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for the root; those of the object store.
    pub async fn begin_upload(&self, path: &ArtifactPath) -> Result<UploadId, Error> {
        let options = CreateUpload {
            content_type: path.content_type(),
            ..CreateUpload::default()
        };
        Ok(self
            .storage()
            .create_upload(self.artifact_bucket(), &path.key()?, options)
            .await?)
    }

    /// Writes a part from a stream, replacing the one of that number.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the upload; those of the object store.
    pub async fn write_part(
        &self,
        path: &ArtifactPath,
        upload: &UploadId,
        number: u32,
        expected_size: Option<u64>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    ) -> Result<Part, Error> {
        let options = PartOptions {
            expected_size,
            ..PartOptions::default()
        };
        self.storage()
            .upload_part(
                (self.artifact_bucket(), &path.key()?),
                upload,
                number,
                options,
                body,
            )
            .await
            .map_err(|error| name_upload(error, upload))
    }

    /// Makes the artifact of the parts named.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the upload; [`Error::Storage`] for parts that are not there, are out of order, or
    /// are too small.
    pub async fn complete_upload(
        &self,
        path: &ArtifactPath,
        upload: &UploadId,
        parts: &[CompletedPart],
    ) -> Result<(), Error> {
        self.storage()
            .complete_upload(
                (self.artifact_bucket(), &path.key()?),
                upload,
                parts,
                CompleteUpload::default(),
            )
            .await
            .map_err(|error| name_upload(error, upload))?;
        Ok(())
    }

    /// Gives an upload up and drops its parts.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the upload.
    pub async fn abort_upload(&self, path: &ArtifactPath, upload: &UploadId) -> Result<(), Error> {
        self.storage()
            .abort_upload(self.artifact_bucket(), &path.key()?, upload)
            .await
            .map_err(|error| name_upload(error, upload))
    }
}

fn name_upload(error: fragua_storage::Error, upload: &UploadId) -> Error {
    match error {
        fragua_storage::Error::UploadNotFound { .. } => Error::not_found(format!(
            "No such upload: '{}'. It was completed, aborted, or never begun.",
            validation::shorten(upload.as_str())
        )),
        other => other.into(),
    }
}
