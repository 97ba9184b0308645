//! The buckets of an object store that a connection names.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use url::Url;

use super::{TaskContext, TaskError};

/// Opens a bucket of a connection's object store, an address with the access key as user name and the secret key as
/// password; without a connection, of the store that `AWS_ENDPOINT_URL_S3` names, which for tasks is the program's own.
/// Nothing is asked of it yet.
///
/// # Errors
/// There is no such connection or variable, or it is no address.
pub fn open(context: &TaskContext, connection: Option<&str>, bucket: &str) -> Result<AmazonS3, TaskError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (url, access, secret) = match connection {
        Some(connection) => of_connection(context, connection)?,
        None => of_environment(context)?,
    };
    AmazonS3Builder::new()
        .with_endpoint(url.as_str().trim_end_matches('/'))
        .with_bucket_name(bucket)
        .with_region("us-east-1")
        .with_access_key_id(access)
        .with_secret_access_key(secret)
        .with_allow_http(url.scheme() == "http")
        .with_virtual_hosted_style_request(false)
        .build()
        .map_err(TaskError::failed_for_good)
}

fn of_connection(context: &TaskContext, connection: &str) -> Result<(Url, String, String), TaskError> {
    let no_address = || {
        TaskError::FailedForGood(format!(
            "connection {connection} is no address of an object store"
        ))
    };
    let mut url = context.connection(connection)?.parts().ok_or_else(no_address)?;
    let decoded = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let (access, secret) = (
        decoded(url.username()),
        decoded(url.password().unwrap_or_default()),
    );
    // The credentials go into the signature, not into the address.
    if url.set_username("").is_err() || url.set_password(None).is_err() {
        return Err(no_address());
    }
    Ok((url, access, secret))
}

fn of_environment(context: &TaskContext) -> Result<(Url, String, String), TaskError> {
    let variable = |name: &str| {
        let value = context.variable(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| TaskError::FailedForGood(format!("{name} is not set; name a connection instead")))
    };
    let endpoint = variable("AWS_ENDPOINT_URL_S3")?;
    let url = Url::parse(&endpoint)
        .map_err(|error| TaskError::FailedForGood(format!("AWS_ENDPOINT_URL_S3: {error}")))?;
    Ok((
        url,
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
    ))
}
