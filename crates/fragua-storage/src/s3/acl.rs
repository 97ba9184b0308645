//! Access control lists, of which there is one: everything is private to the owner. Who else may do what is said by
//! policies.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::convert::{place, refuse_acl};
use super::objects::head;
use crate::{BucketName, Storage};

fn owners_grant() -> Grant {
    let owner = owner();
    Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }
}

/// Refuses grants other than the owner's.
fn refuse_grants(policy: Option<AccessControlPolicy>) -> S3Result<()> {
    let is_owners = |grant: &Grant| {
        let id = grant.grantee.as_ref().and_then(|grantee| grantee.id.as_deref());
        id == owner().id.as_deref()
            && grant.permission.as_ref().map(Permission::as_str) == Some(Permission::FULL_CONTROL)
    };
    let grants = policy.and_then(|policy| policy.grants).unwrap_or_default();
    if grants.iter().all(is_owners) {
        return Ok(());
    }
    Err(S3Error::with_message(
        S3ErrorCode::AccessControlListNotSupported,
        "The bucket does not allow ACLs; use a bucket policy.",
    ))
}

pub(super) async fn get_bucket_acl(
    storage: &Storage,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    storage
        .head_bucket(&BucketName::parse(&request.input.bucket)?)
        .await?;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(vec![owners_grant()]),
        owner: Some(owner()),
    }))
}

pub(super) async fn put_bucket_acl(
    storage: &Storage,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    refuse_acl(&request.headers)?;
    refuse_grants(request.input.access_control_policy)?;
    storage
        .head_bucket(&BucketName::parse(&request.input.bucket)?)
        .await?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub(super) async fn get_object_acl(
    storage: &Storage,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let (bucket, key) = place(&request.input.bucket, &request.input.key)?;
    head(storage, (&bucket, &key), request.input.version_id.as_deref()).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(vec![owners_grant()]),
        owner: Some(owner()),
        request_charged: None,
    }))
}

pub(super) async fn put_object_acl(
    storage: &Storage,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    refuse_acl(&request.headers)?;
    refuse_grants(request.input.access_control_policy)?;
    let (bucket, key) = place(&request.input.bucket, &request.input.key)?;
    head(storage, (&bucket, &key), request.input.version_id.as_deref()).await?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}
