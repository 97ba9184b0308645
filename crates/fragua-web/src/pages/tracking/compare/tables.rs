//! Parameters, figures and tags of the runs, a column for each run.

use std::collections::{BTreeMap, BTreeSet};

use fragua_tracking::Run;

use super::super::experiments::{best, duration};
use super::address;
use crate::format;
use crate::headline;
use crate::page::Page;

pub(super) struct Tables {
    pub(super) sections: Vec<Section>,
    /// Whether rows that are the same in all runs are shown.
    pub(super) shows_all: bool,
    pub(super) other: String,
    /// How many rows are hidden because they are the same.
    pub(super) hidden: u64,
}

pub(super) struct Section {
    pub(super) title: String,
    pub(super) rows: Vec<Row>,
}

pub(super) struct Row {
    pub(super) key: String,
    pub(super) is_number: bool,
    pub(super) cells: Vec<ComparedCell>,
}

pub(super) struct ComparedCell {
    pub(super) text: String,
    pub(super) is_best: bool,
    /// Whether it is not what most of the runs have.
    pub(super) differs: bool,
}

impl Tables {
    pub(super) fn of(page: &Page, runs: &[Run]) -> Self {
        let shows_all = page.parameter("rows") == Some("all");
        let params = rows(
            keys(runs, |run| run.params.iter().map(|param| &param.key)),
            |key| runs.iter().map(|run| run.param(key).map(str::to_owned)).collect(),
        );
        let own = |key: &&String| !key.starts_with("mlflow.");
        let tags = rows(
            keys(runs, |run| run.tags.iter().map(|tag| &tag.key).filter(own)),
            |key| runs.iter().map(|run| run.tag(key).map(str::to_owned)).collect(),
        );
        let facts = vec![
            row(
                page.t("started"),
                runs.iter()
                    .map(|run| run.info.start_time.map(format::instant))
                    .collect(),
            ),
            row(
                page.t("duration"),
                runs.iter()
                    .map(|run| Some(duration(page, run.info.start_time, run.info.end_time)))
                    .collect(),
            ),
            row(
                page.t("user"),
                runs.iter().map(|run| Some(run.info.user_id.clone())).collect(),
            ),
            row(
                page.t("run-source"),
                runs.iter()
                    .map(|run| run.tag("mlflow.source.name").map(str::to_owned))
                    .collect(),
            ),
        ];
        let mut hidden = 0;
        let mut sections = Vec::new();
        for (word, rows) in [
            ("metrics", metrics(runs)),
            ("params", params),
            ("tags", tags),
            ("details", facts.into_iter().map(Row::unmarked).collect()),
        ] {
            let all = rows.len();
            let kept: Vec<Row> = rows
                .into_iter()
                .filter(|row| shows_all || row.is_varied())
                .collect();
            hidden += (all - kept.len()) as u64;
            sections.push(Section {
                title: page.t(word),
                rows: kept,
            });
        }
        sections.retain(|section| !section.rows.is_empty());
        let ids: Vec<String> = runs.iter().map(|run| run.info.run_id.clone()).collect();
        Self {
            sections,
            shows_all,
            other: address(page, &ids, true, &[("rows", if shows_all { "" } else { "all" })]),
            hidden,
        }
    }
}

impl Row {
    /// Marks nothing: that runs started at other times is no difference to look at.
    fn unmarked(mut self) -> Self {
        for cell in &mut self.cells {
            cell.differs = false;
        }
        self
    }

    fn is_varied(&self) -> bool {
        self.cells.windows(2).any(|pair| pair[0].text != pair[1].text)
    }
}

fn keys<'runs, K: Iterator<Item = &'runs String>>(
    runs: &'runs [Run],
    of: impl Fn(&'runs Run) -> K,
) -> Vec<&'runs str> {
    let keys: BTreeSet<&str> = runs.iter().flat_map(of).map(String::as_str).collect();
    keys.into_iter().collect()
}

fn rows(keys: Vec<&str>, values: impl Fn(&str) -> Vec<Option<String>>) -> Vec<Row> {
    keys.into_iter()
        .map(|key| row(key.to_owned(), values(key)))
        .collect()
}

fn row(key: String, values: Vec<Option<String>>) -> Row {
    let mut counts: BTreeMap<&Option<String>, usize> = BTreeMap::new();
    for value in &values {
        *counts.entry(value).or_default() += 1;
    }
    let (common, count) = counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map_or((None, 0), |(value, count)| (value.clone(), count));
    // Where fewer than half of the runs agree, none of the others is the odd one.
    let has_common = count > 1 && 2 * count >= values.len();
    Row {
        key,
        is_number: false,
        cells: values
            .into_iter()
            .map(|value| ComparedCell {
                differs: has_common && value != common,
                text: value
                    .filter(|value| !value.is_empty())
                    .unwrap_or_else(|| "–".to_owned()),
                is_best: false,
            })
            .collect(),
    }
}

fn metrics(runs: &[Run]) -> Vec<Row> {
    let mut keys = keys(runs, |run| run.metrics.iter().map(|metric| &metric.key));
    keys.sort_by_key(|key| headline::rank(key));
    keys.into_iter()
        .map(|key| {
            let best = best(runs, &format!("metrics.{key}"));
            let write = writing(runs.iter().filter_map(|run| run.metric(key)));
            let cell = |run: &Run| {
                let value = run.metric(key);
                ComparedCell {
                    text: value.map_or_else(|| "–".to_owned(), write),
                    is_best: value.is_some() && value == best,
                    differs: false,
                }
            };
            Row {
                key: key.to_owned(),
                is_number: true,
                cells: runs.iter().map(cell).collect(),
            }
        })
        .collect()
}

/// Returns how to write numbers: shortly, unless two that differ would look the same.
fn writing(values: impl Iterator<Item = f64>) -> fn(f64) -> String {
    let mut values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    values.sort_by(f64::total_cmp);
    let look_alike = |pair: &[f64]| pair[0] != pair[1] && format::number(pair[0]) == format::number(pair[1]);
    match values.windows(2).any(look_alike) {
        true => format::exact,
        false => format::number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_that_differ_looked_the_same() {
        let written = |values: [f64; 2]| values.map(writing(values.into_iter()));
        assert_eq!(written([0.5, 0.25]), ["0.5", "0.25"]);
        assert_eq!(written([0.998_111_2, 0.998_111_4]), ["0.9981112", "0.9981114"]);
    }

    #[test]
    fn what_most_runs_have_is_not_marked() {
        let marks = |values: &[&str]| -> Vec<bool> {
            let values = values
                .iter()
                .map(|value| (!value.is_empty()).then(|| (*value).to_owned()))
                .collect();
            row("key".to_owned(), values)
                .cells
                .iter()
                .map(|cell| cell.differs)
                .collect()
        };
        assert_eq!(marks(&["a", "a", "b"]), [false, false, true]);
        assert_eq!(marks(&["a", "b", "c"]), [false, false, false]);
        assert_eq!(marks(&["a", "a", "b", "c", "d"]), [false; 5]);
        assert_eq!(marks(&["a", "", "a"]), [false, true, false]);
        assert_eq!(marks(&["a", "a"]), [false, false]);
    }
}
