//! `wait`: until a time has passed, or another DAG is done. The scheduler holds it, without a process.

use std::time::Duration;

use schemars::{Schema, json_schema};
use serde_json::Value;

use super::ArgumentError;
use crate::dag::duration::parse_duration;

/// The operator's key.
pub(crate) const WAIT: &str = "wait";

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A time.
    For(Duration),
    /// Until a DAG has nothing under way and nothing due, and its newest run succeeded.
    Dag(String),
}

impl Wait {
    /// Reads rendered arguments.
    pub(crate) fn parse(arguments: &Value) -> Result<Self, ArgumentError> {
        let duration = |pointer: &str, text: &str| {
            parse_duration(text)
                .map(Self::For)
                .map_err(|message| ArgumentError::at(pointer, message))
        };
        match arguments {
            Value::String(text) => duration("", text),
            Value::Number(seconds) => duration("", &seconds.to_string()),
            Value::Object(mapping) if mapping.len() == 1 => match mapping.get("dag") {
                Some(Value::String(dag_id)) if !dag_id.is_empty() => Ok(Self::Dag(dag_id.clone())),
                Some(_) => Err(ArgumentError::at("/dag", "the name of a DAG was expected")),
                None => Err(forms()),
            },
            _ => Err(forms()),
        }
    }
}

fn forms() -> ArgumentError {
    ArgumentError::at("", "write a duration such as 6s or 5m, or { dag: NAME }")
}

/// Returns the JSON Schema of the arguments.
pub(super) fn schema() -> Schema {
    json_schema!({
        "description": "How long, such as 6s or 5m or a number of seconds; or the DAG whose runs must be done.",
        "anyOf": [
            { "type": ["string", "number"] },
            {
                "type": "object",
                "properties": { "dag": {
                    "description": "Goes on when this DAG has no run under way, none due, and its newest run succeeded.",
                    "type": "string",
                } },
                "required": ["dag"],
                "additionalProperties": false,
            },
        ],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_are_read() {
        let check = |arguments: Value, expected: Wait| assert_eq!(Wait::parse(&arguments), Ok(expected));
        check(json!("6s"), Wait::For(Duration::from_secs(6)));
        check(json!(6), Wait::For(Duration::from_secs(6)));
        check(json!({"dag": "load"}), Wait::Dag("load".to_owned()));
    }

    #[test]
    fn what_is_no_wait_is_refused() {
        for arguments in [
            json!("soon"),
            json!(-1),
            json!(null),
            json!({"dag": 1}),
            json!({"dgs": "x"}),
            json!([]),
        ] {
            assert!(Wait::parse(&arguments).is_err(), "{arguments}");
        }
    }
}
