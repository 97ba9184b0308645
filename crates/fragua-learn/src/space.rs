//! A parameter that is fixed or drawn from a distribution.

use crate::search::Draw;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};
use std::borrow::Cow;

/// A parameter of a model: one value, or a distribution the search draws from.
///
/// In configuration: a plain value is fixed; a list or `{choice: [..]}` is a uniform choice; `{int: [low, high]}`
/// and `{log_int: [low, high]}` draw whole numbers including both ends; `{uniform: [low, high]}` and
/// `{log_uniform: [low, high]}` draw numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Space<T> {
    /// Always this value.
    Fixed(T),
    /// One of these, each as likely.
    Choice(Vec<T>),
    /// A range of numbers; the ends have been checked to be values of the parameter.
    Range {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// Whole numbers only.
        whole: bool,
        /// Even on the logarithm.
        logarithmic: bool,
    },
}

impl<T: Clone + DeserializeOwned> Space<T> {
    /// Tells whether there is nothing to draw.
    pub fn is_fixed(&self) -> bool {
        match self {
            Space::Fixed(_) => true,
            Space::Choice(values) => values.len() == 1,
            Space::Range { low, high, .. } => low == high,
        }
    }

    pub(crate) fn sample(&self, random: &mut impl Draw) -> T {
        match self {
            Space::Fixed(value) => value.clone(),
            Space::Choice(values) => values[random.choose(values.len())].clone(),
            &Space::Range {
                low,
                high,
                whole,
                logarithmic,
            } => {
                let span = if whole { high + 1.0 } else { high };
                let unit = random.unit();
                let drawn = if logarithmic {
                    (low.ln() + unit * (span.ln() - low.ln())).exp()
                } else {
                    low + unit * (span - low)
                };
                let drawn = if whole { drawn.floor() } else { drawn };
                number(drawn.clamp(low, high), whole).expect("both ends were read as this type")
            }
        }
    }

    /// Returns the values that bound the space, for range checks.
    pub(crate) fn corners(&self) -> Vec<T> {
        match self {
            Space::Fixed(value) => vec![value.clone()],
            Space::Choice(values) => values.clone(),
            &Space::Range { low, high, whole, .. } => [low, high]
                .into_iter()
                .filter_map(|end| number(end, whole).ok())
                .collect(),
        }
    }
}

impl<T> From<T> for Space<T> {
    fn from(value: T) -> Self {
        Space::Fixed(value)
    }
}

fn number<T: DeserializeOwned>(value: f64, whole: bool) -> Result<T, serde_json::Error> {
    serde_json::from_value(if whole { json!(value as i64) } else { json!(value) })
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<Space<T>, String> {
    let read = |value: Value| serde_json::from_value::<T>(value).map_err(|error| error.to_string());
    match value {
        Value::Array(values) => choice(values),
        Value::Object(mut object) => {
            let distribution = object
                .keys()
                .next()
                .filter(|_| object.len() == 1)
                .cloned()
                .unwrap_or_default();
            match distribution.as_str() {
                "choice" => match object.swap_remove("choice") {
                    Some(Value::Array(values)) => choice(values),
                    _ => Err("choice: expected a list of values".to_owned()),
                },
                name @ ("int" | "log_int" | "uniform" | "log_uniform") => {
                    let ends = object.swap_remove(name).unwrap_or_default();
                    range(name, ends)
                }
                _ => read(Value::Object(object)).map(Space::Fixed).map_err(|error| {
                    format!("{error}; a distribution is one of choice, int, log_int, uniform, log_uniform")
                }),
            }
        }
        plain => read(plain).map(Space::Fixed),
    }
}

fn choice<T: DeserializeOwned>(values: Vec<Value>) -> Result<Space<T>, String> {
    if values.is_empty() {
        return Err("the list of choices is empty".to_owned());
    }
    let read = |value: Value| serde_json::from_value::<T>(value).map_err(|error| error.to_string());
    Ok(Space::Choice(
        values.into_iter().map(read).collect::<Result<_, _>>()?,
    ))
}

fn range<T: DeserializeOwned>(name: &str, ends: Value) -> Result<Space<T>, String> {
    let [low, high]: [f64; 2] =
        serde_json::from_value(ends).map_err(|_| format!("{name}: expected [low, high], two numbers"))?;
    let (whole, logarithmic) = (name.ends_with("int"), name.starts_with("log_"));
    if low > high {
        return Err(format!("{name}: {low} is larger than {high}"));
    }
    if logarithmic && low <= 0.0 {
        return Err(format!("{name}: the lower end must be above 0, got {low}"));
    }
    if whole && (low.fract() != 0.0 || high.fract() != 0.0 || low.abs().max(high.abs()) > 1e15) {
        return Err(format!("{name}: expected whole numbers, got [{low}, {high}]"));
    }
    for end in [low, high] {
        number::<T>(end, whole).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(Space::Range {
        low,
        high,
        whole,
        logarithmic,
    })
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Space<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<T: Serialize> Serialize for Space<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Space::Fixed(value) => value.serialize(serializer),
            Space::Choice(values) => json!({ "choice": values }).serialize(serializer),
            &Space::Range {
                low,
                high,
                whole,
                logarithmic,
            } => {
                let name = match (whole, logarithmic) {
                    (true, false) => "int",
                    (true, true) => "log_int",
                    (false, false) => "uniform",
                    (false, true) => "log_uniform",
                };
                let ends = if whole {
                    json!([low as i64, high as i64])
                } else {
                    json!([low, high])
                };
                json!({ name: ends }).serialize(serializer)
            }
        }
    }
}

impl<T: JsonSchema> JsonSchema for Space<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Space_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        let ends = json!({ "type": "array", "items": { "type": "number" }, "minItems": 2, "maxItems": 2 });
        let values = json!({ "type": "array", "items": value, "minItems": 1 });
        let one = |name: &str, content: &Value| json!({ "type": "object", "properties": { name: content }, "required": [name], "additionalProperties": false });
        json_schema!({
            "description": "one value, or a distribution to draw from",
            "anyOf": [
                value,
                values,
                one("choice", &values),
                one("int", &ends),
                one("log_int", &ends),
                one("uniform", &ends),
                one("log_uniform", &ends),
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn forms_are_read_and_written_back() {
        let check = |form: Value| {
            let space: Space<f64> = serde_json::from_value(form.clone()).unwrap();
            assert_eq!(serde_json::to_value(space).unwrap(), form);
        };
        check(json!(0.5));
        check(json!({ "choice": [0.5, 1.0] }));
        check(json!({ "uniform": [0.0, 1.0] }));
        check(json!({ "log_uniform": [0.01, 1.0] }));
        check(json!({ "int": [1, 3] }));
        let listed: Space<Option<usize>> = serde_json::from_value(json!([null, 5])).unwrap();
        assert_eq!(listed, Space::Choice(vec![None, Some(5)]));
    }

    #[test]
    fn mistakes_are_explained() {
        let check = |form: Value, expected: &str| {
            let error = serde_json::from_value::<Space<usize>>(form)
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(json!([]), "the list of choices is empty");
        check(json!({ "int": [3, 1] }), "int: 3 is larger than 1");
        check(json!({ "int": [1.5, 3] }), "whole numbers");
        check(json!({ "log_int": [0, 3] }), "above 0");
        check(json!({ "uniform": [1, 2] }), "invalid type: floating point");
        check(json!({ "normal": [1, 2] }), "a distribution is one of choice");
        check(json!("many"), "invalid type: string");
        check(json!({ "int": [-1, 3] }), "int: invalid value");
    }

    #[test]
    fn drawn_values_stay_inside_and_reach_both_ends() {
        let space: Space<usize> = serde_json::from_value(json!({ "log_int": [1, 4] })).unwrap();
        let mut random = Random::derive(1, &[]);
        let drawn: std::collections::BTreeSet<_> = (0..200).map(|_| space.sample(&mut random)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
