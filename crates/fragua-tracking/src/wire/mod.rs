//! JSON types of the protocol, for the server and the client. Field names are MLflow's.
//!
//! MLflow's messages leave empty lists and unset fields out and never say `null`. Whole numbers are written as
//! numbers and read also from texts and from floating point without a fraction.

pub(crate) mod experiments;
pub(crate) mod logged_models;
pub(crate) mod number;
pub(crate) mod registry;
pub(crate) mod runs;
pub(crate) mod webhooks;

use fragua_base::Timestamp;
use serde::{Deserialize, Serialize};

use crate::runs::{Param, Tag};

/// A tag or a parameter of anything.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: String,
}

impl From<Tag> for KeyValue {
    fn from(tag: Tag) -> Self {
        Self {
            key: tag.key,
            value: tag.value,
        }
    }
}

impl From<KeyValue> for Tag {
    fn from(pair: KeyValue) -> Self {
        Self {
            key: pair.key,
            value: pair.value,
        }
    }
}

impl From<Param> for KeyValue {
    fn from(param: Param) -> Self {
        Self {
            key: param.key,
            value: param.value,
        }
    }
}

impl From<KeyValue> for Param {
    fn from(pair: KeyValue) -> Self {
        Self {
            key: pair.key,
            value: pair.value,
        }
    }
}

pub(crate) fn all<T, U: From<T>>(items: Vec<T>) -> Vec<U> {
    items.into_iter().map(U::from).collect()
}

pub(crate) fn millis(millis: Option<i64>) -> Timestamp {
    Timestamp::from_millis(millis.unwrap_or(0))
}
