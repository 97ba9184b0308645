//! How values are spread, as small pictures: behind the fields of a form, and then beside now.

use std::fmt::Write;

use fragua_serving::profile::{ColumnProfile, NumberProfile, ValueProfile};
use serde_json::Value;

use crate::markup::{Markup, escape};

/// Height of a picture; it is 100 wide and stretches.
const HEIGHT: f64 = 24.0;
/// Categories that get a bar of their own.
const MOST_BARS: usize = 16;
/// The least that a bar with anything in it is high.
const LEAST: f64 = 1.0;

/// Draws how a column was spread in training, with a mark where `value` lies.
pub(crate) fn behind(column: &ColumnProfile, value: &str) -> Markup {
    let mut svg = String::new();
    match &column.values {
        ValueProfile::Number(numbers) if !numbers.counts.is_empty() => {
            let (low, high) = ends(numbers);
            open(&mut svg, &format!(" data-low=\"{low}\" data-high=\"{high}\""));
            bars(&mut svg, "histogram-bars", &shares(&numbers.counts));
            let place = value.trim().parse().ok().and_then(|value| place(numbers, value));
            let hidden = if place.is_some() {
                ""
            } else {
                " visibility=\"hidden\""
            };
            let x = round(place.unwrap_or(0.0) * 100.0);
            let _ = write!(
                svg,
                "<line class=\"histogram-here\" x1=\"{x}\" x2=\"{x}\" y1=\"0\" y2=\"{HEIGHT}\"{hidden}/>"
            );
        }
        ValueProfile::Category(texts) if !texts.counts.is_empty() => {
            open(&mut svg, "");
            let shown = &texts.counts[..texts.counts.len().min(MOST_BARS)];
            let highest = shown.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1) as f64;
            let width = 100.0 / shown.len() as f64;
            for (index, (text, count)) in shown.iter().enumerate() {
                let height = height(*count as f64 / highest);
                let here = if text == value { " class=\"is-here\"" } else { "" };
                let (x, y, width) = (
                    round(index as f64 * width),
                    round(HEIGHT - height),
                    round(width * 0.86),
                );
                let _ = write!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\"{here} data-value=\"",
                    round(height)
                );
                escape(text, &mut svg);
                svg.push_str("\"/>");
            }
        }
        _ => return Markup::default(),
    }
    svg.push_str("</svg>");
    Markup::trusted(svg)
}

/// Draws two spreads over each other: what training saw as bars, what was asked for as a line.
pub(crate) fn overlay(then: &[f64], now: &[f64]) -> Markup {
    if then.is_empty() || then.len() != now.len() {
        return Markup::default();
    }
    let highest = then.iter().chain(now).copied().fold(0.0, f64::max);
    if highest <= 0.0 {
        return Markup::default();
    }
    let scaled = |shares: &[f64]| -> Vec<f64> { shares.iter().map(|share| share / highest).collect() };
    let mut svg = String::new();
    open(&mut svg, "");
    bars(&mut svg, "histogram-bars", &scaled(then));
    let width = 100.0 / now.len() as f64;
    svg.push_str("<path class=\"histogram-now\" d=\"M0 24");
    for (index, share) in scaled(now).iter().enumerate() {
        let y = round(HEIGHT - share * (HEIGHT - 1.0));
        let _ = write!(svg, "V{y}H{}", round((index + 1) as f64 * width));
    }
    svg.push_str("V24\"/></svg>");
    Markup::trusted(svg)
}

/// Returns the share of the rows in each bar of a column, in training and among `values`, and what the bars are called.
/// Texts beyond the first ones are summed up under no name.
pub(crate) fn then_and_now<'a>(
    column: &ColumnProfile,
    values: impl Iterator<Item = Option<&'a Value>>,
) -> (Vec<String>, Vec<f64>, Vec<f64>) {
    match &column.values {
        ValueProfile::Number(numbers) => {
            let mut counts = vec![0; numbers.counts.len()];
            for value in values.flatten().filter_map(number) {
                if let Some(bar) = bar(numbers, value) {
                    counts[bar] += 1;
                }
            }
            let edges = numbers.edges.windows(2);
            let names = edges.map(|pair| {
                let (low, high) = (crate::format::number(pair[0]), crate::format::number(pair[1]));
                format!("{low} – {high}")
            });
            (names.collect(), of_all(&numbers.counts), of_all(&counts))
        }
        ValueProfile::Category(texts) => {
            let shown = &texts.counts[..texts.counts.len().min(MOST_BARS)];
            let mut names: Vec<String> = shown.iter().map(|(text, _)| text.clone()).collect();
            let rest: u64 = texts.counts[shown.len()..].iter().map(|(_, count)| count).sum();
            let mut then: Vec<u64> = shown.iter().map(|(_, count)| *count).collect();
            names.push(String::new());
            then.push(rest + texts.other);
            let mut now = vec![0; names.len()];
            for value in values.flatten().filter(|value| !value.is_null()) {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let found = shown.iter().position(|(known, _)| *known == text);
                now[found.unwrap_or(shown.len())] += 1;
            }
            (names, of_all(&then), of_all(&now))
        }
    }
}

/// Returns the values at the left and the right end of the picture of a column of numbers.
pub(crate) fn ends(numbers: &NumberProfile) -> (f64, f64) {
    let first = numbers.edges.first().copied().unwrap_or(numbers.minimum);
    let last = numbers.edges.last().copied().unwrap_or(numbers.maximum);
    (first, last)
}

/// Returns where a number lies between the ends, from 0 to 1.
fn place(numbers: &NumberProfile, value: f64) -> Option<f64> {
    let (low, high) = ends(numbers);
    let place = (value - low) / (high - low);
    place.is_finite().then(|| place.clamp(0.0, 1.0))
}

fn bar(numbers: &NumberProfile, value: f64) -> Option<usize> {
    let bars = numbers.counts.len();
    let bar = (place(numbers, value)? * bars as f64) as usize;
    (bars > 0).then(|| bar.min(bars - 1))
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(boolean) => Some(f64::from(u8::from(*boolean))),
        other => other.as_f64(),
    }
}

fn of_all(counts: &[u64]) -> Vec<f64> {
    let all = counts.iter().sum::<u64>().max(1) as f64;
    counts.iter().map(|count| *count as f64 / all).collect()
}

/// Scales counts so that the highest is 1.
fn shares(counts: &[u64]) -> Vec<f64> {
    let highest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    counts.iter().map(|count| *count as f64 / highest).collect()
}

fn height(share: f64) -> f64 {
    match share {
        share if share > 0.0 => (share * HEIGHT).max(LEAST),
        _ => 0.0,
    }
}

fn open(svg: &mut String, data: &str) {
    let _ = write!(
        svg,
        "<svg class=\"histogram\" viewBox=\"0 0 100 {HEIGHT}\" preserveAspectRatio=\"none\" aria-hidden=\"true\" \
         focusable=\"false\"{data}>"
    );
}

/// Draws bars as one path: what is wide has many of them on a page.
fn bars(svg: &mut String, class: &str, shares: &[f64]) {
    let width = 100.0 / shares.len() as f64;
    let _ = write!(svg, "<path class=\"{class}\" d=\"");
    for (index, share) in shares.iter().enumerate() {
        let height = height(*share);
        if height > 0.0 {
            let (x, width) = (round(index as f64 * width), round(width * 0.9));
            let _ = write!(svg, "M{x} {HEIGHT}v{}h{width}V{HEIGHT}z", round(-height));
        }
    }
    svg.push_str("\"/>");
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn numbers() -> ColumnProfile {
        serde_json::from_value(json!({
            "name": "Elevation", "missing": 0, "values": {
                "kind": "number", "minimum": 0.0, "maximum": 40.0, "mean": 15.0, "deviation": 9.0, "percentiles": [],
                "edges": [0.0, 10.0, 20.0, 30.0, 40.0], "counts": [2, 4, 0, 1], "tenth_bounds": [], "tenth_counts": [],
            },
        }))
        .unwrap()
    }

    fn texts() -> ColumnProfile {
        serde_json::from_value(json!({
            "name": "Area", "missing": 0,
            "values": { "kind": "category", "counts": [["<Rawah>", 6], ["Cache", 3]], "other": 1 },
        }))
        .unwrap()
    }

    #[test]
    fn the_mark_lies_where_the_value_does() {
        for (value, expected) in [
            ("10", "x1=\"25\""),
            (" 1e9 ", "x1=\"100\""),
            ("-5", "x1=\"0\""),
            ("", "visibility=\"hidden\""),
            ("NaN", "visibility=\"hidden\""),
        ] {
            let svg = behind(&numbers(), value).to_string();
            assert!(svg.contains(expected), "{value:?}: {svg}");
        }
        let svg = behind(&numbers(), "10").to_string();
        // The highest bar fills the picture, an empty one is not there.
        assert!(svg.contains("d=\"M0 24v-12h22.5V24zM25 24v-24h22.5V24zM75 24v-6h22.5V24z\""));
    }

    #[test]
    fn categories_are_escaped_and_the_present_one_stands_out() {
        let svg = behind(&texts(), "Cache").to_string();
        assert!(svg.contains("data-value=\"&lt;Rawah&gt;\""), "{svg}");
        assert!(svg.contains("class=\"is-here\" data-value=\"Cache\""), "{svg}");
    }

    #[test]
    fn what_is_asked_now_falls_into_the_bars_of_training() {
        let now = [json!(5), json!(15.0), json!(99), Value::Null, json!("high")];
        let (names, then, now) = then_and_now(&numbers(), now.iter().map(Some));
        assert_eq!(names[0], "0 – 10");
        assert_eq!(then, [2.0 / 7.0, 4.0 / 7.0, 0.0, 1.0 / 7.0]);
        assert_eq!(now, [1.0 / 3.0, 1.0 / 3.0, 0.0, 1.0 / 3.0]);
        let now = [json!("Cache"), json!("Mars")];
        let (names, then, now) = then_and_now(&texts(), now.iter().map(Some).chain([None]));
        assert_eq!(names, ["<Rawah>", "Cache", ""]);
        assert_eq!((then, now), (vec![0.6, 0.3, 0.1], vec![0.0, 0.5, 0.5]));
    }

    #[test]
    fn two_spreads_share_a_scale() {
        let svg = overlay(&[0.5, 0.5], &[1.0, 0.0]).to_string();
        assert!(svg.contains("M0 24v-12h45V24z"), "{svg}");
        assert!(svg.contains("d=\"M0 24V1H50V24H100V24\""), "{svg}");
        assert!(overlay(&[], &[]).is_empty());
        assert!(overlay(&[0.0], &[0.0]).is_empty());
    }
}
