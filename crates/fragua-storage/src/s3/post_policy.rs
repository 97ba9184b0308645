//! What a form from a browser may hold, as whoever signed it wrote down.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fragua_base::Timestamp;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde_json::Value;

/// Fields that no policy has to allow.
const FREE: [&str; 3] = ["x-amz-signature", "policy", "file"];

/// A policy of a form, read.
#[derive(Debug)]
pub(super) struct PostPolicy {
    expires_at: Timestamp,
    conditions: Vec<Condition>,
    /// The least and the most bytes of the file.
    sizes: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Condition {
    field: String,
    value: String,
    is_prefix: bool,
}

impl PostPolicy {
    /// Reads a policy as it stands in the form.
    pub(super) fn parse(encoded: &str) -> S3Result<Self> {
        let invalid = |reason: &str| {
            let message = format!("Invalid Policy: {reason}");
            S3Error::with_message(S3ErrorCode::InvalidPolicyDocument, message)
        };
        let bytes = STANDARD
            .decode(encoded)
            .map_err(|_| invalid("it is not base64"))?;
        let document: Value = serde_json::from_slice(&bytes).map_err(|_| invalid("it is not JSON"))?;
        let expires_at = document
            .get("expiration")
            .and_then(Value::as_str)
            .and_then(|text| Timestamp::parse_rfc3339(text).ok())
            .ok_or_else(|| invalid("its expiration is no time"))?;
        let listed = document.get("conditions").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| invalid("it has no list of conditions"))?;
        let mut policy = Self {
            expires_at,
            conditions: Vec::new(),
            sizes: None,
        };
        for condition in listed {
            policy
                .add(condition)
                .ok_or_else(|| invalid("a condition is not understood"))?;
        }
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Option<()> {
        if let Some(exact) = condition.as_object() {
            for (field, value) in exact {
                self.conditions.push(Condition {
                    field: field.to_ascii_lowercase(),
                    value: value.as_str()?.to_owned(),
                    is_prefix: false,
                });
            }
            return Some(());
        }
        let [kind, first, second] = condition.as_array()?.as_slice() else {
            return None;
        };
        let kind = kind.as_str()?.to_ascii_lowercase();
        if kind == "content-length-range" {
            let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
            self.sizes = Some((number(first)?, number(second)?));
            return Some(());
        }
        let is_prefix = match kind.as_str() {
            "eq" => false,
            "starts-with" => true,
            _ => return None,
        };
        self.conditions.push(Condition {
            field: first.as_str()?.strip_prefix('$')?.to_ascii_lowercase(),
            value: second.as_str()?.to_owned(),
            is_prefix,
        });
        Some(())
    }

    /// Refuses fields that the policy does not allow. The bucket is the one of the address.
    pub(super) fn check(
        &self,
        fields: &BTreeMap<String, String>,
        bucket: &str,
        now: Timestamp,
    ) -> S3Result<()> {
        let refused = |reason: String| {
            let message = format!("Invalid according to Policy: {reason}");
            Err(S3Error::with_message(S3ErrorCode::AccessDenied, message))
        };
        if now >= self.expires_at {
            return refused("Policy expired.".to_owned());
        }
        for Condition {
            field,
            value,
            is_prefix,
        } in &self.conditions
        {
            let found = match field.as_str() {
                "bucket" => bucket,
                field => fields.get(field).map_or("", String::as_str),
            };
            let (holds, kind) = match is_prefix {
                true => (found.starts_with(value), "starts-with"),
                false => (found == value, "eq"),
            };
            if !holds {
                return refused(format!(
                    "Policy Condition failed: [\"{kind}\", \"${field}\", \"{value}\"]"
                ));
            }
        }
        if fields.get("bucket").is_some_and(|named| named != bucket) {
            return refused("the bucket of the form is not the one of the address".to_owned());
        }
        // Else what was signed for one bucket would be good for all.
        if !self
            .conditions
            .iter()
            .any(|condition| condition.field == "bucket")
        {
            return refused("Extra input fields: bucket".to_owned());
        }
        let is_covered = |name: &str| {
            FREE.contains(&name)
                || name.starts_with("x-ignore-")
                || self.conditions.iter().any(|condition| condition.field == name)
        };
        match fields.keys().find(|name| !is_covered(name)) {
            None => Ok(()),
            Some(extra) => refused(format!("Extra input fields: {extra}")),
        }
    }

    /// Returns the least and the most bytes that the file may have.
    pub(super) fn sizes(&self) -> Option<(u64, u64)> {
        self.sizes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> S3Result<PostPolicy> {
        PostPolicy::parse(&STANDARD.encode(text))
    }

    #[test]
    fn every_field_is_allowed_by_a_condition() {
        let policy = policy(
            r#"{"expiration": "2026-01-01T00:00:00.000Z", "conditions": [
                {"bucket": "forms"}, ["starts-with", "$key", "in/"], ["eq", "$Content-Type", "text/csv"],
                ["content-length-range", 1, "10"], ["starts-with", "$x-amz-meta-note", ""]]}"#,
        )
        .unwrap();
        assert_eq!(policy.sizes(), Some((1, 10)));
        let now = Timestamp::parse_rfc3339("2025-12-31T23:59:59Z").unwrap();
        let good = [("key", "in/a"), ("content-type", "text/csv"), ("policy", "x")];
        let check = |fields: &[(&str, &str)], bucket: &str, now: Timestamp| {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            policy
                .check(&fields, bucket, now)
                .map_err(|error| error.message().unwrap_or_default().to_owned())
        };
        assert_eq!(check(&good, "forms", now), Ok(()));
        let late = Timestamp::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let with = |name, value| [good.as_slice(), &[(name, value)]].concat();
        for (fields, bucket, now, words) in [
            (good.to_vec(), "forms", late, "expired"),
            (good.to_vec(), "other", now, "\"$bucket\""),
            (with("acl", "private"), "forms", now, "Extra input fields: acl"),
            (with("key", "out/a"), "forms", now, "\"$key\""),
            (
                with("content-type", "text/html"),
                "forms",
                now,
                "\"$content-type\"",
            ),
            (
                with("bucket", "other"),
                "forms",
                now,
                "not the one of the address",
            ),
        ] {
            let refused = check(&fields, bucket, now).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
        assert_eq!(check(&with("x-ignore-me", "1"), "forms", now), Ok(()));
        assert_eq!(check(&with("x-amz-meta-note", "hi"), "forms", now), Ok(()));
    }

    #[test]
    fn a_policy_that_named_no_bucket_was_good_for_all() {
        let policy =
            policy(r#"{"expiration": "2026-01-01T00:00:00Z", "conditions": [["starts-with", "$key", ""]]}"#)
                .unwrap();
        let fields = BTreeMap::from([("key".to_owned(), "a".to_owned())]);
        let now = Timestamp::parse_rfc3339("2025-12-31T23:59:59Z").unwrap();
        assert!(policy.check(&fields, "any", now).is_err());
    }

    #[test]
    fn a_policy_that_is_not_understood_is_refused() {
        for text in [
            "",
            "[]",
            r#"{"conditions": []}"#,
            r#"{"expiration": "tomorrow", "conditions": []}"#,
            r#"{"expiration": "2026-01-01T00:00:00Z"}"#,
            r#"{"expiration": "2026-01-01T00:00:00Z", "conditions": [["ends-with", "$key", "x"]]}"#,
            r#"{"expiration": "2026-01-01T00:00:00Z", "conditions": [["eq", "key", "x"]]}"#,
            r#"{"expiration": "2026-01-01T00:00:00Z", "conditions": [{"key": 1}]}"#,
            r#"{"expiration": "2026-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 2]]}"#,
        ] {
            assert_eq!(
                policy(text).unwrap_err().code(),
                &S3ErrorCode::InvalidPolicyDocument,
                "{text}"
            );
        }
        assert!(PostPolicy::parse("?").is_err());
    }
}
