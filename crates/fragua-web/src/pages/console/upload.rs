//! Uploads: a form with files, and for the script of the page whole objects and uploads in parts that can go on later.

use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fragua_storage::{
    BucketName, CompleteUpload, CompletedPart, CreateUpload, ObjectKey, Part, PartOptions, PutOptions,
    Storage, UploadId,
};
use futures::TryStreamExt;
use serde::Deserialize;
use serde_json::json;

use super::place::{bucket_address, folder_address};
use crate::error::{Error, see_other};
use crate::site::accepts_html;

#[derive(Debug, Deserialize)]
pub(super) struct Folder {
    #[serde(default)]
    prefix: String,
}

/// Streams each file of the form into the store, in the order in which the browser sends them.
pub(super) async fn form(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(folder): Query<Folder>,
    mut form: Multipart,
) -> Result<Response, Error> {
    let bucket = BucketName::parse(&bucket)?;
    let mut count = 0_usize;
    while let Some(field) = form.next_field().await.map_err(broken_form)? {
        let Some(name) = field.file_name().filter(|name| !name.is_empty()) else {
            continue;
        };
        let key = ObjectKey::parse(format!("{}{name}", folder.prefix))?;
        let options = PutOptions {
            content_type: type_of(name, field.content_type()),
            ..PutOptions::default()
        };
        storage
            .put(&bucket, &key, options, field.map_err(io::Error::other))
            .await?;
        count += 1;
    }
    if count == 0 {
        return Err(Error::Invalid("the form holds no file".to_owned()));
    }
    Ok(see_other(&folder_address(&bucket, &folder.prefix)))
}

fn broken_form(error: axum::extract::multipart::MultipartError) -> Error {
    Error::Invalid(error.body_text())
}

/// Returns the type that the browser tells, or else the one that the name tells.
fn type_of(name: &str, sent: Option<&str>) -> Option<String> {
    match sent {
        None | Some("" | "application/octet-stream") => {
            mime_guess::from_path(name).first().map(|kind| kind.to_string())
        }
        Some(sent) => Some(sent.to_owned()),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Target {
    key: String,
    #[serde(default)]
    upload: String,
    #[serde(default)]
    number: u32,
    #[serde(default)]
    size: u64,
}

impl Target {
    fn parse(self, bucket: &str) -> Result<(BucketName, ObjectKey, UploadId), Error> {
        Ok((
            BucketName::parse(bucket)?,
            ObjectKey::parse(self.key)?,
            UploadId::new(self.upload),
        ))
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn sent_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::CONTENT_TYPE)?.to_str().ok()
}

/// Writes an object from the body of the request.
pub(super) async fn whole(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let (bucket, key, _) = target.parse(&bucket)?;
    let options = PutOptions {
        content_type: type_of(key.as_str(), sent_type(&headers)),
        expected_size: length(&headers),
        ..PutOptions::default()
    };
    let body = body.into_data_stream().map_err(io::Error::other);
    let object = storage.put(&bucket, &key, options, body).await?;
    Ok(Json(json!({ "etag": object.etag, "size": object.size_bytes })).into_response())
}

/// Begins an upload in parts.
pub(super) async fn begin(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (bucket, key, _) = target.parse(&bucket)?;
    let options = CreateUpload {
        content_type: type_of(key.as_str(), sent_type(&headers)),
        ..CreateUpload::default()
    };
    let upload = storage.create_upload(&bucket, &key, options).await?;
    Ok(Json(json!({ "upload": upload.as_str() })).into_response())
}

/// Tells which parts of an upload are there, so that it goes on where it was.
pub(super) async fn parts(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
) -> Result<Response, Error> {
    let (bucket, key, upload) = target.parse(&bucket)?;
    let parts = all_parts(&storage, (&bucket, &key), &upload).await?;
    let parts: Vec<_> = parts
        .iter()
        .map(|part| json!({ "number": part.number, "size": part.size_bytes }))
        .collect();
    Ok(Json(json!({ "parts": parts })).into_response())
}

async fn all_parts(
    storage: &Storage,
    place: (&BucketName, &ObjectKey),
    upload: &UploadId,
) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut after = Some(0);
    while let Some(number) = after {
        let page = storage.list_parts(place, upload, number, usize::MAX).await?;
        parts.extend(page.parts);
        after = page.next;
    }
    Ok(parts)
}

/// Writes a part from the body of the request.
pub(super) async fn part(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Error> {
    let number = target.number;
    let (bucket, key, upload) = target.parse(&bucket)?;
    let options = PartOptions {
        expected_size: length(&headers),
        ..PartOptions::default()
    };
    let body = body.into_data_stream().map_err(io::Error::other);
    let part = storage
        .upload_part((&bucket, &key), &upload, number, options, body)
        .await?;
    Ok(Json(json!({ "number": part.number, "size": part.size_bytes })).into_response())
}

/// Puts the object together from all parts. The size that the file has shows whether one is missing.
pub(super) async fn complete(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
) -> Result<Response, Error> {
    let size = target.size;
    let (bucket, key, upload) = target.parse(&bucket)?;
    let parts = all_parts(&storage, (&bucket, &key), &upload).await?;
    let parts: Vec<CompletedPart> = parts
        .into_iter()
        .map(|part| CompletedPart {
            number: part.number,
            etag: part.etag,
            checksums: Vec::new(),
        })
        .collect();
    let options = CompleteUpload {
        size_bytes: Some(size),
        ..CompleteUpload::default()
    };
    let object = storage
        .complete_upload((&bucket, &key), &upload, &parts, options)
        .await?;
    Ok(Json(json!({ "etag": object.etag, "size": object.size_bytes })).into_response())
}

/// Gives an upload up. A form is led back to the bucket's uploads.
pub(super) async fn abort(
    State(storage): State<Storage>,
    Path(bucket): Path<String>,
    Query(target): Query<Target>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let (bucket, key, upload) = target.parse(&bucket)?;
    storage.abort_upload(&bucket, &key, &upload).await?;
    if accepts_html(&headers) {
        return Ok(see_other(&bucket_address(&bucket, "/settings#uploads")));
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}
