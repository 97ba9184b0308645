//! Who asks, and whether they may.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use fragua_auth::{Access, Auth, Policy, PolicyOf, StorageIdentity, Verdict};
use fragua_base::ErrorKind;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::{CopyObjectInput, CopySource, TaggingDirective, UploadPartCopyInput};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Result};
use url::form_urlencoded;

use super::convert::place;
use super::error::{invalid_argument, invalid_request, unavailable};
use super::trail::Trail;
use super::versioning::version;
use crate::{BucketName, Error, Storage};

/// Looks up keys: their secrets for signatures, their policies for what they may do.
#[derive(Clone)]
pub(super) struct Keys(pub(super) Auth);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let (secret, _) = self.find(access_key).await?;
        Ok(secret)
    }
}

impl Keys {
    pub(super) async fn find(&self, access_key: &str) -> S3Result<(SecretKey, StorageIdentity)> {
        match self.0.storage_identity(access_key).await {
            Ok(Some((secret, identity))) => Ok((SecretKey::from(secret.expose()), identity)),
            Ok(None) => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                "The access key ID you provided does not exist in our records.",
            )),
            Err(error) if error.kind() == ErrorKind::Unauthenticated => Err(S3Error::with_message(
                S3ErrorCode::InvalidAccessKeyId,
                format!("{error}."),
            )),
            Err(error) => {
                tracing::error!(%error, "cannot look up an access key");
                Err(unavailable())
            }
        }
    }

    /// Returns who asks, once the signature is known to be good.
    pub(super) async fn caller(&self, access_key: Option<&str>) -> S3Result<Caller> {
        let Some(access_key) = access_key else {
            return Ok(Caller { identity: None });
        };
        let (_, identity) = self.find(access_key).await?;
        if let StorageIdentity::Key(key) = &identity {
            self.0.storage_key_used(key);
        }
        Ok(Caller {
            identity: Some(identity),
        })
    }
}

/// Who asks; nobody is known where the request has no signature.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    identity: Option<StorageIdentity>,
}

/// What an operation does, in the words of policies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'a> {
    pub(super) action: &'a str,
    pub(super) bucket: &'a str,
    pub(super) key: Option<&'a str>,
    pub(super) prefix: Option<&'a str>,
}

impl Caller {
    /// Returns whom the key belongs to.
    pub(super) fn name(&self) -> Option<&str> {
        match self.identity.as_ref()? {
            StorageIdentity::Root => Some("root"),
            StorageIdentity::Key(key) => Some(&key.name),
        }
    }

    /// Returns whether a bucket is to be shown in a list of all.
    pub(super) fn sees(&self, bucket: &str) -> bool {
        match &self.identity {
            None => false,
            Some(StorageIdentity::Root) => true,
            Some(StorageIdentity::Key(key)) => key.policy.reaches(bucket),
        }
    }

    fn may(&self, deed: Deed<'_>, of_bucket: Option<&Policy>) -> bool {
        let principals: Vec<&str> = match &self.identity {
            None => Vec::new(),
            Some(StorageIdentity::Root) => return true,
            Some(StorageIdentity::Key(key)) => vec![&key.name, &key.id],
        };
        let resource = match deed.key {
            None => deed.bucket.to_owned(),
            Some(key) => format!("{}/{key}", deed.bucket),
        };
        let access = Access {
            principals: &principals,
            action: deed.action,
            resource: &resource,
            prefix: deed.prefix,
        };
        let own = match &self.identity {
            Some(StorageIdentity::Key(key)) => key.policy.verdict(access),
            _ => Verdict::Unsaid,
        };
        let of_bucket = of_bucket.map_or(Verdict::Unsaid, |policy| policy.verdict(access));
        let verdicts = [own, of_bucket];
        !verdicts.contains(&Verdict::Denied) && verdicts.contains(&Verdict::Allowed)
    }

    /// Succeeds when the caller may do that.
    pub(super) fn check(&self, deed: Deed<'_>, of_bucket: Option<&Policy>) -> S3Result<()> {
        if self.may(deed, of_bucket) {
            return Ok(());
        }
        let place = match deed.key {
            None => deed.bucket.to_owned(),
            Some(key) => format!("{}/{key}", deed.bucket),
        };
        let action = deed.action;
        let message = match self.name() {
            None => format!("The request is not signed, and {action} on {place} is not open to everyone."),
            Some(name) => format!("The key of {name} may not do {action} on {place}."),
        };
        Err(S3Error::with_message(S3ErrorCode::AccessDenied, message))
    }
}

/// Returns the policy of a bucket, of which the owner of the store needs none. One that cannot be read allows nothing,
/// and denies everything, because it may have denied.
pub(super) async fn policy_of(storage: &Storage, bucket: &str, caller: &Caller) -> S3Result<Option<Policy>> {
    let Ok(bucket) = BucketName::parse(bucket) else {
        return Ok(None);
    };
    if matches!(caller.identity, Some(StorageIdentity::Root)) {
        return Ok(None);
    }
    let settings = match storage.bucket_settings(&bucket).await {
        Ok(settings) => settings,
        Err(Error::BucketNotFound { .. } | Error::NotSupported(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(text) = &settings.policy else {
        return Ok(None);
    };
    match Policy::parse_kept(text, PolicyOf::Bucket) {
        Ok(policy) => Ok(Some(policy)),
        Err(error) => {
            tracing::warn!(%bucket, %error, "the policy of a bucket cannot be read");
            Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "The policy of the bucket cannot be read; its owner can replace it.",
            ))
        }
    }
}

/// Asks the policies before anything is read of a request's body.
pub(super) struct Policies {
    pub(super) storage: Storage,
    pub(super) keys: Keys,
}

#[async_trait::async_trait]
impl S3Access for Policies {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let access_key = context
            .credentials()
            .map(|credentials| credentials.access_key.clone());
        let caller = self.keys.caller(access_key.as_deref()).await?;
        let operation = context.s3_op().name().to_owned();
        let (bucket, key) = match context.s3_path() {
            S3Path::Root => (None, None),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), None),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), Some(key.to_string())),
        };
        let query = context.uri().query().unwrap_or_default().to_owned();
        if let Some(trail) = context.extensions_mut().get::<Trail>() {
            trail.note(&operation, access_key, &caller, bucket.as_deref(), key.as_deref());
        }
        let policy = match &bucket {
            None => None,
            Some(bucket) => policy_of(&self.storage, bucket, &caller).await?,
        };
        let place = (bucket.as_deref(), key.as_deref());
        let further = further_action(&operation, context.headers());
        let checked = check_operation(&caller, (&operation, further), place, &query, policy.as_ref());
        context.extensions_mut().insert(Arc::new(caller));
        checked
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        check_source(&self.storage, &request.extensions, &request.input.copy_source).await?;
        check_tags(&self.storage, request).await
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        check_source(&self.storage, &request.extensions, &request.input.copy_source).await
    }
}

/// Returns who asks, as [`Policies`] found out.
pub(super) fn caller_of(extensions: &axum::http::Extensions) -> S3Result<Arc<Caller>> {
    let caller = extensions.get::<Arc<Caller>>().cloned();
    caller.ok_or_else(|| S3Error::new(S3ErrorCode::AccessDenied))
}

async fn check_source(
    storage: &Storage,
    extensions: &axum::http::Extensions,
    source: &CopySource,
) -> S3Result<()> {
    let caller = caller_of(extensions)?;
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        // It is refused where it is read.
        return Ok(());
    };
    let action = match version_id {
        None => "s3:GetObject",
        Some(_) => "s3:GetObjectVersion",
    };
    let deed = Deed {
        action,
        bucket,
        key: Some(key),
        prefix: None,
    };
    let policy = policy_of(storage, bucket, &caller).await?;
    caller.check(deed, policy.as_ref())
}

/// A copy takes the tags of its source along, which who may not read or write tags may not do. Where the source has none,
/// the copy is told to have none, so that tags that it is given meanwhile stay behind.
async fn check_tags(storage: &Storage, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
    let input = &mut request.input;
    let directive = input.tagging_directive.as_ref().map(TaggingDirective::as_str);
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = &input.copy_source
    else {
        return Ok(());
    };
    if !matches!(directive, None | Some(TaggingDirective::COPY)) {
        return Ok(());
    }
    let caller = caller_of(&request.extensions)?;
    let read = Deed {
        action: match version_id {
            None => "s3:GetObjectTagging",
            Some(_) => "s3:GetObjectVersionTagging",
        },
        bucket,
        key: Some(key),
        prefix: None,
    };
    let write = Deed {
        action: "s3:PutObjectTagging",
        bucket: &input.bucket,
        key: Some(&input.key),
        prefix: None,
    };
    let mut allowed = Ok(());
    for deed in [read, write] {
        let policy = policy_of(storage, deed.bucket, &caller).await?;
        allowed = allowed.and(caller.check(deed, policy.as_ref()));
    }
    let Err(refusal) = allowed else {
        return Ok(());
    };
    let (bucket, key) = place(bucket, key)?;
    let source = match version(version_id.as_deref())? {
        None => storage.head(&bucket, &key).await?,
        Some(version) => storage.head_version(&bucket, &key, &version).await?,
    };
    if !source.tags.is_empty() {
        return Err(refusal);
    }
    input.tagging_directive = Some(TaggingDirective::from_static(TaggingDirective::REPLACE));
    input.tagging = None;
    Ok(())
}

fn check_operation(
    caller: &Caller,
    (operation, further): (&str, Option<&str>),
    (bucket, key): (Option<&str>, Option<&str>),
    query: &str,
    policy: Option<&Policy>,
) -> S3Result<()> {
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    // What is said twice counts as not said where it is read, so it is not to be judged by either.
    let parameter = |name: &str| {
        let mut found = parameters.iter().filter(|(found, _)| found == name);
        match (found.next(), found.next()) {
            (first, None) => Ok(first.map(|(_, value)| value.as_str())),
            _ => Err(invalid_argument(format!("The parameter {name} is given twice."))),
        }
    };
    let Some(bucket) = bucket else {
        // The list of buckets shows to each key what is its own, and nothing to nobody.
        return match caller.name() {
            Some(_) => Ok(()),
            None => Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "The request is not signed.",
            )),
        };
    };
    if operation == "DeleteObjects" {
        // Each key is judged on its own once they are read.
        return Ok(());
    }
    let is_override = |(name, _): &(String, String)| name.starts_with("response-");
    if caller.identity.is_none() && parameters.iter().any(is_override) {
        return Err(invalid_request(
            "Request specific response headers cannot be used for anonymous GET requests.",
        ));
    }
    let prefix = parameter("prefix")?;
    let is_list = matches!(operation, "ListObjects" | "ListObjectsV2" | "ListObjectVersions");
    let deed = Deed {
        action: &action(operation, parameter("versionId")?.is_some()),
        bucket,
        key,
        // To list without a prefix is to list with an empty one.
        prefix: is_list.then(|| prefix.unwrap_or_default()),
    };
    caller.check(deed, policy)?;
    match further {
        None => Ok(()),
        Some(action) => caller.check(Deed { action, ..deed }, policy),
    }
}

/// Returns what a request does beside its operation, because of a header: who may write objects may not tag them for that,
/// and a condition of a delete tells something of what it is about.
fn further_action(operation: &str, headers: &HeaderMap) -> Option<&'static str> {
    match operation {
        "PutObject" | "CopyObject" | "CreateMultipartUpload" if headers.contains_key("x-amz-tagging") => {
            Some("s3:PutObjectTagging")
        }
        "DeleteObject" if headers.contains_key(IF_MATCH) => Some("s3:GetObject"),
        _ => None,
    }
}

/// Returns the action that policies know an operation by. Where Amazon's name differs from the operation's, it is told
/// here.
fn action(operation: &str, names_version: bool) -> String {
    let name = match operation {
        "ListObjects" | "ListObjectsV2" | "HeadBucket" => "ListBucket",
        "ListObjectVersions" => "ListBucketVersions",
        "ListMultipartUploads" => "ListBucketMultipartUploads",
        "ListParts" => "ListMultipartUploadParts",
        "HeadObject" | "GetObject" | "GetObjectAttributes" if names_version => "GetObjectVersion",
        "HeadObject" | "GetObjectAttributes" => "GetObject",
        "DeleteObject" if names_version => "DeleteObjectVersion",
        "PostObject"
        | "CopyObject"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload" => "PutObject",
        "GetBucketAccelerateConfiguration" => "GetAccelerateConfiguration",
        "GetBucketEncryption" => "GetEncryptionConfiguration",
        "PutBucketEncryption" | "DeleteBucketEncryption" => "PutEncryptionConfiguration",
        "GetBucketLifecycleConfiguration" => "GetLifecycleConfiguration",
        "PutBucketLifecycleConfiguration" | "DeleteBucketLifecycle" => "PutLifecycleConfiguration",
        "GetBucketNotificationConfiguration" => "GetBucketNotification",
        "PutBucketNotificationConfiguration" => "PutBucketNotification",
        "GetBucketReplication" => "GetReplicationConfiguration",
        "GetObjectLockConfiguration" => "GetBucketObjectLockConfiguration",
        "GetPublicAccessBlock" => "GetBucketPublicAccessBlock",
        "DeleteBucketCors" => "PutBucketCORS",
        "DeleteBucketTagging" => "PutBucketTagging",
        "GetObjectTagging" if names_version => "GetObjectVersionTagging",
        "PutObjectTagging" if names_version => "PutObjectVersionTagging",
        "DeleteObjectTagging" if names_version => "DeleteObjectVersionTagging",
        other => other,
    };
    format!("s3:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_the_names_of_policies() {
        for (operation, names_version, expected) in [
            ("GetObject", false, "s3:GetObject"),
            ("HeadObject", false, "s3:GetObject"),
            ("HeadObject", true, "s3:GetObjectVersion"),
            ("ListObjectsV2", false, "s3:ListBucket"),
            ("UploadPart", false, "s3:PutObject"),
            ("AbortMultipartUpload", false, "s3:AbortMultipartUpload"),
            ("DeleteObject", true, "s3:DeleteObjectVersion"),
            ("PutBucketPolicy", false, "s3:PutBucketPolicy"),
            ("DeleteBucketLifecycle", false, "s3:PutLifecycleConfiguration"),
        ] {
            assert_eq!(action(operation, names_version), expected);
        }
    }
}
