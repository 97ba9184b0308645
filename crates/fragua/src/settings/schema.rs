//! Which settings exist and of which type each is: `default.toml` says it, nothing repeats it.

use std::path::Path;

use toml::Value;

use super::error::Problem;
use super::file;
use super::layer::{Entry, Layer, Origin};

/// The reference of all settings, with comments.
pub(crate) const DEFAULTS: &str = include_str!("default.toml");

/// Keys that people choose: `variables.NAME`, `connections.NAME.url` and the like.
const VARIABLES: &str = "variables.";

/// Sections of which each entry has a name that people choose, with what an entry has.
pub(super) const NAMED: &[(&str, &[&str])] =
    &[("connections", &["url"]), ("object_webhooks", &["url", "secret"])];

/// The settings that exist.
#[derive(Debug)]
pub(crate) struct Schema {
    defaults: Layer,
}

impl Schema {
    /// Reads the reference compiled into the program.
    pub(crate) fn builtin() -> Self {
        let mut defaults = file::parse(DEFAULTS, Path::new("default.toml")).expect("default.toml is TOML");
        for entry in defaults.values_mut() {
            entry.origin = Origin::Default;
        }
        Self { defaults }
    }

    /// Returns the lowest layer.
    pub(crate) fn defaults(&self) -> &Layer {
        &self.defaults
    }

    /// Returns whether a setting of that name exists.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.defaults.contains_key(key) || is_variable(key) || is_of_named(key)
    }

    /// Returns the entry with its value in the type of its key.
    pub(crate) fn check(&self, key: &str, entry: Entry) -> Result<Entry, Problem> {
        if !self.knows(key) {
            return Err(Problem::UnknownKey {
                key: key.to_owned(),
                suggestion: self.suggest(key),
                origin: entry.origin,
            });
        }
        let Some(default) = self.defaults.get(key) else {
            return self.check_free(key, entry);
        };
        let value = convert(&entry.value, &default.value).map_err(|expected| Problem::BadValue {
            key: key.to_owned(),
            message: format!("{} is not {expected}", shown(key, &entry.value)),
            origin: entry.origin.clone(),
        })?;
        Ok(Entry { value, ..entry })
    }

    /// Variables may be anything a template can use; what is not text becomes JSON.
    fn check_free(&self, key: &str, entry: Entry) -> Result<Entry, Problem> {
        let text = match &entry.value {
            Value::String(text) => text.clone(),
            other if is_variable(key) => serde_json::to_string(other).map_err(|error| Problem::BadValue {
                key: key.to_owned(),
                origin: entry.origin.clone(),
                message: error.to_string(),
            })?,
            _ => {
                return Err(Problem::BadValue {
                    key: key.to_owned(),
                    message: "is not a text".to_owned(),
                    origin: entry.origin,
                });
            }
        };
        Ok(Entry {
            value: Value::String(text),
            ..entry
        })
    }

    fn suggest(&self, key: &str) -> Option<String> {
        let last = key.rsplit('.').next().unwrap_or(key);
        self.defaults
            .keys()
            .map(|known| {
                let name = known.rsplit('.').next().unwrap_or(known);
                // The right name under a wrong section is as near as a slip of the finger.
                let distance = if name == last { 1 } else { distance(key, known) };
                (distance, distance_tie(key, known), known)
            })
            .min()
            .filter(|(distance, ..)| *distance <= 3)
            .map(|(.., known)| known.clone())
    }
}

fn is_variable(key: &str) -> bool {
    key.strip_prefix(VARIABLES).is_some_and(|name| !name.is_empty())
}

fn is_of_named(key: &str) -> bool {
    let parts: Vec<&str> = key.split('.').collect();
    let [section, name, field] = parts[..] else {
        return false;
    };
    let of_section = |(named, fields): &(&str, &[&str])| *named == section && fields.contains(&field);
    !name.is_empty() && NAMED.iter().any(of_section)
}

/// Returns whether a value must not be shown: it is a secret or can carry one.
pub(crate) fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    key.starts_with(VARIABLES)
        || matches!(
            last,
            "url"
                | "database_url"
                | "uri"
                | "endpoint"
                | "secret"
                | "secret_key"
                | "secret_access_key"
                | "access_key_id"
        )
}

/// Shows a value in a message.
pub(crate) fn shown(key: &str, value: &Value) -> String {
    match value {
        _ if is_secret(key) => "the value".to_owned(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Returns `value` in the type of `default`, or the words for that type.
fn convert(value: &Value, default: &Value) -> Result<Value, &'static str> {
    match (default, value) {
        (Value::String(_), Value::String(_))
        | (Value::Integer(_), Value::Integer(_))
        | (Value::Boolean(_), Value::Boolean(_)) => Ok(value.clone()),
        (Value::Integer(_), Value::String(text)) => text
            .trim()
            .parse()
            .map(Value::Integer)
            .map_err(|_| "a whole number"),
        (Value::Boolean(_), Value::String(text)) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" => Ok(Value::Boolean(true)),
            "false" | "0" | "no" | "off" | "f" => Ok(Value::Boolean(false)),
            _ => Err("true or false"),
        },
        (Value::Array(_), Value::Array(items)) if items.iter().all(Value::is_str) => Ok(value.clone()),
        (Value::Array(_), Value::String(text)) => Ok(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        )),
        (Value::Integer(_), _) => Err("a whole number"),
        (Value::Boolean(_), _) => Err("true or false"),
        (Value::Array(_), _) => Err("a list of texts"),
        _ => Err("a text in quotes"),
    }
}

/// Prefers a suggestion in the section that was written.
fn distance_tie(key: &str, known: &str) -> usize {
    let section = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
    distance(&section(key), &section(known))
}

/// Counts the letters to insert, delete, replace or swap to get from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for (index, row) in rows.iter_mut().enumerate() {
        row[0] = index;
    }
    rows[0] = (0..=to.len()).collect();
    for i in 1..=from.len() {
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_key() {
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(Schema::builtin().suggest(key).as_deref(), expected, "for {key}");
        };
        check("serving.prot", Some("serving.port"));
        check("servng.port", Some("serving.port"));
        check("storage.acess_key", None);
        check("tracking.database_ulr", Some("tracking.database_url"));
        check("server.parallelism", Some("orchestrator.parallelism"));
        check("something.else", None);
    }

    #[test]
    fn values_take_the_type_of_their_default() {
        let check = |default: Value, text: &str, expected: Result<Value, &str>| {
            assert_eq!(
                convert(&Value::String(text.to_owned()), &default),
                expected,
                "{text}"
            );
        };
        check(Value::Integer(0), "12", Ok(Value::Integer(12)));
        check(Value::Integer(0), "12a", Err("a whole number"));
        check(Value::Boolean(false), "True", Ok(Value::Boolean(true)));
        check(Value::Boolean(false), "maybe", Err("true or false"));
        check(
            Value::Array(vec![]),
            "a, b,",
            Ok(Value::Array(vec!["a".into(), "b".into()])),
        );
        assert_eq!(
            convert(&Value::Integer(1), &Value::String(String::new())),
            Err("a text in quotes")
        );
    }
}
