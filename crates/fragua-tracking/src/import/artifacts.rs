//! Brings in the files that an MLflow server kept in a folder, its `--artifacts-destination`. The rows of its database
//! name them already: the path of a file in the folder is its key in the bucket.

use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio_util::io::ReaderStream;

use super::Skipped;
use super::read::Reader;
use crate::artifacts::{ArtifactPath, FolderSize};
use crate::{Error, ExperimentId, Tracking, local_artifacts, store};

pub(super) const BAD_NAME: &str = "its name cannot be that of an artifact";
const CHUNK_BYTES: usize = 256 * 1024;

/// Which files to bring in, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactImportRequest {
    /// The folder that was the server's `--artifacts-destination`.
    pub folder: PathBuf,
    /// Whether everything is looked at and nothing copied.
    pub dry_run: bool,
}

/// What an import of files did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArtifactImportReport {
    /// What was copied.
    pub copied: FolderSize,
    /// How many files were there before, with the same size.
    pub already_there: u64,
    /// What was passed over.
    pub skipped: Vec<Skipped>,
}

impl Tracking {
    /// Copies the files of an MLflow server's folder into the bucket. `progress` is told of each: how many of how many
    /// are done. Links are not followed, and what is there with another size stays: nobody knows which one is right.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] when no experiment keeps its files in this folder; those of the database and the
    /// object store. What was copied before an error stays, and another import goes on from there.
    pub async fn import_artifacts(
        &self,
        request: &ArtifactImportRequest,
        mut progress: impl FnMut(usize, usize) + Send,
    ) -> Result<ArtifactImportReport, Error> {
        let folder = &request.folder;
        self.check_is_of_experiments(folder).await?;
        let mut reader = Reader::new(folder);
        let mut waiting = reader.inside(folder);
        let mut total = 0;
        while reader.next_file(&mut waiting).is_some() {
            total += 1;
        }
        // Reading again notes again what counting noted.
        reader.skipped.clear();
        let mut report = ArtifactImportReport::default();
        waiting = reader.inside(folder);
        let mut done = 0;
        while let Some(file) = reader.next_file(&mut waiting) {
            self.import_artifact(request, &mut reader, &file, &mut report)
                .await?;
            done += 1;
            progress(done, total.max(done));
        }
        report.skipped = reader.skipped;
        Ok(report)
    }

    async fn import_artifact(
        &self,
        request: &ArtifactImportRequest,
        reader: &mut Reader,
        file: &Path,
        report: &mut ArtifactImportReport,
    ) -> Result<(), Error> {
        let name = file.strip_prefix(&request.folder).ok().and_then(Path::to_str);
        let Some(place) = name.and_then(|name| ArtifactPath::parse(name).ok()) else {
            reader.skip(file, None, BAD_NAME);
            return Ok(());
        };
        let Some(size) = reader.size(file) else {
            return Ok(());
        };
        match self.artifact_size(&place).await {
            Ok(there) if there == size => report.already_there += 1,
            Ok(there) => {
                let reason =
                    format!("another file of this name is there, with {there} bytes in place of {size}");
                reader.skip(file, None, reason);
            }
            Err(Error::NotFound(_)) => {
                if request.dry_run || copy(self, reader, file, &place, size).await? {
                    report.copied += FolderSize {
                        files: 1,
                        bytes: size,
                    };
                }
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Refuses a folder in which no experiment has files: it is another one, or the database is.
    async fn check_is_of_experiments(&self, folder: &Path) -> Result<(), Error> {
        let locations = store::experiments::locations(self.database().reader()).await?;
        let mut places = locations
            .iter()
            .filter_map(|location| self.artifact_in_bucket(location).ok());
        if folder.is_dir() && places.any(|place| folder.join(place.as_str()).is_dir()) {
            return Ok(());
        }
        let are_at_paths = locations
            .iter()
            .any(|location| local_artifacts::root_of(location).is_some());
        let of_paths = match are_at_paths {
            true => {
                ". Artifacts that are at a path are not copied: they are shown where they are, from the folders of \
                 the setting tracking.local_artifacts"
            }
            false => "",
        };
        Err(Error::invalid(format!(
            "{} has no files of an experiment of this database. Name the folder that the server had as \
             --artifacts-destination, and its database with MLFLOW_BACKEND_STORE_URI{of_paths}",
            folder.display()
        )))
    }

    /// Returns whether the database comes from an MLflow server that kept artifacts, and not one of them is in the
    /// bucket.
    ///
    /// # Errors
    /// Those of the database and the object store.
    pub async fn lacks_artifacts_of_mlflow(&self) -> Result<bool, Error> {
        let (found, _) = self.first_artifacts(&ArtifactPath::parse("")?, 1).await?;
        let reader = self.database().reader();
        Ok(found.is_empty() && store::experiments::has_artifacts_of_mlflow(reader, None).await?)
    }

    /// Returns whether an MLflow server made the experiment and kept its artifacts: some may not have been imported.
    ///
    /// # Errors
    /// The database's own.
    pub async fn had_artifacts_of_mlflow(&self, experiment: ExperimentId) -> Result<bool, Error> {
        let reader = self.database().reader();
        Ok(store::experiments::has_artifacts_of_mlflow(reader, Some(experiment)).await?)
    }
}

/// Copies a file to its place. Returns false for one that cannot be read to its end, which is noted.
pub(super) async fn copy(
    tracking: &Tracking,
    reader: &mut Reader,
    file: &Path,
    place: &ArtifactPath,
    size: u64,
) -> Result<bool, Error> {
    use fragua_storage::Error::{Body, IncompleteBody};
    let failed = match File::open(file).await {
        Ok(opened) => {
            let body = ReaderStream::with_capacity(opened, CHUNK_BYTES);
            match tracking.put_artifact(place, None, Some(size), body).await {
                Ok(_) => return Ok(true),
                Err(Error::Storage(error @ (Body(_) | IncompleteBody { .. }))) => error.to_string(),
                Err(error) => return Err(error),
            }
        }
        Err(error) => error.to_string(),
    };
    reader.skip(file, None, failed);
    Ok(false)
}
