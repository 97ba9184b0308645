//! What a refused request is told, word for word as MLflow says it: people search for these texts.

use serde::Serialize as _;
use serde_json::Value;

/// Ends what is said of a field that is not there or of another type.
pub(crate) const SEE_DOCS: &str = " See the API docs for more information about request parameters.";

/// Returns the beginning of a foreign text, for messages.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 300;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

pub(crate) fn missing(field: &str) -> String {
    format!("Missing value for required parameter '{field}'.")
}

pub(crate) fn too_long(field: &str, most: usize) -> String {
    format!("'{field}' exceeds the maximum length of {most} characters")
}

pub(crate) fn too_many_bytes(field: &str, most: usize) -> String {
    format!("'{field}' exceeds the maximum length of {most} bytes")
}

pub(crate) fn invalid(field: &str, value: &Value, why: &str) -> String {
    format!(
        "Invalid value {} for parameter '{field}' supplied: {why}",
        json(value)
    )
}

pub(crate) fn wrong_type(field: &str, value: &Value) -> String {
    let hint = format!(" Hint: Value was of type '{}'.", type_name(value));
    invalid(field, value, &hint) + SEE_DOCS
}

pub(crate) fn bad_characters(field: &str, name: &str) -> String {
    invalid(
        field,
        &name.into(),
        "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and \
         slashes (/).",
    )
}

pub(crate) fn path_like(field: &str, name: &str) -> String {
    let why = format!(
        "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. \
         This name would resolve to {}",
        quoted(&shorten(&super::normal_path(name)))
    );
    invalid(field, &name.into(), &why)
}

pub(crate) fn no_nul(field: &str) -> String {
    format!("'{field}' must not hold a NUL character")
}

pub(crate) fn not_positive(field: &str, value: i64) -> String {
    format!("Invalid value {value} for parameter '{field}' supplied. It must be a positive integer")
}

pub(crate) fn not_a_version(text: &str) -> String {
    format!("Parameter 'version' must be an integer, got '{}'.", shorten(text))
}

pub(crate) fn negative_timestamp(field: &str, timestamp: i64, key: &str, value: f64) -> String {
    let why =
        format!("metric '{key}' (value={value:?}). Timestamp must be a nonnegative long (64-bit integer) ");
    invalid(field, &timestamp.into(), &why)
}

pub(crate) fn bad_model_name(name: &str) -> String {
    format!(
        "Invalid model name '{}'. Names cannot contain '/' or ':'.",
        shorten(name)
    )
}

pub(crate) fn bad_logged_model_name(name: &str) -> String {
    format!(
        "Invalid model name ({}) provided. Model name must be a non-empty string and cannot contain the following \
         characters: ('/', ':', '.', '%', '\"', \"'\")",
        quoted(&shorten(name))
    )
}

pub(crate) fn too_many_in_batch(what: &str, count: usize, most: usize) -> String {
    format!(
        "A batch logging request can contain at most {most} {what}. Got {count} {what}. Please split up {what} across \
         multiple requests and try again."
    )
}

pub(crate) fn batch_too_large(most: usize, size: usize) -> String {
    format!("Batched logging API requests must be at most {most} bytes, got a request of size {size}.")
}

pub(crate) fn params_twice(keys: &[String]) -> String {
    let keys: Vec<String> = keys.iter().map(|key| quoted(key)).collect();
    format!(
        "Duplicate parameter keys have been submitted: [{}]. Please ensure the request contains only one param value \
         per param key.",
        keys.join(", ")
    )
}

/// Quotes a text as Python shows it.
fn quoted(text: &str) -> String {
    if text.contains('\'') && !text.contains('"') {
        return format!("\"{text}\"");
    }
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The name of the type in Python.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Writes JSON as Python does by default: keys in order, nothing but ASCII. Only the beginning of a long text.
fn json(value: &Value) -> String {
    let mut sorted = value.clone();
    sorted.sort_all_objects();
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, AsciiFormatter);
    // Writing a value to memory cannot fail.
    let _ = sorted.serialize(&mut serializer);
    shorten(&String::from_utf8_lossy(&bytes))
}

struct AsciiFormatter;

impl serde_json::ser::Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> std::io::Result<()> {
        let mut units = [0; 2];
        for character in fragment.chars() {
            if character.is_ascii() {
                write!(writer, "{character}")?;
            } else {
                for unit in character.encode_utf16(&mut units) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_shown_as_python_shows_them() {
        for (value, expected) in [
            (
                json!({"b": [1, 2.5], "a": "ñ😀\""}),
                r#"{"a":"\u00f1\ud83d\ude00\"","b":[1,2.5]}"#,
            ),
            (json!(null), "null"),
            (json!(true), "true"),
        ] {
            assert_eq!(super::json(&value), expected);
        }
        assert_eq!(
            wrong_type("name", &json!(5.5)),
            "Invalid value 5.5 for parameter 'name' supplied:  Hint: Value was of type 'float'. See the API docs for \
             more information about request parameters."
        );
        assert_eq!(quoted("it's"), "\"it's\"");
        assert_eq!(shorten(&"x".repeat(400)).chars().count(), 301);
    }
}
