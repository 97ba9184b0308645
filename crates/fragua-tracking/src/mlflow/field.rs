//! What an endpoint takes: its fields, of which type, which of them it needs. The checks of requests and the OpenAPI
//! document are both made from it.

use std::fmt;

use serde_json::{Map, Value};

use super::error::ApiError;
use crate::validation::{no_nul, texts};

/// A field of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// The largest number it takes.
    pub(crate) most: Option<i64>,
}

/// The type of a field.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Text,
    /// Also as a text, and as a floating point number.
    Integer,
    /// Also as a text, among them `NaN` and `Infinity`.
    Number,
    Truth,
    Texts,
    /// One of some names, also by its number. An unknown name counts as none, as in MLflow.
    Choice(&'static [(&'static str, i64)]),
    Object(&'static [Field]),
    Objects(&'static [Field]),
}

const fn field(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        required: false,
        most: None,
    }
}

pub(crate) const fn text(name: &'static str) -> Field {
    field(name, Kind::Text)
}

pub(crate) const fn integer(name: &'static str) -> Field {
    field(name, Kind::Integer)
}

pub(crate) const fn number(name: &'static str) -> Field {
    field(name, Kind::Number)
}

pub(crate) const fn truth(name: &'static str) -> Field {
    field(name, Kind::Truth)
}

pub(crate) const fn texts(name: &'static str) -> Field {
    field(name, Kind::Texts)
}

pub(crate) const fn choice(name: &'static str, names: &'static [(&'static str, i64)]) -> Field {
    field(name, Kind::Choice(names))
}

pub(crate) const fn object(name: &'static str, fields: &'static [Field]) -> Field {
    field(name, Kind::Object(fields))
}

pub(crate) const fn objects(name: &'static str, fields: &'static [Field]) -> Field {
    field(name, Kind::Objects(fields))
}

/// Keys with texts: tags and parameters of anything.
pub(crate) const fn pairs(name: &'static str) -> Field {
    const PAIR: &[Field] = &[text("key"), text("value")];
    objects(name, PAIR)
}

/// Where a field of a request is. It is written only when something is wrong there: a batch has thousands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'p> {
    around: Option<&'p Place<'p>>,
    name: &'static str,
    item: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(around) = self.around {
            write!(formatter, "{around}.")?;
        }
        formatter.write_str(self.name)?;
        match self.item {
            Some(item) => write!(formatter, "[{item}]"),
            None => Ok(()),
        }
    }
}

impl Place<'_> {
    fn check_text(&self, text: &str) -> Result<(), ApiError> {
        if text.contains('\0') {
            no_nul(&self.to_string(), text)?;
        }
        Ok(())
    }

    fn missing(&self) -> Result<(), ApiError> {
        Err(ApiError::missing(&self.to_string()))
    }

    fn wrong(&self, value: &Value) -> Result<(), ApiError> {
        Err(ApiError::invalid(texts::wrong_type(&self.to_string(), value)))
    }
}

impl Field {
    pub(crate) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    pub(crate) const fn at_most(self, most: i64) -> Self {
        Self {
            most: Some(most),
            ..self
        }
    }

    fn check(&self, place: Place<'_>, value: Option<&Value>) -> Result<(), ApiError> {
        let Some(value) = value else {
            return if self.required { place.missing() } else { Ok(()) };
        };
        let wrong = || place.wrong(value);
        match (self.kind, value) {
            (Kind::Text | Kind::Choice(_), Value::String(text)) => {
                if self.required && text.is_empty() {
                    return place.missing();
                }
                place.check_text(text)?;
            }
            (Kind::Choice(names), Value::Number(given)) => {
                if !names.iter().any(|(_, number)| given.as_i64() == Some(*number)) {
                    return wrong();
                }
            }
            (Kind::Integer, value) => match whole(value) {
                Some(number) if self.most.is_none_or(|most| number <= most) => {}
                _ => return wrong(),
            },
            (Kind::Number, Value::Number(_)) | (Kind::Truth, Value::Bool(_)) => {}
            (Kind::Number, Value::String(text)) if text.trim().parse::<f64>().is_ok() => {}
            (Kind::Texts, Value::Array(items)) => {
                for item in items {
                    let Value::String(item) = item else { return wrong() };
                    place.check_text(item)?;
                }
            }
            (Kind::Object(fields), Value::Object(given)) => check(fields, given, Some(&place))?,
            (Kind::Objects(fields), Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    let place = Place {
                        item: Some(at),
                        ..place
                    };
                    let Value::Object(given) = item else {
                        return place.wrong(item);
                    };
                    check(fields, given, Some(&place))?;
                }
            }
            _ => return wrong(),
        }
        Ok(())
    }
}

fn whole(value: &Value) -> Option<i64> {
    // The conversion is the one that reads the field afterwards.
    crate::wire::number::integer(value).ok().flatten()
}

/// Checks the fields of a request, or of an object in it, in the order in which the endpoint names them.
pub(crate) fn check(
    fields: &[Field],
    given: &Map<String, Value>,
    around: Option<&Place<'_>>,
) -> Result<(), ApiError> {
    let value = |name: &str| given.get(name).filter(|value| !value.is_null());
    for field in fields {
        // A run has an older name.
        let older = || (field.name == "run_id").then(|| value("run_uuid")).flatten();
        let place = Place {
            around,
            name: field.name,
            item: None,
        };
        field.check(place, value(field.name).or_else(older))?;
    }
    Ok(())
}
