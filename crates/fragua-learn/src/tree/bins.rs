//! Columns cut into at most 255 bins, so that trees are grown on bytes.

use crate::prepare::categorical::MISSING;
use crate::prepare::{Matrix, Preparation, PreparedColumn};
use rayon::prelude::*;

/// Most bins of a numeric column; one more code is kept for missing values.
const MAX_BINS: usize = 255;
/// The bin of a missing value, in both kinds of columns.
pub(crate) const MISSING_BIN: u8 = MISSING;

/// A column as bins. A number falls in the first bin whose edge is not below it; a category's bin is its code.
#[derive(Debug)]
pub(crate) struct BinnedColumn {
    pub(crate) bins: Vec<u8>,
    /// Upper edges of all numeric bins but the last one.
    pub(crate) edges: Vec<f32>,
    pub(crate) categorical: bool,
    /// Whether a missing number can occur and trees must know where it goes.
    pub(crate) may_be_missing: bool,
    /// Bins in use, not counting the missing one (and the unknown one of categories).
    pub(crate) bin_count: usize,
    /// The categories that can be split off; the unknown ones cannot, they have nothing in common.
    pub(crate) codes: Vec<u8>,
}

/// The training rows as bins.
#[derive(Debug)]
pub(crate) struct Binned {
    pub(crate) columns: Vec<BinnedColumn>,
    pub(crate) row_count: usize,
    /// The same bins row after row.
    rows: Vec<u8>,
}

impl Binned {
    pub(crate) fn new(matrix: &Matrix, preparation: &Preparation) -> Self {
        let column = |position: usize| match &preparation.columns[position] {
            PreparedColumn::Numeric(column) => {
                BinnedColumn::numeric(matrix.column(position).collect(), column.may_be_missing)
            }
            PreparedColumn::Date(column) => {
                let may_be_missing = column.numeric.may_be_missing;
                BinnedColumn::numeric(matrix.column(position).collect(), may_be_missing)
            }
            PreparedColumn::Encoded(_) => BinnedColumn::numeric(matrix.column(position).collect(), false),
            PreparedColumn::Categorical(column) => BinnedColumn {
                bins: matrix.column(position).map(|code| code as u8).collect(),
                edges: Vec::new(),
                categorical: true,
                may_be_missing: false,
                bin_count: column.categories.len(),
                codes: column.one_hot_codes(false),
            },
        };
        let columns: Vec<BinnedColumn> = (0..matrix.width).into_par_iter().map(column).collect();
        let mut rows = vec![0; matrix.values.len()];
        for (position, column) in columns.iter().enumerate() {
            let slots = rows.iter_mut().skip(position).step_by(matrix.width);
            slots.zip(&column.bins).for_each(|(slot, &bin)| *slot = bin);
        }
        Self {
            columns,
            row_count: matrix.row_count,
            rows,
        }
    }

    /// The bins of one row.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> &[u8] {
        let width = self.columns.len();
        &self.rows[row as usize * width..(row as usize + 1) * width]
    }
}

impl BinnedColumn {
    fn numeric(values: Vec<f32>, may_be_missing: bool) -> Self {
        let edges = edges(&values);
        let bin = |&value: &f32| match value.is_nan() {
            true => MISSING_BIN,
            false => edges.partition_point(|&edge| edge < value) as u8,
        };
        let bins = values.iter().map(bin).collect();
        Self {
            bins,
            bin_count: edges.len() + 1,
            edges,
            categorical: false,
            may_be_missing,
            codes: Vec::new(),
        }
    }
}

/// Edges halfway between distinct values, or at quantiles when there are too many.
fn edges(values: &[f32]) -> Vec<f32> {
    let mut sorted: Vec<f32> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut distinct = sorted.clone();
    distinct.dedup();
    if distinct.len() <= MAX_BINS {
        return distinct
            .windows(2)
            .map(|pair| halfway(pair[0], pair[1]))
            .collect();
    }
    let mut edges: Vec<f32> = Vec::with_capacity(MAX_BINS - 1);
    for quantile in 1..MAX_BINS {
        let value = sorted[quantile * sorted.len() / MAX_BINS];
        let position = distinct.partition_point(|&other| other < value);
        if position > 0 {
            edges.push(halfway(distinct[position - 1], value));
        }
    }
    edges.dedup();
    edges
}

/// A number that is not below `low` and below `high`.
fn halfway(low: f32, high: f32) -> f32 {
    let middle = ((f64::from(low) + f64::from(high)) / 2.0) as f32;
    if middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_follow_the_values_and_edges_part_them() {
        let values = vec![3.0, 1.0, f32::NAN, 2.0, 3.0];
        let column = BinnedColumn::numeric(values.clone(), true);
        assert_eq!(column.bins, [2, 0, MISSING_BIN, 1, 2]);
        assert_eq!(column.edges, [1.5, 2.5]);
        for (cut, &edge) in column.edges.iter().enumerate() {
            let present = column
                .bins
                .iter()
                .zip(&values)
                .filter(|(_, value)| !value.is_nan());
            present.for_each(|(&bin, &value)| assert_eq!(usize::from(bin) <= cut, value <= edge));
        }
    }

    #[test]
    fn many_values_share_at_most_255_bins_evenly() {
        let column = BinnedColumn::numeric((0..100_000).map(|value| value as f32 * 0.25).collect(), false);
        assert_eq!(column.bin_count, 255);
        let mut sizes = [0u32; 255];
        column.bins.iter().for_each(|&bin| sizes[usize::from(bin)] += 1);
        assert!(sizes.iter().all(|&size| (390..=395).contains(&size)), "{sizes:?}");
    }

    #[test]
    fn neighbouring_floats_are_still_parted() {
        let low = 1.0f32;
        let high = f32::from_bits(low.to_bits() + 1);
        assert_eq!(halfway(low, high), low);
    }
}
