//! What is set for buckets: policy, CORS, notification.

use fragua_auth::{Policy, PolicyOf};
use fragua_base::random_hex;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result};

use super::error::{invalid_argument, not_implemented};
use crate::{
    BucketName, BucketSetting, Cors, CorsRule, Notification, NotificationKind, NotificationTarget, Storage,
};

pub(super) async fn put_bucket_policy(
    storage: &Storage,
    request: S3Request<PutBucketPolicyInput>,
) -> S3Result<S3Response<PutBucketPolicyOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let policy = BucketSetting::Policy(Some(request.input.policy));
    storage.set_bucket(&bucket, policy).await?;
    Ok(S3Response::new(PutBucketPolicyOutput::default()))
}

pub(super) async fn get_bucket_policy(
    storage: &Storage,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    match &settings.policy {
        Some(policy) => Ok(S3Response::new(GetBucketPolicyOutput {
            policy: Some(policy.clone()),
        })),
        None => Err(S3Error::with_message(
            S3ErrorCode::NoSuchBucketPolicy,
            "The bucket policy does not exist.",
        )),
    }
}

pub(super) async fn delete_bucket_policy(
    storage: &Storage,
    request: S3Request<DeleteBucketPolicyInput>,
) -> S3Result<S3Response<DeleteBucketPolicyOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    storage.set_bucket(&bucket, BucketSetting::Policy(None)).await?;
    Ok(S3Response::new(DeleteBucketPolicyOutput::default()))
}

/// Tells whether the policy allows something to requests without a signature.
pub(super) async fn get_bucket_policy_status(
    storage: &Storage,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    let Some(policy) = &settings.policy else {
        return Err(S3Error::with_message(
            S3ErrorCode::NoSuchBucketPolicy,
            "The bucket policy does not exist.",
        ));
    };
    let is_public = Policy::parse_kept(policy, PolicyOf::Bucket).is_ok_and(|policy| policy.is_public());
    Ok(S3Response::new(GetBucketPolicyStatusOutput {
        policy_status: Some(PolicyStatus {
            is_public: Some(is_public),
        }),
    }))
}

fn cors_rule(rule: CORSRule) -> S3Result<CorsRule> {
    let max_age_seconds = rule
        .max_age_seconds
        .map(u32::try_from)
        .transpose()
        .map_err(|_| invalid_argument("MaxAgeSeconds must not be negative."))?;
    Ok(CorsRule {
        id: rule.id,
        allowed_origins: rule.allowed_origins,
        allowed_methods: rule.allowed_methods,
        allowed_headers: rule.allowed_headers.unwrap_or_default(),
        expose_headers: rule.expose_headers.unwrap_or_default(),
        max_age_seconds,
    })
}

fn to_dto_cors_rule(rule: &CorsRule) -> CORSRule {
    let some = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
    CORSRule {
        id: rule.id.clone(),
        allowed_origins: rule.allowed_origins.clone(),
        allowed_methods: rule.allowed_methods.clone(),
        allowed_headers: some(&rule.allowed_headers),
        expose_headers: some(&rule.expose_headers),
        max_age_seconds: rule
            .max_age_seconds
            .and_then(|seconds| i32::try_from(seconds).ok()),
    }
}

pub(super) async fn put_bucket_cors(
    storage: &Storage,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let rules = request.input.cors_configuration.cors_rules;
    let cors = Cors {
        rules: rules.into_iter().map(cors_rule).collect::<S3Result<_>>()?,
    };
    storage
        .set_bucket(&bucket, BucketSetting::Cors(Some(cors)))
        .await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub(super) async fn get_bucket_cors(
    storage: &Storage,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    match &settings.cors {
        Some(cors) => Ok(S3Response::new(GetBucketCorsOutput {
            cors_rules: Some(cors.rules.iter().map(to_dto_cors_rule).collect()),
        })),
        None => Err(S3Error::with_message(
            S3ErrorCode::NoSuchCORSConfiguration,
            "The CORS configuration does not exist.",
        )),
    }
}

pub(super) async fn delete_bucket_cors(
    storage: &Storage,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    storage.set_bucket(&bucket, BucketSetting::Cors(None)).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

type KeyFilter = (Option<String>, Option<String>);

/// Reads the prefix and the suffix that a notification is limited to.
fn key_filter(filter: Option<NotificationConfigurationFilter>) -> S3Result<KeyFilter> {
    let rules = filter
        .and_then(|filter| filter.key)
        .and_then(|key| key.filter_rules);
    let (mut prefix, mut suffix) = (None, None);
    for rule in rules.unwrap_or_default() {
        let name = rule.name.as_ref().map(|name| name.as_str().to_ascii_lowercase());
        let place = match name.as_deref() {
            Some("prefix") => &mut prefix,
            Some("suffix") => &mut suffix,
            _ => {
                return Err(invalid_argument(
                    "A filter rule's name must be either prefix or suffix.",
                ));
            }
        };
        if place.replace(rule.value.unwrap_or_default()).is_some() {
            return Err(invalid_argument(
                "Cannot specify more than one prefix or suffix rule in a filter.",
            ));
        }
    }
    Ok((prefix, suffix))
}

fn to_dto_filter(target: &NotificationTarget) -> Option<NotificationConfigurationFilter> {
    let rule = |name: &'static str, value: &Option<String>| {
        value.as_ref().map(|value| FilterRule {
            name: Some(FilterRuleName::from_static(name)),
            value: Some(value.clone()),
        })
    };
    let rules: Vec<FilterRule> = rule(FilterRuleName::PREFIX, &target.prefix)
        .into_iter()
        .chain(rule(FilterRuleName::SUFFIX, &target.suffix))
        .collect();
    (!rules.is_empty()).then_some(NotificationConfigurationFilter {
        key: Some(S3KeyFilter {
            filter_rules: Some(rules),
        }),
    })
}

fn target(
    kind: NotificationKind,
    (id, arn): (Option<String>, String),
    events: Vec<Event>,
    filter: Option<NotificationConfigurationFilter>,
) -> S3Result<NotificationTarget> {
    let (prefix, suffix) = key_filter(filter)?;
    Ok(NotificationTarget {
        id: id.filter(|id| !id.is_empty()).unwrap_or_else(|| random_hex(16)),
        kind,
        arn,
        events: events.into_iter().map(Into::into).collect(),
        prefix,
        suffix,
    })
}

fn events(target: &NotificationTarget) -> Vec<Event> {
    target.events.iter().cloned().map(Event::from).collect()
}

/// A configuration without targets removes the one that there was.
pub(super) async fn put_bucket_notification_configuration(
    storage: &Storage,
    request: S3Request<PutBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<PutBucketNotificationConfigurationOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let given = request.input.notification_configuration;
    if given.event_bridge_configuration.is_some() {
        return Err(not_implemented("EventBridge is not offered."));
    }
    let mut targets = Vec::new();
    for queue in given.queue_configurations.unwrap_or_default() {
        let named = (queue.id, queue.queue_arn);
        targets.push(target(
            NotificationKind::Queue,
            named,
            queue.events,
            queue.filter,
        )?);
    }
    for topic in given.topic_configurations.unwrap_or_default() {
        let named = (topic.id, topic.topic_arn);
        targets.push(target(
            NotificationKind::Topic,
            named,
            topic.events,
            topic.filter,
        )?);
    }
    for function in given.lambda_function_configurations.unwrap_or_default() {
        let named = (function.id, function.lambda_function_arn);
        targets.push(target(
            NotificationKind::Function,
            named,
            function.events,
            function.filter,
        )?);
    }
    let notification = (!targets.is_empty()).then_some(Notification { targets });
    storage
        .set_bucket(&bucket, BucketSetting::Notification(notification))
        .await?;
    Ok(S3Response::new(
        PutBucketNotificationConfigurationOutput::default(),
    ))
}

pub(super) async fn get_bucket_notification_configuration(
    storage: &Storage,
    request: S3Request<GetBucketNotificationConfigurationInput>,
) -> S3Result<S3Response<GetBucketNotificationConfigurationOutput>> {
    let bucket = BucketName::parse(&request.input.bucket)?;
    let settings = storage.current_bucket_settings(&bucket).await?;
    let (mut queues, mut topics, mut functions) = (Vec::new(), Vec::new(), Vec::new());
    for target in settings.notification.iter().flat_map(|all| &all.targets) {
        let (id, arn) = (Some(target.id.clone()), target.arn.clone());
        let (events, filter) = (events(target), to_dto_filter(target));
        match target.kind {
            NotificationKind::Queue => queues.push(QueueConfiguration {
                id,
                queue_arn: arn,
                events,
                filter,
            }),
            NotificationKind::Topic => topics.push(TopicConfiguration {
                id,
                topic_arn: arn,
                events,
                filter,
            }),
            NotificationKind::Function => functions.push(LambdaFunctionConfiguration {
                id,
                lambda_function_arn: arn,
                events,
                filter,
            }),
        }
    }
    Ok(S3Response::new(GetBucketNotificationConfigurationOutput {
        queue_configurations: Some(queues),
        topic_configurations: Some(topics),
        lambda_function_configurations: Some(functions),
        ..GetBucketNotificationConfigurationOutput::default()
    }))
}
