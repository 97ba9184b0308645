//! Signed addresses: signature version 4 in the query.

use std::fmt::Write as _;
use std::time::Duration;

use fragua_auth::AccessKey;
use fragua_base::Timestamp;
use hmac::{Hmac, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{BucketName, Error, ObjectKey};

/// The longest time that S3 lets a signed address live.
const MAX_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
const PATH: &AsciiSet = &QUERY.remove(b'/');

/// Which request an address allows.
#[derive(Debug, Clone, Copy)]
pub struct PresignedRequest<'a> {
    /// The base address of the S3 port, such as `http://127.0.0.1:9000`.
    pub endpoint: &'a str,
    /// The region that the signature names; `us-east-1` for our own port.
    pub region: &'a str,
    /// `GET`, `PUT`, `HEAD`, `DELETE` or `POST`.
    pub method: &'a str,
    /// The bucket; `None` addresses the list of buckets.
    pub bucket: Option<&'a BucketName>,
    /// The object; `None` addresses the bucket.
    pub key: Option<&'a ObjectKey>,
    /// Further parameters of the query, such as `response-content-disposition`.
    pub query: &'a [(&'a str, &'a str)],
    /// How long the address works; at most a week.
    pub lifetime: Duration,
    /// The present.
    pub now: Timestamp,
}

/// Returns an address that allows one request without a key until its time is over.
///
/// # Errors
/// [`Error::InvalidInput`] when the endpoint is not an address or the lifetime too long.
pub fn presigned_url(access_key: &AccessKey, request: PresignedRequest<'_>) -> Result<String, Error> {
    let path = path(request.bucket, request.key);
    presigned_path(access_key, request, &path)
}

/// Signs a path that is encoded already, in place of the request's bucket and key.
pub(crate) fn presigned_path(
    access_key: &AccessKey,
    request: PresignedRequest<'_>,
    path: &str,
) -> Result<String, Error> {
    if request.lifetime > MAX_LIFETIME {
        return Err(Error::InvalidInput {
            field: "lifetime",
            reason: "must not be over seven days".to_owned(),
        });
    }
    let (base, host) = endpoint_and_host(request.endpoint)?;
    let time = amz_date(request.now);
    let scope = format!("{}/{}/s3/aws4_request", &time[..8], request.region);
    let lifetime = request.lifetime.as_secs().to_string();
    let credential = format!("{}/{scope}", access_key.id);
    let mut query = request.query.to_vec();
    query.extend([
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
        ("X-Amz-Credential", credential.as_str()),
        ("X-Amz-Date", time.as_str()),
        ("X-Amz-Expires", lifetime.as_str()),
        ("X-Amz-SignedHeaders", "host"),
    ]);
    let query = canonical_query(query);
    let canonical = format!(
        "{}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        request.method
    );
    let hash = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hash}");
    let signature = signature(access_key.secret.expose(), (&time[..8], request.region), &to_sign);
    Ok(format!("{base}{path}?{query}&X-Amz-Signature={signature}"))
}

/// Returns what is signed with on one day (`20250402`) in one region.
fn signing_key(secret: &str, date: &str, region: &str) -> Vec<u8> {
    let mut key = hmac(format!("AWS4{secret}").as_bytes(), date);
    for part in [region, "s3", "aws4_request"] {
        key = hmac(&key, part);
    }
    key
}

/// Returns the signature of a text in hexadecimal.
pub(crate) fn signature(secret: &str, (date, region): (&str, &str), text: &str) -> String {
    hex::encode(hmac(&signing_key(secret, date, region), text))
}

/// Returns whether a signature in hexadecimal is that of a text, in a time that does not tell where it differs.
pub(crate) fn is_signed(secret: &str, (date, region): (&str, &str), text: &str, signature: &str) -> bool {
    let Ok(signature) = hex::decode(signature) else {
        return false;
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&signing_key(secret, date, region))
        .expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.verify_slice(&signature).is_ok()
}

/// Checks the base address and returns it without a slash at the end, with the host as clients send it.
pub(crate) fn endpoint_and_host(endpoint: &str) -> Result<(&str, String), Error> {
    let invalid = || Error::InvalidInput {
        field: "endpoint",
        reason: "must be an address such as http://127.0.0.1:9000, without a path".to_owned(),
    };
    let base = endpoint.trim_end_matches('/');
    let url = Url::parse(base).map_err(|_| invalid())?;
    let host = url
        .host_str()
        .filter(|_| matches!(url.scheme(), "http" | "https"))
        .ok_or_else(invalid)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(invalid());
    }
    Ok((
        base,
        url.port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
    ))
}

fn path(bucket: Option<&BucketName>, key: Option<&ObjectKey>) -> String {
    let mut path = "/".to_owned();
    if let Some(bucket) = bucket {
        path.push_str(bucket.as_str());
        if let Some(key) = key {
            path.push('/');
            path.extend(utf8_percent_encode(key.as_str(), PATH));
        }
    }
    path
}

fn canonical_query(pairs: Vec<(&str, &str)>) -> String {
    let encode = |text: &str| utf8_percent_encode(text, QUERY).to_string();
    let mut pairs: Vec<(String, String)> = pairs
        .into_iter()
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.sort();
    let mut query = String::new();
    for (name, value) in pairs {
        let separator = if query.is_empty() { "" } else { "&" };
        write!(query, "{separator}{name}={value}").expect("writing to a string does not fail");
    }
    query
}

/// Returns a time as `20250402T101112Z`.
pub(crate) fn amz_date(time: Timestamp) -> String {
    let text = time.to_rfc3339();
    let seconds = text.split(['.', 'Z']).next().unwrap_or(&text);
    let mut date: String = seconds
        .chars()
        .filter(|character| !matches!(character, '-' | ':'))
        .collect();
    date.push('Z');
    date
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked example of Amazon's documentation ("Authenticating Requests: Using Query Parameters"). Its
    /// bucket is part of the host, so the key takes the bucket's place here.
    #[test]
    fn the_documented_example() {
        let key = AccessKey::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap();
        let (base, host) = endpoint_and_host("https://examplebucket.s3.amazonaws.com/").unwrap();
        assert_eq!(
            (base, host.as_str()),
            (
                "https://examplebucket.s3.amazonaws.com",
                "examplebucket.s3.amazonaws.com"
            )
        );
        let now = Timestamp::parse_rfc3339("2013-05-24T00:00:00Z").unwrap();
        assert_eq!(amz_date(now), "20130524T000000Z");
        let request = PresignedRequest {
            endpoint: base,
            region: "us-east-1",
            method: "GET",
            bucket: Some(&BucketName::parse("test.txt").unwrap()),
            key: None,
            query: &[],
            lifetime: Duration::from_secs(86_400),
            now,
        };
        let url = presigned_url(&key, request).unwrap();
        let expected = "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256\
            &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
            &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
            &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(url, expected);
    }

    #[test]
    fn keys_keep_their_slashes_and_lose_what_addresses_forbid() {
        let (bucket, key) = (
            BucketName::parse("bucket").unwrap(),
            ObjectKey::parse("a//b +ñ/../?").unwrap(),
        );
        assert_eq!(path(Some(&bucket), Some(&key)), "/bucket/a//b%20%2B%C3%B1/../%3F");
        assert_eq!(path(Some(&bucket), None), "/bucket");
        assert_eq!(path(None, None), "/");
    }

    #[test]
    fn endpoints_are_base_addresses() {
        for (endpoint, good) in [
            ("http://127.0.0.1:9000", true),
            ("https://s3.example.org/", true),
            ("127.0.0.1:9000", false),
            ("ftp://example.org", false),
            ("http://example.org/path", false),
            ("http://user@example.org", false),
        ] {
            assert_eq!(endpoint_and_host(endpoint).is_ok(), good, "{endpoint}");
        }
    }
}
