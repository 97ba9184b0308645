//! Artifacts: lists, the proxy that clients upload and download through, and downloads of browsers.

use std::io;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fragua_storage::ByteRange;
use futures::TryStreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::answer::{Answer, done, json, list};
use super::endpoint::{Endpoint, delete, get, post, put};
use super::error::ApiError;
use super::extract::{Fields, QueryFields, required};
use super::field::{Field, text};
use super::runs::{RUN, run_id};
use crate::Tracking;
use crate::artifacts::{ArtifactEntry, ArtifactPath};
use crate::validation::version_number;

/// What RFC 5987 lets stand in an extended header value.
const EXTENDED_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

const PATH: Field = text("path").required();
const PRESIGNED: &[Field] = &[text("run_id"), text("model_id"), text("path")];

/// Lists by run, and uploads of pages, below `/2.0/mlflow`.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/artifacts/list",
            "Lists files of a run",
            const { &[RUN, text("path"), text("page_token")] },
            list_run,
        ),
        post(
            "/artifacts/presigned-upload-url",
            "Refuses: files go through this server",
            PRESIGNED,
            presigned_upload,
        ),
        post(
            "/artifacts/presigned-download-url",
            "Refuses: files go through this server",
            PRESIGNED,
            presigned_download,
        ),
        post(
            "/upload-artifact",
            "Writes a file of a run",
            const { &[text("run_uuid"), text("path")] },
            upload_to_run,
        )
        .takes_file(),
    ]
}

/// Below `/2.0/mlflow-artifacts`.
pub(super) fn proxy_endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/artifacts",
            "Lists a folder",
            const { &[text("path")] },
            list_folder,
        ),
        get("/artifacts/{*path}", "Returns a file", &[], open),
        put("/artifacts/{*path}", "Writes a file", &[], write).takes_file(),
        delete("/artifacts/{*path}", "Deletes a file or a folder", &[], remove),
    ]
}

/// At the root of the server.
pub(super) fn download_endpoints() -> Vec<Endpoint> {
    vec![
        get(
            "/get-artifact",
            "Returns a file of a run, as a download",
            const { &[RUN, PATH] },
            download_of_run,
        ),
        get(
            "/model-versions/get-artifact",
            "Returns a file of a version, as a download",
            const { &[text("name").required(), text("version").required(), PATH] },
            download_of_version,
        ),
    ]
}

#[derive(Serialize)]
struct FileWire {
    path: String,
    is_dir: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<u64>,
}

impl FileWire {
    fn new(folder: &str, entry: ArtifactEntry) -> Self {
        let path = if folder.is_empty() {
            entry.name
        } else {
            format!("{folder}/{}", entry.name)
        };
        Self {
            path,
            is_dir: entry.is_dir,
            file_size: (!entry.is_dir).then_some(entry.size_bytes),
        }
    }
}

#[derive(Serialize)]
struct FilesWire<'a> {
    root_uri: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileWire>,
}

#[derive(Deserialize)]
struct Listed {
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

async fn list_run(State(tracking): State<Tracking>, Fields(fields): Fields<Listed>) -> Answer {
    let info = tracking
        .run_info(&run_id(fields.run_id, fields.run_uuid)?)
        .await?;
    files(&tracking, &info.artifact_uri, &fields.path.unwrap_or_default()).await
}

/// Lists a folder below an artifact URI; paths are relative to the URI.
pub(super) async fn files(tracking: &Tracking, root_uri: &str, path: &str) -> Answer {
    let folder = ArtifactPath::parse(path)?;
    let place = tracking.artifact_at(root_uri)?.join(folder.as_str())?;
    let entries = tracking.list_artifacts(&place).await?;
    json(&FilesWire {
        root_uri,
        files: entries
            .into_iter()
            .map(|entry| FileWire::new(folder.as_str(), entry))
            .collect(),
    })
}

/// Paths are relative to the listed folder. A place where nothing is has an empty list: clients rely on it.
async fn list_folder(State(tracking): State<Tracking>, Fields(fields): Fields<Listed>) -> Answer {
    let folder = ArtifactPath::parse(&fields.path.unwrap_or_default())?;
    let entries = tracking.list_artifacts(&folder).await?;
    list(
        "files",
        entries.into_iter().map(|entry| FileWire::new("", entry)),
        None,
    )
}

async fn open(State(tracking): State<Tracking>, Path(path): Path<String>, headers: HeaderMap) -> Answer {
    download(&tracking, &ArtifactPath::parse(&path)?, &headers).await
}

async fn write(
    State(tracking): State<Tracking>,
    Path(path): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    upload(&tracking, &ArtifactPath::parse(&path)?, &headers, body).await
}

async fn upload(
    tracking: &Tracking,
    path: &ArtifactPath,
    headers: &HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let content_type = text(header::CONTENT_TYPE).map(str::to_owned);
    let expected_size = text(header::CONTENT_LENGTH).and_then(|length| length.parse().ok());
    let stream = body.into_data_stream().map_err(io::Error::other);
    tracking
        .put_artifact(path, content_type, expected_size, stream)
        .await?;
    Ok(StatusCode::OK)
}

async fn remove(State(tracking): State<Tracking>, Path(path): Path<String>) -> Answer {
    tracking.delete_artifact(&ArtifactPath::parse(&path)?).await?;
    done()
}

#[derive(Deserialize)]
struct UploadFields {
    run_uuid: Option<String>,
    path: Option<String>,
}

/// The fields are in the query string although it is a POST: the body is the file.
async fn upload_to_run(
    State(tracking): State<Tracking>,
    QueryFields(fields): QueryFields<UploadFields>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let given = |value: Option<String>, field: &str| {
        required(value, field).map_err(|_| ApiError::invalid(format!("Request must specify {field}.")))
    };
    let run_id = given(fields.run_uuid, "run_uuid")?;
    let path = given(fields.path, "path")?;
    upload(
        &tracking,
        &tracking.run_artifact(&run_id, &path).await?,
        &headers,
        body,
    )
    .await
}

#[derive(Deserialize)]
struct Presigned {
    run_id: Option<String>,
    model_id: Option<String>,
    path: Option<String>,
}

impl Presigned {
    /// Returns where the artifacts are, after the checks that MLflow makes before it signs an address.
    async fn root(self, tracking: &Tracking) -> Result<String, ApiError> {
        let root = match (self.run_id, self.model_id) {
            (Some(run_id), None) => tracking.run_info(&run_id).await?.artifact_uri,
            (None, Some(model_id)) => tracking.logged_model(&model_id).await?.artifact_uri,
            _ => {
                return Err(ApiError::invalid(
                    "Exactly one of run_id and model_id must be provided.",
                ));
            }
        };
        ArtifactPath::parse(&required(self.path, "path")?)?;
        Ok(root)
    }
}

async fn presigned_upload(State(tracking): State<Tracking>, Fields(fields): Fields<Presigned>) -> Answer {
    let root = fields.root(&tracking).await?;
    Err(no_presigned(
        &root,
        "Presigned upload is not supported for proxied artifact storage",
        "a direct cloud storage artifact URI",
    ))
}

async fn presigned_download(State(tracking): State<Tracking>, Fields(fields): Fields<Presigned>) -> Answer {
    let root = fields.root(&tracking).await?;
    Err(no_presigned(
        &root,
        "Presigned download is not supported for runs with proxied artifact storage",
        "a run with a direct cloud storage artifact URI",
    ))
}

/// What this server keeps goes through it; to a store elsewhere it has no keys to sign with.
fn no_presigned(root: &str, what: &str, needed: &str) -> ApiError {
    match root.split_once(':') {
        Some(("mlflow-artifacts", _)) => ApiError::invalid(format!(
            "{what} (artifact URI scheme: mlflow-artifacts). This endpoint requires {needed}."
        )),
        _ => ApiError::not_offered("Presigned access to another store"),
    }
}

async fn download_of_run(
    State(tracking): State<Tracking>,
    headers: HeaderMap,
    Fields(fields): Fields<Listed>,
) -> Answer {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let path = tracking
        .run_artifact(&run_id, &required(fields.path, "path")?)
        .await?;
    download(&tracking, &path, &headers).await
}

#[derive(Deserialize)]
struct VersionArtifact {
    name: Option<String>,
    version: Option<String>,
    path: Option<String>,
}

async fn download_of_version(
    State(tracking): State<Tracking>,
    headers: HeaderMap,
    Fields(fields): Fields<VersionArtifact>,
) -> Answer {
    let name = required(fields.name, "name")?;
    let number = version_number(&required(fields.version, "version")?)?;
    let version = tracking.version(&name, number).await?;
    let path = tracking
        .artifact_at(version.download_uri())?
        .join(&required(fields.path, "path")?)?;
    download(&tracking, &path, &headers).await
}

/// Answers with a file, or the part of it that `Range` names. It is always a download and never shown by a browser:
/// an artifact is foreign content on the origin of our pages.
pub(super) async fn download(tracking: &Tracking, path: &ArtifactPath, headers: &HeaderMap) -> Answer {
    let range = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
        .and_then(parse_range);
    let (meta, stream) = tracking.open_artifact(path, range).await?;
    let etag = format!("\"{}\"", meta.etag);
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let bytes = stream.range();
    let length = stream.size_bytes();
    let mut response = if range.is_none() && known.is_some_and(|known| known == etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(Body::from_stream(stream));
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        if range.is_some() {
            let text = format!(
                "bytes {}-{}/{}",
                bytes.start,
                bytes.end.saturating_sub(1),
                meta.size_bytes
            );
            set(answer, header::CONTENT_RANGE, &text);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        response
    };
    let answer = response.headers_mut();
    set(answer, header::CONTENT_TYPE, &meta.content_type);
    set(answer, header::ETAG, &etag);
    set(
        answer,
        header::CONTENT_DISPOSITION,
        &disposition(path.file_name()),
    );
    set(answer, header::ACCEPT_RANGES, "bytes");
    set(answer, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(
        answer,
        header::CONTENT_SECURITY_POLICY,
        "sandbox; default-src 'none'",
    );
    Ok(response)
}

/// A value that cannot stand in a header is left out.
fn set(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Names the file by RFC 6266: plain where plain is possible, extended for everything else.
fn disposition(name: &str) -> String {
    let plain = name
        .chars()
        .all(|character| character.is_ascii_graphic() || character == ' ')
        && !name.contains(['"', '\\']);
    if plain {
        return format!("attachment; filename=\"{name}\"");
    }
    format!(
        "attachment; filename*=UTF-8''{}",
        utf8_percent_encode(name, EXTENDED_VALUE)
    )
}

/// Reads one range of bytes. Several ranges, and what is no range, count as none: the whole file is the answer.
fn parse_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    match (first.is_empty(), last.is_empty()) {
        (true, true) => None,
        (true, false) => Some(ByteRange::Last {
            length: last.parse().ok()?,
        }),
        (false, true) => Some(ByteRange::From {
            first: first.parse().ok()?,
        }),
        (false, false) => {
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(ByteRange::Between { first, last })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        for (text, expected) in [
            ("bytes=0-4", Some(ByteRange::Between { first: 0, last: 4 })),
            ("bytes=5-", Some(ByteRange::From { first: 5 })),
            ("bytes=-5", Some(ByteRange::Last { length: 5 })),
            ("bytes=4-0", None),
            ("bytes=-", None),
            ("bytes=0-1,3-4", None),
            ("lines=0-1", None),
        ] {
            assert_eq!(parse_range(text), expected, "{text}");
        }
    }

    #[test]
    fn names_of_downloads() {
        for (name, expected) in [
            ("a b.txt", "attachment; filename=\"a b.txt\""),
            ("año.txt", "attachment; filename*=UTF-8''a%C3%B1o.txt"),
            ("a\"b", "attachment; filename*=UTF-8''a%22b"),
        ] {
            assert_eq!(disposition(name), expected);
        }
    }
}
