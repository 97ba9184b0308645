//! Reads requests: the body, the parts of the path, and which part of a list is asked for.

use std::fmt;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use fragua_base::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

use super::failure::Failure;
use crate::listing::{Bound, Column, Comparison, Kind, Listing, Test};

/// Stands for every DAG, run or task in a path.
pub(super) const EVERY: &str = "~";

/// A body of JSON.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let bytes = Bytes::from_request(request, state).await?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::invalid("body", "", "json_invalid", &format!("JSON decode error: {error}"))
        })?;
        read(value).map(Self)
    }
}

/// Reads a value of a body; the failure names the field.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    if has_nul(&value) {
        return Err(Failure::invalid(
            "body",
            "",
            "value_error",
            "no text may hold a NUL character",
        ));
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let message = error.inner().to_string();
        let missing = message
            .strip_prefix("missing field `")
            .and_then(|rest| rest.strip_suffix('`'));
        match (missing, error.path().to_string().as_str()) {
            (Some(field), "." | "") => Failure::invalid("body", field, "missing", "Field required"),
            (Some(field), path) => {
                Failure::invalid("body", &format!("{path}.{field}"), "missing", "Field required")
            }
            (None, path) => Failure::invalid("body", path, "value_error", &message),
        }
    })
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// The parts of a path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        if parts.uri.path().contains("%00") {
            return Err(Failure::not_found("no name holds a NUL character"));
        }
        let axum::extract::Path(values) = axum::extract::Path::from_request_parts(parts, state).await?;
        Ok(Self(values))
    }
}

/// The parameters after the question mark, in their order.
pub(super) struct Query(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let axum::extract::Query(pairs) =
            axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await?;
        match pairs.iter().find(|(_, value)| value.contains('\0')) {
            Some((name, _)) => Err(Failure::invalid(
                "query",
                name,
                "value_error",
                "holds a NUL character",
            )),
            None => Ok(Self(pairs)),
        }
    }
}

/// The most that one page holds, and how many it holds when nothing is said.
const MOST: u64 = 100;
const USUAL: u64 = 50;

impl Query {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs)
    }

    /// Gives parameters, and what they order by, another name.
    pub(super) fn renamed(self, from: &str, to: &str) -> Self {
        let renamed = |(name, value): (String, String)| match name.strip_prefix(from) {
            Some(suffix) => (format!("{to}{suffix}"), value),
            None if name == "order_by" && value.trim_start_matches('-') == from => {
                let value = value.replace(from, to);
                (name, value)
            }
            None => (name, value),
        };
        Self(self.0.into_iter().map(renamed).collect())
    }

    /// Gives a parameter a value where it has none.
    pub(super) fn with_usual(mut self, name: &str, value: &str) -> Self {
        if self.text(name).is_none() {
            self.0.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Returns the last value of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let mut values = self.all(name);
        values.next_back()
    }

    /// Returns each value of a parameter.
    pub(super) fn all<'q, 'n>(
        &'q self,
        name: &'n str,
    ) -> impl DoubleEndedIterator<Item = &'q str> + use<'q, 'n> {
        let of_name = self.0.iter().filter(move |(given, _)| given == name);
        of_name.map(|(_, value)| value.as_str())
    }

    pub(super) fn truth(&self, name: &str) -> Result<Option<bool>, Failure> {
        self.text(name).map(|text| truth(name, text)).transpose()
    }

    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Failure> {
        self.text(name).map(|text| number(name, text)).transpose()
    }

    /// Reads which part of a list is asked for. What is none of its columns is left to others.
    pub(super) fn listing(
        &self,
        columns: &[Column],
        usual_order: &[(&str, bool)],
    ) -> Result<Listing, Failure> {
        let limit = match self.number::<u64>("limit")?.unwrap_or(USUAL) {
            0 => USUAL,
            limit => limit.min(MOST),
        };
        let offset = match self.text("cursor").filter(|cursor| !cursor.is_empty()) {
            Some(cursor) => number("cursor", cursor)?,
            None => self.number("offset")?.unwrap_or(0),
        };
        let find = |name: &str| columns.iter().find(|column| column.name == name).copied();
        let mut order = Vec::new();
        for given in self.all("order_by").filter(|given| !given.is_empty()) {
            let (name, descending) = match given.strip_prefix('-') {
                Some(name) => (name, true),
                None => (given, false),
            };
            let unknown = || {
                Failure::bad_request(format!(
                    "Ordering with '{name}' is disallowed or the attribute does not exist on the model; use one of {}",
                    columns
                        .iter()
                        .map(|column| column.name)
                        .collect::<Vec<_>>()
                        .join(", ")
                ))
            };
            order.push((find(name).ok_or_else(unknown)?, descending));
        }
        if order.is_empty() {
            let usual = usual_order.iter();
            order.extend(usual.filter_map(|(name, descending)| Some((find(name)?, *descending))));
        }
        let mut tests: Vec<Test> = Vec::new();
        for (name, value) in &self.0 {
            let Some(test) = test(name, value, find)? else {
                continue;
            };
            // A parameter that is given several times means any of them.
            let same = tests
                .iter_mut()
                .find(|other| other.column.name == test.column.name);
            match (same.map(|same| &mut same.comparison), test.comparison) {
                (Some(Comparison::OneOf(values)), Comparison::OneOf(more)) => values.extend(more),
                (Some(Comparison::OneOfNumbers(values)), Comparison::OneOfNumbers(more)) => {
                    values.extend(more)
                }
                (_, comparison) => tests.push(Test { comparison, ..test }),
            }
        }
        Ok(Listing {
            tests,
            order,
            limit,
            offset,
        })
    }

    /// Returns what to ask for the next page with, when the pages are asked for so.
    pub(super) fn next_cursor(&self, listing: &Listing, total: u64) -> Option<String> {
        let next = listing.offset.saturating_add(listing.limit);
        (self.text("cursor").is_some() && next < total).then(|| next.to_string())
    }
}

/// Reads a parameter that narrows a list.
fn test(name: &str, value: &str, find: impl Fn(&str) -> Option<Column>) -> Result<Option<Test>, Failure> {
    // What means nothing in particular, as Airflow takes it.
    if value.is_empty() {
        return Ok(None);
    }
    if let Some(column) = find(name) {
        let comparison = match column.kind {
            Kind::Text => Comparison::OneOf(vec![value.to_owned()]),
            Kind::Choice(is_known) if is_known(value) => Comparison::OneOf(vec![value.to_owned()]),
            Kind::Choice(_) => {
                return Err(Failure::invalid(
                    "query",
                    name,
                    "value_error",
                    &format!("{value:?} is no {name}"),
                ));
            }
            Kind::Truth => Comparison::Is(truth(name, value)?),
            Kind::Number | Kind::Instant | Kind::Seconds => {
                Comparison::OneOfNumbers(vec![measure(&column, name, value)?])
            }
        };
        return Ok(Some(Test { column, comparison }));
    }
    let bounds: [(&str, Bound); 4] = [
        ("_gte", Comparison::AtLeast),
        ("_gt", Comparison::Above),
        ("_lte", Comparison::AtMost),
        ("_lt", Comparison::Below),
    ];
    for (suffix, comparison) in bounds {
        let column = name.strip_suffix(suffix).and_then(&find);
        if let Some(column) = column.filter(Column::is_measure) {
            let comparison = comparison(measure(&column, name, value)?);
            return Ok(Some(Test { column, comparison }));
        }
    }
    let text = |suffix: &str| {
        let column = name.strip_suffix(suffix).and_then(&find);
        column.filter(Column::is_text)
    };
    if let Some(column) = text("_prefix_pattern") {
        let comparison = Comparison::StartsWith(value.to_owned());
        return Ok(Some(Test { column, comparison }));
    }
    Ok(text("_pattern").map(|column| {
        let parts = value.split('|').map(|part| match part.trim() {
            EVERY => "%".to_owned(),
            part => part.to_owned(),
        });
        let comparison = Comparison::Like(parts.collect());
        Test { column, comparison }
    }))
}

/// Reads a value in the number of its column.
fn measure(column: &Column, name: &str, value: &str) -> Result<i64, Failure> {
    match column.kind {
        Kind::Instant => Ok(instant(name, value)?.as_millis()),
        Kind::Seconds => {
            let seconds: f64 = number(name, value)?;
            Ok((seconds * 1000.0) as i64)
        }
        _ => number(name, value),
    }
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, Failure> {
    let wrong = |_| Failure::invalid("query", name, "int_parsing", &format!("{name} must be a number"));
    text.parse().map_err(wrong)
}

fn truth(name: &str, text: &str) -> Result<bool, Failure> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(Failure::invalid(
            "query",
            name,
            "bool_parsing",
            &format!("{name} must be true or false"),
        )),
    }
}

fn instant(name: &str, text: &str) -> Result<Timestamp, Failure> {
    // A plus sign that was not encoded arrives as a space.
    parse_instant(&text.replace(' ', "+"))
        .map_err(|message| Failure::invalid("query", name, "datetime_from_date_parsing", &message))
}

/// Reads an instant; one without an offset is in UTC.
pub(super) fn parse_instant(text: &str) -> Result<Timestamp, String> {
    let with_zone = || match text.len() {
        10 => format!("{text}T00:00:00Z"),
        _ => format!("{text}Z"),
    };
    let instant = Timestamp::parse_rfc3339(text).or_else(|_| Timestamp::parse_rfc3339(&with_zone()));
    instant.map_err(|_| format!("{text:?} is not an instant such as 2025-04-02T00:00:00Z"))
}

/// An instant in a body.
#[derive(Clone, Copy)]
pub(super) struct Instant(pub(super) Timestamp);

impl fmt::Debug for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_instant(&text).map(Self).map_err(D::Error::custom)
    }
}

impl JsonSchema for Instant {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Keeps a field that is null apart from one that is not there.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}
