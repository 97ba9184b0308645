use super::{Bench, Part};
use crate::Error;
use crate::config::{Scoring, Task};
use crate::metrics::{self, Interval, NumberOutcome, Outcome};
use crate::model::Answers;
use crate::progress::check_cancelled;
use crate::random::Random;
use crate::table::Column;
use crate::target::Truth;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

/// Texts that get a slice of their own, rarer ones are put together; numbers do, unless there are more.
const MAX_TEXTS: usize = 12;

/// The rows parted by the values of one column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SlicedColumn {
    /// Name of the column.
    pub column: String,
    /// The figure of the slices; greater is better.
    pub scoring: Scoring,
    /// The same figure over all rows; `None` when it is undefined.
    pub overall: Option<f64>,
    /// The slices: texts by falling size, ranges by rising numbers, missing values last.
    pub slices: Vec<Slice>,
}

/// Some of the rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// Which rows.
    pub of: SliceRows,
    /// How many.
    pub rows: usize,
    /// Their figure; `None` when it is undefined for them.
    pub score: Option<f64>,
    /// Where it lies, were other rows held out; `None` without intervals.
    pub interval: Option<Interval>,
    /// Whether there are fewer rows than `min_rows`: the figure says little.
    pub is_small: bool,
    /// Whether the whole interval is below the figure over all rows.
    pub is_worse: bool,
}

/// What the rows of a slice have in common.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SliceRows {
    /// They have this text.
    Text(String),
    /// They have one of so many rare texts.
    OtherTexts(usize),
    /// They have a number from the first to the second one, both included.
    Range(f64, f64),
    /// They have no value.
    Missing,
}

pub(super) fn of(
    bench: &Bench<'_>,
    answers: &Answers,
    by_importance: &[String],
) -> Result<Vec<SlicedColumn>, Error> {
    let config = &bench.config.judge.slices;
    if config.most == 0 {
        return Ok(Vec::new());
    }
    let by_default = || match bench.pipeline.task() {
        // Figures whose mean over the slices is that of all rows: others may be worse in every slice.
        Task::Classification => Scoring::Accuracy,
        Task::Regression => Scoring::NegMeanAbsoluteError,
    };
    let scoring = config.scoring.unwrap_or_else(by_default);
    let scoring = bench.fitting(scoring, "judge.slices.scoring")?;
    let table = bench.held_out;
    let names: Vec<&String> = match &config.columns {
        None => by_importance.iter().collect(),
        Some(selectors) => {
            for selector in selectors {
                if let crate::config::ColumnSelector::Name(name) = selector {
                    table.column(name)?;
                }
            }
            let named = table.names().iter().zip(table.columns());
            named
                .filter(|(name, column)| {
                    selectors
                        .iter()
                        .any(|selector| selector.fits(name, column.kind()))
                })
                .map(|(name, _)| name)
                .collect()
        }
    };
    let all: Vec<usize> = (0..table.row_count()).collect();
    let overall = Some(Rows::new(bench, answers, &all).score(scoring)?).filter(|score| score.is_finite());
    let mut sliced = Vec::new();
    for (number, name) in names.into_iter().take(config.most).enumerate() {
        let parts = parts(table.column(name)?, config.ranges, config.min_rows);
        let slice = |(position, (of, rows)): (usize, (SliceRows, Vec<usize>))| {
            check_cancelled(bench.progress)?;
            let seed = Random::derive(bench.seed(Part::Slices), &[number as u64, position as u64]).next_u64();
            let part = Rows::new(bench, answers, &rows);
            let score = Some(part.score(scoring)?).filter(|score| score.is_finite());
            let interval = part.interval(scoring, bench, seed)?;
            Ok(Slice {
                of,
                rows: rows.len(),
                score,
                interval,
                is_small: rows.len() < config.min_rows,
                is_worse: matches!((interval, overall), (Some(interval), Some(overall)) if interval.high < overall),
            })
        };
        let slices = parts
            .into_par_iter()
            .enumerate()
            .map(slice)
            .collect::<Result<_, Error>>()?;
        sliced.push(SlicedColumn {
            column: name.clone(),
            scoring,
            overall,
            slices,
        });
    }
    Ok(sliced)
}

/// The rows of each slice.
fn parts(column: &Column, ranges: usize, min_rows: usize) -> Vec<(SliceRows, Vec<usize>)> {
    let missing: Vec<usize> = (0..column.len()).filter(|&row| column.is_missing(row)).collect();
    let mut parts = match column {
        Column::Categorical(values) => {
            let mut by_text: HashMap<&str, Vec<usize>> = HashMap::new();
            for row in 0..column.len() {
                if let Some(text) = values.text(row) {
                    by_text.entry(text).or_default().push(row);
                }
            }
            let mut by_size: Vec<(&str, Vec<usize>)> = by_text.into_iter().collect();
            by_size.sort_unstable_by(|one, two| two.1.len().cmp(&one.1.len()).then(one.0.cmp(two.0)));
            let large = by_size
                .iter()
                .take_while(|(_, rows)| rows.len() >= min_rows)
                .count();
            // One rare text alone keeps its name.
            let named = if large + 1 == by_size.len() {
                large + 1
            } else {
                large
            };
            let others = by_size.split_off(named.min(MAX_TEXTS));
            let mut parts: Vec<(SliceRows, Vec<usize>)> = by_size
                .into_iter()
                .map(|(text, rows)| (SliceRows::Text(text.to_owned()), rows))
                .collect();
            if !others.is_empty() {
                let of = SliceRows::OtherTexts(others.len());
                let mut rows: Vec<usize> = others.into_iter().flat_map(|(_, rows)| rows).collect();
                rows.sort_unstable();
                parts.push((of, rows));
            }
            parts
        }
        Column::Numeric(values) => {
            let mut rows: Vec<usize> = (0..values.len()).filter(|&row| !values[row].is_nan()).collect();
            rows.sort_by(|&one, &two| values[one].total_cmp(&values[two]));
            let mut distinct: Vec<f64> = rows.iter().map(|&row| values[row]).collect();
            distinct.dedup();
            // A few numbers, such as grades, are told apart as texts are.
            let is_few = distinct.len() <= MAX_TEXTS;
            let mut parts = Vec::new();
            let mut begin = 0;
            let cuts = if is_few { distinct.len() } else { ranges };
            for range in 1..=cuts {
                let mut end = match is_few {
                    true => (begin + 1).min(rows.len()),
                    false => rows.len() * range / ranges,
                };
                // Equal numbers stay together.
                while end > begin && end < rows.len() && values[rows[end]] == values[rows[end - 1]] {
                    end += 1;
                }
                if end > begin {
                    let of = SliceRows::Range(values[rows[begin]], values[rows[end - 1]]);
                    let mut part = rows[begin..end].to_vec();
                    part.sort_unstable();
                    parts.push((of, part));
                    begin = end;
                }
            }
            parts
        }
    };
    if !missing.is_empty() {
        parts.push((SliceRows::Missing, missing));
    }
    parts
}

/// Truth and answers of some rows.
enum Rows {
    Classes {
        truth: Vec<u16>,
        classes: Vec<u16>,
        probabilities: Vec<f32>,
        class_count: usize,
    },
    Numbers {
        truth: Vec<f64>,
        numbers: Vec<f64>,
    },
}

impl Rows {
    fn new(bench: &Bench<'_>, answers: &Answers, rows: &[usize]) -> Self {
        match (bench.truth.select(rows), answers) {
            (
                Truth::Classes(truth),
                Answers::Classes {
                    classes,
                    probabilities,
                },
            ) => {
                let class_count = bench.pipeline.labels().len();
                let of_row = |&row: &usize| &probabilities[row * class_count..(row + 1) * class_count];
                Rows::Classes {
                    truth,
                    classes: rows.iter().map(|&row| classes[row]).collect(),
                    probabilities: rows.iter().flat_map(of_row).copied().collect(),
                    class_count,
                }
            }
            (Truth::Numbers(truth), Answers::Numbers(numbers)) => Rows::Numbers {
                truth,
                numbers: rows.iter().map(|&row| numbers[row]).collect(),
            },
            _ => unreachable!("the truth was read as what the model predicts"),
        }
    }

    fn score(&self, scoring: Scoring) -> Result<f64, Error> {
        Ok(match self {
            Rows::Classes {
                truth,
                classes,
                probabilities,
                class_count,
            } => Outcome::new(truth, classes, probabilities, *class_count)?.score(scoring),
            Rows::Numbers { truth, numbers } => NumberOutcome::new(truth, numbers)?.score(scoring),
        })
    }

    fn interval(&self, scoring: Scoring, bench: &Bench<'_>, seed: u64) -> Result<Option<Interval>, Error> {
        let named = |score: f64| -> BTreeMap<String, f64> {
            let score = Some(score).filter(|score| score.is_finite());
            score
                .map(|score| (scoring.name().to_owned(), score))
                .into_iter()
                .collect()
        };
        let config = &bench.config.intervals;
        let mut found = match self {
            Rows::Classes {
                truth,
                classes,
                probabilities,
                class_count,
            } => {
                let outcome = Outcome::new(truth, classes, probabilities, *class_count)?;
                metrics::intervals(truth.len(), config, seed, |draws| {
                    Ok(named(outcome.weighted(draws)?.score(scoring)))
                })?
            }
            Rows::Numbers { truth, numbers } => {
                let outcome = NumberOutcome::new(truth, numbers)?;
                metrics::intervals(truth.len(), config, seed, |draws| {
                    Ok(named(outcome.weighted(draws)?.score(scoring)))
                })?
            }
        };
        Ok(found.remove(scoring.name()))
    }
}
