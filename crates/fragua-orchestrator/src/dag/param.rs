//! What a DAG run can be given, and the check of what is given.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Dag;
use crate::Error;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamType {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// True or false.
    Boolean,
    /// A list.
    Array,
    /// A mapping.
    Object,
}

impl ParamType {
    const fn words(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a list",
            Self::Object => "a mapping",
        }
    }

    fn admits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => {
                value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0)
            }
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// The types that a parameter admits: one, and none at all where it says so, as in `[string, "null"]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WrittenTypes", into = "WrittenTypes")]
pub struct ParamTypes {
    /// The type of a value that is not null.
    pub of_value: ParamType,
    /// Whether null is a value.
    pub or_null: bool,
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(
    untagged,
    expecting = "a type such as string was expected, or one with null: [string, \"null\"]"
)]
enum WrittenTypes {
    One(ParamType),
    Several(Vec<TypeOrNull>),
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
enum TypeOrNull {
    Type(ParamType),
    Null(Null),
}

#[derive(PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
enum Null {
    #[serde(rename = "null")]
    Null,
}

impl From<ParamType> for ParamTypes {
    fn from(of_value: ParamType) -> Self {
        Self {
            of_value,
            or_null: false,
        }
    }
}

impl TryFrom<WrittenTypes> for ParamTypes {
    type Error = &'static str;

    fn try_from(written: WrittenTypes) -> Result<Self, Self::Error> {
        match written {
            WrittenTypes::One(of_value) => Ok(of_value.into()),
            WrittenTypes::Several(types) => match types.as_slice() {
                [TypeOrNull::Type(of_value)] => Ok((*of_value).into()),
                [TypeOrNull::Type(of_value), TypeOrNull::Null(_)]
                | [TypeOrNull::Null(_), TypeOrNull::Type(of_value)] => Ok(Self {
                    of_value: *of_value,
                    or_null: true,
                }),
                _ => Err("give one type, alone or with null: [string, \"null\"]"),
            },
        }
    }
}

impl From<ParamTypes> for WrittenTypes {
    fn from(types: ParamTypes) -> Self {
        match types.or_null {
            false => Self::One(types.of_value),
            true => Self::Several(vec![
                TypeOrNull::Type(types.of_value),
                TypeOrNull::Null(Null::Null),
            ]),
        }
    }
}

impl ParamTypes {
    fn admits(self, value: &Value) -> bool {
        (self.or_null && value.is_null()) || self.of_value.admits(value)
    }

    fn words(self) -> String {
        let or_null = if self.or_null { " or null" } else { "" };
        format!("{}{or_null}", self.of_value.words())
    }
}

/// What a DAG run can be given under one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Param {
    /// The type a value must have; any when absent.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<WrittenTypes>")]
    pub param_type: Option<ParamTypes>,
    /// The value in force when none is given.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schemars(with = "Value")]
    pub default: Option<Value>,
    /// Whether a value must be given; such a DAG cannot have a schedule.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The only values accepted.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Value>>,
    /// The least number accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// The greatest number accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// A short name for forms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Keeps a default of `null` apart from no default.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl Param {
    /// Checks a value; the error follows the parameter's name.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        if let Some(param_type) = self.param_type.filter(|param_type| !param_type.admits(value)) {
            return Err(format!("must be {}, not {value}", param_type.words()));
        }
        if value.is_null() && self.param_type.is_some() {
            return Ok(());
        }
        if let Some(choices) = self.choices.as_ref().filter(|choices| !choices.contains(value)) {
            let choices: Vec<String> = choices.iter().map(Value::to_string).collect();
            return Err(format!("must be {}, not {value}", choices.join(" or ")));
        }
        let Some(number) = value.as_f64() else {
            return Ok(());
        };
        if let Some(minimum) = self.minimum.filter(|minimum| number < *minimum) {
            return Err(format!("must be at least {minimum}, not {value}"));
        }
        if let Some(maximum) = self.maximum.filter(|maximum| number > *maximum) {
            return Err(format!("must be at most {maximum}, not {value}"));
        }
        Ok(())
    }
}

impl Dag {
    /// Returns the parameters of a run: those given, checked, over the defaults.
    ///
    /// # Errors
    /// [`Error::InvalidParam`] for one that is unknown, missing or does not fit.
    pub fn resolve_params(&self, given: &Map<String, Value>) -> Result<Map<String, Value>, Error> {
        let fault = |name: &str, reason: String| Error::InvalidParam {
            name: name.to_owned(),
            reason,
        };
        if let Some(unknown) = given.keys().find(|name| !self.params.contains_key(*name)) {
            let known: Vec<&str> = self.params.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "it has none".to_owned()
            } else {
                format!("it has {}", known.join(", "))
            };
            return Err(fault(unknown, format!("is not one of this DAG: {known}")));
        }
        let mut resolved = Map::new();
        for (name, param) in &self.params {
            let value = match (given.get(name), &param.default) {
                (Some(value), _) => {
                    param.check(value).map_err(|reason| fault(name, reason))?;
                    value.clone()
                }
                (None, Some(default)) if !param.required => default.clone(),
                (None, _) => {
                    let hint = param.description.as_deref().unwrap_or("it has no default");
                    return Err(fault(name, format!("must be given: {hint}")));
                }
            };
            resolved.insert(name.clone(), value);
        }
        Ok(resolved)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_checked() {
        let check = |param: Value, value: Value, expected: Result<(), &str>| {
            let param: Param = serde_json::from_value(param).unwrap();
            assert_eq!(param.check(&value), expected.map_err(str::to_owned), "{value}");
        };
        check(
            json!({"type": "integer", "minimum": 1, "maximum": 10}),
            json!(7),
            Ok(()),
        );
        check(json!({"type": "integer"}), json!(7.0), Ok(()));
        check(
            json!({"type": "integer"}),
            json!(7.5),
            Err("must be a whole number, not 7.5"),
        );
        check(
            json!({"type": "integer"}),
            json!("7"),
            Err("must be a whole number, not \"7\""),
        );
        check(json!({"minimum": 1}), json!(0), Err("must be at least 1, not 0"));
        check(
            json!({"maximum": 10}),
            json!(11),
            Err("must be at most 10, not 11"),
        );
        check(
            json!({"enum": ["a", "b"]}),
            json!("c"),
            Err("must be \"a\" or \"b\", not \"c\""),
        );
        check(json!({"type": "boolean"}), json!(true), Ok(()));
        check(
            json!({"type": "boolean"}),
            json!(1),
            Err("must be true or false, not 1"),
        );
        check(json!({}), json!([1]), Ok(()));
        check(json!({"type": ["string", "null"]}), json!(null), Ok(()));
        check(
            json!({"type": ["null", "integer"], "enum": [1, 2]}),
            json!(null),
            Ok(()),
        );
        check(
            json!({"type": ["string", "null"]}),
            json!(1),
            Err("must be a text or null, not 1"),
        );
    }

    #[test]
    fn types_are_kept_as_they_are_written() {
        for written in [json!("string"), json!(["number", "null"])] {
            let types: ParamTypes = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(types).unwrap(), written);
        }
        let several = serde_json::from_value::<ParamTypes>(json!(["string", "integer"]));
        assert!(
            several
                .unwrap_err()
                .to_string()
                .contains("one type, alone or with null")
        );
    }
}
