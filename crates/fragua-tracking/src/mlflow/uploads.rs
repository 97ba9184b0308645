//! Uploads of large artifacts in parts, and addresses to download from.
//!
//! MLflow's client sends the parts to the addresses that it is given here. They lead to this server and not to the
//! port of the object store: a client that reached one reaches the other, behind any proxy and whatever store there is.

use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use fragua_base::Timestamp;
use fragua_storage::{CompletedPart, UploadId};
use futures::TryStreamExt as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::answer::{Answer, done, json as answer};
use super::artifacts;
use super::endpoint::{Endpoint, get, post, put};
use super::error::ApiError;
use super::extract::{Fields, QueryFields, required};
use super::field::{Field, integer, objects, text};
use crate::Tracking;
use crate::artifacts::ArtifactPath;
use crate::permit::Permit;
use crate::wire::number;

/// A client is given all addresses at once and asks for no new ones: the last part may come much later.
const WRITE_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// As in MLflow; a client whose address is over asks for another.
const READ_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// What the object store takes.
const MAX_PARTS: i64 = 10_000;

/// What stays as it is in a path.
const PATH: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

const FILE: Field = text("path").required();
const UPLOAD: Field = text("upload_id").required();
const EXPIRES: Field = integer("expires_at").required();
const SIGNATURE: Field = text("signature").required();
const PART: &[Field] = &[
    integer("part_number").required(),
    text("etag").required(),
    text("url"),
];

/// Below `/2.0/mlflow-artifacts`.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        post(
            "/mpu/create/{*path}",
            "Begins an upload in parts and gives the addresses of the parts",
            const { &[FILE, integer("num_parts").required()] },
            create,
        ),
        put(
            "/mpu/part/{*path}",
            "Writes a part, at an address that was given",
            const { &[UPLOAD, integer("part_number").required(), EXPIRES, SIGNATURE] },
            write_part,
        )
        .takes_file(),
        post(
            "/mpu/complete/{*path}",
            "Makes a file of its parts",
            const { &[FILE, UPLOAD, objects("parts", PART).required()] },
            complete,
        ),
        post(
            "/mpu/abort/{*path}",
            "Gives an upload up",
            const { &[FILE, UPLOAD] },
            abort,
        ),
        get(
            "/presigned/{*path}",
            "Gives an address to download a file from",
            &[],
            presign,
        ),
        get(
            "/signed/{*path}",
            "Returns a file, at an address that was given",
            const { &[EXPIRES, SIGNATURE] },
            read_signed,
        ),
    ]
}

#[derive(Deserialize)]
struct UploadFields {
    path: Option<String>,
    upload_id: Option<String>,
    #[serde(default, deserialize_with = "number::integer")]
    num_parts: Option<i64>,
    #[serde(default)]
    parts: Vec<PartFields>,
}

#[derive(Deserialize)]
struct PartFields {
    #[serde(default, deserialize_with = "number::integer")]
    part_number: Option<i64>,
    etag: Option<String>,
}

impl UploadFields {
    /// The address names the folder, and the field the file as the client has it: its name alone counts.
    fn artifact(&self, folder: &str) -> Result<ArtifactPath, ApiError> {
        let file = required(self.path.clone(), "path")?;
        let name = file.rsplit(['/', '\\']).next().unwrap_or_default();
        if name.is_empty() {
            return Err(ApiError::invalid("'path' names no file"));
        }
        Ok(ArtifactPath::parse(folder)?.join(name)?)
    }

    fn upload(&self) -> Result<UploadId, ApiError> {
        required(self.upload_id.clone(), "upload_id").map(UploadId::new)
    }
}

async fn create(
    State(tracking): State<Tracking>,
    Path(folder): Path<String>,
    base: BaseAddress,
    Fields(fields): Fields<UploadFields>,
) -> Answer {
    let path = fields.artifact(&folder)?;
    let count = fields.num_parts.ok_or_else(|| ApiError::missing("num_parts"))?;
    if !(1..=MAX_PARTS).contains(&count) {
        return Err(ApiError::invalid(format!(
            "'num_parts' must be 1 to {MAX_PARTS}; send larger parts (MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE)"
        )));
    }
    let upload = tracking.begin_upload(&path).await?;
    let expires_at = tracking.now().plus(WRITE_LIFETIME);
    let credential = |number: u32| {
        let permit = Permit::WritePart {
            path: &path,
            upload_id: upload.as_str(),
            number,
        };
        let signature = tracking.signer().sign(permit, expires_at);
        let query: [(&str, &str); 4] = [
            ("upload_id", upload.as_str()),
            ("part_number", &number.to_string()),
            ("expires_at", &expires_at.as_millis().to_string()),
            ("signature", &signature),
        ];
        json!({ "part_number": number, "url": base.address("mpu/part", &path, &query), "headers": {} })
    };
    let credentials: Vec<_> = (1..=u32::try_from(count).unwrap_or(1)).map(credential).collect();
    answer(&json!({ "upload_id": upload.as_str(), "credentials": credentials }))
}

#[derive(Deserialize)]
struct PartQuery {
    upload_id: String,
    #[serde(deserialize_with = "number::integer")]
    part_number: Option<i64>,
    #[serde(deserialize_with = "number::integer")]
    expires_at: Option<i64>,
    signature: String,
}

async fn write_part(
    State(tracking): State<Tracking>,
    Path(path): Path<String>,
    QueryFields(query): QueryFields<PartQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, HeaderMap), ApiError> {
    let path = ArtifactPath::parse(&path)?;
    let number = query.part_number.and_then(|number| u32::try_from(number).ok());
    let number = number.ok_or_else(|| ApiError::missing("part_number"))?;
    let permit = Permit::WritePart {
        path: &path,
        upload_id: &query.upload_id,
        number,
    };
    check(&tracking, permit, query.expires_at, &query.signature)?;
    let expected_size = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let upload = UploadId::new(query.upload_id);
    let body = body.into_data_stream().map_err(io::Error::other);
    let part = tracking
        .write_part(&path, &upload, number, expected_size, body)
        .await?;
    let mut told = HeaderMap::new();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", part.etag)) {
        told.insert(header::ETAG, etag);
    }
    Ok((StatusCode::OK, told))
}

async fn complete(
    State(tracking): State<Tracking>,
    Path(folder): Path<String>,
    Fields(fields): Fields<UploadFields>,
) -> Answer {
    let (path, upload) = (fields.artifact(&folder)?, fields.upload()?);
    if fields.parts.is_empty() {
        return Err(ApiError::missing("parts"));
    }
    let part = |part: &PartFields| {
        let number = part.part_number.and_then(|number| u32::try_from(number).ok());
        Ok(CompletedPart {
            number: number.ok_or_else(|| ApiError::missing("part_number"))?,
            etag: required(part.etag.clone(), "etag")?.trim_matches('"').to_owned(),
            checksums: Vec::new(),
        })
    };
    let parts: Vec<_> = fields.parts.iter().map(part).collect::<Result<_, ApiError>>()?;
    tracking.complete_upload(&path, &upload, &parts).await?;
    done()
}

async fn abort(
    State(tracking): State<Tracking>,
    Path(folder): Path<String>,
    Fields(fields): Fields<UploadFields>,
) -> Answer {
    tracking
        .abort_upload(&fields.artifact(&folder)?, &fields.upload()?)
        .await?;
    done()
}

async fn presign(State(tracking): State<Tracking>, Path(path): Path<String>, base: BaseAddress) -> Answer {
    let path = ArtifactPath::parse(&path)?;
    let size_bytes = tracking.artifact_size(&path).await?;
    let expires_at = tracking.now().plus(READ_LIFETIME);
    let signature = tracking.signer().sign(Permit::Read { path: &path }, expires_at);
    let query: [(&str, &str); 2] = [
        ("expires_at", &expires_at.as_millis().to_string()),
        ("signature", &signature),
    ];
    answer(&json!({ "url": base.address("signed", &path, &query), "headers": {}, "file_size": size_bytes }))
}

#[derive(Deserialize)]
struct SignedQuery {
    #[serde(deserialize_with = "number::integer")]
    expires_at: Option<i64>,
    signature: String,
}

async fn read_signed(
    State(tracking): State<Tracking>,
    Path(path): Path<String>,
    headers: HeaderMap,
    Fields(query): Fields<SignedQuery>,
) -> Answer {
    let path = ArtifactPath::parse(&path)?;
    check(
        &tracking,
        Permit::Read { path: &path },
        query.expires_at,
        &query.signature,
    )?;
    artifacts::download(&tracking, &path, &headers).await
}

fn check(
    tracking: &Tracking,
    permit: Permit<'_>,
    expires_at: Option<i64>,
    signature: &str,
) -> Result<(), ApiError> {
    let expires_at = Timestamp::from_millis(expires_at.unwrap_or(0));
    if tracking
        .signer()
        .allows(permit, expires_at, signature, tracking.now())
    {
        return Ok(());
    }
    Err(ApiError::forbidden(
        "This address was not given by this server, or its time is over; ask for another.",
    ))
}

/// The address at which the client reached this server, without a path.
struct BaseAddress(String);

impl BaseAddress {
    fn address(&self, route: &str, path: &ArtifactPath, query: &[(&str, &str)]) -> String {
        let path = utf8_percent_encode(path.as_str(), PATH);
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        format!("{}/api/2.0/mlflow-artifacts/{route}/{path}?{query}", self.0)
    }
}

impl<S: Send + Sync> axum::extract::FromRequestParts<S> for BaseAddress {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        // HTTP/2 carries the host in the URI.
        let host = text("host").or_else(|| parts.uri.authority().map(|authority| authority.as_str()));
        let host = host.ok_or_else(|| ApiError::invalid("The request has no Host header"))?;
        // A proxy that ends TLS says so here.
        let scheme = match text("x-forwarded-proto") {
            Some("https") => "https",
            _ => "http",
        };
        Ok(Self(format!("{scheme}://{host}")))
    }
}
