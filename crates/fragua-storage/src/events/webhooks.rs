//! The addresses that events may be sent to: settings name them, and buckets name the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use fragua_base::Secret;
use fragua_webhook::{Client, Guard};

use crate::{Error, Notification};

/// The longest name of a webhook.
const MAX_NAME_CHARS: usize = 255;

/// Where events may be sent, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookSettings {
    /// The addresses by the name that ends their ARN.
    pub webhooks: BTreeMap<String, Webhook>,
    /// The schemes that addresses may have.
    pub allowed_schemes: Vec<String>,
    /// Whether addresses may lead to this machine and its network.
    pub allow_private_addresses: bool,
    /// How long a receiver may take to answer.
    pub timeout: Duration,
    /// How many requests to one receiver are under way at once.
    pub workers: usize,
}

/// An address that events may be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// The address, which may hold a password.
    pub url: Secret,
    /// What messages are signed with.
    pub secret: Option<Secret>,
}

impl Default for WebhookSettings {
    fn default() -> Self {
        Self {
            webhooks: BTreeMap::new(),
            allowed_schemes: vec!["https".to_owned()],
            allow_private_addresses: false,
            timeout: Duration::from_secs(30),
            workers: 10,
        }
    }
}

/// The webhooks of this process.
#[derive(Debug)]
pub(crate) struct Webhooks {
    pub(crate) settings: WebhookSettings,
    pub(crate) client: Client,
}

impl Webhooks {
    /// Fails for an address that is not allowed.
    pub(crate) fn new(settings: WebhookSettings) -> Result<Self, Error> {
        let guard = Guard::new(settings.allowed_schemes.clone(), settings.allow_private_addresses);
        let invalid = |reason: String| Error::InvalidSetting {
            setting: "object_webhooks",
            reason,
        };
        for (name, webhook) in &settings.webhooks {
            if name.contains(':') || name.chars().count() > MAX_NAME_CHARS {
                return Err(invalid(format!(
                    "{name} must have no colon and at most {MAX_NAME_CHARS} characters"
                )));
            }
            guard
                .check(webhook.url.expose())
                .map_err(|refusal| invalid(format!("{name}.url cannot be used: {refusal}")))?;
        }
        let client = Client::new(guard, settings.timeout).map_err(invalid)?;
        Ok(Self { settings, client })
    }

    /// Returns the name of the webhook that an ARN names.
    pub(crate) fn named_by(&self, arn: &str) -> Option<&str> {
        let known = self.settings.webhooks.get_key_value(name_in(arn)?);
        known.map(|(name, _)| name.as_str())
    }

    /// Returns an ARN of each.
    pub(crate) fn arns(&self) -> Vec<String> {
        let names = self.settings.webhooks.keys();
        names.map(|name| format!("arn:aws:sqs:::{name}")).collect()
    }

    /// Fails when a configuration names somebody that the settings do not know, and that the one before it did not name.
    pub(crate) fn check(&self, new: &Notification, old: Option<&Notification>) -> Result<(), Error> {
        let was_named = |arn: &str| {
            let mut targets = old.iter().flat_map(|old| &old.targets);
            targets.any(|target| target.arn == arn)
        };
        let is_unknown = |arn: &str| self.named_by(arn).is_none() && !was_named(arn);
        match new.targets.iter().find(|target| is_unknown(&target.arn)) {
            None => Ok(()),
            Some(target) => Err(Error::InvalidSetting {
                setting: "notification",
                reason: format!(
                    "names the destination {}, which no setting object_webhooks.NAME.url stands for",
                    target.arn.chars().take(200).collect::<String>()
                ),
            }),
        }
    }
}

/// Returns what names a webhook in an ARN: its end, as in `arn:aws:sqs:::NAME`, or what stands before the kind, as in
/// MinIO's `arn:minio:sqs::NAME:webhook`.
fn name_in(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.split(':').collect();
    match parts[..] {
        ["arn", "minio" | "fragua", _, _, name, "webhook"] if !name.is_empty() => Some(name),
        ["arn", _, _, _, _, .., name] => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_ends_with_the_name_of_a_webhook() {
        for (arn, expected) in [
            ("arn:aws:sqs:::rows", Some("rows")),
            ("arn:aws:sns:us-east-1:1:rows", Some("rows")),
            ("arn:aws:lambda:us-east-1:1:function:rows", Some("rows")),
            ("arn:fragua:webhook:::rows", Some("rows")),
            ("arn:minio:sqs::rows:webhook", Some("rows")),
            ("arn:aws:sqs:::webhook", Some("webhook")),
            ("arn:aws:sqs:us-east-1:1:webhook", Some("webhook")),
            ("arn:aws:rows", None),
            ("http://rows", None),
        ] {
            assert_eq!(name_in(arn), expected, "{arn}");
        }
    }

    #[test]
    fn an_address_of_the_settings_must_be_public() {
        let open = |url: &str| {
            let webhook = Webhook {
                url: Secret::new(url.to_owned()),
                secret: None,
            };
            Webhooks::new(WebhookSettings {
                webhooks: BTreeMap::from([("rows".to_owned(), webhook)]),
                ..WebhookSettings::default()
            })
        };
        assert!(open("https://example.org/hook").is_ok());
        let refused = open("https://169.254.169.254/latest").unwrap_err();
        assert!(
            refused.to_string().contains("rows.url cannot be used"),
            "{refused}"
        );
        assert!(open("http://example.org/hook").is_err());
    }
}
