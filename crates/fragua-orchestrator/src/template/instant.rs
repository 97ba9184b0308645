//! Dates in templates, with the methods that people know from Airflow, and the functions of `macros`.

use std::fmt;
use std::sync::Arc;

use fragua_base::Timestamp;
use jiff::{Span, civil::Date};
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest};
use minijinja::{Error, ErrorKind, State, Value as Jinja};

/// An instant. Shown in RFC 3339; `strftime`, `isoformat`, `date`, `timestamp`, `add` and `subtract` as in Airflow.
#[derive(Debug, Clone)]
pub(super) struct Instant(jiff::Timestamp);

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default())
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&Timestamp::from_millis(self.0.as_millisecond()).to_rfc3339())
    }
}

impl Instant {
    fn moved(&self, amounts: &Kwargs, sign: i64) -> Result<Jinja, Error> {
        let amount =
            |name: &str| -> Result<i64, Error> { Ok(amounts.get::<Option<i64>>(name)?.unwrap_or(0)) };
        let days = amount("days")?.saturating_add(amount("weeks")?.saturating_mul(7));
        let span = Span::new()
            .try_days(sign * days)
            .and_then(|span| span.try_hours(sign * amount("hours").unwrap_or(0)))
            .and_then(|span| span.try_minutes(sign * amount("minutes").unwrap_or(0)))
            .and_then(|span| span.try_seconds(sign * amount("seconds").unwrap_or(0)));
        amounts.assert_all_used()?;
        let moved = span.and_then(|span| self.0.to_zoned(jiff::tz::TimeZone::UTC).checked_add(span));
        let moved = moved.map_err(|error| invalid(&error))?;
        Ok(Jinja::from_object(Self(moved.timestamp())))
    }
}

impl Object for Instant {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let civil = self.0.to_zoned(jiff::tz::TimeZone::UTC).datetime();
        Some(Jinja::from(match key.as_str()? {
            "year" => i64::from(civil.year()),
            "month" => i64::from(civil.month()),
            "day" => i64::from(civil.day()),
            "hour" => i64::from(civil.hour()),
            "minute" => i64::from(civil.minute()),
            "second" => i64::from(civil.second()),
            _ => return None,
        }))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Jinja],
    ) -> Result<Jinja, Error> {
        let (positional, named): (Rest<Jinja>, Kwargs) = minijinja::value::from_args(args)?;
        match (method, positional.as_slice()) {
            ("strftime" | "format", [pattern]) => {
                let pattern = pattern.as_str().unwrap_or_default();
                let zoned = self.0.to_zoned(jiff::tz::TimeZone::UTC);
                let text = jiff::fmt::strtime::format(pattern, &zoned).map_err(|error| invalid(&error))?;
                Ok(Jinja::from(text))
            }
            ("isoformat" | "to_iso8601_string", []) => Ok(Jinja::from(
                self.0.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(),
            )),
            ("date" | "to_date_string", []) => Ok(Jinja::from(self.0.strftime("%Y-%m-%d").to_string())),
            ("timestamp", []) => Ok(Jinja::from(self.0.as_second())),
            ("add", []) => self.moved(&named, 1),
            ("subtract", []) => self.moved(&named, -1),
            _ => Err(Error::new(
                ErrorKind::UnknownMethod,
                format!(
                    "a date has no method {method} with these arguments; it has strftime, isoformat, date, timestamp, add and subtract"
                ),
            )),
        }
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_ref(), formatter)
    }
}

fn invalid(error: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidOperation, error.to_string())
}

/// Returns what templates call `macros`.
pub(super) fn macros() -> Jinja {
    minijinja::context! {
        ds_add => Jinja::from_function(ds_add),
        ds_format => Jinja::from_function(ds_format),
        uuid => Jinja::from_function(|| uuid::Uuid::new_v4().to_string()),
    }
}

/// `ds_add('2025-04-02', 5)`: a day some days later, or earlier.
fn ds_add(ds: &str, days: i64) -> Result<String, Error> {
    let date: Date = ds.parse().map_err(|error: jiff::Error| invalid(&error))?;
    let span = Span::new().try_days(days).map_err(|error| invalid(&error))?;
    Ok(date
        .checked_add(span)
        .map_err(|error| invalid(&error))?
        .to_string())
}

/// `ds_format('2025-04-02', '%Y-%m-%d', '%d.%m.%Y')`: a day written in another way.
fn ds_format(ds: &str, input: &str, output: &str) -> Result<String, Error> {
    let parsed = jiff::fmt::strtime::parse(input, ds).map_err(|error| invalid(&error))?;
    let date = parsed.to_date().map_err(|error| invalid(&error))?;
    jiff::fmt::strtime::format(output, date).map_err(|error| invalid(&error))
}
