//! Artifacts: lists, the proxy that clients upload and download through, and downloads of browsers.

use std::io;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use fragua_storage::ByteRange;
use futures::TryStreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::error::ApiError;
use super::extract::{Fields, required};
use super::runs::run_id;
use super::{Answer, done, listed};
use crate::Tracking;
use crate::artifacts::{ArtifactEntry, ArtifactPath};
use crate::validation::version_number;

/// What RFC 5987 lets stand in an extended header value.
const EXTENDED_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Lists by run, and uploads of pages, below `/2.0/mlflow`.
pub(super) fn routes() -> Router<Tracking> {
    Router::new()
        .route("/artifacts/list", get(list_run))
        .route("/upload-artifact", post(upload_to_run))
}

/// Below `/2.0/mlflow-artifacts`.
pub(super) fn proxy_routes() -> Router<Tracking> {
    Router::new()
        .route("/artifacts", get(list_folder))
        .route("/artifacts/{*path}", get(open).put(put).delete(remove))
}

/// At the root of the server.
pub(super) fn download_routes() -> Router<Tracking> {
    Router::new()
        .route("/get-artifact", get(download_of_run))
        .route("/model-versions/get-artifact", get(download_of_version))
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
    let entries = entries
        .into_iter()
        .map(|entry| FileWire::new(folder.as_str(), entry))
        .collect();
    let mut answer = listed("files", entries, None)?;
    answer["root_uri"] = json!(root_uri);
    Ok(Json(answer))
}

/// Paths are relative to the listed folder. A place where nothing is has an empty list: clients rely on it.
async fn list_folder(State(tracking): State<Tracking>, Fields(fields): Fields<Listed>) -> Answer {
    let folder = ArtifactPath::parse(&fields.path.unwrap_or_default())?;
    let entries = tracking.list_artifacts(&folder).await?;
    let entries = entries
        .into_iter()
        .map(|entry| FileWire::new("", entry))
        .collect();
    Ok(Json(listed("files", entries, None)?))
}

async fn open(
    State(tracking): State<Tracking>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    download(&tracking, &ArtifactPath::parse(&path)?, &headers).await
}

async fn put(
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
    run_id: Option<String>,
    run_uuid: Option<String>,
    path: Option<String>,
}

/// The fields are in the query string although it is a POST: the body is the file.
async fn upload_to_run(
    State(tracking): State<Tracking>,
    axum::extract::Query(fields): axum::extract::Query<UploadFields>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let run_id = run_id(fields.run_id, fields.run_uuid)?;
    let path = tracking
        .run_artifact(&run_id, &required(fields.path, "path")?)
        .await?;
    upload(&tracking, &path, &headers, body).await
}

async fn download_of_run(
    State(tracking): State<Tracking>,
    headers: HeaderMap,
    Fields(fields): Fields<Listed>,
) -> Result<Response, ApiError> {
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
) -> Result<Response, ApiError> {
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
pub(super) async fn download(
    tracking: &Tracking,
    path: &ArtifactPath,
    headers: &HeaderMap,
) -> Result<Response, ApiError> {
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
