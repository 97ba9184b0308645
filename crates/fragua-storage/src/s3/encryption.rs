//! What headers ask for and tell about encryption, and what is set for a bucket.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::{invalid_argument, invalid_request, not_implemented};
use crate::{BucketName, BucketSetting, CustomerKey, DefaultEncryption, Encrypt, Encryption, Storage};

const AES256: &str = "AES256";

const ALGORITHM: &str = "x-amz-server-side-encryption";

/// Before the names of the three headers of a client's key.
const OF_OBJECT: &str = "x-amz-server-side-encryption-customer-";
const OF_SOURCE: &str = "x-amz-copy-source-server-side-encryption-customer-";

const NO_KMS: &str = "Server-side encryption with keys of KMS (aws:kms) is not offered; use AES256.";

fn text<'headers>(headers: &'headers HeaderMap, name: &str) -> Option<&'headers str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

fn invalid_algorithm(message: &'static str) -> S3Error {
    let mut error = S3Error::with_message(
        S3ErrorCode::Custom("InvalidEncryptionAlgorithmError".into()),
        message,
    );
    error.set_status_code(StatusCode::BAD_REQUEST);
    error
}

/// Reads the key that a client sends with each request about an object.
pub(super) fn customer_key(headers: &HeaderMap) -> S3Result<Option<CustomerKey>> {
    key_of(headers, OF_OBJECT)
}

/// Reads the key of what is copied.
pub(super) fn source_key(headers: &HeaderMap) -> S3Result<Option<CustomerKey>> {
    key_of(headers, OF_SOURCE)
}

fn key_of(headers: &HeaderMap, start: &str) -> S3Result<Option<CustomerKey>> {
    let part = |name: &str| text(headers, &format!("{start}{name}"));
    let (algorithm, key, md5) = (part("algorithm"), part("key"), part("key-md5"));
    if algorithm.is_none() && key.is_none() && md5.is_none() {
        return Ok(None);
    }
    let Some(algorithm) = algorithm else {
        return Err(invalid_argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide a valid encryption \
             algorithm.",
        ));
    };
    if algorithm != AES256 {
        return Err(invalid_algorithm(
            "The encryption request that you specified is not valid. The valid value is AES256.",
        ));
    }
    let Some(key) = key else {
        return Err(invalid_argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide an appropriate \
             secret key.",
        ));
    };
    let bytes = STANDARD.decode(key).ok().and_then(|bytes| bytes.try_into().ok());
    let Some(key) = bytes.map(CustomerKey::new) else {
        return Err(invalid_argument(
            "The secret key was invalid for the specified algorithm.",
        ));
    };
    let Some(md5) = md5 else {
        return Err(invalid_argument(
            "Requests specifying Server Side Encryption with Customer provided keys must provide the client \
             calculated MD5 of the secret key.",
        ));
    };
    if md5 != key.md5() {
        return Err(invalid_argument(
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        ));
    }
    Ok(Some(key))
}

/// Reads how a new object is to be encrypted.
pub(super) fn asked(headers: &HeaderMap) -> S3Result<Encrypt> {
    let of_kms = |name: &HeaderName| {
        let rest = name.as_str().strip_prefix(ALGORITHM).unwrap_or_default();
        matches!(rest, "-aws-kms-key-id" | "-context" | "-bucket-key-enabled")
    };
    if headers.keys().any(of_kms) {
        return Err(not_implemented(NO_KMS));
    }
    match (text(headers, ALGORITHM), customer_key(headers)?) {
        (None, None) => Ok(Encrypt::AsBucket),
        (None, Some(key)) => Ok(Encrypt::CustomerKey(key)),
        (Some(AES256), None) => Ok(Encrypt::Aes256),
        (Some(_), Some(_)) => Err(invalid_argument(
            "Server Side Encryption with Customer provided key is incompatible with the encryption method specified",
        )),
        (Some(other), None) if other.starts_with("aws:") => Err(not_implemented(NO_KMS)),
        (Some(_), None) => Err(invalid_argument(
            "The encryption method specified is not supported",
        )),
    }
}

/// Refuses to choose how something is encrypted that was decided before, as for reads and parts.
pub(super) fn refuse_choice(headers: &HeaderMap) -> S3Result<()> {
    if headers.contains_key(ALGORITHM) {
        return Err(invalid_argument(
            "x-amz-server-side-encryption header is not supported for this operation.",
        ));
    }
    Ok(())
}

/// Refuses the headers of a client's key, which the fields of a form are no place for.
pub(super) fn refuse_customer_key(headers: &HeaderMap) -> S3Result<()> {
    let is_of_key = |name: &HeaderName| name.as_str().starts_with(OF_OBJECT);
    if headers.keys().any(is_of_key) {
        return Err(not_implemented(
            "Forms with keys for server-side encryption are not offered.",
        ));
    }
    Ok(())
}

/// Tells how an object is encrypted. The answers' own types have fields for it, each its own.
pub(super) fn tell(headers: &mut HeaderMap, encryption: Option<&Encryption>, key: Option<&CustomerKey>) {
    match (encryption, key) {
        (None, _) => {}
        (Some(encryption), _) if !encryption.is_customer_key() => {
            headers.insert(ALGORITHM, HeaderValue::from_static(AES256));
        }
        (Some(_), None) => {}
        (Some(_), Some(key)) => {
            headers.insert(
                "x-amz-server-side-encryption-customer-algorithm",
                HeaderValue::from_static(AES256),
            );
            if let Ok(md5) = HeaderValue::from_str(&key.md5()) {
                headers.insert("x-amz-server-side-encryption-customer-key-md5", md5);
            }
        }
    }
}

pub(super) async fn put_bucket_encryption(
    storage: &Storage,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let rules = request.input.server_side_encryption_configuration.rules;
    let [rule] = rules.as_slice() else {
        return Err(S3Error::with_message(
            S3ErrorCode::MalformedXML,
            "The configuration needs exactly one rule.",
        ));
    };
    let Some(default) = &rule.apply_server_side_encryption_by_default else {
        return Err(invalid_request(
            "The rule needs ApplyServerSideEncryptionByDefault.",
        ));
    };
    match default.sse_algorithm.as_str() {
        AES256 if default.kms_master_key_id.is_some() => {
            return Err(invalid_argument(
                "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
            ));
        }
        AES256 => {}
        name if name.starts_with("aws:") => return Err(not_implemented(NO_KMS)),
        _ => {
            return Err(S3Error::with_message(
                S3ErrorCode::MalformedXML,
                "SSEAlgorithm must be AES256.",
            ));
        }
    }
    let setting = BucketSetting::Encryption(Some(DefaultEncryption::Aes256));
    storage.set_bucket(&bucket, setting).await?;
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

pub(super) async fn get_bucket_encryption(
    storage: &Storage,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    let Some(DefaultEncryption::Aes256) = settings.encryption else {
        let mut error = S3Error::with_message(
            S3ErrorCode::ServerSideEncryptionConfigurationNotFoundError,
            "The server side encryption configuration was not found",
        );
        error.set_status_code(StatusCode::NOT_FOUND);
        return Err(error);
    };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(ServerSideEncryptionByDefault {
            kms_master_key_id: None,
            sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
        }),
        bucket_key_enabled: Some(false),
    };
    Ok(S3Response::new(GetBucketEncryptionOutput {
        server_side_encryption_configuration: Some(ServerSideEncryptionConfiguration { rules: vec![rule] }),
    }))
}

pub(super) async fn delete_bucket_encryption(
    storage: &Storage,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    storage
        .set_bucket(&bucket, BucketSetting::Encryption(None))
        .await?;
    Ok(S3Response::new(DeleteBucketEncryptionOutput::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_headers_ask_for_is_understood_or_refused() {
        let key = CustomerKey::new([7; 32]);
        let (text, md5) = (STANDARD.encode([7; 32]), key.md5());
        let check = |named: &[(&str, &str)]| {
            let headers = HeaderMap::from_iter(named.iter().map(|(name, value)| {
                (
                    HeaderName::try_from(format!("{ALGORITHM}{name}")).unwrap(),
                    value.parse().unwrap(),
                )
            }));
            asked(&headers).map_err(|error| error.code().as_str().to_owned())
        };
        let of_key = |algorithm: &'static str, key: &str, md5: &str| {
            check(&[
                ("-customer-algorithm", algorithm),
                ("-customer-key", key),
                ("-customer-key-md5", md5),
            ])
        };
        let refused = |code: &str| Err(code.to_owned());
        assert_eq!(check(&[]), Ok(Encrypt::AsBucket));
        assert_eq!(check(&[("", "AES256")]), Ok(Encrypt::Aes256));
        assert_eq!(check(&[("", "aws:kms")]), refused("NotImplemented"));
        assert_eq!(
            check(&[("", "AES256"), ("-aws-kms-key-id", "k")]),
            refused("NotImplemented")
        );
        assert_eq!(check(&[("", "ROT13")]), refused("InvalidArgument"));
        assert_eq!(of_key("AES256", &text, &md5), Ok(Encrypt::CustomerKey(key)));
        assert_eq!(
            of_key("AES128", &text, &md5),
            refused("InvalidEncryptionAlgorithmError")
        );
        assert_eq!(of_key("AES256", "c2hvcnQ=", &md5), refused("InvalidArgument"));
        assert_eq!(of_key("AES256", &text, "other"), refused("InvalidArgument"));
        for lone in ["-customer-algorithm", "-customer-key", "-customer-key-md5"] {
            assert_eq!(check(&[(lone, "AES256")]), refused("InvalidArgument"), "{lone}");
        }
    }
}
