//! The runs on axes of what people choose: parallel coordinates, and a scatter of two of them.

use std::fmt::Write as _;

use fragua_tracking::Run;

use super::options;
use crate::format;
use crate::page::Page;
use crate::pages::tracking::experiments::run_name;
use crate::pages::tracking::logged_keys::{self, Params};
use crate::plot::{Axis, quartiles};
use crate::view::SelectOption;

const PARAMS_AT_FIRST: usize = 5;
const METRICS_AT_FIRST: usize = 2;
const MOST_AXES: usize = 16;

/// The picture of parallel coordinates, in pixels: words in it keep their size.
const WIDTH: f64 = 1340.0;
const HEIGHT: f64 = 440.0;
const SIDE: f64 = 90.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 20.0;
/// Axes closer than this cover each other's words; the picture then grows and scrolls.
const NARROWEST: f64 = 130.0;

/// A key with what each run has of it.
struct Values {
    key: String,
    texts: Vec<Option<String>>,
    axis: Axis,
}

fn values(runs: &[Run], key: &str) -> Values {
    if let Some(name) = key.strip_prefix("metrics.") {
        let numbers: Vec<Option<f64>> = runs.iter().map(|run| run.metric(name)).collect();
        return Values {
            key: key.to_owned(),
            texts: numbers.iter().map(|number| number.map(format::number)).collect(),
            axis: Axis::of_numbers(&numbers),
        };
    }
    let name = key.strip_prefix("params.").unwrap_or(key);
    let texts: Vec<Option<String>> = runs
        .iter()
        .map(|run| run.param(name).map(str::to_owned))
        .collect();
    Values {
        key: key.to_owned(),
        axis: Axis::of(&texts),
        texts,
    }
}

/// What can be an axis, each as the name of a column.
struct Keys {
    /// The parameters in which the runs differ.
    varied: Vec<String>,
    metrics: Vec<String>,
    all: Vec<String>,
}

impl Keys {
    fn of(runs: &[Run]) -> Self {
        let prefixed = |kind: &str, keys: Vec<String>| -> Vec<String> {
            keys.iter().map(|key| format!("{kind}.{key}")).collect()
        };
        let Params { varied, constant } = logged_keys::params(runs);
        let varied = prefixed("params", varied);
        let metrics = prefixed("metrics", logged_keys::metrics(runs));
        Self {
            all: [varied.clone(), prefixed("params", constant), metrics.clone()].concat(),
            varied,
            metrics,
        }
    }
}

pub(super) struct Parallel {
    pub(super) axes: Vec<DrawnAxis>,
    pub(super) lines: Vec<DrawnLine>,
    pub(super) width: f64,
    /// So many axes that the picture keeps its size and scrolls; else it fits its place.
    pub(super) is_wide: bool,
    pub(super) height: f64,
    pub(super) choices: Vec<SelectOption>,
    pub(super) colours: Vec<SelectOption>,
    pub(super) colour: Option<Legend>,
}

pub(super) struct DrawnAxis {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) is_log: bool,
    pub(super) is_words: bool,
    pub(super) x: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
    pub(super) ends: (f64, f64),
    pub(super) ticks: Vec<DrawnTick>,
}

pub(super) struct DrawnTick {
    pub(super) at: f64,
    pub(super) label: String,
}

pub(super) struct DrawnLine {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) shade: String,
    /// The place on each axis, for the script that filters: empty where there is none.
    pub(super) places: String,
    pub(super) texts: Vec<String>,
}

/// What the shades mean.
pub(super) struct Legend {
    pub(super) label: String,
    pub(super) low: String,
    pub(super) high: String,
}

impl Legend {
    fn of(values: &Values) -> Option<Self> {
        let (first, last) = (values.axis.ticks.first()?, values.axis.ticks.last()?);
        Some(Self {
            label: label(&values.key),
            low: first.label.clone(),
            high: last.label.clone(),
        })
    }
}

fn label(key: &str) -> String {
    key.split_once('.').map_or(key, |(_, name)| name).to_owned()
}

impl Parallel {
    pub(super) fn of(page: &Page, runs: &[Run]) -> Self {
        let Keys { varied, metrics, all } = Keys::of(runs);
        let mut chosen: Vec<String> = page
            .parameters("axis")
            .filter(|key| all.iter().any(|known| known == key))
            .map(str::to_owned)
            .collect();
        if chosen.is_empty() {
            chosen = varied.into_iter().take(PARAMS_AT_FIRST).collect();
            chosen.extend(metrics.iter().take(METRICS_AT_FIRST).cloned());
        }
        chosen.truncate(MOST_AXES);
        let colour = colour(page, &all, metrics.first());
        let shades = colour.as_ref().map(|key| values(runs, key));
        let columns: Vec<Values> = chosen.iter().map(|key| values(runs, key)).collect();
        let gaps = columns.len().saturating_sub(1).max(1) as f64;
        let gap = ((WIDTH - 2.0 * SIDE) / gaps).max(NARROWEST);
        let y = |place: f64| tenth(TOP + (1.0 - place) * (HEIGHT - TOP - BOTTOM));
        let axes = columns
            .iter()
            .enumerate()
            .map(|(index, column)| DrawnAxis {
                label: format::shorten(&label(&column.key), (gap / 8.0) as usize),
                key: column.key.clone(),
                is_log: column.axis.is_log,
                is_words: column.axis.is_words,
                x: tenth(SIDE + index as f64 * gap),
                top: TOP,
                bottom: HEIGHT - BOTTOM,
                ends: column.axis.ends,
                ticks: ticks(&column.axis, y),
            })
            .collect();
        let lines = runs
            .iter()
            .enumerate()
            .map(|(run, of)| {
                let mut path = String::new();
                let mut is_open = false;
                for (index, column) in columns.iter().enumerate() {
                    // A run without a value has a gap there, not a line through nowhere.
                    let Some(place) = column.axis.places[run] else {
                        is_open = false;
                        continue;
                    };
                    let command = if is_open { 'L' } else { 'M' };
                    let _ = write!(path, "{command}{} {}", tenth(SIDE + index as f64 * gap), y(place));
                    is_open = true;
                }
                DrawnLine {
                    id: of.info.run_id.clone(),
                    name: run_name(of),
                    path,
                    shade: shades
                        .as_ref()
                        .map_or_else(|| "shade-none".to_owned(), |shades| shades.axis.shade(run)),
                    places: places(&columns, run),
                    texts: texts(&columns, run),
                }
            })
            .collect();
        Self {
            axes,
            lines,
            width: 2.0 * SIDE + gap * gaps,
            is_wide: gap == NARROWEST,
            height: HEIGHT,
            choices: all
                .iter()
                .map(|key| SelectOption::new(key, key, chosen.contains(key)))
                .collect(),
            colours: colours(page, &all, colour.as_deref()),
            colour: shades.as_ref().and_then(Legend::of),
        }
    }
}

fn places(columns: &[Values], run: usize) -> String {
    let places: Vec<String> = columns
        .iter()
        .map(|column| column.axis.places[run].map_or_else(String::new, |place| format!("{place:.4}")))
        .collect();
    places.join(",")
}

fn texts(columns: &[Values], run: usize) -> Vec<String> {
    columns
        .iter()
        .map(|column| {
            column.texts[run]
                .as_deref()
                .map_or_else(|| "–".to_owned(), |text| format::shorten(text, 40))
        })
        .collect()
}

fn ticks(axis: &Axis, at: impl Fn(f64) -> f64) -> Vec<DrawnTick> {
    axis.ticks
        .iter()
        .map(|tick| DrawnTick {
            at: at(tick.place),
            label: tick.label.clone(),
        })
        .collect()
}

/// Returns what the address chooses for the colour; without a choice, what matters most.
fn colour(page: &Page, all: &[String], first: Option<&String>) -> Option<String> {
    match page.parameter("colour") {
        Some("none") => None,
        Some(key) if all.iter().any(|known| known == key) => Some(key.to_owned()),
        _ => first.cloned(),
    }
}

fn colours(page: &Page, all: &[String], chosen: Option<&str>) -> Vec<SelectOption> {
    let none = SelectOption::new(page.t("colour-none"), "none", chosen.is_none());
    std::iter::once(none)
        .chain(options(all, chosen.unwrap_or_default()))
        .collect()
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The picture of a scatter, in pixels.
const PLOT: (f64, f64) = (1000.0, 460.0);
const LEFT: f64 = 130.0;
const RIGHT: f64 = 30.0;
const ABOVE: f64 = 16.0;
const BELOW: f64 = 56.0;

pub(super) struct Scatter {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) x_ticks: Vec<DrawnTick>,
    pub(super) y_ticks: Vec<DrawnTick>,
    pub(super) x_label: String,
    pub(super) y_label: String,
    pub(super) dots: Vec<Dot>,
    pub(super) boxes: Vec<DrawnBox>,
    pub(super) colour: Option<Legend>,
    pub(super) xs: Vec<SelectOption>,
    pub(super) ys: Vec<SelectOption>,
    pub(super) colours: Vec<SelectOption>,
    /// How many runs lack one of the two.
    pub(super) lacking: u64,
}

pub(super) struct Dot {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) x_text: String,
    pub(super) y_text: String,
    pub(super) shade: String,
}

/// How the values above one word are spread.
pub(super) struct DrawnBox {
    pub(super) x: f64,
    pub(super) least: f64,
    pub(super) lower: f64,
    pub(super) middle: f64,
    pub(super) upper: f64,
    pub(super) greatest: f64,
}

impl Scatter {
    pub(super) fn of(page: &Page, runs: &[Run]) -> Self {
        let Keys { varied, metrics, all } = Keys::of(runs);
        let chosen = |name: &str, or: Option<&String>| -> String {
            let chosen = page
                .parameter(name)
                .filter(|key| all.iter().any(|known| known == key));
            chosen
                .map(str::to_owned)
                .or_else(|| or.cloned())
                .unwrap_or_default()
        };
        let x = chosen("x", varied.first().or(metrics.get(1)).or(all.first()));
        let y = chosen("y", metrics.first().or(all.last()));
        let colour = colour(page, &all, metrics.get(1).or(metrics.first()));
        let (across, up) = (values(runs, &x), values(runs, &y));
        let shades = colour.as_ref().map(|key| values(runs, key));
        // Words at the very edge would put their dots onto the frame.
        let inset = if across.axis.is_words { 0.08 } else { 0.0 };
        let to_x = |place: f64| tenth(LEFT + (inset + place * (1.0 - 2.0 * inset)) * (PLOT.0 - LEFT - RIGHT));
        let to_y = |place: f64| tenth(ABOVE + (1.0 - place) * (PLOT.1 - ABOVE - BELOW));
        let dots: Vec<Dot> = runs
            .iter()
            .enumerate()
            .filter_map(|(run, of)| {
                let (x, y) = (across.axis.places[run]?, up.axis.places[run]?);
                Some(Dot {
                    id: of.info.run_id.clone(),
                    name: run_name(of),
                    x: to_x(x),
                    y: to_y(y),
                    x_text: across.texts[run].clone().unwrap_or_default(),
                    y_text: up.texts[run].clone().unwrap_or_default(),
                    shade: shades
                        .as_ref()
                        .map_or_else(|| "shade-none".to_owned(), |shades| shades.axis.shade(run)),
                })
            })
            .collect();
        Self {
            width: PLOT.0,
            height: PLOT.1,
            x_ticks: ticks(&across.axis, to_x),
            y_ticks: ticks(&up.axis, to_y),
            x_label: x.clone(),
            y_label: y.clone(),
            boxes: if across.axis.is_words && !up.axis.is_words {
                boxes(&across.axis, &dots, to_x)
            } else {
                Vec::new()
            },
            lacking: (runs.len() - dots.len()) as u64,
            dots,
            colour: shades.as_ref().and_then(Legend::of),
            xs: options(&all, &x),
            ys: options(&all, &y),
            colours: colours(page, &all, colour.as_deref()),
        }
    }
}

fn boxes(axis: &Axis, dots: &[Dot], to_x: impl Fn(f64) -> f64) -> Vec<DrawnBox> {
    axis.ticks
        .iter()
        .filter_map(|tick| {
            let x = to_x(tick.place);
            let mut values: Vec<f64> = dots.iter().filter(|dot| dot.x == x).map(|dot| dot.y).collect();
            if values.len() < 3 {
                return None;
            }
            // Pixels grow downwards.
            let [greatest, upper, middle, lower, least] = quartiles(&mut values)?.map(tenth);
            Some(DrawnBox {
                x,
                least,
                lower,
                middle,
                upper,
                greatest,
            })
        })
        .collect()
}
