//! Numbers in the forms that clients send.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serializer};
use serde_json::Value;

#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Integer(i64),
    Float(f64),
    Text(String),
}

/// One more than the largest whole number, exact as a floating point number.
const TWO_TO_63: f64 = (1_u64 << 63) as f64;

fn whole<E: serde::de::Error>(form: Form) -> Result<i64, E> {
    match form {
        Form::Integer(number) => Ok(number),
        Form::Float(number) if (-TWO_TO_63..TWO_TO_63).contains(&number) => Ok(number.trunc() as i64),
        Form::Float(number) => Err(E::invalid_value(Unexpected::Float(number), &"a whole number")),
        Form::Text(text) => text
            .trim()
            .parse()
            .map_err(|_| E::invalid_value(Unexpected::Str(&text), &"a whole number")),
    }
}

/// A whole number that may be missing.
pub(crate) fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::<Form>::deserialize(deserializer)?.map(whole).transpose()
}

/// A floating point number; `"NaN"`, `"Infinity"`, `"-Infinity"` and numbers in quotes are taken.
pub(crate) fn float<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    match Option::<Form>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Form::Integer(number)) => Ok(Some(number as f64)),
        Some(Form::Float(number)) => Ok(Some(number)),
        Some(Form::Text(text)) => {
            let parsed = text.trim().parse();
            parsed
                .map(Some)
                .map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &"a number"))
        }
    }
}

/// A number is written as JSON has it, and what JSON has no number for as a text.
pub(crate) fn write_float<S: Serializer>(number: &Option<f64>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        None => serializer.serialize_none(),
        Some(number) if number.is_nan() => serializer.serialize_str("NaN"),
        Some(number) if number.is_infinite() => {
            serializer.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Some(number) => serializer.serialize_f64(*number),
    }
}

/// The number of a choice, given by its name or number; `None` for what nobody knows.
pub(crate) fn choice(names: &[(&str, i64)], given: Option<&Value>) -> Option<i64> {
    let known = |name: &str, number: Option<i64>| {
        names
            .iter()
            .find(|(known, value)| *known == name || Some(*value) == number)
            .map(|(_, value)| *value)
    };
    match given? {
        Value::String(name) => known(name, name.parse().ok()),
        Value::Number(number) => known("", number.as_i64()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn whole_numbers_come_in_several_forms() {
        for (value, expected) in [
            (json!(5), Some(Some(5))),
            (json!("5"), Some(Some(5))),
            (json!(-5.0), Some(Some(-5))),
            (json!(1.5), Some(Some(1))),
            (json!(null), Some(None)),
            (json!(1e30), None),
            (json!("five"), None),
            (json!([5]), None),
        ] {
            assert_eq!(super::integer(value.clone()).ok(), expected, "{value}");
        }
    }

    #[test]
    fn choices_come_by_name_and_by_number() {
        let names = [("ONE", 1), ("TWO", 2)];
        for (given, expected) in [
            (Some(json!("TWO")), Some(2)),
            (Some(json!(2)), Some(2)),
            (Some(json!("2")), Some(2)),
            (Some(json!("THREE")), None),
            (Some(json!(3)), None),
            (Some(json!([])), None),
            (None, None),
        ] {
            assert_eq!(super::choice(&names, given.as_ref()), expected, "{given:?}");
        }
    }

    #[test]
    fn floating_point_has_names_for_what_json_cannot_say() {
        for (value, expected) in [
            (json!(1), Some("1.0")),
            (json!("1.5"), Some("1.5")),
            (json!("NaN"), Some("\"NaN\"")),
            (json!("Infinity"), Some("\"Infinity\"")),
            (json!("-Infinity"), Some("\"-Infinity\"")),
            (json!("much"), None),
        ] {
            let written = super::float(value.clone()).ok().map(|number| {
                let mut text = Vec::new();
                super::write_float(&number, &mut serde_json::Serializer::new(&mut text)).unwrap();
                String::from_utf8(text).unwrap()
            });
            assert_eq!(written.as_deref(), expected, "{value}");
        }
    }
}
