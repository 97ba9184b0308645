//! Artifacts: the files of runs and models, kept as objects of one bucket.

use std::fmt;
use std::io;
use std::ops::AddAssign;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use fragua_storage::{
    BucketName, ByteRange, ListQuery, Listing, ObjectKey, ObjectMeta, ObjectStream, ObjectSummary, PutOptions,
};
use futures::Stream;
use percent_encoding::percent_decode_str;

use crate::{Error, Tracking, local_artifacts, validation};

const SCHEME: &str = "mlflow-artifacts:";
/// A key of the object store has at most 1024 bytes; this leaves room for a prefix of our own.
const MAX_PATH_BYTES: usize = 1000;

/// The place of an artifact or folder in the bucket, or in a folder of this machine that is only read: names between
/// single slashes, none of them `.` or `..`. The empty path is the root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactPath {
    path: String,
    folder: Option<Arc<Path>>,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArtifactEntry {
    /// The last part of its path.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
    /// Its size in bytes; 0 for folders.
    pub size_bytes: u64,
}

impl ArtifactPath {
    /// Checks a relative path.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a path that is absolute, leaves its folder also when decoded further, or has
    /// an empty name, a backslash, a `#` or a control character.
    pub fn parse(path: &str) -> Result<Self, Error> {
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self::in_bucket(""));
        }
        if path.len() > MAX_PATH_BYTES {
            return Err(Error::invalid(format!(
                "Invalid path: it is longer than {MAX_PATH_BYTES} bytes"
            )));
        }
        // What another program decodes once more must not leave the folder either.
        let mut decoded = path.to_owned();
        loop {
            check(&decoded)?;
            match percent_decode_str(&decoded).decode_utf8() {
                Ok(further) if further != decoded => decoded = further.into_owned(),
                _ => break,
            }
        }
        Ok(Self::in_bucket(path))
    }

    fn in_bucket(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            folder: None,
        }
    }

    /// Returns the place that an artifact URI of this server names.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other URI: what lies in a foreign store is not read from here.
    pub(crate) fn of_uri(uri: &str, bucket: &BucketName) -> Result<Self, Error> {
        if let Some(path) = uri.strip_prefix(SCHEME) {
            if path.starts_with("//") {
                return Err(Error::invalid(
                    "Invalid artifact location: it must not name a host",
                ));
            }
            return Self::parse(path.trim_start_matches('/'));
        }
        if let Some(path) = uri
            .strip_prefix("s3://")
            .and_then(|rest| rest.strip_prefix(bucket.as_str()))
        {
            if path.is_empty() {
                return Ok(Self::in_bucket(""));
            }
            if let Some(path) = path.strip_prefix('/') {
                return Self::parse(path);
            }
        }
        Err(Error::invalid(format!(
            "The artifacts at {} are not on this server; read them from there.",
            validation::shorten(uri)
        )))
    }

    /// Returns this place with a relative path appended.
    ///
    /// # Errors
    /// As [`ArtifactPath::parse`].
    pub fn join(&self, path: &str) -> Result<Self, Error> {
        let path = Self::parse(path)?.path;
        Ok(Self {
            path: match (self.path.is_empty(), path.is_empty()) {
                (true, _) => path,
                (_, true) => self.path.clone(),
                _ => format!("{}/{path}", self.path),
            },
            folder: self.folder.clone(),
        })
    }

    /// Returns the text without slashes at its ends.
    pub fn as_str(&self) -> &str {
        &self.path
    }

    /// Returns the last name, empty for the root.
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or("")
    }

    /// Returns whether it is in a folder of this machine, where nothing is written.
    pub fn is_read_only(&self) -> bool {
        self.folder.is_some()
    }

    /// Returns the URI that names this place.
    pub(crate) fn uri(&self) -> String {
        match &self.folder {
            Some(folder) => folder.join(&self.path).display().to_string(),
            None => format!("{SCHEME}/{}", self.path),
        }
    }

    pub(crate) fn is_within(&self, root: &Self) -> bool {
        match self.path.strip_prefix(root.as_str()) {
            Some(rest) => root.path.is_empty() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    fn folder_prefix(&self) -> String {
        if self.path.is_empty() {
            String::new()
        } else {
            format!("{}/", self.path)
        }
    }

    /// Guesses the media type from the name.
    pub(crate) fn content_type(&self) -> Option<String> {
        let guessed = mime_guess::from_path(self.as_str()).first();
        guessed.map(|kind| kind.to_string())
    }

    pub(crate) fn key(&self) -> Result<ObjectKey, Error> {
        if self.path.is_empty() {
            return Err(Error::invalid("Invalid path: it names no file"));
        }
        if let Some(folder) = &self.folder {
            return Err(Error::invalid(format!(
                "The artifacts in {} are only read by this server.",
                folder.display()
            )));
        }
        Ok(ObjectKey::parse(self.path.as_str())?)
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)
    }
}

fn check(path: &str) -> Result<(), Error> {
    let drive = path.as_bytes().get(1) == Some(&b':') && path.as_bytes()[0].is_ascii_alphabetic();
    let bad_name = |name: &str| matches!(name, "" | "." | "..");
    if drive
        || path.split('/').any(bad_name)
        || path
            .chars()
            .any(|character| matches!(character, '\\' | '#') || character.is_control())
    {
        return Err(Error::invalid("Invalid path"));
    }
    Ok(())
}

/// Where an experiment keeps its artifacts: this server, or a bucket that clients reach themselves.
pub(crate) struct ArtifactLocation(String);

impl ArtifactLocation {
    /// Checks a location a client asks for. Run and model locations grow from it and have to fit their columns.
    pub(crate) fn parse(location: &str) -> Result<Self, Error> {
        const MAX_BYTES: usize = 150;
        let location = location.trim_end_matches('/');
        if location.len() > MAX_BYTES {
            return Err(Error::invalid(format!(
                "artifact_location is longer than {MAX_BYTES} bytes"
            )));
        }
        if let Some(path) = location.strip_prefix(SCHEME) {
            let path = path.strip_prefix('/').unwrap_or(path);
            ArtifactPath::parse(path)?;
            return Ok(Self(format!("{SCHEME}/{path}")));
        }
        if location.starts_with("s3://") {
            validation::object_store_uri("artifact_location", location)?;
            return Ok(Self(location.to_owned()));
        }
        Err(Error::invalid(format!(
            "Invalid artifact location: '{}'. Use mlflow-artifacts:/PATH or s3://BUCKET/PATH; local paths and other \
             schemes are refused.",
            validation::shorten(location)
        )))
    }
}

impl fmt::Display for ArtifactLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Tracking {
    /// Returns the place of an artifact of a run; `""` is the run's root.
    ///
    /// # Errors
    /// [`Error::NotFound`] without the run; [`Error::InvalidParameter`] for a bad path or foreign artifacts.
    pub async fn run_artifact(&self, run_id: &str, path: &str) -> Result<ArtifactPath, Error> {
        let info = self.run_info(run_id).await?;
        self.artifact_at(&info.artifact_uri)?.join(path)
    }

    /// Returns the place that an artifact URI names, in the bucket or in one of the folders that may be read.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other URI.
    pub fn artifact_at(&self, uri: &str) -> Result<ArtifactPath, Error> {
        match local_artifacts::find(&self.settings().local_artifacts, uri) {
            Some((folder, path)) => Ok(ArtifactPath {
                folder: Some(folder),
                ..ArtifactPath::parse(&path)?
            }),
            None => self.artifact_in_bucket(uri),
        }
    }

    /// Returns the place in the bucket that an artifact URI names.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for any other URI.
    pub(crate) fn artifact_in_bucket(&self, uri: &str) -> Result<ArtifactPath, Error> {
        ArtifactPath::of_uri(uri, self.artifact_bucket())
    }

    /// Returns the folder of some machine that has to be named in [`Settings::local_artifacts`](crate::Settings) for the
    /// artifacts at this URI to be shown; nothing for any other URI.
    pub fn folder_to_allow(&self, uri: &str) -> Option<String> {
        match self.artifact_at(uri) {
            Ok(_) => None,
            Err(_) => local_artifacts::root_of(uri),
        }
    }

    /// Returns the entries of a folder by name; none for a file or a place where nothing is.
    ///
    /// # Errors
    /// Those of the object store.
    pub async fn list_artifacts(&self, folder: &ArtifactPath) -> Result<Vec<ArtifactEntry>, Error> {
        let (mut entries, mut next) = self.entries(folder, false, None, None).await?;
        while next.is_some() {
            let (more, after) = self.entries(folder, false, None, next).await?;
            entries.extend(more);
            next = after;
        }
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    /// Returns the first `most` entries of a folder by key, and whether there are more: for pages, which never list a
    /// folder of a million files.
    ///
    /// # Errors
    /// Those of the object store.
    pub async fn first_artifacts(
        &self,
        folder: &ArtifactPath,
        most: usize,
    ) -> Result<(Vec<ArtifactEntry>, bool), Error> {
        let (mut entries, next) = self.entries(folder, false, Some(most), None).await?;
        let is_cut = next.is_some() || entries.len() > most;
        entries.truncate(most);
        Ok((entries, is_cut))
    }

    /// Returns files below a folder, however deep, by their paths from there, and where the next of them begin.
    ///
    /// # Errors
    /// Those of the object store.
    pub async fn artifacts_below(
        &self,
        folder: &ArtifactPath,
        start_after: Option<String>,
    ) -> Result<(Vec<ArtifactEntry>, Option<String>), Error> {
        self.entries(folder, true, None, start_after).await
    }

    /// Returns entries of a folder, those of the folders in it instead of them when `is_deep`, and where the next of them
    /// begin. A folder of this machine is read at once.
    async fn entries(
        &self,
        folder: &ArtifactPath,
        is_deep: bool,
        limit: Option<usize>,
        start_after: Option<String>,
    ) -> Result<(Vec<ArtifactEntry>, Option<String>), Error> {
        if let Some(local) = &folder.folder {
            return Ok((local_artifacts::list(local, folder, is_deep).await?, None));
        }
        let prefix = folder.folder_prefix();
        let query = ListQuery {
            prefix: prefix.clone(),
            delimiter: (!is_deep).then(|| "/".to_owned()),
            start_after,
            limit,
        };
        let listing = self.storage().list(self.artifact_bucket(), query).await?;
        Ok((entries_of(&listing, &prefix), listing.next))
    }

    /// Opens an artifact, or a part of it, for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`]; a range outside of the file.
    pub async fn open_artifact(
        &self,
        path: &ArtifactPath,
        range: Option<ByteRange>,
    ) -> Result<(ObjectMeta, ObjectStream), Error> {
        if let Some(local) = &path.folder {
            return local_artifacts::open(local, path, range).await;
        }
        let key = path.key()?;
        let opened = self.storage().get(self.artifact_bucket(), &key, range).await;
        opened.map_err(|error| name_artifact(error, path))
    }

    /// Returns the size of an artifact in bytes.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn artifact_size(&self, path: &ArtifactPath) -> Result<u64, Error> {
        if let Some(local) = &path.folder {
            return local_artifacts::size(local, path).await;
        }
        let found = self.storage().head(self.artifact_bucket(), &path.key()?).await;
        Ok(found.map_err(|error| name_artifact(error, path))?.size_bytes)
    }

    /// Reads an artifact into memory.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Storage`] when it is larger than `limit_bytes`.
    pub async fn read_artifact(&self, path: &ArtifactPath, limit_bytes: u64) -> Result<Bytes, Error> {
        let (_, stream) = self.open_artifact(path, None).await?;
        Ok(stream.into_bytes(limit_bytes).await?)
    }

    /// Writes an artifact from a stream. The content type is guessed from the name when it is not given.
    ///
    /// # Errors
    /// Those of the object store; the old file stays when the stream fails.
    pub async fn put_artifact(
        &self,
        path: &ArtifactPath,
        content_type: Option<String>,
        expected_size: Option<u64>,
        body: impl Stream<Item = io::Result<Bytes>> + Send + Unpin,
    ) -> Result<ObjectMeta, Error> {
        let options = PutOptions {
            content_type: content_type.or_else(|| path.content_type()),
            expected_size,
            any_etag: true,
            ..PutOptions::default()
        };
        Ok(self
            .storage()
            .put(self.artifact_bucket(), &path.key()?, options, body)
            .await?)
    }

    /// Deletes a file, or a folder with all that is in it. Returns what the folder had.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for the root; those of the object store.
    pub async fn delete_artifact(&self, path: &ArtifactPath) -> Result<FolderSize, Error> {
        self.storage()
            .delete(self.artifact_bucket(), &path.key()?)
            .await?;
        let mut size = FolderSize::default();
        loop {
            let query = ListQuery {
                prefix: path.folder_prefix(),
                ..ListQuery::default()
            };
            let listing = self.storage().list(self.artifact_bucket(), query).await?;
            if listing.objects.is_empty() {
                return Ok(size);
            }
            size.add(&listing.objects);
            let keys: Vec<_> = listing.objects.into_iter().map(|object| object.key).collect();
            self.storage().delete_many(self.artifact_bucket(), &keys).await?;
        }
    }

    /// Returns how much is in a folder and the folders in it.
    ///
    /// # Errors
    /// Those of the object store.
    pub(crate) async fn folder_size(&self, path: &ArtifactPath) -> Result<FolderSize, Error> {
        let mut query = ListQuery {
            prefix: path.folder_prefix(),
            ..ListQuery::default()
        };
        let mut size = FolderSize::default();
        loop {
            let listing = self.storage().list(self.artifact_bucket(), query.clone()).await?;
            size.add(&listing.objects);
            match listing.next {
                Some(next) => query.start_after = Some(next),
                None => return Ok(size),
            }
        }
    }
}

/// How much a folder has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FolderSize {
    /// How many files, in the folders in it too.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FolderSize {
    fn add(&mut self, objects: &[ObjectSummary]) {
        self.files += objects.len() as u64;
        self.bytes += objects.iter().map(|object| object.size_bytes).sum::<u64>();
    }
}

impl AddAssign for FolderSize {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

fn name_artifact(error: fragua_storage::Error, path: &ArtifactPath) -> Error {
    match error {
        fragua_storage::Error::ObjectNotFound { .. } => Error::not_found(format!(
            "No such artifact: '{}'",
            validation::shorten(path.as_str())
        )),
        other => other.into(),
    }
}

/// Returns the entries of one page of a listing below `prefix`, by name.
fn entries_of(listing: &Listing, prefix: &str) -> Vec<ArtifactEntry> {
    let name = |key: &str| {
        key.strip_prefix(prefix)
            .unwrap_or(key)
            .trim_end_matches('/')
            .to_owned()
    };
    let folders = listing.prefixes.iter().map(|folder| ArtifactEntry {
        name: name(folder),
        is_dir: true,
        size_bytes: 0,
    });
    let files = listing.objects.iter().map(|object| ArtifactEntry {
        name: name(object.key.as_str()),
        is_dir: false,
        size_bytes: object.size_bytes,
    });
    let mut entries: Vec<ArtifactEntry> = folders
        .chain(files)
        .filter(|entry| !entry.name.is_empty())
        .collect();
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_their_folder() {
        for (path, expected) in [
            ("", Some("")),
            ("/", Some("")),
            ("a", Some("a")),
            ("a/b c/d.txt", Some("a/b c/d.txt")),
            ("a/", Some("a")),
            ("ñ/100%.txt", Some("ñ/100%.txt")),
            ("a..b/..c", Some("a..b/..c")),
            ("..", None),
            ("a/../b", None),
            ("./a", None),
            ("/a", None),
            ("//proc/self/root", None),
            ("a//b", None),
            ("a\\b", None),
            ("C:/x", None),
            ("a#b", None),
            ("a\0b", None),
            ("a\nb", None),
            ("%2e%2e/x", None),
            ("%252e%252e/x", None),
            ("a/%2e%2e%2fb", None),
            ("%2Fetc/passwd", None),
            ("a%5cb", None),
        ] {
            let parsed = ArtifactPath::parse(path).ok();
            assert_eq!(parsed.as_ref().map(ArtifactPath::as_str), expected, "{path:?}");
        }
    }

    #[test]
    fn uris_name_places_of_this_server_only() {
        let bucket = BucketName::parse("mlflows3").unwrap();
        for (uri, expected) in [
            ("mlflow-artifacts:/1/run/artifacts", Some("1/run/artifacts")),
            ("mlflow-artifacts:1/run", Some("1/run")),
            ("s3://mlflows3/1/x", Some("1/x")),
            ("s3://mlflows3", Some("")),
            ("s3://mlflows3-other/1", None),
            ("s3://other/1", None),
            ("mlflow-artifacts://host/1", None),
            ("mlflow-artifacts:/../x", None),
            ("file:///etc", None),
            ("/etc", None),
            ("http://localhost/x", None),
        ] {
            let path = ArtifactPath::of_uri(uri, &bucket).ok();
            assert_eq!(path.as_ref().map(ArtifactPath::as_str), expected, "{uri}");
        }
    }

    #[test]
    fn locations_are_checked_at_creation() {
        let too_long = format!("s3://bucket/{}", "x".repeat(150));
        for (location, expected) in [
            ("mlflow-artifacts:/shared/", Some("mlflow-artifacts:/shared")),
            ("mlflow-artifacts:shared", Some("mlflow-artifacts:/shared")),
            ("s3://bucket/prefix", Some("s3://bucket/prefix")),
            ("mlflow-artifacts://host/x", None),
            ("mlflow-artifacts:/a/../b", None),
            ("s3://b/../../etc", None),
            ("s3://b/%2e%2e/etc", None),
            ("s3://b/x?versionId=1", None),
            ("s3://b/x#fragment", None),
            ("file:///etc", None),
            ("/tmp/x", None),
            ("relative", None),
            ("http://169.254.169.254/", None),
            (too_long.as_str(), None),
        ] {
            let parsed = ArtifactLocation::parse(location)
                .ok()
                .map(|location| location.to_string());
            assert_eq!(parsed.as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn within_means_by_whole_names() {
        let path = |text| ArtifactPath::parse(text).unwrap();
        for (inner, root, expected) in [
            ("a/b", "a", true),
            ("a", "a", true),
            ("ab", "a", false),
            ("a", "", true),
            ("b/a", "a", false),
        ] {
            assert_eq!(path(inner).is_within(&path(root)), expected, "{inner} in {root}");
        }
    }
}
