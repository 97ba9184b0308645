//! Filling a missing number with those of the nearest rows.

use super::Matrix;
use crate::config::NeighborWeights;
use crate::progress::check_cancelled;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Donor rows, and how many of the nearest are averaged.
///
/// Distances are nan-Euclidean, as scikit-learn's: squared differences over the columns present in both rows,
/// scaled up by the share of columns that are, so that rows with gaps compare fairly. Among equally distant
/// donors the earlier row counts as nearer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct KnnImputer {
    /// Positions of the numeric columns.
    pub(crate) columns: Vec<usize>,
    pub(crate) neighbors: usize,
    pub(crate) weights: NeighborWeights,
    /// Rows one after the other, NaN where missing.
    pub(crate) donors: Vec<f32>,
    /// Stands in when no donor shares a column with the row.
    pub(crate) means: Vec<f32>,
}

impl KnnImputer {
    pub(crate) fn fit(
        matrix: &Matrix,
        columns: Vec<usize>,
        neighbors: usize,
        weights: NeighborWeights,
    ) -> Self {
        let donors: Vec<f32> = (0..matrix.row_count)
            .flat_map(|row| columns.iter().map(move |&column| matrix.row(row)[column]))
            .collect();
        let mean = |&column: &usize| {
            let present = matrix
                .column(column)
                .filter(|value| !value.is_nan())
                .map(f64::from);
            let count = present.clone().count().max(1) as f64;
            (present.sum::<f64>() / count) as f32
        };
        let means = columns.iter().map(mean).collect();
        Self {
            columns,
            neighbors,
            weights,
            donors,
            means,
        }
    }

    pub(crate) fn donor_count(&self) -> usize {
        self.donors.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// Fills all missing numbers of the rows.
    pub(crate) fn fill(&self, matrix: &mut Matrix, progress: &dyn Progress) -> Result<(), Error> {
        let width = matrix.width.max(1);
        let has_gap = |row: &[f32]| self.columns.iter().any(|&column| row[column].is_nan());
        if matrix.row_count == 1 {
            if has_gap(&matrix.values) {
                self.fill_row(&mut matrix.values, &mut Vec::new());
            }
            return Ok(());
        }
        matrix.values.par_chunks_mut(width * 64).try_for_each(|rows| {
            check_cancelled(progress)?;
            let mut distances = Vec::new();
            rows.chunks_mut(width)
                .filter(|row| has_gap(row))
                .for_each(|row| self.fill_row(row, &mut distances));
            Ok(())
        })
    }

    fn fill_row(&self, row: &mut [f32], distances: &mut Vec<f64>) {
        let numbers: Vec<f32> = self.columns.iter().map(|&column| row[column]).collect();
        let width = numbers.len();
        distances.clear();
        distances.extend(
            self.donors
                .chunks_exact(width)
                .map(|donor| squared_distance(&numbers, donor)),
        );
        for (position, &column) in self.columns.iter().enumerate() {
            if numbers[position].is_nan() {
                row[column] = self.average(position, distances);
            }
        }
    }

    /// The weighted mean of one column over the nearest donors that have it.
    fn average(&self, position: usize, distances: &[f64]) -> f32 {
        let width = self.columns.len();
        let value = |donor: usize| self.donors[donor * width + position];
        let nearer = |a: &usize, b: &usize| distances[*a].total_cmp(&distances[*b]).then(a.cmp(b));
        let mut nearest: Vec<usize> = (0..distances.len())
            .filter(|&donor| distances[donor].is_finite() && !value(donor).is_nan())
            .collect();
        if nearest.len() > self.neighbors {
            nearest.select_nth_unstable_by(self.neighbors, nearer);
            nearest.truncate(self.neighbors);
        }
        nearest.sort_unstable_by(nearer);
        let touching = nearest.first().is_some_and(|&donor| distances[donor] == 0.0);
        let weight = |donor: usize| match self.weights {
            NeighborWeights::Uniform => 1.0,
            NeighborWeights::Distance if touching => f64::from(u8::from(distances[donor] == 0.0)),
            NeighborWeights::Distance => 1.0 / distances[donor].sqrt(),
        };
        let total: f64 = nearest.iter().map(|&donor| weight(donor)).sum();
        if total == 0.0 {
            return self.means[position];
        }
        (nearest
            .iter()
            .map(|&donor| weight(donor) * f64::from(value(donor)))
            .sum::<f64>()
            / total) as f32
    }
}

/// Infinite when no column is present in both.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let (mut sum, mut shared) = (0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        if !a.is_nan() && !b.is_nan() {
            let difference = f64::from(a) - f64::from(b);
            sum += difference * difference;
            shared += 1.0;
        }
    }
    if shared == 0.0 {
        f64::INFINITY
    } else {
        sum * a.len() as f64 / shared
    }
}
