//! What a bucket answers about settings that none can have here: as one does that was never configured.

use axum::http::StatusCode;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::place;
use super::error::invalid_request;
use crate::{BucketName, Storage};

/// An operation whose answer is empty, or says that there is nothing.
macro_rules! unset {
    ($($name:ident($input:ident) -> $output:ident: $answer:expr;)*) => {
        $(
            pub(super) async fn $name(
                storage: &Storage,
                request: S3Request<$input>,
            ) -> S3Result<S3Response<$output>> {
                storage.head_bucket(&BucketName::parse(&request.input.bucket)?).await?;
                let answer: S3Result<$output> = $answer;
                answer.map(S3Response::new)
            }
        )*
    };
}

fn missing<T>(code: S3ErrorCode, message: &'static str) -> S3Result<T> {
    let mut error = S3Error::with_message(code, message);
    error.set_status_code(StatusCode::NOT_FOUND);
    Err(error)
}

unset! {
    get_bucket_accelerate_configuration(GetBucketAccelerateConfigurationInput)
        -> GetBucketAccelerateConfigurationOutput: Ok(Default::default());
    get_bucket_logging(GetBucketLoggingInput) -> GetBucketLoggingOutput: Ok(Default::default());
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) -> GetBucketOwnershipControlsOutput: Ok(
        GetBucketOwnershipControlsOutput {
            ownership_controls: Some(OwnershipControls {
                rules: vec![OwnershipControlsRule {
                    object_ownership: ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED),
                }],
            }),
        }
    );
    get_bucket_replication(GetBucketReplicationInput) -> GetBucketReplicationOutput: missing(
        S3ErrorCode::ReplicationConfigurationNotFoundError,
        "The replication configuration was not found",
    );
    get_bucket_request_payment(GetBucketRequestPaymentInput) -> GetBucketRequestPaymentOutput: Ok(
        GetBucketRequestPaymentOutput {
            payer: Some(Payer::from_static(Payer::BUCKET_OWNER)),
        }
    );
    get_bucket_website(GetBucketWebsiteInput) -> GetBucketWebsiteOutput: missing(
        S3ErrorCode::NoSuchWebsiteConfiguration,
        "The specified bucket does not have a website configuration",
    );
    get_object_lock_configuration(GetObjectLockConfigurationInput) -> GetObjectLockConfigurationOutput: missing(
        S3ErrorCode::ObjectLockConfigurationNotFoundError,
        "Object Lock configuration does not exist for this bucket",
    );
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput: missing(
        S3ErrorCode::Custom("NoSuchPublicAccessBlockConfiguration".into()),
        "The public access block configuration was not found",
    );
}

const NO_LOCK: &str = "Bucket is missing Object Lock Configuration";

pub(super) async fn get_object_legal_hold(
    storage: &Storage,
    request: S3Request<GetObjectLegalHoldInput>,
) -> S3Result<S3Response<GetObjectLegalHoldOutput>> {
    let (bucket, key) = place(&request.input.bucket, &request.input.key)?;
    storage.head(&bucket, &key).await?;
    Err(invalid_request(NO_LOCK))
}

pub(super) async fn get_object_retention(
    storage: &Storage,
    request: S3Request<GetObjectRetentionInput>,
) -> S3Result<S3Response<GetObjectRetentionOutput>> {
    let (bucket, key) = place(&request.input.bucket, &request.input.key)?;
    storage.head(&bucket, &key).await?;
    Err(invalid_request(NO_LOCK))
}
