use super::{Bench, Part};
use crate::Error;
use crate::metrics::quantile;
use crate::model::Answers;
use crate::progress::check_cancelled;
use crate::table::{Categorical, Column};
use rayon::prelude::*;
use serde::Serialize;
use std::collections::HashMap;

/// The outermost quantiles of a grid: beyond, there are too few rows to learn from.
const EDGE: f64 = 0.01;

/// What a model says on average when a column has the same value in all rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PartialDependence {
    /// Name of the column.
    pub feature: String,
    /// The values.
    pub grid: PartialGrid,
    /// The mean prediction at each value: the probability of each class in the order of the labels, or the number alone.
    pub means: Vec<Vec<f64>>,
    /// Held-out rows that were used.
    pub rows: usize,
}

/// Values of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PartialGrid {
    /// Quantiles, rising; all numbers where there are few.
    Numbers(Vec<f64>),
    /// The most frequent texts, most frequent first.
    Texts(Vec<String>),
}

impl PartialGrid {
    /// Returns the number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Texts(texts) => texts.len(),
        }
    }

    /// Tells whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column that has one of the values in so many rows.
    fn column(&self, at: usize, rows: usize) -> Result<Column, Error> {
        Ok(match self {
            Self::Numbers(numbers) => Column::Numeric(vec![numbers[at]; rows]),
            Self::Texts(texts) => {
                Column::Categorical(Categorical::new(vec![texts[at].clone()], vec![0; rows])?)
            }
        })
    }
}

pub(super) fn of(bench: &Bench<'_>, by_importance: &[String]) -> Result<Vec<PartialDependence>, Error> {
    let config = &bench.config.judge.partial_dependence;
    let names = bench.column_names();
    let sample = bench.sample(config.rows, Part::Dependence);
    let all = bench.held_out.select_columns(&names)?;
    let table = all.select_rows(&sample);
    let mut found = Vec::new();
    for name in by_importance.iter().take(config.columns) {
        let Some(position) = names.iter().position(|known| known == name) else {
            continue;
        };
        let grid = grid(&all.columns()[position], config.points);
        if grid.is_empty() {
            continue;
        }
        let at_value = |at: usize| {
            check_cancelled(bench.progress)?;
            let fixed = table.with_column(position, grid.column(at, sample.len())?);
            Ok(means(
                &bench.pipeline.answers(&fixed)?,
                bench.pipeline.labels().len(),
            ))
        };
        let by_value: Vec<Vec<f64>> = (0..grid.len())
            .into_par_iter()
            .map(at_value)
            .collect::<Result<_, Error>>()?;
        let outputs = by_value[0].len();
        found.push(PartialDependence {
            feature: name.clone(),
            grid,
            means: (0..outputs)
                .map(|output| by_value.iter().map(|means| means[output]).collect())
                .collect(),
            rows: sample.len(),
        });
    }
    Ok(found)
}

fn grid(column: &Column, points: usize) -> PartialGrid {
    match column {
        Column::Numeric(values) => {
            let mut sorted: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut distinct = sorted.clone();
            distinct.dedup();
            if distinct.len() > points {
                distinct = (0..points)
                    .map(|point| EDGE + (1.0 - 2.0 * EDGE) * point as f64 / (points - 1) as f64)
                    .map(|share| quantile(&sorted, share))
                    .collect();
                distinct.dedup();
            }
            PartialGrid::Numbers(distinct)
        }
        Column::Categorical(values) => {
            let mut counts: HashMap<&str, usize> = HashMap::new();
            for row in 0..values.codes().len() {
                if let Some(text) = values.text(row) {
                    *counts.entry(text).or_default() += 1;
                }
            }
            let mut by_count: Vec<(&str, usize)> = counts.into_iter().collect();
            by_count.sort_unstable_by(|one, two| two.1.cmp(&one.1).then(one.0.cmp(two.0)));
            by_count.truncate(points);
            PartialGrid::Texts(by_count.into_iter().map(|(text, _)| text.to_owned()).collect())
        }
    }
}

/// The mean of each output over the rows.
fn means(answers: &Answers, class_count: usize) -> Vec<f64> {
    match answers {
        Answers::Classes { probabilities, .. } => {
            let mut sums = vec![0.0; class_count];
            for row in probabilities.chunks_exact(class_count) {
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &share)| *sum += f64::from(share));
            }
            let rows = (probabilities.len() / class_count).max(1) as f64;
            sums.into_iter().map(|sum| sum / rows).collect()
        }
        Answers::Numbers(numbers) => vec![numbers.iter().sum::<f64>() / numbers.len().max(1) as f64],
    }
}
