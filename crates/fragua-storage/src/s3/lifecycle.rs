//! What goes by itself in buckets.

use fragua_base::random_hex;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::convert::{from_dto_time, to_dto_time};
use super::error::{invalid_argument, not_implemented};
use super::tagging::{pairs, to_dto};
use crate::{
    BucketName, BucketSetting, ExpireAfter, Lifecycle, LifecycleFilter, NoncurrentExpiration, Storage, Tags,
};

fn malformed(message: &'static str) -> S3Error {
    S3Error::with_message(S3ErrorCode::MalformedXML, message)
}

/// Reads a number of days, versions or bytes.
fn number<T: TryFrom<i64>>(value: impl Into<i64>, name: &str) -> S3Result<T> {
    T::try_from(value.into()).map_err(|_| invalid_argument(format!("{name} must be a positive integer.")))
}

fn filter(prefix: Option<String>, filter: Option<LifecycleRuleFilter>) -> S3Result<LifecycleFilter> {
    let Some(filter) = filter else {
        // The form of S3's first years.
        let prefix = prefix.ok_or_else(|| malformed("Each Rule needs a Filter or a Prefix."))?;
        return Ok(LifecycleFilter {
            prefix,
            ..LifecycleFilter::default()
        });
    };
    let mut tags: Vec<Tag> = Vec::new();
    let (mut over, mut below) = (filter.object_size_greater_than, filter.object_size_less_than);
    let mut within = filter.prefix.or(prefix).unwrap_or_default();
    tags.extend(filter.tag);
    if let Some(and) = filter.and {
        tags.extend(and.tags.unwrap_or_default());
        over = and.object_size_greater_than.or(over);
        below = and.object_size_less_than.or(below);
        within = and.prefix.unwrap_or(within);
    }
    Ok(LifecycleFilter {
        prefix: within,
        tags: Tags::of_object(pairs(tags)?)?,
        larger_than_bytes: over
            .map(|bytes| number(bytes, "ObjectSizeGreaterThan"))
            .transpose()?,
        smaller_than_bytes: below
            .map(|bytes| number(bytes, "ObjectSizeLessThan"))
            .transpose()?,
    })
}

fn expire(expiration: LifecycleExpiration) -> S3Result<ExpireAfter> {
    let lone_markers = expiration.expired_object_delete_marker.filter(|wanted| *wanted);
    match (expiration.days, expiration.date, lone_markers) {
        (Some(days), None, None) => number(days, "Days").map(ExpireAfter::Days),
        (None, Some(date), None) => {
            let date = from_dto_time(&date).ok_or_else(|| malformed("The Date cannot be read."))?;
            Ok(ExpireAfter::Date(date.as_millis()))
        }
        (None, None, Some(_)) => Ok(ExpireAfter::LoneMarkers),
        _ => Err(malformed(
            "An Expiration needs one of Days, Date and ExpiredObjectDeleteMarker.",
        )),
    }
}

fn rule(rule: LifecycleRule) -> S3Result<crate::LifecycleRule> {
    let transitions = rule.transitions.is_some_and(|list| !list.is_empty());
    if transitions
        || rule
            .noncurrent_version_transitions
            .is_some_and(|list| !list.is_empty())
    {
        return Err(not_implemented(
            "Transitions are not offered: there is one storage class.",
        ));
    }
    let is_enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("The Status of a Rule must be Enabled or Disabled.")),
    };
    let noncurrent = |expiration: NoncurrentVersionExpiration| -> S3Result<NoncurrentExpiration> {
        let days = expiration
            .noncurrent_days
            .ok_or_else(|| malformed("A NoncurrentVersionExpiration needs NoncurrentDays."))?;
        let keep_newest = expiration.newer_noncurrent_versions.unwrap_or(0);
        Ok(NoncurrentExpiration {
            days: number(days, "NoncurrentDays")?,
            keep_newest: number(keep_newest, "NewerNoncurrentVersions")?,
        })
    };
    let abort = |abort: AbortIncompleteMultipartUpload| -> S3Result<u32> {
        let days = abort
            .days_after_initiation
            .ok_or_else(|| malformed("An AbortIncompleteMultipartUpload needs DaysAfterInitiation."))?;
        number(days, "DaysAfterInitiation")
    };
    Ok(crate::LifecycleRule {
        id: rule
            .id
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| random_hex(16)),
        is_enabled,
        filter: filter(rule.prefix, rule.filter)?,
        expire: rule.expiration.map(expire).transpose()?,
        expire_noncurrent: rule.noncurrent_version_expiration.map(noncurrent).transpose()?,
        abort_upload_days: rule.abort_incomplete_multipart_upload.map(abort).transpose()?,
    })
}

fn to_dto_filter(filter: &LifecycleFilter) -> LifecycleRuleFilter {
    let signed = |bytes: Option<u64>| bytes.and_then(|bytes| i64::try_from(bytes).ok());
    let (over, below) = (
        signed(filter.larger_than_bytes),
        signed(filter.smaller_than_bytes),
    );
    let prefix = Some(filter.prefix.clone());
    let tags = to_dto(&filter.tags);
    let conditions = usize::from(!filter.prefix.is_empty())
        + tags.len()
        + usize::from(over.is_some())
        + usize::from(below.is_some());
    if conditions > 1 {
        return LifecycleRuleFilter {
            and: Some(LifecycleRuleAndOperator {
                object_size_greater_than: over,
                object_size_less_than: below,
                prefix: prefix.filter(|prefix| !prefix.is_empty()),
                tags: (!tags.is_empty()).then_some(tags),
            }),
            ..LifecycleRuleFilter::default()
        };
    }
    let alone = tags.is_empty() && over.is_none() && below.is_none();
    LifecycleRuleFilter {
        and: None,
        object_size_greater_than: over,
        object_size_less_than: below,
        prefix: prefix.filter(|_| alone),
        tag: tags.into_iter().next(),
    }
}

fn to_i32(value: u32) -> Option<i32> {
    i32::try_from(value).ok()
}

fn to_dto_rule(rule: &crate::LifecycleRule) -> LifecycleRule {
    let status = if rule.is_enabled {
        ExpirationStatus::ENABLED
    } else {
        ExpirationStatus::DISABLED
    };
    let expiration = rule.expire.map(|expire| {
        let mut expiration = LifecycleExpiration::default();
        match expire {
            ExpireAfter::Days(days) => expiration.days = to_i32(days),
            ExpireAfter::Date(millis) => {
                expiration.date = Some(to_dto_time(fragua_base::Timestamp::from_millis(millis)));
            }
            ExpireAfter::LoneMarkers => expiration.expired_object_delete_marker = Some(true),
        }
        expiration
    });
    let noncurrent = |expire: NoncurrentExpiration| NoncurrentVersionExpiration {
        noncurrent_days: to_i32(expire.days),
        newer_noncurrent_versions: to_i32(expire.keep_newest).filter(|count| *count > 0),
    };
    let abort = |days| AbortIncompleteMultipartUpload {
        days_after_initiation: to_i32(days),
    };
    LifecycleRule {
        id: Some(rule.id.clone()),
        status: ExpirationStatus::from_static(status),
        filter: Some(to_dto_filter(&rule.filter)),
        prefix: None,
        expiration,
        noncurrent_version_expiration: rule.expire_noncurrent.map(noncurrent),
        abort_incomplete_multipart_upload: rule.abort_upload_days.map(abort),
        noncurrent_version_transitions: None,
        transitions: None,
    }
}

pub(super) async fn put_bucket_lifecycle_configuration(
    storage: &Storage,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let given = request.input.lifecycle_configuration;
    let rules = given
        .ok_or_else(|| malformed("A lifecycle configuration is needed."))?
        .rules;
    let lifecycle = Lifecycle {
        rules: rules.into_iter().map(rule).collect::<S3Result<_>>()?,
    };
    storage
        .set_bucket(&bucket, BucketSetting::Lifecycle(Some(lifecycle)))
        .await?;
    Ok(S3Response::new(PutBucketLifecycleConfigurationOutput::default()))
}

pub(super) async fn get_bucket_lifecycle_configuration(
    storage: &Storage,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    match &settings.lifecycle {
        Some(lifecycle) => Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
            rules: Some(lifecycle.rules.iter().map(to_dto_rule).collect()),
            ..GetBucketLifecycleConfigurationOutput::default()
        })),
        None => Err(S3Error::with_message(
            S3ErrorCode::NoSuchLifecycleConfiguration,
            "The lifecycle configuration does not exist.",
        )),
    }
}

pub(super) async fn delete_bucket_lifecycle(
    storage: &Storage,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    storage
        .set_bucket(&bucket, BucketSetting::Lifecycle(None))
        .await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}
