//! The columns of a table of runs: which there are, how they are named, what stands in them.

use std::collections::BTreeSet;

use fragua_tracking::{KnownKeys, Run};

use super::state::{Sort, TableState, order_term};
use crate::format;
use crate::page::Page;
use crate::pages::tracking::experiments::duration;
use crate::pages::tracking::logged_keys::{self, Params};

/// How many metrics and how many parameters are columns until people choose.
const METRICS_AT_FIRST: usize = 6;
const PARAMS_AT_FIRST: usize = 4;

/// Attributes that can be columns, with the keys of their words.
const ATTRIBUTES: [(&str, &str); 7] = [
    ("attributes.start_time", "started"),
    ("attributes.duration", "duration"),
    ("attributes.end_time", "ended"),
    ("attributes.user_id", "user"),
    ("attributes.run_id", "run-id"),
    ("tags.mlflow.source.name", "run-source"),
    ("attributes.datasets", "datasets"),
];

pub(super) struct Column {
    /// How the filter language names it.
    pub(super) key: String,
    pub(super) label: String,
    pub(super) is_number: bool,
    /// `ascending` or `descending` when the table is sorted by it.
    pub(super) order: Option<&'static str>,
    /// Where a click on its head leads; empty where it cannot be sorted by.
    pub(super) address: String,
}

/// What stands in a column of a run.
#[derive(Default)]
pub(super) struct TableCell {
    pub(super) text: String,
    /// What is shown on hover: the whole text, the instant; may be empty.
    pub(super) title: String,
    pub(super) is_number: bool,
    pub(super) is_best: bool,
}

impl TableCell {
    fn text(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }

    fn number(text: String) -> Self {
        Self {
            is_number: true,
            ..Self::text(text)
        }
    }
}

/// Neighbouring columns of one kind, below one head.
pub(super) struct ColumnGroup {
    pub(super) label: String,
    pub(super) width: usize,
}

/// The choices of one kind in the list of columns.
pub(super) struct ChoiceGroup {
    /// `attributes`, `metrics`, `params` or `tags`.
    pub(super) kind: &'static str,
    pub(super) label: String,
    pub(super) choices: Vec<ColumnChoice>,
}

pub(super) struct ColumnChoice {
    pub(super) key: String,
    pub(super) label: String,
    pub(super) is_shown: bool,
}

/// Returns what some runs logged, what says most about them first.
pub(super) fn keys_of(runs: &[Run]) -> KnownKeys {
    let tags: BTreeSet<&String> = runs
        .iter()
        .flat_map(|run| &run.tags)
        .map(|tag| &tag.key)
        .collect();
    let Params { varied, constant } = logged_keys::params(runs);
    KnownKeys {
        metrics: logged_keys::metrics(runs),
        params: [varied, constant].concat(),
        tags: tags
            .into_iter()
            .filter(|key| !key.starts_with("mlflow."))
            .cloned()
            .collect(),
    }
}

/// Returns the columns until people choose.
pub(super) fn columns_at_first(keys: &KnownKeys) -> Vec<String> {
    let metrics = keys.metrics.iter().take(METRICS_AT_FIRST);
    let params = keys.params.iter().take(PARAMS_AT_FIRST);
    ["attributes.start_time", "attributes.duration"]
        .into_iter()
        .map(str::to_owned)
        .chain(metrics.map(|key| format!("metrics.{key}")))
        .chain(params.map(|key| format!("params.{key}")))
        .collect()
}

/// Returns what can be chosen as a column, what is shown among it even where these runs lack it.
pub(super) fn choices(page: &Page, keys: &KnownKeys, shown: &[String]) -> Vec<ChoiceGroup> {
    let attributes = ATTRIBUTES.map(|(key, _)| key.to_owned()).to_vec();
    let prefixed = |kind: &str, keys: &[String]| keys.iter().map(|key| format!("{kind}.{key}")).collect();
    [
        ("attributes", "attributes", attributes),
        ("metrics", "metrics", prefixed("metrics", &keys.metrics)),
        ("params", "params", prefixed("params", &keys.params)),
        ("tags", "tags", prefixed("tags", &keys.tags)),
    ]
    .into_iter()
    .map(|(kind, word, mut keys): (_, _, Vec<String>)| {
        let lacking = shown
            .iter()
            .filter(|key| group(key) == kind && !keys.contains(key))
            .cloned();
        let lacking: Vec<String> = lacking.collect();
        keys.extend(lacking);
        ChoiceGroup {
            kind,
            label: page.t(word),
            choices: keys
                .into_iter()
                .map(|key| ColumnChoice {
                    label: label(page, &key),
                    is_shown: shown.contains(&key),
                    key,
                })
                .collect(),
        }
    })
    .collect()
}

/// Returns the kind of a column; tags with a word of their own are among the attributes.
fn group(key: &str) -> &str {
    if ATTRIBUTES.iter().any(|(known, _)| *known == key) {
        return "attributes";
    }
    key.split_once('.').map_or("", |(group, _)| group)
}

fn label(page: &Page, key: &str) -> String {
    if let Some((_, word)) = ATTRIBUTES.iter().find(|(known, _)| *known == key) {
        return page.t(word);
    }
    key.split_once('.').map_or(key, |(_, name)| name).to_owned()
}

/// Returns the columns with their heads. Columns of one kind stand together.
pub(super) fn columns(page: &Page, path: &str, state: &TableState, shown: &[String]) -> Vec<Column> {
    ["attributes", "metrics", "params", "tags"]
        .into_iter()
        .flat_map(|kind| shown.iter().filter(move |key| group(key) == kind))
        .map(|key| column(page, path, state, key))
        .collect()
}

pub(super) fn groups(page: &Page, columns: &[Column]) -> Vec<ColumnGroup> {
    [
        ("attributes", "attributes"),
        ("metrics", "metrics"),
        ("params", "params"),
        ("tags", "tags"),
    ]
    .into_iter()
    .map(|(kind, word)| ColumnGroup {
        label: page.t(word),
        width: columns.iter().filter(|column| group(&column.key) == kind).count(),
    })
    .filter(|group| group.width > 0)
    .collect()
}

fn column(page: &Page, path: &str, state: &TableState, key: &str) -> Column {
    let sort = &state.sort;
    let is_sorted = sort.key == key;
    // The first click shows the best or the newest.
    let next = Sort {
        key: key.to_owned(),
        is_descending: !(is_sorted && sort.is_descending),
    };
    let sorted = TableState {
        sort: next,
        chunk: 0,
        ..state.clone()
    };
    Column {
        key: key.to_owned(),
        label: label(page, key),
        is_number: is_number(key),
        order: is_sorted.then_some(if sort.is_descending {
            "descending"
        } else {
            "ascending"
        }),
        address: order_term(key).map_or_else(String::new, |_| sorted.address(path)),
    }
}

fn is_number(key: &str) -> bool {
    key.starts_with("metrics.") || key == "attributes.duration"
}

/// Returns the head of the column of names, which is always there.
pub(super) fn name_column(page: &Page, path: &str, state: &TableState) -> Column {
    let mut column = column(page, path, state, "attributes.run_name");
    column.label = page.t("run");
    column
}

pub(super) fn cell(page: &Page, run: &Run, column: &str, best: Option<f64>) -> TableCell {
    if let Some(name) = column.strip_prefix("metrics.") {
        return run.metric(name).map_or_else(
            || TableCell::number("–".to_owned()),
            |value| TableCell {
                is_best: best == Some(value),
                ..TableCell::number(format::number(value))
            },
        );
    }
    let time = |at: Option<fragua_base::Timestamp>| TableCell {
        title: at
            .map(|at| format!("{} UTC", format::instant(at)))
            .unwrap_or_default(),
        text: at.map_or_else(|| "–".to_owned(), |at| page.ago(&at)),
        ..TableCell::default()
    };
    match column {
        "attributes.start_time" => time(run.info.start_time),
        "attributes.end_time" => time(run.info.end_time),
        "attributes.duration" => TableCell::number(duration(page, run.info.start_time, run.info.end_time)),
        _ => {
            let text = raw(run, column);
            if text.is_empty() {
                return TableCell::text("–".to_owned());
            }
            let shown = format::shorten(&text, 60);
            TableCell {
                title: if shown == text {
                    String::new()
                } else {
                    format::shorten(&text, 1_000)
                },
                ..TableCell::text(shown)
            }
        }
    }
}

/// Returns what stands in a column, whole and as a program reads it; empty where nothing does.
pub(super) fn raw(run: &Run, column: &str) -> String {
    let millis = |at: Option<fragua_base::Timestamp>| at.map_or_else(String::new, |at| at.to_rfc3339());
    match column.split_once('.') {
        Some(("metrics", name)) => run.metric(name).map_or_else(String::new, format::exact),
        Some(("params", name)) => run.param(name).unwrap_or_default().to_owned(),
        Some(("tags", name)) => run.tag(name).unwrap_or_default().to_owned(),
        Some(("attributes", "run_id")) => run.info.run_id.clone(),
        Some(("attributes", "run_name")) => run.info.run_name.clone(),
        Some(("attributes", "status")) => run.info.status.to_string(),
        Some(("attributes", "user_id")) => run.info.user_id.clone(),
        Some(("attributes", "start_time")) => millis(run.info.start_time),
        Some(("attributes", "end_time")) => millis(run.info.end_time),
        Some(("attributes", "datasets")) => {
            let names = run.dataset_inputs.iter().map(|input| {
                let dataset = &input.dataset;
                format!("{} ({})", dataset.name, dataset.digest)
            });
            names.collect::<Vec<_>>().join(", ")
        }
        Some(("attributes", "duration")) => match (run.info.start_time, run.info.end_time) {
            (Some(start), Some(end)) => (end.as_millis() - start.as_millis()).to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}
