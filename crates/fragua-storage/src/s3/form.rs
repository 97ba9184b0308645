//! Uploads by a form of a browser. The file streams into the store like any other body.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use axum::body::Body;
use axum::extract::multipart::Field;
use axum::extract::{FromRequest as _, Multipart, Request};
use axum::http::header::{CONTENT_TYPE, ETAG, HOST, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use fragua_base::Timestamp;
use futures::{Stream, StreamExt as _};
use s3s::dto::Tagging;
use s3s::xml::{Deserialize as _, Deserializer};
use s3s::{S3Error, S3ErrorCode, S3Result};
use url::Url;

use super::Edge;
use super::access::{Deed, policy_of};
use super::convert::{body_checksum, object_headers, place, refuse_acl, refuse_unsupported};
use super::cors::bucket_of;
use super::encryption;
use super::error::{invalid_argument, invalid_request};
use super::post_policy::PostPolicy;
use super::tagging;
use super::trail::Trail;
use crate::presign::is_signed;
use crate::{BucketName, Error, ObjectKey, ObjectMeta, PutOptions, Tags};

/// The most bytes of the fields before the file, a little over Amazon's own 20 KB.
const MAX_FIELD_BYTES: usize = 32 * 1024;

/// Takes a form and answers as it asks for.
pub(super) async fn upload(edge: &Edge, request: Request, now: Timestamp) -> S3Result<Response> {
    let bucket = bucket(edge, &request)?;
    let trail = request.extensions().get::<Trail>().cloned();
    let malformed = || {
        let message = "The body of your POST request is not well-formed multipart/form-data.";
        S3Error::with_message(S3ErrorCode::MalformedPOSTRequest, message)
    };
    let begun = Arc::new(AtomicBool::new(false));
    let request = request.map(|body| bounded_until(Arc::clone(&begun), body));
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|_| malformed())?;
    let mut fields = Fields::default();
    let file = loop {
        let Some(mut field) = form.next_field().await.map_err(|_| malformed())? else {
            return Err(invalid_argument(
                "POST requires exactly one file upload per request.",
            ));
        };
        let name = field.name().unwrap_or_default().to_ascii_lowercase();
        if name == "file" {
            begun.store(true, Ordering::Relaxed);
            break field;
        }
        let value = text_of(&mut field, fields.room()).await?;
        fields.add(name, value);
    };
    let key = fields.required("key")?;
    let key = key.replace("${filename}", file.file_name().unwrap_or_default());
    let signer = fields.signer()?;
    let access_key = signer.as_ref().map(|signer| signer.access_key.clone());
    let policy = match &signer {
        None => None,
        Some(signer) => {
            let (secret, _) = edge.keys.find(&signer.access_key).await?;
            signer.check(secret.expose())?;
            let policy = PostPolicy::parse(signer.policy)?;
            policy.check(&fields.by_name, &bucket, now)?;
            Some(policy)
        }
    };
    let caller = edge.keys.caller(access_key.as_deref()).await?;
    if let Some(trail) = trail {
        trail.note("PostObject", access_key, &caller, Some(&bucket), Some(&key));
    }
    let deed = Deed {
        action: "s3:PutObject",
        bucket: &bucket,
        key: Some(&key),
        prefix: None,
    };
    let allowed = policy_of(&edge.storage, &bucket, &caller).await?;
    caller.check(deed, allowed.as_ref())?;
    if fields.get("tagging").is_some() {
        let action = "s3:PutObjectTagging";
        caller.check(Deed { action, ..deed }, allowed.as_ref())?;
    }
    let (bucket, key) = place(&bucket, &key)?;
    let options = fields.options()?;
    let sizes = policy.and_then(|policy| policy.sizes());
    let body = limited(file, sizes).boxed();
    let put = edge.storage.put(&bucket, &key, options, body).await;
    let meta = put.map_err(size_error)?;
    Ok(fields.answer((&bucket, &key), &meta))
}

/// Bounds what comes before the file. The reader of forms takes all that it can get into memory before it looks, so it is
/// given one piece at a time.
fn bounded_until(begun: Arc<AtomicBool>, body: Body) -> Body {
    let (mut stream, mut seen, mut rests) = (body.into_data_stream(), 0, false);
    Body::from_stream(futures::stream::poll_fn(move |context| {
        if !begun.load(Ordering::Relaxed) {
            if seen > 2 * MAX_FIELD_BYTES {
                return Poll::Ready(Some(Err(io::Error::other("a form without a file"))));
            }
            if std::mem::take(&mut rests) {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let piece = stream.poll_next_unpin(context).map_err(io::Error::other);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            seen += bytes.len();
            rests = true;
        }
        piece
    }))
}

/// Returns the bucket that the address names; a form names its key itself.
fn bucket(edge: &Edge, request: &Request) -> S3Result<String> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let of_host = host.and_then(|host| edge.hosts.bucket(host));
    let path = request.uri().path().trim_matches('/');
    match (of_host.is_some(), path) {
        (true, "") => {}
        (false, path) if !path.is_empty() && !path.contains('/') => {}
        _ => return Err(S3Error::new(S3ErrorCode::MethodNotAllowed)),
    }
    let invalid = || S3Error::new(S3ErrorCode::InvalidBucketName);
    bucket_of(edge, request)
        .map(|bucket| bucket.to_string())
        .ok_or_else(invalid)
}

async fn text_of(field: &mut Field<'_>, room: usize) -> S3Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|_| {
        let message = "The body of your POST request ended within a field.";
        S3Error::with_message(S3ErrorCode::MalformedPOSTRequest, message)
    })? {
        if bytes.len() + chunk.len() > room {
            let message = "Your POST request fields preceding the upload file were too large.";
            return Err(S3Error::with_message(
                S3ErrorCode::MaxPostPreDataLengthExceededError,
                message,
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| invalid_argument("A field of the form is not UTF-8."))
}

/// The fields before the file, by their names in lower case.
#[derive(Default)]
struct Fields {
    by_name: BTreeMap<String, String>,
    bytes: usize,
}

/// Who signed a form, and how.
struct Signer<'a> {
    policy: &'a str,
    access_key: String,
    date: &'a str,
    region: &'a str,
    signature: &'a str,
}

impl Signer<'_> {
    fn check(&self, secret: &str) -> S3Result<()> {
        match is_signed(secret, (self.date, self.region), self.policy, self.signature) {
            true => Ok(()),
            false => Err(S3Error::with_message(
                S3ErrorCode::SignatureDoesNotMatch,
                "The request signature we calculated does not match the signature you provided.",
            )),
        }
    }
}

impl Fields {
    fn room(&self) -> usize {
        MAX_FIELD_BYTES.saturating_sub(self.bytes)
    }

    fn add(&mut self, name: String, value: String) {
        self.bytes += name.len() + value.len();
        self.by_name.insert(name, value);
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.by_name.get(name).map(String::as_str)
    }

    fn required(&self, name: &str) -> S3Result<&str> {
        let missing = || invalid_argument(format!("Bucket POST must contain a field named '{name}'."));
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(missing)
    }

    /// Reads who signed the form; nobody did where it has neither a policy nor a signature.
    fn signer(&self) -> S3Result<Option<Signer<'_>>> {
        if self.get("signature").is_some() || self.get("awsaccesskeyid").is_some() {
            return Err(invalid_request(super::ONLY_VERSION_4));
        }
        if self.get("policy").is_none() && self.get("x-amz-signature").is_none() {
            return Ok(None);
        }
        if self.required("x-amz-algorithm")? != "AWS4-HMAC-SHA256" {
            return Err(invalid_request(super::ONLY_VERSION_4));
        }
        let invalid =
            || invalid_argument("The field x-amz-credential is not like KEY/DATE/REGION/s3/aws4_request.");
        let scope: Vec<&str> = self.required("x-amz-credential")?.split('/').collect();
        let [access_key, date, region, "s3", "aws4_request"] = scope.as_slice() else {
            return Err(invalid());
        };
        if !self.required("x-amz-date")?.starts_with(date) || date.len() != 8 {
            return Err(invalid());
        }
        Ok(Some(Signer {
            policy: self.required("policy")?,
            access_key: (*access_key).to_owned(),
            date,
            region,
            signature: self.required("x-amz-signature")?,
        }))
    }

    /// Reads what is kept with the object. What a header of a PUT would be refused for, a field is too; and so is what no
    /// header can carry, for no answer could tell it again.
    fn options(&self) -> S3Result<PutOptions> {
        let mut headers = axum::http::HeaderMap::new();
        for (name, value) in &self.by_name {
            let name = match name.as_str() {
                "acl" => "x-amz-acl",
                name => name,
            };
            let is_kept = ["x-amz-", "content-", "cache-control", "expires"]
                .iter()
                .any(|start| name.starts_with(start));
            match (HeaderName::try_from(name), HeaderValue::try_from(value.as_str())) {
                (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
                _ if is_kept => {
                    let name: String = name.chars().take(80).collect();
                    return Err(invalid_argument(format!(
                        "The field {name} cannot be kept as a header."
                    )));
                }
                // A field of the page's own.
                _ => {}
            }
        }
        refuse_acl(&headers)?;
        refuse_unsupported(&headers)?;
        encryption::refuse_customer_key(&headers)?;
        let owned = |name: &str| self.get(name).map(str::to_owned);
        let expires = owned("expires")
            .and_then(|text| s3s::dto::Timestamp::parse(s3s::dto::TimestampFormat::HttpDate, &text).ok());
        let metadata = self
            .by_name
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix("x-amz-meta-")?.to_owned(), value.clone())));
        Ok(PutOptions {
            content_type: owned("content-type"),
            headers: object_headers(
                owned("cache-control"),
                owned("content-disposition"),
                owned("content-encoding"),
                owned("content-language"),
                expires.as_ref(),
            ),
            user_metadata: metadata.collect(),
            checksum: body_checksum(&headers, None)?,
            is_form: true,
            tags: self.tags()?,
            encryption: encryption::asked(&headers)?,
            ..PutOptions::default()
        })
    }

    /// Reads tags, which a form carries as the body of PutObjectTagging does.
    fn tags(&self) -> S3Result<Tags> {
        let Some(text) = self.get("tagging") else {
            return Ok(Tags::default());
        };
        let malformed = |_| {
            let message = "The field tagging is not a Tagging document.";
            S3Error::with_message(S3ErrorCode::MalformedXML, message)
        };
        let mut document = Deserializer::new(text.as_bytes());
        let tagging = Tagging::deserialize(&mut document).map_err(malformed)?;
        document.expect_eof().map_err(malformed)?;
        Ok(Tags::of_object(tagging::pairs(tagging.tag_set)?)?)
    }

    fn answer(&self, (bucket, key): (&BucketName, &ObjectKey), meta: &ObjectMeta) -> Response {
        let etag = format!("\"{}\"", meta.etag);
        let location = format!("/{bucket}/{key}");
        let mut response = if let Some(target) = self.redirect(bucket, key, &etag) {
            (StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response()
        } else {
            match self.get("success_action_status") {
                Some("200") => StatusCode::OK.into_response(),
                Some("201") => created(&location, bucket, key, &etag),
                _ => StatusCode::NO_CONTENT.into_response(),
            }
        };
        if let Ok(etag) = HeaderValue::try_from(etag) {
            response.headers_mut().insert(ETAG, etag);
        }
        encryption::tell(response.headers_mut(), meta.encryption.as_ref(), None);
        response
    }

    /// Returns where to go after the upload; an address that is none counts as not given.
    fn redirect(&self, bucket: &BucketName, key: &ObjectKey, etag: &str) -> Option<String> {
        let wanted = self
            .get("success_action_redirect")
            .or_else(|| self.get("redirect"))?;
        let mut target = Url::parse(wanted).ok()?;
        if !matches!(target.scheme(), "http" | "https") {
            return None;
        }
        target
            .query_pairs_mut()
            .append_pair("bucket", bucket.as_str())
            .append_pair("key", key.as_str())
            .append_pair("etag", etag);
        Some(target.into())
    }
}

fn created(location: &str, bucket: &BucketName, key: &ObjectKey, etag: &str) -> Response {
    let (location, key, etag) = (escaped(location), escaped(key.as_str()), escaped(etag));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<PostResponse><Location>{location}</Location>\
         <Bucket>{bucket}</Bucket><Key>{key}</Key><ETag>{etag}</ETag></PostResponse>"
    );
    let headers = [(CONTENT_TYPE, "application/xml")];
    (StatusCode::CREATED, headers, Body::from(body)).into_response()
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write the other control characters.
            character if character.is_control() && !matches!(character, '\t' | '\n' | '\r') => {
                escaped.push('\u{fffd}');
            }
            character => escaped.push(character),
        }
    }
    escaped
}

/// The file is larger or smaller than the policy allows.
#[derive(Debug)]
enum SizeRefused {
    Large,
    Small,
}

impl fmt::Display for SizeRefused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Large => "Your proposed upload exceeds the maximum allowed object size.",
            Self::Small => "Your proposed upload is smaller than the minimum allowed object size.",
        })
    }
}

impl std::error::Error for SizeRefused {}

/// Passes a file on, and fails it where it leaves the sizes allowed: nothing of it is kept then.
fn limited<'file>(
    file: Field<'file>,
    sizes: Option<(u64, u64)>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'file {
    let (least, most) = sizes.unwrap_or((0, u64::MAX));
    let start = Some((file, 0_u64));
    futures::stream::unfold(start, move |state| async move {
        let (mut file, seen) = state?;
        match file.chunk().await {
            Ok(Some(chunk)) => {
                let seen = seen + chunk.len() as u64;
                match seen > most {
                    true => Some((Err(io::Error::other(SizeRefused::Large)), None)),
                    false => Some((Ok(chunk), Some((file, seen)))),
                }
            }
            Ok(None) if seen < least => Some((Err(io::Error::other(SizeRefused::Small)), None)),
            Ok(None) => None,
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    })
}

fn size_error(error: Error) -> S3Error {
    if let Error::Body(cause) = &error
        && let Some(refused) = cause
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<SizeRefused>())
    {
        let code = match refused {
            SizeRefused::Large => S3ErrorCode::EntityTooLarge,
            SizeRefused::Small => S3ErrorCode::EntityTooSmall,
        };
        return S3Error::with_message(code, refused.to_string());
    }
    error.into()
}
