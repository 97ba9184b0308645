use super::{Bench, Part};
use crate::model::Model;
use crate::{Cell, Error, Label};
use serde::Serialize;

/// Most leaves that are visited, and most numbers that are kept: a large forest or a wide table explains fewer rows.
const MAX_VISITS: usize = 20_000_000;

/// What columns add to the scores of held-out rows, see [`crate::Explanations`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contributions {
    /// Rows that were explained.
    pub rows: usize,
    /// The columns, the one that moves scores most first.
    pub columns: Vec<ColumnContribution>,
    /// One row taken apart: the first of those explained.
    pub example: Option<ExplainedRow>,
}

/// How far one column moves scores.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnContribution {
    /// Name of the column.
    pub feature: String,
    /// The mean size of its contributions, over rows and outputs.
    pub mean_absolute: f64,
    /// The same for each class in the order of the labels, or for the number alone.
    pub by_output: Vec<f64>,
}

/// A row with what each column adds to its score.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedRow {
    /// Place of the row among those judged, from 0.
    pub row: usize,
    /// The predicted class, whose score is explained; `None` for numbers.
    pub label: Option<Label>,
    /// The score when nothing is known.
    pub base: f64,
    /// The score of the row.
    pub score: f64,
    /// The columns, the largest contribution first.
    pub columns: Vec<RowContribution>,
}

/// What one value adds to the score of a row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RowContribution {
    /// Name of the column.
    pub feature: String,
    /// Its value in the row; empty when it is missing.
    pub value: String,
    /// What it adds.
    pub contribution: f64,
}

pub(super) fn of(bench: &Bench<'_>) -> Result<Option<Contributions>, Error> {
    let leaves = match &bench.pipeline.model {
        Model::Trees(ensemble) | Model::TreeNumbers { ensemble, .. } if ensemble.can_explain() => {
            ensemble.leaf_count()
        }
        Model::Linear { linear, .. } | Model::LinearNumbers { linear, .. } if !linear.means.is_empty() => 0,
        _ => return Ok(None),
    };
    let asked = bench.config.judge.contributions.rows;
    if asked == 0 {
        return Ok(None);
    }
    let numbers_a_row = bench.pipeline.labels().len().max(1) * bench.pipeline.features().len();
    let cost = leaves.max(numbers_a_row).max(1);
    let most = (MAX_VISITS / cost).clamp(1, asked);
    let sample = bench.sample(most, Part::Contributions);
    let table = bench.held_out.select_rows(&sample);
    let explained = bench.pipeline.explain(&table)?;
    let outputs = explained.base.len();
    let features = bench.pipeline.features();
    let mut sums = vec![vec![0.0; outputs]; features.len()];
    for row in 0..sample.len() {
        for output in 0..outputs {
            for (sums, part) in sums.iter_mut().zip(explained.of(row, output)) {
                sums[output] += part.abs();
            }
        }
    }
    let mut columns: Vec<ColumnContribution> = features
        .iter()
        .zip(sums)
        .map(|(feature, sums)| {
            let by_output: Vec<f64> = sums.into_iter().map(|sum| sum / sample.len() as f64).collect();
            ColumnContribution {
                feature: feature.name.clone(),
                mean_absolute: by_output.iter().sum::<f64>() / outputs as f64,
                by_output,
            }
        })
        .collect();
    columns.sort_by(|one, two| two.mean_absolute.total_cmp(&one.mean_absolute));

    let predicted = bench.pipeline.predict(&table.select_rows(&[0]))?;
    let output = predicted.classes.first().map_or(0, |&class| usize::from(class));
    let mut parts: Vec<RowContribution> = features
        .iter()
        .zip(explained.of(0, output))
        .map(|(feature, &contribution)| RowContribution {
            feature: feature.name.clone(),
            value: value(&table, &feature.name),
            contribution,
        })
        .collect();
    parts.sort_by(|one, two| two.contribution.abs().total_cmp(&one.contribution.abs()));
    Ok(Some(Contributions {
        rows: sample.len(),
        columns,
        example: Some(ExplainedRow {
            row: sample[0],
            label: bench.pipeline.labels().get(output).cloned(),
            base: explained.base[output],
            score: explained.score(0, output),
            columns: parts,
        }),
    }))
}

/// The value of a column in the first row.
fn value(table: &crate::Table, name: &str) -> String {
    match table
        .names()
        .iter()
        .position(|known| known == name)
        .map(|column| table.cell(0, column))
    {
        Some(Cell::Number(number)) => number.to_string(),
        Some(Cell::Text(text)) => text.into_owned(),
        Some(Cell::Missing) | None => String::new(),
    }
}
