//! Pictures as SVG, readable on light and dark pages.
//!
//! Colours are custom properties with a light and a dark set, chosen by the reader's preference; a picture
//! stands alone, without scripts and fonts of its own.

use crate::{ConfusionMatrix, FeatureImportance};
use std::fmt::Write;

/// Every selector begins with the picture's class, so that a picture set into a page leaves the page alone.
const STYLE: &str = "<style>\
.fragua-picture{--text:#1f2933;--quiet:#616e7c;--line:#d3dae1;--page:#ffffff;--low:#eef4fb;--bar:#2f6fb5;\
--track:#eef1f4}\
@media(prefers-color-scheme:dark){.fragua-picture{--text:#e6ebf0;--quiet:#9aa7b4;--line:#3a4653;--page:#151b22;\
--low:#1d2833;--bar:#3f83cc;--track:#222c36}}\
.fragua-picture text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:var(--text)}\
.fragua-picture .title{font-size:16px;font-weight:600}.fragua-picture .quiet{fill:var(--quiet)}\
.fragua-picture .small{font-size:11px}.fragua-picture .on{fill:#ffffff}\
.fragua-picture .end{text-anchor:end}.fragua-picture .middle{text-anchor:middle}\
.fragua-picture .page{fill:var(--page)}.fragua-picture .low{fill:var(--low)}.fragua-picture .bar{fill:var(--bar)}\
.fragua-picture .track{fill:var(--track)}.fragua-picture .frame{fill:none;stroke:var(--line)}</style>";

/// Rows of the importance picture; smaller ones are summed up in a last bar.
const MAX_BARS: usize = 20;

/// Draws a confusion matrix: rows are the truth, columns the predictions, colour the share of the row.
pub fn confusion_matrix(matrix: &ConfusionMatrix) -> String {
    let names: Vec<String> = matrix
        .labels
        .iter()
        .map(|label| shorten(&label.to_string(), 18))
        .collect();
    let count = names.len();
    let cell = (560 / count.max(1)).clamp(26, 64);
    let left = 60 + text_width(&names);
    let (top, size) = (92, cell * count);
    let (width, height) = ((left + size + 40).max(360), top + size + 48);
    let mut svg = open(width, height, "Confusion matrix");
    line(&mut svg, 24, 34, "title", "Confusion matrix");
    line(
        &mut svg,
        24,
        54,
        "quiet",
        "Rows: true class. Columns: predicted class. Colour: share of the row.",
    );
    for (row, counts) in matrix.counts.iter().enumerate() {
        let total: u64 = counts.iter().sum();
        let middle = top + row * cell + cell / 2;
        line(&mut svg, left - 10, middle + 5, "end", &names[row]);
        for (column, &number) in counts.iter().enumerate() {
            let share = if total == 0 {
                0.0
            } else {
                number as f64 / total as f64
            };
            let (x, y) = (left + column * cell, top + row * cell);
            let name = format!(
                "true {}, predicted {}: {number} rows, {:.1} %",
                names[row],
                names[column],
                share * 100.0
            );
            let _ = write!(
                svg,
                "<g><title>{}</title><rect class=\"low\" x=\"{x}\" y=\"{y}\" width=\"{inner}\" height=\"{inner}\" rx=\"4\"/>\
                 <rect class=\"bar\" x=\"{x}\" y=\"{y}\" width=\"{inner}\" height=\"{inner}\" rx=\"4\" opacity=\"{share:.3}\"/>",
                escape(&name),
                inner = cell - 2
            );
            let class = if share > 0.55 {
                "middle small on"
            } else {
                "middle small"
            };
            line(&mut svg, x + cell / 2 - 1, middle + 4, class, &compact(number));
            svg.push_str("</g>");
        }
    }
    for (column, name) in names.iter().enumerate() {
        let x = left + column * cell + cell / 2 - 1;
        let fitting = shorten(name, (cell / 7).max(2));
        line(&mut svg, x, top - 10, "middle", &fitting);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Draws the share of each column in what a model decides, greatest first.
pub fn feature_importance(importance: &[FeatureImportance]) -> String {
    let mut bars: Vec<(String, f64)> = importance
        .iter()
        .map(|item| (shorten(&item.feature, 34), item.importance))
        .collect();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    if bars.len() > MAX_BARS {
        let rest: f64 = bars[MAX_BARS - 1..].iter().map(|(_, share)| share).sum();
        let others = bars.len() - MAX_BARS + 1;
        bars.truncate(MAX_BARS - 1);
        bars.push((format!("{others} others"), rest));
    }
    let names: Vec<String> = bars.iter().map(|(name, _)| name.clone()).collect();
    let (left, top, step, length) = (44 + text_width(&names), 74, 26, 360);
    let mut svg = open(
        left + length + 84,
        top + step * bars.len() + 20,
        "Feature importance",
    );
    line(&mut svg, 24, 34, "title", "Feature importance");
    line(
        &mut svg,
        24,
        54,
        "quiet",
        "Share of each column in what the model decides",
    );
    let greatest = bars
        .iter()
        .map(|(_, share)| *share)
        .fold(f64::MIN_POSITIVE, f64::max);
    for (row, (name, share)) in bars.iter().enumerate() {
        let y = top + row * step;
        line(&mut svg, left - 10, y + 14, "end", name);
        let filled = (share / greatest).clamp(0.0, 1.0) * length as f64;
        let _ = write!(
            svg,
            "<rect class=\"track\" x=\"{left}\" y=\"{y}\" width=\"{length}\" height=\"18\" rx=\"4\"/>\
             <rect class=\"bar\" x=\"{left}\" y=\"{y}\" width=\"{filled:.1}\" height=\"18\" rx=\"4\"/>"
        );
        line(
            &mut svg,
            left + length + 10,
            y + 14,
            "quiet",
            &format!("{:.1} %", share * 100.0),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(width: usize, height: usize, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"fragua-picture\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{title}\">{STYLE}\
         <rect class=\"page\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\
         <rect class=\"frame\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>",
        width - 1,
        height - 1
    )
}

fn line(svg: &mut String, x: usize, y: usize, class: &str, text: &str) {
    let _ = write!(
        svg,
        "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>",
        escape(text)
    );
}

/// A generous guess of how wide the longest name is drawn.
fn text_width(names: &[String]) -> usize {
    names.iter().map(|name| name.chars().count()).max().unwrap_or(0) * 8
}

pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn compact(number: u64) -> String {
    match number {
        0..10_000 => number.to_string(),
        10_000..1_000_000 => format!("{}k", number / 1_000),
        _ => format!("{:.1}M", number as f64 / 1e6),
    }
}

/// Text for use in XML; control characters, which XML cannot hold, become spaces.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push(' '),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Label;

    #[test]
    fn cells_carry_counts_and_names_are_escaped() {
        let labels = vec![Label::Text("a<b".into()), Label::Text("c&\u{1}".into())];
        let svg = confusion_matrix(&ConfusionMatrix {
            labels,
            counts: vec![vec![3, 1], vec![0, 12_345]],
        });
        assert!(
            svg.contains("<title>true a&lt;b, predicted c&amp; : 1 rows, 25.0 %</title>"),
            "{svg}"
        );
        assert!(svg.contains(">12k</text>"));
        assert_eq!(svg.matches("<rect class=\"low\"").count(), 4);
    }

    #[test]
    fn more_columns_than_fit_are_summed_up() {
        let importance: Vec<FeatureImportance> = (0..25)
            .map(|column| FeatureImportance {
                feature: format!("column {column}"),
                importance: 1.0 / 25.0,
            })
            .collect();
        let svg = feature_importance(&importance);
        assert!(svg.contains(">6 others</text>"), "{svg}");
        assert_eq!(svg.matches("class=\"track\"").count(), MAX_BARS);
        assert!(svg.contains(">24.0 %</text>"));
    }
}
