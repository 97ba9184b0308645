//! Principal components of the scaled numbers.

use crate::config::Components;
use crate::progress::check_cancelled;
use crate::{Error, Progress};
use rayon::prelude::*;

/// Most columns; their covariances take 8 bytes a pair.
const MAX_COLUMNS: usize = 1_000;
/// Fewest rows that one thread sums; the partial sums are added in order.
const BLOCK: usize = 4_096;
/// Most numbers in the partial sums.
const MAX_PARTIAL_SUMS: usize = 1 << 24;
/// Rounds of rotations; a handful does.
const MAX_SWEEPS: usize = 60;

/// From scaled numbers to components.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pca {
    /// What is taken from each number first.
    pub(crate) means: Vec<f64>,
    /// Component after component, one for each number.
    pub(crate) loadings: Vec<f64>,
}

impl Pca {
    /// Learns from rows of `width` numbers, which `fill` lays out.
    pub(crate) fn fit(
        row_count: usize,
        width: usize,
        fill: impl Fn(usize, &mut [f64]) + Sync,
        wanted: Components,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let field = "preparation.pca.n_components";
        if width == 0 {
            let message = "there are no columns of numbers; leave this out";
            return Err(Error::config("preparation.pca", message));
        }
        if width > MAX_COLUMNS {
            let message =
                format!("{width} columns of numbers are more than the {MAX_COLUMNS} that have components");
            return Err(Error::config("preparation.pca", message));
        }
        let most = width.min(row_count);
        if let Components::Count(count) = wanted
            && count > most
        {
            let message =
                format!("expected at most {most}, as there are {width} columns of numbers, got {count}");
            return Err(Error::config(field, message));
        }
        let most_blocks = (MAX_PARTIAL_SUMS / (width * width).max(1)).clamp(1, 64);
        let block = row_count.div_ceil(most_blocks).max(BLOCK);
        // Sums over blocks of rows, side by side; added in order.
        let sum = |size: usize, add: &(dyn Fn(&[f64], &mut [f64]) + Sync)| -> Result<Vec<f64>, Error> {
            let of_block = |number: usize| {
                check_cancelled(progress)?;
                let (mut row_values, mut sums) = (vec![0.0; width], vec![0.0; size]);
                for row in number * block..row_count.min((number + 1) * block) {
                    fill(row, &mut row_values);
                    add(&row_values, &mut sums);
                }
                Ok(sums)
            };
            let parts: Vec<Vec<f64>> = (0..row_count.div_ceil(block))
                .into_par_iter()
                .map(of_block)
                .collect::<Result<_, Error>>()?;
            let mut whole = vec![0.0; size];
            for part in parts {
                whole.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            }
            whole.iter_mut().for_each(|sum| *sum /= row_count.max(1) as f64);
            Ok(whole)
        };
        let means = sum(width, &|values, sums| {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        })?;
        let covariance = sum(width * width, &|values, sums| {
            for one in 0..width {
                let centred = values[one] - means[one];
                for two in one..width {
                    sums[one * width + two] += centred * (values[two] - means[two]);
                }
            }
        })?;
        let (variances, vectors) = eigen(covariance, width);
        let total: f64 = variances.iter().sum();
        let count = match wanted {
            Components::Count(count) => count,
            Components::Share(share) => {
                let mut explained = 0.0;
                let reaches = |variance: &f64| {
                    explained += variance / total;
                    explained > share
                };
                variances
                    .iter()
                    .position(reaches)
                    .map_or(most, |last| (last + 1).min(most))
            }
        };
        let mut loadings = vectors;
        loadings.truncate(count * width);
        for component in loadings.chunks_exact_mut(width.max(1)) {
            // scikit-learn's convention: the greatest loading by size is positive.
            let greatest = component.iter().copied().fold(0.0f64, |greatest, loading| {
                if loading.abs() > greatest.abs() {
                    loading
                } else {
                    greatest
                }
            });
            if greatest < 0.0 {
                component.iter_mut().for_each(|loading| *loading = -*loading);
            }
        }
        Ok(Self { means, loadings })
    }

    /// Number of components.
    pub(crate) fn count(&self) -> usize {
        self.loadings.len() / self.means.len().max(1)
    }

    /// The loading of a number on a component.
    pub(crate) fn loading(&self, component: usize, number: usize) -> f64 {
        self.loadings[component * self.means.len() + number]
    }

    /// Calls `visit` with each component of a row's numbers, which are left centred.
    pub(crate) fn each_component(&self, numbers: &mut [f64], mut visit: impl FnMut(usize, f64)) {
        numbers
            .iter_mut()
            .zip(&self.means)
            .for_each(|(number, mean)| *number -= mean);
        for (place, loadings) in self.loadings.chunks_exact(self.means.len().max(1)).enumerate() {
            let value = loadings
                .iter()
                .zip(&*numbers)
                .map(|(loading, number)| loading * number)
                .sum();
            visit(place, value);
        }
    }
}

/// Eigenvalues of a symmetric matrix, of which the upper half is given, from the greatest down, and the vectors one after the
/// other: Jacobi's rotations.
fn eigen(mut matrix: Vec<f64>, width: usize) -> (Vec<f64>, Vec<f64>) {
    for one in 0..width {
        for two in 0..one {
            matrix[one * width + two] = matrix[two * width + one];
        }
    }
    // Rows become the vectors.
    let mut vectors = vec![0.0; width * width];
    (0..width).for_each(|place| vectors[place * width + place] = 1.0);
    let whole: f64 = matrix.iter().map(|value| value * value).sum();
    for _ in 0..MAX_SWEEPS {
        let mut beside = 0.0;
        for one in 0..width {
            for two in one + 1..width {
                beside += matrix[one * width + two].powi(2);
            }
        }
        if beside <= 1e-30 * whole {
            break;
        }
        for one in 0..width {
            for two in one + 1..width {
                let off = matrix[one * width + two];
                if off == 0.0 {
                    continue;
                }
                let slope = (matrix[two * width + two] - matrix[one * width + one]) / (2.0 * off);
                let tangent = slope.signum() / (slope.abs() + (slope * slope + 1.0).sqrt());
                let cosine = 1.0 / (tangent * tangent + 1.0).sqrt();
                let sine = tangent * cosine;
                for place in 0..width {
                    let (left, right) = (matrix[place * width + one], matrix[place * width + two]);
                    matrix[place * width + one] = cosine * left - sine * right;
                    matrix[place * width + two] = sine * left + cosine * right;
                }
                for values in [&mut matrix, &mut vectors] {
                    for place in 0..width {
                        let (upper, lower) = (values[one * width + place], values[two * width + place]);
                        values[one * width + place] = cosine * upper - sine * lower;
                        values[two * width + place] = sine * upper + cosine * lower;
                    }
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..width).collect();
    order.sort_by(|&one, &two| matrix[two * width + two].total_cmp(&matrix[one * width + one]));
    // Rounding can leave a variance of nothing just below it.
    let values = order
        .iter()
        .map(|&place| matrix[place * width + place].max(0.0))
        .collect();
    let vectors = order
        .iter()
        .flat_map(|&place| vectors[place * width..(place + 1) * width].to_vec())
        .collect();
    (values, vectors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoProgress;

    fn fit(rows: &[[f64; 3]], wanted: Components) -> Result<Pca, Error> {
        let fill = |row: usize, values: &mut [f64]| values.copy_from_slice(&rows[row]);
        Pca::fit(rows.len(), 3, fill, wanted, &NoProgress)
    }

    #[test]
    fn components_are_those_of_scikit_learn() {
        // sklearn.decomposition.PCA(n_components=2).fit(rows).components_, of scikit-learn 1.9.
        let rows = [
            [1.0, 2.0, 0.5],
            [2.0, 1.0, -1.0],
            [3.0, 5.0, 0.0],
            [4.0, 3.0, 2.0],
            [5.0, 7.0, -0.5],
        ];
        let pca = fit(&rows, Components::Count(2)).unwrap();
        let expected = [
            0.5080977082013429,
            0.861120345151309,
            -0.017563316515777555,
            0.37177432952562967,
            -0.20087731486889518,
            0.9063289426454564,
        ];
        assert_eq!(pca.means, [3.0, 3.6, 0.2]);
        for (loading, expected) in pca.loadings.iter().zip(expected) {
            assert!((loading - expected).abs() < 1e-9, "{:?}", pca.loadings);
        }
        // They explain 0.787, 0.155 and 0.058 of the variance.
        for (share, count) in [(0.5, 1), (0.78, 1), (0.8, 2), (0.95, 3)] {
            assert_eq!(fit(&rows, Components::Share(share)).unwrap().count(), count);
        }
    }

    #[test]
    fn as_many_components_as_columns_are_a_rotation() {
        let rows = [
            [1.0, 2.0, 0.0],
            [3.0, -1.0, 0.0],
            [0.5, 0.5, 0.0],
            [7.0, 1.0, 0.0],
        ];
        let pca = fit(&rows, Components::Count(3)).unwrap();
        let mut values = rows[3];
        let far: f64 = values
            .iter()
            .zip(&pca.means)
            .map(|(value, mean)| (value - mean).powi(2))
            .sum();
        let mut turned = 0.0;
        pca.each_component(&mut values, |_, component| turned += component * component);
        assert!((far - turned).abs() < 1e-12);
    }

    #[test]
    fn texts_alone_have_no_components() {
        let error = Pca::fit(5, 0, |_, _| (), Components::Share(0.5), &NoProgress).unwrap_err();
        assert_eq!(
            error.to_string(),
            "preparation.pca: there are no columns of numbers; leave this out"
        );
    }

    #[test]
    fn more_components_than_columns_are_refused() {
        let error = fit(&[[1.0, 2.0, 3.0]; 9], Components::Count(4)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "preparation.pca.n_components: expected at most 3, as there are 3 columns of numbers, got 4"
        );
    }
}
