//! The curves that probabilities go through behind the model, in 64 bits.

use super::encoder::{Element, attribute, tensor};
use super::graph::Export;
use crate::calibrate::{Calibration, EDGE, TRACE};

impl Export<'_> {
    /// The name of the model's own label: that of the output, unless calibration has the last word.
    pub(super) fn model_label(&self, output: &str) -> String {
        match self.pipeline.calibration {
            Some(_) => self.name("model_label"),
            None => output.to_owned(),
        }
    }

    /// Adds the calibration with the label of the greatest probability; returns the probabilities.
    pub(super) fn calibrated(&mut self, probabilities: String, label: &str) -> String {
        let Some(calibration) = &self.pipeline.calibration else {
            return probabilities;
        };
        let class_count = self.pipeline.labels.len() as i64;
        let first = i64::from(class_count == 2);
        let looked_for: Vec<i64> = (first..class_count).collect();
        let index = self.constant("calibrated_classes", |name| {
            tensor::ints(name, &[looked_for.len() as i64], &looked_for)
        });
        let one = self.constant("one", |name| tensor::doubles(name, &[], &[1.0]));
        let [double, own] = ["double_probabilities", "own_probabilities"].map(|name| self.name(name));
        let to_double = attribute::int("to", Element::Double as i64);
        self.graph.add("Cast", &[&probabilities], &double, &[to_double]);
        self.graph
            .add("Gather", &[&double, &index], &own, &[attribute::int("axis", 1)]);
        let curved = match calibration {
            Calibration::Sigmoid(curves) => self.sigmoid(&own, &one, curves),
            Calibration::Isotonic(curves) => self.isotonic(&own, &one, curves),
        };
        let whole = self.name("calibrated");
        if class_count == 2 {
            let rest = self.name("calibrated_rest");
            self.graph.add("Sub", &[&one, &curved], &rest, &[]);
            let axis = [attribute::int("axis", 1)];
            self.graph.add("Concat", &[&rest, &curved], &whole, &axis);
        } else {
            let axes = self.constant("class_axis", |name| tensor::ints(name, &[1], &[1]));
            let sum = self.name("calibrated_sum");
            self.graph.add("ReduceSum", &[&curved, &axes], &sum, &[]);
            self.graph.add("Div", &[&curved, &sum], &whole, &[]);
        }
        let [class, single] = ["calibrated_class", "calibrated_probabilities"].map(|name| self.name(name));
        let of_row = [attribute::int("axis", 1), attribute::int("keepdims", 0)];
        self.graph.add("ArgMax", &[&whole], &class, &of_row);
        self.labels(&class, label);
        let to_float = attribute::int("to", Element::Float as i64);
        self.graph.add("Cast", &[&whole], &single, &[to_float]);
        single
    }

    fn sigmoid(&mut self, own: &str, one: &str, curves: &[(f64, f64)]) -> String {
        let shape = [1, curves.len() as i64];
        let slopes: Vec<f64> = curves.iter().map(|curve| curve.0).collect();
        let intercepts: Vec<f64> = curves.iter().map(|curve| curve.1).collect();
        let low = self.constant("edge_low", |name| tensor::doubles(name, &[], &[EDGE]));
        let high = self.constant("edge_high", |name| tensor::doubles(name, &[], &[1.0 - EDGE]));
        let slopes = self.constant("curve_slopes", |name| tensor::doubles(name, &shape, &slopes));
        let intercepts = self.constant("curve_intercepts", |name| {
            tensor::doubles(name, &shape, &intercepts)
        });
        let names = [
            "within",
            "log",
            "other",
            "log_other",
            "odds",
            "sloped",
            "moved",
            "curved",
        ];
        let [within, log, other, log_other, odds, sloped, moved, curved] =
            names.map(|name| self.name(&format!("sigmoid_{name}")));
        let graph = &mut self.graph;
        graph.add("Clip", &[own, &low, &high], &within, &[]);
        graph.add("Log", &[&within], &log, &[]);
        graph.add("Sub", &[one, &within], &other, &[]);
        graph.add("Log", &[&other], &log_other, &[]);
        graph.add("Sub", &[&log, &log_other], &odds, &[]);
        graph.add("Mul", &[&odds, &slopes], &sloped, &[]);
        graph.add("Add", &[&sloped, &intercepts], &moved, &[]);
        graph.add("Sigmoid", &[&moved], &curved, &[]);
        curved
    }

    fn isotonic(&mut self, own: &str, one: &str, curves: &[Vec<(f64, f64)>]) -> String {
        let zero = self.constant("zero", |name| tensor::doubles(name, &[], &[0.0]));
        let most = self.constant("most", |name| tensor::doubles(name, &[], &[1.0 - TRACE]));
        let trace = self.constant("trace", |name| tensor::doubles(name, &[], &[TRACE]));
        let axis = || [attribute::int("axis", 1)];
        let mut columns = Vec::new();
        for (position, corners) in curves.iter().enumerate() {
            // The curve climbs from corner to corner: each climb is gone in full, in part or not at all. A level curve has
            // none; one that goes nowhere stands in.
            let mut climbs: Vec<(f64, f64, f64)> = corners
                .windows(2)
                .filter(|pair| pair[1].1 > pair[0].1)
                .map(|pair| (pair[0].0, 1.0 / (pair[1].0 - pair[0].0), pair[1].1 - pair[0].1))
                .collect();
            if climbs.is_empty() {
                climbs.push((0.0, 0.0, 0.0));
            }
            let count = climbs.len() as i64;
            let part = |which: fn(&(f64, f64, f64)) -> f64| climbs.iter().map(which).collect::<Vec<f64>>();
            let named = |what: &str| format!("isotonic_{what}_{position}");
            let index = self.constant(&named("index"), |name| {
                tensor::ints(name, &[1], &[position as i64])
            });
            let begins = self.constant(&named("begins"), |name| {
                tensor::doubles(name, &[1, count], &part(|climb| climb.0))
            });
            let slopes = self.constant(&named("slopes"), |name| {
                tensor::doubles(name, &[1, count], &part(|climb| climb.1))
            });
            let heights = self.constant(&named("heights"), |name| {
                tensor::doubles(name, &[count, 1], &part(|climb| climb.2))
            });
            let lowest = corners.first().map_or(0.0, |corner| corner.1);
            let lowest = self.constant(&named("lowest"), |name| tensor::doubles(name, &[], &[lowest]));
            let names = ["own", "beyond", "ways", "limited", "climbed", "curved"];
            let [column, beyond, ways, limited, climbed, curved] = names.map(|name| self.name(&named(name)));
            let graph = &mut self.graph;
            graph.add("Gather", &[own, &index], &column, &axis());
            graph.add("Sub", &[&column, &begins], &beyond, &[]);
            graph.add("Mul", &[&beyond, &slopes], &ways, &[]);
            graph.add("Clip", &[&ways, &zero, one], &limited, &[]);
            graph.add("MatMul", &[&limited, &heights], &climbed, &[]);
            graph.add("Add", &[&climbed, &lowest], &curved, &[]);
            columns.push(curved);
        }
        let names = ["steps", "steps_part", "trace_part", "curved"];
        let [steps, steps_part, trace_part, curved] =
            names.map(|name| self.name(&format!("isotonic_{name}")));
        let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.graph.add("Concat", &columns, &steps, &axis());
        self.graph.add("Mul", &[&steps, &most], &steps_part, &[]);
        self.graph.add("Mul", &[own, &trace], &trace_part, &[]);
        self.graph.add("Add", &[&steps_part, &trace_part], &curved, &[]);
        curved
    }
}
