//! Who is told when something happens: webhooks and people with an e-mail address.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use lettre::message::Mailbox;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Who is told what of a DAG or a task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Callbacks {
    /// When it failed for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_failure: Vec<Notifier>,
    /// When an attempt failed, and another one comes. Tasks only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_retry: Vec<Notifier>,
    /// When it succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_success: Vec<Notifier>,
    /// When it was skipped. Tasks only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_skipped: Vec<Notifier>,
    /// When it is late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadline>,
}

/// Until when a run, or a task of it, is to be over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// The instant that the time is counted from.
    pub reference: DeadlineReference,
    /// The time.
    pub interval: Duration,
    /// Who is told that it is late.
    pub callback: Vec<Notifier>,
}

/// An instant of a DAG run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeadlineReference {
    /// Its logical date.
    LogicalDate,
    /// When it was made.
    #[default]
    QueuedAt,
    /// When its first task could start.
    StartedAt,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notifier {
    /// The name of a connection to an address that a message is posted to, or the address itself.
    Webhook(String),
    /// Addresses of people.
    Email(Addresses),
}

/// E-mail addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenAddresses")]
pub struct Addresses(pub Vec<String>);

/// One text or a list of texts. A text may name several addresses, as in Airflow: with commas or semicolons.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "an address such as ana@example.com, or a list of them, was expected"
)]
enum WrittenAddresses {
    One(String),
    Many(Vec<String>),
}

impl TryFrom<WrittenAddresses> for Addresses {
    type Error = String;

    fn try_from(written: WrittenAddresses) -> Result<Self, String> {
        let texts = match written {
            WrittenAddresses::One(text) => vec![text],
            WrittenAddresses::Many(texts) => texts,
        };
        let addresses = texts.iter().flat_map(|text| text.split([',', ';']));
        let addresses: Vec<String> = addresses
            .map(|address| address.trim().to_owned())
            .filter(|address| !address.is_empty())
            .collect();
        match addresses
            .iter()
            .find(|address| address.parse::<Mailbox>().is_err())
        {
            Some(wrong) => Err(format!("{wrong:?} is not an e-mail address")),
            None if addresses.is_empty() => Err("no e-mail address is given".to_owned()),
            None => Ok(Self(addresses)),
        }
    }
}

impl JsonSchema for Addresses {
    fn schema_name() -> Cow<'static, str> {
        "Addresses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An e-mail address, or a list of them.",
            "type": ["string", "array"],
            "items": { "type": "string" },
        })
    }
}

impl Notifier {
    /// Returns whether the webhook is written as an address, not as the name of a connection.
    pub fn is_address(target: &str) -> bool {
        target.contains("://")
    }

    /// Says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Webhook(target) if Self::is_address(target) => match url::Url::parse(target) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
                _ => Err(format!(
                    "{target:?} is not an address such as https://example.com/hook"
                )),
            },
            Self::Webhook(name) => super::parse::check_id(name),
            Self::Email(_) => Ok(()),
        }
    }
}

/// Shows whom it tells; of an address no more than the host, because the rest may be a secret.
impl fmt::Display for Notifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(target) if Self::is_address(target) => {
                let url = url::Url::parse(target).ok();
                let host = url.as_ref().and_then(url::Url::host_str).unwrap_or_default();
                write!(formatter, "webhook {host}")
            }
            Self::Webhook(name) => write!(formatter, "webhook {name}"),
            Self::Email(addresses) => write!(formatter, "email {}", addresses.0.join(", ")),
        }
    }
}

/// One notifier or several, as a DAG file has them.
#[derive(Debug, Clone)]
pub(crate) struct WrittenNotifiers(pub(crate) Vec<Notifier>);

impl<'de> Deserialize<'de> for WrittenNotifiers {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        // By hand, so that what is wrong with one is told in its own words.
        let written = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Array(written) => written,
            one => vec![one],
        };
        let read = written.into_iter().map(|one| {
            let notifier: Notifier = serde_json::from_value(one).map_err(|error| {
                format!("{error}; write {{ webhook: CONNECTION }} or {{ email: ADDRESS }}")
            })?;
            notifier.check().map(|()| notifier)
        });
        read.collect::<Result<_, String>>()
            .map(Self)
            .map_err(D::Error::custom)
    }
}

impl JsonSchema for WrittenNotifiers {
    fn schema_name() -> Cow<'static, str> {
        "Notifiers".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let addresses = generator.subschema_for::<Addresses>();
        let notifier = json_schema!({
            "type": "object",
            "properties": {
                "webhook": {
                    "description": "The name of a connection to an address that a message is posted to, or the address itself.",
                    "type": "string",
                },
                "email": addresses,
            },
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": false,
        });
        json_schema!({
            "description": "Who is told: one, or a list.",
            "anyOf": [notifier, { "type": "array", "items": notifier }],
        })
    }
}

/// A deadline as a DAG file has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WrittenDeadline {
    /// The instant of the run that the time is counted from; when it was made (queued_at) when absent.
    #[serde(default)]
    pub(crate) reference: DeadlineReference,
    /// How long after that instant it is late.
    pub(crate) interval: super::file::WrittenDuration,
    /// Who is told.
    pub(crate) callback: WrittenNotifiers,
}
