//! Deletes, of one object or of many.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::access::{Deed, caller_of, policy_of};
use super::convert::{etag_condition, place};
use super::error::not_implemented;
use super::versioning::version;
use crate::{BucketName, DeleteTarget, Deletion, EtagCondition, ObjectKey, Refusal, Storage, VersionId};

/// The most keys of one batch.
const MAX_DELETES: usize = 1000;

const OTHER_CONDITIONS: &str = "Deletes under conditions of time or size are not offered.";

pub(super) async fn delete_object(
    storage: &Storage,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
        return Err(not_implemented(OTHER_CONDITIONS));
    }
    let (bucket, key) = place(&input.bucket, &input.key)?;
    let target = target(
        key,
        version(input.version_id.as_deref())?,
        input.if_match.map(etag_condition),
    )?;
    let deletions = storage
        .delete_targets(&bucket, std::slice::from_ref(&target))
        .await?;
    if let Some(refusal) = deletions.first().and_then(|deletion| deletion.refused) {
        return Err(refused(&bucket, &target.key, refusal));
    }
    let output = deletions.into_iter().next().map(|deletion| DeleteObjectOutput {
        delete_marker: deletion.marker.as_ref().map(|_| true),
        version_id: deletion.version.or(deletion.marker).map(|id| id.to_string()),
        ..DeleteObjectOutput::default()
    });
    Ok(S3Response::new(output.unwrap_or_default()))
}

fn target(
    key: ObjectKey,
    version: Option<VersionId>,
    if_match: Option<EtagCondition>,
) -> S3Result<DeleteTarget> {
    if version.is_some() && if_match.is_some() {
        return Err(not_implemented(
            "Conditions of a delete are about what a key stands for, not about a version.",
        ));
    }
    Ok(DeleteTarget {
        version,
        if_match,
        ..DeleteTarget::current(key)
    })
}

fn refused(bucket: &BucketName, key: &ObjectKey, refusal: Refusal) -> S3Error {
    let error = match refusal {
        Refusal::Missing => crate::Error::ObjectNotFound {
            object: format!("{bucket}/{key}"),
            delete_marker: None,
        },
        Refusal::Differs => crate::Error::PreconditionFailed {
            condition: "If-Match",
        },
    };
    error.into()
}

pub(super) async fn delete_objects(
    storage: &Storage,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let caller = caller_of(&request.extensions)?;
    let input = request.input;
    let bucket = BucketName::parse(&input.bucket)?;
    if input.delete.objects.len() > MAX_DELETES {
        let message = "The list of objects to delete must not be longer than 1000.";
        return Err(S3Error::with_message(S3ErrorCode::MalformedXML, message));
    }
    let policy = policy_of(storage, &input.bucket, &caller).await?;
    let mut targets = Vec::new();
    let mut errors = Vec::new();
    for object in input.delete.objects {
        let parsed = ObjectKey::parse(object.key.clone()).map_err(S3Error::from);
        let wanted = parsed.and_then(|key| {
            let version = version(object.version_id.as_deref())?;
            let if_match = object.e_tag.map(|etag| match etag.into_value() {
                any if any == "*" => EtagCondition::Any,
                etag => EtagCondition::Is(etag),
            });
            let action = match version {
                None => "s3:DeleteObject",
                Some(_) => "s3:DeleteObjectVersion",
            };
            let of_condition = if_match.as_ref().map(|_| "s3:GetObject");
            for action in std::iter::once(action).chain(of_condition) {
                let deed = Deed {
                    action,
                    bucket: &input.bucket,
                    key: Some(key.as_str()),
                    prefix: None,
                };
                caller.check(deed, policy.as_ref())?;
            }
            if object.last_modified_time.is_some() || object.size.is_some() {
                return Err(not_implemented(OTHER_CONDITIONS));
            }
            target(key, version, if_match)
        });
        match wanted {
            Ok(target) => targets.push(target),
            Err(error) => errors.push(told(&error, object.key, object.version_id)),
        }
    }
    let mut deletions = storage.delete_targets(&bucket, &targets).await?;
    deletions.retain(|deletion| match deletion.refused {
        None => true,
        Some(refusal) => {
            let error = refused(&bucket, &deletion.key, refusal);
            errors.push(told(&error, deletion.key.to_string(), None));
            false
        }
    });
    let text = |id: VersionId| id.to_string();
    let deleted = |deletion: Deletion| DeletedObject {
        key: Some(deletion.key.to_string()),
        version_id: deletion.version.map(text),
        delete_marker: deletion.marker.as_ref().map(|_| true),
        delete_marker_version_id: deletion.marker.map(text),
    };
    let is_quiet = input.delete.quiet.unwrap_or(false);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!is_quiet).then(|| deletions.into_iter().map(deleted).collect()),
        errors: (!errors.is_empty()).then_some(errors),
        request_charged: None,
    }))
}

fn told(error: &S3Error, key: String, version_id: Option<String>) -> Error {
    Error {
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
        key: Some(key),
        version_id,
    }
}
