//! Artifacts, through the server's artifact proxy.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt as _, TryStreamExt as _};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Body, Method, header};
use serde::Deserialize;
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

use super::{ClientError, MlflowClient};
use crate::Error;
use crate::artifacts::{ArtifactEntry, ArtifactPath};
use crate::wire::number;

/// What may stand in a path as it is.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');
/// How deep folders are followed, up and down.
const MAX_DEPTH: usize = 32;

#[derive(Default, Deserialize)]
#[serde(default)]
struct FileWire {
    path: String,
    is_dir: bool,
    #[serde(deserialize_with = "number::integer")]
    file_size: Option<i64>,
}

impl MlflowClient {
    /// Lists a folder below an artifact URI; none for a place where nothing is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn list_artifacts(&self, uri: &str, path: &str) -> Result<Vec<ArtifactEntry>, ClientError> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Answer {
            files: Vec<FileWire>,
        }

        let place = place(uri, path)?;
        let request = self
            .request(Method::GET, "/api/2.0/mlflow-artifacts/artifacts")
            .query(&[("path", place.as_str())]);
        let response = self.send(request).await?;
        let answer: Answer = self.read(response).await?;
        let entry = |file: FileWire| ArtifactEntry {
            name: file
                .path
                .trim_end_matches('/')
                .rsplit('/')
                .next()
                .unwrap_or("")
                .to_owned(),
            is_dir: file.is_dir,
            size_bytes: file
                .file_size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or(0),
        };
        Ok(answer.files.into_iter().map(entry).collect())
    }

    /// Opens a file below an artifact URI for reading.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn open_artifact(
        &self,
        uri: &str,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Send + Unpin + use<>, ClientError> {
        let response = self
            .send(self.request(Method::GET, &proxy_path(&place(uri, path)?)))
            .await?;
        let base_url = self.base_url().to_owned();
        let stream = response.bytes_stream();
        Ok(stream
            .map_err(move |error| ClientError::unreachable(&base_url, &error))
            .boxed())
    }

    /// Reads a file below an artifact URI into memory.
    ///
    /// # Errors
    /// [`ClientError`]; a file over `limit_bytes` is not read.
    pub async fn read_artifact(
        &self,
        uri: &str,
        path: &str,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, ClientError> {
        let mut stream = self.open_artifact(uri, path).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.try_next().await? {
            if bytes.len() + chunk.len() > limit_bytes {
                return Err(Error::TooLarge(format!("{path} has more than {limit_bytes} bytes")).into());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }

    /// Downloads everything below an artifact URI into a local folder, which is made when missing.
    /// Returns how many files there were.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn download_artifacts(&self, uri: &str, folder: &Path) -> Result<usize, ClientError> {
        let mut waiting = vec![(String::new(), 0)];
        let mut count = 0;
        while let Some((path, depth)) = waiting.pop() {
            if depth > MAX_DEPTH {
                return Err(
                    Error::invalid(format!("{uri} has more than {MAX_DEPTH} folders in each other")).into(),
                );
            }
            for entry in self.list_artifacts(uri, &path).await? {
                // Names come from the server: each is one name and stays in the folder.
                if ArtifactPath::parse(&entry.name)?.as_str().is_empty() || entry.name.contains('/') {
                    return Err(Error::invalid(format!("{:?} is not a file name", entry.name)).into());
                }
                let inner = if path.is_empty() {
                    entry.name
                } else {
                    format!("{path}/{}", entry.name)
                };
                if entry.is_dir {
                    waiting.push((inner, depth + 1));
                } else {
                    self.download_file(uri, &inner, &folder.join(&inner)).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }

    async fn download_file(&self, uri: &str, path: &str, target: &Path) -> Result<(), ClientError> {
        let mut stream = self.open_artifact(uri, path).await?;
        if let Some(parent) = target.parent() {
            tokio::fs::create_dir_all(parent)
                .await
                .map_err(ClientError::file(parent))?;
        }
        let mut file = tokio::fs::File::create(target)
            .await
            .map_err(ClientError::file(target))?;
        while let Some(chunk) = stream.try_next().await? {
            file.write_all(&chunk).await.map_err(ClientError::file(target))?;
        }
        file.flush().await.map_err(ClientError::file(target))
    }

    /// Uploads a local file to a place below an artifact URI, as a stream.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_artifact_file(&self, uri: &str, path: &str, file: &Path) -> Result<(), ClientError> {
        let opened = tokio::fs::File::open(file)
            .await
            .map_err(ClientError::file(file))?;
        let size = opened.metadata().await.map_err(ClientError::file(file))?.len();
        let body = Body::wrap_stream(ReaderStream::with_capacity(opened, 256 * 1024));
        self.put(uri, path, body, size).await
    }

    /// Uploads bytes to a place below an artifact URI.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put_artifact_bytes(
        &self,
        uri: &str,
        path: &str,
        bytes: impl Into<Bytes> + Send,
    ) -> Result<(), ClientError> {
        let bytes = bytes.into();
        let size = bytes.len() as u64;
        self.put(uri, path, Body::from(bytes), size).await
    }

    async fn put(&self, uri: &str, path: &str, body: Body, size: u64) -> Result<(), ClientError> {
        let place = place(uri, path)?;
        let kind = mime_guess::from_path(place.as_str()).first_or_octet_stream();
        let request = self
            .request(Method::PUT, &proxy_path(&place))
            .header(header::CONTENT_TYPE, kind.as_ref())
            .header(header::CONTENT_LENGTH, size)
            .body(body);
        self.send(request).await.map(drop)
    }

    /// Uploads every file of a local folder and its folders to below an artifact URI. Symbolic links are followed.
    /// Returns how many files there were.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload_folder(&self, uri: &str, folder: &Path) -> Result<usize, ClientError> {
        let mut waiting: Vec<(PathBuf, String, usize)> = vec![(folder.to_owned(), String::new(), 0)];
        let mut count = 0;
        while let Some((local, path, depth)) = waiting.pop() {
            if depth > MAX_DEPTH {
                let deep = format!(
                    "{} has more than {MAX_DEPTH} folders in each other",
                    folder.display()
                );
                return Err(Error::invalid(deep).into());
            }
            let mut entries = tokio::fs::read_dir(&local)
                .await
                .map_err(ClientError::file(&local))?;
            while let Some(entry) = entries.next_entry().await.map_err(ClientError::file(&local))? {
                let name = entry.file_name().into_string().map_err(|name| {
                    Error::invalid(format!("the file name {} is not Unicode", name.to_string_lossy()))
                })?;
                let inner = if path.is_empty() {
                    name
                } else {
                    format!("{path}/{name}")
                };
                let local = entry.path();
                let is_dir = tokio::fs::metadata(&local)
                    .await
                    .map_err(ClientError::file(&local))?
                    .is_dir();
                if is_dir {
                    waiting.push((local, inner, depth + 1));
                } else {
                    self.put_artifact_file(uri, &inner, &local).await?;
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// The place in the proxy of a path below an artifact URI.
fn place(uri: &str, path: &str) -> Result<ArtifactPath, ClientError> {
    let root = uri
        .strip_prefix("mlflow-artifacts:")
        .filter(|rest| !rest.starts_with("//"))
        .ok_or_else(|| {
            Error::NotImplemented(format!(
                "The artifacts at {} are not served by the tracking server. Start it with --serve-artifacts.",
                crate::validation::shorten(uri)
            ))
        })?;
    Ok(ArtifactPath::parse(root.trim_start_matches('/'))?.join(path)?)
}

fn proxy_path(place: &ArtifactPath) -> String {
    format!(
        "/api/2.0/mlflow-artifacts/artifacts/{}",
        utf8_percent_encode(place.as_str(), PATH)
    )
}
