//! Why a row got its answer: from the score of a row of which nothing is known, step by step, to its own.

use crate::format;

/// The way from the base to the score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Waterfall {
    pub(crate) base: String,
    /// Place of the base in the picture, from 0 to 100.
    pub(crate) base_place: f64,
    pub(crate) score: String,
    pub(crate) score_place: f64,
    pub(crate) steps: Vec<Step>,
}

/// What a column adds to the score.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The column; empty for all the others together.
    pub(crate) name: String,
    /// How many columns it stands for.
    pub(crate) columns: u64,
    /// The row's own value.
    pub(crate) own: String,
    /// What is added, with its sign.
    pub(crate) value: String,
    pub(crate) is_up: bool,
    /// Where its bar begins, from 0 to 100.
    pub(crate) place: f64,
    pub(crate) length: f64,
}

/// Orders the contributions by size; those behind the first `most` are one step.
pub(crate) fn waterfall(
    base: f64,
    contributions: &[(String, f64)],
    most: usize,
    own: impl Fn(&str) -> String,
) -> Waterfall {
    let mut sorted: Vec<(&str, f64)> = contributions
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    sorted.sort_by(|(_, one), (_, other)| other.abs().total_cmp(&one.abs()));
    // One column is never put away as "1 other".
    let kept = if sorted.len() > most + 1 {
        most
    } else {
        sorted.len()
    };
    let rest = &sorted[kept..];
    let mut steps: Vec<(&str, u64, f64)> = sorted[..kept]
        .iter()
        .map(|(name, value)| (*name, 1, *value))
        .collect();
    if !rest.is_empty() {
        steps.push(("", rest.len() as u64, rest.iter().map(|(_, value)| value).sum()));
    }
    let mut at = base;
    let mut stations = vec![base];
    for (.., value) in &steps {
        at += value;
        stations.push(at);
    }
    let low = stations.iter().copied().fold(f64::INFINITY, f64::min);
    let high = stations.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let width = if high > low { high - low } else { 1.0 };
    let place = |value: f64| tenth((value - low) / width * 100.0);
    let steps = steps
        .iter()
        .zip(stations.windows(2))
        .map(|((name, columns, value), ends)| {
            let (left, right) = (place(ends[0].min(ends[1])), place(ends[0].max(ends[1])));
            Step {
                name: (*name).to_owned(),
                columns: *columns,
                own: own(name),
                value: signed(*value),
                is_up: *value >= 0.0,
                place: left.min(99.2),
                length: tenth((right - left).max(0.8)),
            }
        });
    Waterfall {
        base: figure(base),
        base_place: place(base),
        score: figure(at),
        score_place: place(at),
        steps: steps.collect(),
    }
}

fn figure(value: f64) -> String {
    format::number((value * 10_000.0).round() / 10_000.0)
}

/// Writes a number with its sign, the true minus.
fn signed(value: f64) -> String {
    let size = figure(value.abs());
    match value {
        _ if size == "0" => size,
        value if value < 0.0 => format!("\u{2212}{size}"),
        _ => format!("+{size}"),
    }
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(contributions: &[(&str, f64)], most: usize) -> Waterfall {
        let owned: Vec<(String, f64)> = contributions
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        waterfall(0.25, &owned, most, |name| format!("{name}!"))
    }

    #[test]
    fn steps_lead_from_the_base_to_the_score() {
        let drawn = of(&[("a", 0.1), ("b", -0.25), ("c", 0.4)], 8);
        assert_eq!((drawn.base.as_str(), drawn.score.as_str()), ("0.25", "0.5"));
        let seen: Vec<_> = drawn
            .steps
            .iter()
            .map(|step| (step.name.as_str(), step.value.as_str(), step.place, step.length))
            .collect();
        // 0.25 → 0.65 → 0.4 → 0.5, drawn over 0.25 to 0.65.
        assert_eq!(
            seen,
            [
                ("c", "+0.4", 0.0, 100.0),
                ("b", "\u{2212}0.25", 37.5, 62.5),
                ("a", "+0.1", 37.5, 25.0)
            ]
        );
        assert_eq!((drawn.base_place, drawn.score_place), (0.0, 62.5));
        assert_eq!(drawn.steps[0].own, "c!");
    }

    #[test]
    fn small_steps_are_summed_up() {
        let drawn = of(&[("a", 0.1), ("b", 0.02), ("c", -0.01), ("d", 0.03)], 2);
        let last = drawn.steps.last().unwrap();
        assert_eq!(
            (last.name.as_str(), last.columns, last.value.as_str()),
            ("", 2, "+0.01")
        );
        assert_eq!(of(&[("a", 0.1), ("b", 0.02), ("c", 0.0)], 2).steps.len(), 3);
    }

    #[test]
    fn nothing_that_adds_anything_is_drawn_as_nothing() {
        let drawn = of(&[("a", 0.0)], 8);
        assert_eq!(drawn.steps[0].value, "0");
        assert_eq!(drawn.score, "0.25");
        assert_eq!(of(&[], 8).steps, []);
    }
}
