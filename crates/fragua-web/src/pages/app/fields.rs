//! The fields of a model: what was typed, what that means, what is wrong with it, and what training saw.

use fragua_serving::profile::ValueProfile;
use fragua_serving::{DataType, Feature, FieldError, FieldErrorKind, ServedModel};
use serde_json::{Map, Value};

use crate::distribution;
use crate::form::{self, Field, Kind, Slider};
use crate::format;
use crate::page::Page;

/// Makes the fields of the form: filled with what was typed, or with the model's example.
pub(super) fn fields(
    page: &Page,
    model: &ServedModel,
    typed: Option<&[(String, String)]>,
    errors: &[FieldError],
) -> Vec<Field> {
    model
        .features
        .iter()
        .enumerate()
        .map(|(index, feature)| {
            let mut field = Field::new(index, &feature.name, kind(feature));
            field.label = feature.name.replace('_', " ");
            field.value = match typed {
                Some(form) => form::value(form, &feature.name)
                    .unwrap_or_default()
                    .trim()
                    .to_owned(),
                None => plain(&feature.example),
            };
            field.hint = hint(page, feature);
            let error = errors.iter().find(|error| error.field == feature.name);
            field.error = error.map_or_else(String::new, |error| page.t(error_text(error.kind)));
            if field.error.is_empty() {
                field.warning = warning(page, feature, &field.value);
            }
            let profile = model
                .profile
                .as_ref()
                .and_then(|profile| profile.feature(&feature.name));
            if let Some(column) = profile {
                field.picture = distribution::behind(column, &field.value);
            }
            let ends = match profile.map(|column| &column.values) {
                Some(ValueProfile::Number(numbers)) => Some(distribution::ends(numbers)),
                _ => feature.range.map(|range| (range.min, range.max)),
            };
            field.slider = ends.and_then(|ends| slider(feature, ends, &field.value));
            field
        })
        .collect()
}

fn kind(feature: &Feature) -> Kind {
    match feature.data_type {
        DataType::Boolean => Kind::Checkbox,
        DataType::Text if feature.categories.is_empty() => Kind::Text,
        DataType::Text => Kind::Choice(feature.categories.clone()),
        whole_or_not => Kind::Number {
            whole: whole_or_not.is_integer(),
        },
    }
}

/// Returns the slider of a field of numbers, over what is drawn above it.
fn slider(feature: &Feature, (low, high): (f64, f64), value: &str) -> Option<Slider> {
    let is_whole = feature.data_type.is_integer();
    let is_number = is_whole || matches!(feature.data_type, DataType::Float | DataType::Double);
    let (low, high) = if is_whole {
        (low.floor(), high.ceil())
    } else {
        (low, high)
    };
    if !is_number || low >= high {
        return None;
    }
    // Steps of a round power of ten, some hundred of them.
    let power = ((high - low) / 200.0).log10().floor();
    let step = if is_whole {
        1.0_f64.max(10_f64.powf(power))
    } else {
        10_f64.powf(power)
    };
    let round = |value: f64| {
        let decimals = (-power).max(0.0) as usize;
        format!("{value:.*}", decimals.min(12))
    };
    Some(Slider {
        low: if is_whole { format!("{low}") } else { round(low) },
        high: if is_whole { format!("{high}") } else { round(high) },
        step: if is_whole { format!("{step}") } else { round(step) },
        value: value
            .parse::<f64>()
            .ok()
            .filter(|value| value.is_finite())
            .map_or_else(
                || round((low + high) / 2.0),
                |value| round(value.clamp(low, high)),
            ),
    })
}

/// Writes a value as it is typed.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Number(number) => number
            .as_f64()
            .filter(|number| number.fract() == 0.0 && number.abs() < 1e15)
            .map_or_else(|| number.to_string(), |number| format!("{number:.0}")),
        other => other.to_string(),
    }
}

fn hint(page: &Page, feature: &Feature) -> String {
    let Some(range) = feature.range else {
        return String::new();
    };
    let (lowest, highest) = (format::number(range.min), format::number(range.max));
    page.text_with("range-seen", &[("lowest", &lowest), ("highest", &highest)])
}

pub(super) fn warning(page: &Page, feature: &Feature, value: &str) -> String {
    if let Some(range) = feature.range
        && let Ok(number) = value.parse::<f64>()
        && !(range.min..=range.max).contains(&number)
    {
        return page.t("outside-range");
    }
    if !feature.categories.is_empty() && !feature.categories.iter().any(|known| known == value) {
        return page.t("unknown-category");
    }
    String::new()
}

pub(super) fn error_text(kind: FieldErrorKind) -> &'static str {
    match kind {
        FieldErrorKind::Missing => "field-missing",
        FieldErrorKind::FloatType | FieldErrorKind::FloatParsing => "field-not-number",
        FieldErrorKind::IntType | FieldErrorKind::IntParsing | FieldErrorKind::IntFromFloat => {
            "field-not-whole"
        }
        FieldErrorKind::IntParsingSize => "field-too-large",
        FieldErrorKind::BoolType | FieldErrorKind::BoolParsing => "field-not-boolean",
        FieldErrorKind::StringType => "field-not-text",
    }
}

/// Makes the record that the inference API would get: an empty field is no value.
pub(super) fn record(features: &[Feature], form: &[(String, String)]) -> Map<String, Value> {
    let mut record = Map::new();
    for feature in features {
        let typed = form::value(form, &feature.name).unwrap_or_default().trim();
        if let Some(value) = value(feature, typed) {
            record.insert(feature.name.clone(), value);
        }
    }
    record
}

/// Reads what was typed into a field; nothing where it is empty, but for a checkbox, which then says no.
pub(super) fn value(feature: &Feature, typed: &str) -> Option<Value> {
    if feature.data_type == DataType::Boolean {
        return Some(Value::Bool(typed == "true"));
    }
    (!typed.is_empty()).then(|| number_or_text(feature, typed))
}

fn number_or_text(feature: &Feature, typed: &str) -> Value {
    if feature.is_text() {
        return Value::from(typed);
    }
    if let Ok(whole) = typed.parse::<i64>() {
        return Value::from(whole);
    }
    match typed.parse::<f64>() {
        Ok(number) if number.is_finite() => Value::from(number),
        // The check says what is wrong with it.
        _ => Value::from(typed),
    }
}

/// Returns the name of a feature in an address: one that means something else there is marked.
pub(super) fn parameter(name: &str) -> String {
    match name {
        "model" | "lang" | "theme" => format!("={name}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feature(data_type: DataType) -> Feature {
        Feature {
            name: "Elevation".to_owned(),
            data_type,
            required: true,
            range: None,
            categories: Vec::new(),
            example: Value::Null,
        }
    }

    #[test]
    fn a_slider_moves_in_round_steps() {
        let ends = |data_type, ends, value| {
            let made = slider(&feature(data_type), ends, value)?;
            Some([made.low, made.high, made.step, made.value])
        };
        for (data_type, range, value, expected) in [
            (
                DataType::Long,
                (1863.4, 3204.2),
                "2596",
                Some(["1863", "3205", "1", "2596"]),
            ),
            (
                DataType::Double,
                (0.5, 6.5),
                "99",
                Some(["0.50", "6.50", "0.01", "6.50"]),
            ),
            (
                DataType::Double,
                (0.5, 6.5),
                "steep",
                Some(["0.50", "6.50", "0.01", "3.50"]),
            ),
            (DataType::Double, (2.0, 2.0), "2", None),
            (DataType::Text, (0.0, 1.0), "2", None),
            (DataType::Boolean, (0.0, 1.0), "1", None),
        ] {
            let made = ends(data_type, range, value);
            assert_eq!(made, expected.map(|texts| texts.map(str::to_owned)), "{value}");
        }
    }

    #[test]
    fn a_feature_whose_name_means_something_else_in_an_address_is_marked() {
        assert_eq!(parameter("model"), "=model");
        assert_eq!(parameter("Elevation"), "Elevation");
    }
}
