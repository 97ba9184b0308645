//! Pictures for the page: SVG whose colours and letters are those of the page's style.

use super::svg::{Axes, Scale, Svg};
use super::words::Words;
use crate::metrics::Interval;
use crate::picture::escape;
use std::fmt::Write;

/// Series that have a colour of their own.
pub(super) const SERIES: usize = 8;
/// How wide a picture is: that of a phone, so that letters keep their size there.
const WIDTH: f64 = 340.0;

/// One bar: its name, its number, how far it varies, and how the number is written.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) spread: f64,
    pub(super) shown: String,
}

/// Bars from 0 to the right, and to the left for numbers below 0; names stand above, where long ones have room.
pub(super) fn bars(name: &str, bars: &[Bar]) -> String {
    const STEP: f64 = 33.0;
    const NAME_CHARACTERS: usize = 52;
    let low = bars.iter().map(|bar| bar.value - bar.spread).fold(0.0, f64::min);
    let high = bars.iter().map(|bar| bar.value + bar.spread).fold(0.0, f64::max);
    // A little below 0 by chance takes no room.
    let scale = Scale::new(if low < -0.1 * high { low } else { 0.0 }, high, 0.0, WIDTH);
    let height = STEP * bars.len() as f64;
    let mut svg = Svg::new(WIDTH, height, "chart", name);
    for (number, bar) in bars.iter().enumerate() {
        let top = STEP * number as f64;
        let (zero, end) = (scale.at(0.0), scale.at(bar.value));
        let room = NAME_CHARACTERS.saturating_sub(bar.shown.chars().count());
        svg.fitting("label", (0.0, top + 12.0), &bar.name, room);
        svg.text("value end", (WIDTH, top + 12.0), &bar.shown);
        svg.rectangle("groove", (0.0, top + 18.0), (WIDTH, 7.0), "");
        let class = if bar.value < 0.0 { "bar negative" } else { "bar" };
        let title = format!("{}: {}", bar.name, bar.shown);
        svg.rectangle(
            class,
            (zero.min(end), top + 18.0),
            ((end - zero).abs().max(1.0), 7.0),
            &title,
        );
        if bar.spread > 0.0 {
            let (from, to) = (scale.at(bar.value - bar.spread), scale.at(bar.value + bar.spread));
            svg.line("whisker", (from, top + 21.5), (to, top + 21.5));
        }
        if scale.low < 0.0 {
            svg.line("axis", (zero, top + 15.0), (zero, top + 28.0));
        }
    }
    svg.end()
}

/// One line of a picture: the place of its colour and its points.
pub(super) struct Line {
    pub(super) series: usize,
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over a column of numbers, with a mark at each quantile that was looked at.
pub(super) fn dependence(name: &str, lines: &[Line], range: (f64, f64), words: Words) -> String {
    let xs: Vec<f64> = lines
        .first()
        .map(|line| line.points.iter().map(|point| point.0).collect())
        .unwrap_or_default();
    let (low, high) = (
        xs.first().copied().unwrap_or(0.0),
        xs.last().copied().unwrap_or(1.0),
    );
    let axes = Axes {
        x: Scale::new(low, high, 44.0, WIDTH - 12.0),
        y: Scale::new(range.0, range.1, 172.0, 12.0),
    };
    let mut svg = Svg::new(WIDTH, 196.0, "chart", name);
    axes.draw(&mut svg, words, ("", ""));
    for x in &xs {
        let x = axes.x.at(*x);
        svg.line("mark", (x, 167.0), (x, 172.0));
    }
    for line in lines {
        let points = line.points.iter().map(|&(x, y)| (axes.x.at(x), axes.y.at(y)));
        svg.path(&format!("line s{}", line.series % SERIES), points.clone(), false);
        if line.points.len() < 8 {
            for (place, (_, y)) in points.zip(&line.points) {
                let title = format!("{} {}", line.name, words.figure(*y));
                svg.circle(&format!("dot s{}", line.series % SERIES), place, 3.5, &title);
            }
        }
    }
    svg.end()
}

/// Dots for each text of a column.
pub(super) fn dots(name: &str, texts: &[String], lines: &[Line], range: (f64, f64), words: Words) -> String {
    const STEP: f64 = 22.0;
    let bottom = 6.0 + STEP * texts.len() as f64;
    let axes = Axes {
        x: Scale::new(range.0, range.1, 124.0, WIDTH - 14.0),
        y: Scale::new(0.0, 1.0, bottom, 6.0),
    };
    let mut svg = Svg::new(WIDTH, bottom + 24.0, "chart", name);
    let (ticks, digits) = axes.x.ticks(4);
    for tick in ticks {
        let x = axes.x.at(tick);
        svg.line("grid", (x, 6.0), (x, bottom));
        svg.text("tick middle", (x, bottom + 16.0), &words.decimals(tick, digits));
    }
    for (number, text) in texts.iter().enumerate() {
        let y = 6.0 + STEP * (number as f64 + 0.5);
        svg.fitting("label end", (116.0, y + 4.0), text, 17);
        svg.line("grid", (124.0, y), (WIDTH - 14.0, y));
        for line in lines {
            let Some(&(_, mean)) = line.points.get(number) else {
                continue;
            };
            let title = format!("{text}: {} {}", line.name, words.figure(mean));
            svg.circle(
                &format!("dot s{}", line.series % SERIES),
                (axes.x.at(mean), y),
                4.5,
                &title,
            );
        }
    }
    svg.end()
}

/// A point of a reliability curve: probability, share that came true, rows.
pub(super) fn reliability(
    name: &str,
    points: &[(f64, f64, usize)],
    series: usize,
    axis: (&str, &str),
    words: Words,
) -> String {
    let axes = Axes {
        x: Scale::new(0.0, 1.0, 44.0, WIDTH - 14.0),
        y: Scale::new(0.0, 1.0, 262.0, 26.0),
    };
    let mut svg = Svg::new(WIDTH, 302.0, "chart", name);
    axes.draw(&mut svg, words, axis);
    svg.line(
        "ideal",
        (axes.x.at(0.0), axes.y.at(0.0)),
        (axes.x.at(1.0), axes.y.at(1.0)),
    );
    let place = |&(probability, share, _): &(f64, f64, usize)| (axes.x.at(probability), axes.y.at(share));
    svg.path(&format!("line s{series}"), points.iter().map(place), false);
    let most = points.iter().map(|point| point.2).max().unwrap_or(1).max(1) as f64;
    for point in points {
        let radius = 2.5 + 7.0 * (point.2 as f64 / most).sqrt();
        let title = format!(
            "{} → {} ({})",
            words.percent(point.0),
            words.percent(point.1),
            words.rows(point.2)
        );
        svg.circle(&format!("dot s{series}"), place(point), radius, &title);
    }
    svg.end()
}

/// True numbers against predicted ones.
pub(super) fn scatter(name: &str, points: &[(f64, f64)], axis: (&str, &str), words: Words) -> String {
    let all = || points.iter().flat_map(|point| [point.0, point.1]);
    let (low, high) = (all().fold(f64::MAX, f64::min), all().fold(f64::MIN, f64::max));
    let axes = Axes {
        x: Scale::new(low, high, 58.0, WIDTH - 14.0),
        y: Scale::new(low, high, 262.0, 26.0),
    };
    let mut svg = Svg::new(WIDTH, 302.0, "chart", name);
    axes.draw(&mut svg, words, axis);
    svg.line(
        "ideal",
        (axes.x.at(low), axes.y.at(low)),
        (axes.x.at(high), axes.y.at(high)),
    );
    for &(truth, predicted) in points {
        svg.circle("point", (axes.x.at(truth), axes.y.at(predicted)), 2.6, "");
    }
    svg.end()
}

/// Rows by range: where it begins and ends, and how many.
pub(super) fn histogram(
    name: &str,
    ranges: &[(f64, f64, usize)],
    axis: (&str, &str),
    words: Words,
) -> String {
    let (low, high) = (
        ranges.first().map_or(0.0, |range| range.0),
        ranges.last().map_or(1.0, |range| range.1),
    );
    let most = ranges.iter().map(|range| range.2).max().unwrap_or(1).max(1);
    let axes = Axes {
        x: Scale::new(low, high, 58.0, WIDTH - 14.0),
        y: Scale::new(0.0, most as f64 * 1.05, 262.0, 26.0),
    };
    let mut svg = Svg::new(WIDTH, 302.0, "chart", name);
    axes.draw(&mut svg, words, axis);
    for &(low, high, rows) in ranges {
        let (from, to, top) = (axes.x.at(low), axes.x.at(high), axes.y.at(rows as f64));
        let title = format!(
            "{} – {}: {}",
            words.number(low),
            words.number(high),
            words.rows(rows)
        );
        svg.rectangle(
            "bar",
            (from + 0.5, top),
            (to - from - 1.0, axes.y.from - top),
            &title,
        );
    }
    svg.line(
        "ideal",
        (axes.x.at(0.0), axes.y.from),
        (axes.x.at(0.0), axes.y.to),
    );
    svg.end()
}

/// Scores by rows: rows, mean, deviation, and the mean on rows that were learned from.
pub(super) fn learning_curve(
    name: &str,
    points: &[(f64, f64, f64, f64)],
    axis: (&str, &str),
    words: Words,
) -> String {
    let numbers = || {
        points
            .iter()
            .flat_map(|point| [point.1 - point.2, point.1 + point.2, point.3])
    };
    let (low, high) = (
        numbers().fold(f64::MAX, f64::min),
        numbers().fold(f64::MIN, f64::max),
    );
    let room = 0.06 * (high - low).max(1e-9);
    let last = points.last().map_or(1.0, |point| point.0);
    let axes = Axes {
        x: Scale::new(0.0, last * 1.02, 52.0, WIDTH - 14.0),
        y: Scale::new(low - room, high + room, 212.0, 26.0),
    };
    let mut svg = Svg::new(WIDTH, 252.0, "chart", name);
    axes.draw(&mut svg, words, axis);
    let upper = points
        .iter()
        .map(|point| (axes.x.at(point.0), axes.y.at(point.1 + point.2)));
    let lower = points
        .iter()
        .rev()
        .map(|point| (axes.x.at(point.0), axes.y.at(point.1 - point.2)));
    svg.path("band", upper.chain(lower), true);
    svg.path(
        "line dashed",
        points
            .iter()
            .map(|point| (axes.x.at(point.0), axes.y.at(point.3))),
        false,
    );
    svg.path(
        "line s0",
        points
            .iter()
            .map(|point| (axes.x.at(point.0), axes.y.at(point.1))),
        false,
    );
    for point in points {
        let title = format!("{}: {}", words.rows(point.0 as usize), words.figure(point.1));
        svg.circle("dot s0", (axes.x.at(point.0), axes.y.at(point.1)), 4.0, &title);
    }
    svg.end()
}

/// A figure on a strip: the number, its interval, and a mark to compare with.
pub(super) fn strip(range: (f64, f64), value: f64, interval: Option<Interval>, mark: Option<f64>) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let scale = Scale::new(range.0, range.1, 5.0, 155.0);
    let mut svg = Svg::new(160.0, 18.0, "strip", "");
    svg.line("track", (5.0, 9.0), (155.0, 9.0));
    if let Some(interval) = interval {
        svg.line(
            "span",
            (scale.at(interval.low), 9.0),
            (scale.at(interval.high), 9.0),
        );
    }
    if let Some(mark) = mark {
        svg.line("compare", (scale.at(mark), 2.0), (scale.at(mark), 16.0));
    }
    svg.circle("now", (scale.at(value), 9.0), 3.0, "");
    svg.end()
        .replacen("role=\"img\" aria-label=\"\"", "aria-hidden=\"true\"", 1)
}

/// Rows by true and predicted class; colour is the share of the true class.
pub(super) fn confusion(
    name: &str,
    labels: &[String],
    counts: &[Vec<u64>],
    axis: (&str, &str),
    words: Words,
) -> String {
    let size = (400.0 / labels.len().max(1) as f64).clamp(26.0, 58.0);
    let longest = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or(0)
        .min(14) as f64;
    let left = (16.0 + 7.0 * longest).max(24.0 + 6.4 * axis.0.chars().count() as f64);
    let top = 44.0;
    let side = size * labels.len() as f64;
    let mut svg = Svg::new(left + side + 8.0, top + side + 6.0, "chart matrix", name);
    svg.text("name", (left, 14.0), &format!("{} →", axis.1));
    svg.text("name", (0.0, 32.0), &format!("{} ↓", axis.0));
    for (class, label) in labels.iter().enumerate() {
        let middle = size * (class as f64 + 0.5);
        svg.fitting(
            "label middle",
            (left + middle, 36.0),
            label,
            (size / 7.0) as usize,
        );
        svg.fitting("label end", (left - 8.0, top + middle + 4.0), label, 14);
    }
    for (truth, counts) in counts.iter().enumerate() {
        let total = counts.iter().sum::<u64>().max(1) as f64;
        for (predicted, &count) in counts.iter().enumerate() {
            let share = count as f64 / total;
            let (x, y) = (left + size * predicted as f64, top + size * truth as f64);
            let title = format!(
                "{} → {}: {} ({})",
                labels[truth],
                labels[predicted],
                words.rows(count as usize),
                words.percent(share)
            );
            svg.rectangle("cell", (x + 1.0, y + 1.0), (size - 2.0, size - 2.0), "");
            let class = if truth == predicted { "hit" } else { "miss" };
            let _ = write!(
                svg.0,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"2\" \
                 style=\"opacity:{:.3}\"><title>{}</title></rect>",
                x + 1.0,
                y + 1.0,
                size - 2.0,
                size - 2.0,
                share.sqrt(),
                escape(&title)
            );
            let class = match (count, share > 0.4) {
                (0, _) => "tick middle",
                (_, true) => "count middle on",
                (_, false) => "count middle",
            };
            let text = if count == 0 {
                "·".to_owned()
            } else {
                compact(count, words)
            };
            svg.text(class, (x + size / 2.0, y + size / 2.0 + 4.0), &text);
        }
    }
    svg.end()
}

fn compact(count: u64, words: Words) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..10_000 => words.decimals(count as f64 / 1e3, 1) + "k",
        10_000..1_000_000 => words.decimals(count as f64 / 1e3, 0) + "k",
        _ => words.decimals(count as f64 / 1e6, 1) + "M",
    }
}
