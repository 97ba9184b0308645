//! What models without trees see of a row, and the scores of those with coefficients or means, in 64 bits.

use super::encoder::{Element, attribute, tensor};
use super::graph::Export;
use crate::linear::{Design, Encoding, Linear};
use crate::naive_bayes::NaiveBayes;
use crate::prepare::PreparedColumn;
use crate::prepare::pca::Pca;

impl Export<'_> {
    /// Adds scaling and one-hot columns in 64 bits; returns them side by side, numbers first, with the position in the
    /// design of each.
    pub(super) fn design_features(&mut self, numbers: Option<&str>, design: &Design) -> (String, Vec<usize>) {
        let pipeline = self.pipeline;
        let to_double = || [attribute::int("to", Element::Double as i64)];
        let mut parts = Vec::new();
        let mut order = Vec::new();
        if let Some(numbers) = numbers {
            let (mut means, mut scales) = (Vec::new(), Vec::new());
            for column in self.number_positions() {
                let number = pipeline.preparation.columns[column].number();
                if let Some(number) = number {
                    means.push(number.mean);
                    scales.push(number.scale);
                }
                if let Encoding::Scaled { position } = design.encodings[column] {
                    order.push(position);
                }
            }
            let width = [1, means.len() as i64];
            let mean = self.constant("mean", |name| tensor::doubles(name, &width, &means));
            let scale = self.constant("scale", |name| tensor::doubles(name, &width, &scales));
            let [double, centred, scaled] = ["double", "centred", "scaled"].map(|name| self.name(name));
            self.graph.add("Cast", &[numbers], &double, &to_double());
            self.graph.add("Sub", &[&double, &mean], &centred, &[]);
            self.graph.add("Mul", &[&centred, &scale], &scaled, &[]);
            let columns = self.quantiles(scaled);
            match &pipeline.preparation.pca {
                Some(pca) => {
                    order.extend(0..pca.count());
                    parts.push(self.components(&columns, pca, design));
                }
                None => parts.extend(columns),
            }
        }
        for (position, column) in pipeline.preparation.columns.iter().enumerate() {
            let (PreparedColumn::Categorical(column), Encoding::OneHot { positions }) =
                (column, &design.encodings[position])
            else {
                continue;
            };
            let codes = column.one_hot_codes(column.drop_first);
            if codes.is_empty() {
                continue;
            }
            let hot = self.one_hot(position, column, &codes);
            let double = self.name(&format!("hot_double_{position}"));
            self.graph.add("Cast", &[&hot], &double, &to_double());
            parts.push(double);
            order.extend(codes.iter().filter_map(|&code| positions[usize::from(code)]));
        }
        let features = self.name("features");
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &parts, &features, &[attribute::int("axis", 1)]);
        (features, order)
    }

    /// Adds the principal components of the scaled numbers, which come in the order of [`Self::number_positions`].
    fn components(&mut self, numbers: &[String], pca: &Pca, design: &Design) -> String {
        let place = |position: usize| match design.encodings[position] {
            Encoding::Rotated { place } => Some(place),
            Encoding::Scaled { .. } | Encoding::OneHot { .. } => None,
        };
        let places: Vec<usize> = self.number_positions().into_iter().filter_map(place).collect();
        let means: Vec<f64> = places.iter().map(|&place| pca.means[place]).collect();
        let loadings: Vec<f64> = places
            .iter()
            .flat_map(|&place| (0..pca.count()).map(move |component| pca.loading(component, place)))
            .collect();
        let width = places.len() as i64;
        let means = self.constant("component_means", |name| {
            tensor::doubles(name, &[1, width], &means)
        });
        let loadings = self.constant("loadings", |name| {
            tensor::doubles(name, &[width, pca.count() as i64], &loadings)
        });
        let [whole, moved, components] =
            ["scaled_numbers", "moved_numbers", "components"].map(|name| self.name(name));
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &numbers, &whole, &[attribute::int("axis", 1)]);
        self.graph.add("Sub", &[&whole, &means], &moved, &[]);
        self.graph.add("MatMul", &[&moved, &loadings], &components, &[]);
        components
    }

    /// Adds the product of the prepared row with the coefficients; returns the scores.
    pub(super) fn linear_scores(
        &mut self,
        numbers: Option<&str>,
        linear: &Linear,
        design: &Design,
    ) -> String {
        let (features, order) = self.design_features(numbers, design);
        let classes = linear.output_count;
        let row = |position: usize| &linear.coefficients[position * classes..][..classes];
        let coefficients: Vec<f64> = order
            .iter()
            .flat_map(|&position| row(position))
            .copied()
            .collect();
        let shape = [order.len() as i64, classes as i64];
        let coefficients = self.constant("coefficients", |name| {
            tensor::doubles(name, &shape, &coefficients)
        });
        let intercepts = self.constant("intercepts", |name| {
            tensor::doubles(name, &[1, classes as i64], row(design.width))
        });

        let [product, scores] = ["product", "scores"].map(|name| self.name(name));
        let graph = &mut self.graph;
        graph.add("MatMul", &[&features, &coefficients], &product, &[]);
        graph.add("Add", &[&product, &intercepts], &scores, &[]);
        scores
    }

    /// Adds the distance of the prepared row from the means of each class; returns the scores.
    pub(super) fn bayes_scores(
        &mut self,
        numbers: Option<&str>,
        bayes: &NaiveBayes,
        design: &Design,
    ) -> String {
        let (features, order) = self.design_features(numbers, design);
        let width = order.len() as i64;
        let mut columns = Vec::new();
        for class in 0..bayes.constants.len() {
            let in_order = |values: &[f64]| -> Vec<f64> {
                let own = &values[class * design.width..(class + 1) * design.width];
                order.iter().map(|&position| own[position]).collect()
            };
            let turned: Vec<f64> = in_order(&bayes.half_precisions)
                .iter()
                .map(|half| -half)
                .collect();
            let means = self.constant(&format!("means_{class}"), |name| {
                tensor::doubles(name, &[1, width], &in_order(&bayes.means))
            });
            let halves = self.constant(&format!("half_precisions_{class}"), |name| {
                tensor::doubles(name, &[width, 1], &turned)
            });
            let [moved, squares, near] =
                ["moved", "squares", "near"].map(|what| self.name(&format!("{what}_{class}")));
            self.graph.add("Sub", &[&features, &means], &moved, &[]);
            self.graph.add("Mul", &[&moved, &moved], &squares, &[]);
            self.graph.add("MatMul", &[&squares, &halves], &near, &[]);
            columns.push(near);
        }
        let constants = self.constant("log_shares", |name| {
            tensor::doubles(name, &[1, bayes.constants.len() as i64], &bayes.constants)
        });
        let [product, scores] = ["product", "scores"].map(|name| self.name(name));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &columns, &product, &[attribute::int("axis", 1)]);
        self.graph.add("Add", &[&product, &constants], &scores, &[]);
        scores
    }

    /// Adds the shares of quantiles where a column has them; returns the columns of numbers in their order.
    fn quantiles(&mut self, numbers: String) -> Vec<String> {
        let columns = &self.pipeline.preparation.columns;
        let knots: Vec<&[(f64, f64)]> = self
            .number_positions()
            .into_iter()
            .map(|position| columns[position].number().map_or(&[][..], |number| &number.knots))
            .collect();
        if knots.iter().all(|knots| knots.is_empty()) {
            return vec![numbers];
        }
        let zero = self.constant("share_0", |name| tensor::doubles(name, &[], &[0.0]));
        let one = self.constant("share_1", |name| tensor::doubles(name, &[], &[1.0]));
        let mut parts = Vec::new();
        for (position, knots) in knots.into_iter().enumerate() {
            let name_of = |what: &str| self.name(&format!("{what}_{position}"));
            let [column, moved, ways, limited, sum, shares] =
                ["number", "beyond", "ways", "limited", "steps", "shares"].map(name_of);
            let index = self.constant(&format!("number_index_{position}"), |name| {
                tensor::ints(name, &[1], &[position as i64])
            });
            let axis = [attribute::int("axis", 1)];
            self.graph.add("Gather", &[&numbers, &index], &column, &axis);
            let Some((_, first)) = knots.first() else {
                parts.push(column);
                continue;
            };
            // The share below grows from knot to knot: each step is gone in full, in part or not at all.
            let steps: Vec<(f64, f64, f64)> = knots
                .windows(2)
                .map(|pair| (pair[0].0, 1.0 / (pair[1].0 - pair[0].0), pair[1].1 - pair[0].1))
                .collect();
            // A column of one number has no steps; one that goes nowhere stands in.
            let steps = if steps.is_empty() {
                vec![(0.0, 0.0, 0.0)]
            } else {
                steps
            };
            let count = steps.len() as i64;
            let [begins, slopes, heights] = [0, 1, 2].map(|which| {
                steps
                    .iter()
                    .map(|&(begin, slope, height)| [begin, slope, height][which])
                    .collect::<Vec<f64>>()
            });
            let begins = self.constant(&format!("knots_{position}"), |name| {
                tensor::doubles(name, &[1, count], &begins)
            });
            let slopes = self.constant(&format!("slopes_{position}"), |name| {
                tensor::doubles(name, &[1, count], &slopes)
            });
            let heights = self.constant(&format!("heights_{position}"), |name| {
                tensor::doubles(name, &[count, 1], &heights)
            });
            let first = self.constant(&format!("first_{position}"), |name| {
                tensor::doubles(name, &[], &[*first])
            });
            self.graph.add("Sub", &[&column, &begins], &moved, &[]);
            self.graph.add("Mul", &[&moved, &slopes], &ways, &[]);
            self.graph.add("Clip", &[&ways, &zero, &one], &limited, &[]);
            self.graph.add("MatMul", &[&limited, &heights], &sum, &[]);
            self.graph.add("Add", &[&sum, &first], &shares, &[]);
            parts.push(shares);
        }
        parts
    }
}
