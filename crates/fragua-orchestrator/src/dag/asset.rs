//! What tasks write and DAGs wait for: tables, objects, or anything that has a name.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The longest name of an asset.
pub(crate) const LONGEST_ASSET: usize = 300;

/// Which assets must have been updated since the last run that they started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "an asset, a list of assets, { all: [...] } or { any: [...] } was expected"
)]
pub enum AssetCondition {
    /// This one.
    Asset(String),
    /// Each of a list.
    List(Vec<AssetCondition>),
    /// Each of these.
    All(All),
    /// One of these.
    Any(Any),
}

/// Each of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct All {
    all: Vec<AssetCondition>,
}

/// One of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Any {
    any: Vec<AssetCondition>,
}

impl AssetCondition {
    fn parts(&self) -> &[Self] {
        match self {
            Self::Asset(_) => &[],
            Self::List(parts) | Self::All(All { all: parts }) | Self::Any(Any { any: parts }) => parts,
        }
    }

    /// Returns whether it is met by the assets that were updated.
    pub fn is_met(&self, updated: &BTreeSet<String>) -> bool {
        match self {
            Self::Asset(asset) => updated.contains(asset),
            Self::List(parts) | Self::All(All { all: parts }) => {
                parts.iter().all(|part| part.is_met(updated))
            }
            Self::Any(Any { any: parts }) => parts.iter().any(|part| part.is_met(updated)),
        }
    }

    /// Returns the assets it names.
    pub fn assets(&self) -> BTreeSet<&str> {
        match self {
            Self::Asset(asset) => [asset.as_str()].into(),
            other => other.parts().iter().flat_map(Self::assets).collect(),
        }
    }

    /// Says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Asset(asset) => check_asset(asset),
            other if other.parts().is_empty() => Err("name at least one asset".to_owned()),
            other => other.parts().iter().try_for_each(Self::check),
        }
    }
}

impl fmt::Display for AssetCondition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = match self {
            Self::Asset(asset) => return formatter.write_str(asset),
            Self::List(_) | Self::All(_) => " & ",
            Self::Any(_) => " | ",
        };
        let parts = self.parts().iter().map(|part| match part {
            Self::Asset(asset) => asset.clone(),
            other => format!("({other})"),
        });
        formatter.write_str(&parts.collect::<Vec<_>>().join(between))
    }
}

/// Says what is wrong with the name of an asset.
pub(crate) fn check_asset(asset: &str) -> Result<(), String> {
    let fits = !asset.is_empty()
        && asset.chars().count() <= LONGEST_ASSET
        && asset.trim() == asset
        && !asset.chars().any(char::is_control);
    match fits {
        true => Ok(()),
        false => Err(format!(
            "{asset:?} cannot be an asset: use up to {LONGEST_ASSET} characters, such as table://warehouse/sales"
        )),
    }
}

impl JsonSchema for AssetCondition {
    fn schema_name() -> Cow<'static, str> {
        "Assets".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let several =
            serde_json::json!({ "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Assets" } });
        let one = |key: &str| {
            serde_json::json!({
                "type": "object",
                "properties": { key: several },
                "required": [key],
                "additionalProperties": false,
            })
        };
        json_schema!({
            "description": "An asset such as table://warehouse/sales; a list, or { all: [...] }, of which each must have been updated; { any: [...] }, of which one.",
            "anyOf": [{ "type": "string" }, several, one("all"), one("any")],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_met_by_what_was_updated() {
        let check = |written: serde_json::Value, shown: &str, updated: &[&str], expected: bool| {
            let condition: AssetCondition = serde_json::from_value(written).unwrap();
            assert_eq!(condition.to_string(), shown);
            let updated = updated.iter().map(|asset| (*asset).to_owned()).collect();
            assert_eq!(condition.is_met(&updated), expected, "{shown} {updated:?}");
            let again: AssetCondition =
                serde_json::from_str(&serde_json::to_string(&condition).unwrap()).unwrap();
            assert_eq!(again, condition);
        };
        use serde_json::json;
        check(json!("a"), "a", &["a"], true);
        check(json!("a"), "a", &["b"], false);
        check(json!(["a", "b"]), "a & b", &["a"], false);
        check(json!(["a", "b"]), "a & b", &["a", "b", "c"], true);
        check(json!({ "all": ["a", "b"] }), "a & b", &["b"], false);
        check(json!({ "any": ["a", "b"] }), "a | b", &["b"], true);
        check(json!({ "any": ["a", "b"] }), "a | b", &["c"], false);
        check(json!({ "any": ["a", ["b", "c"]] }), "a | (b & c)", &["b"], false);
        check(
            json!({ "any": ["a", ["b", "c"]] }),
            "a | (b & c)",
            &["b", "c"],
            true,
        );
        check(
            json!({ "all": [{ "any": ["a", "b"] }, "c"] }),
            "(a | b) & c",
            &["b", "c"],
            true,
        );
    }

    #[test]
    fn names_of_assets_are_checked() {
        for (asset, good) in [
            ("table://warehouse/sales", true),
            ("s3://bucket/key", true),
            ("sales of the day", true),
            ("", false),
            (" a", false),
            ("a\nb", false),
            (&"x".repeat(301), false),
        ] {
            assert_eq!(check_asset(asset).is_ok(), good, "{asset:?}");
        }
        let empty: AssetCondition = serde_json::from_value(serde_json::json!([])).unwrap();
        assert!(empty.check().is_err());
    }
}
