//! Support vector machines with kernels in plain operators, in 64 bits.

use super::encoder::{Element, attribute, tensor};
use super::graph::Export;
use crate::config::KernelKind;
use crate::linear::Design;
use crate::svc::{Svc, pairs};

impl Export<'_> {
    /// Adds the kernels of the prepared row with all vectors, and what the pairs decide; returns the scores.
    pub(super) fn svc_scores(&mut self, numbers: Option<&str>, svc: &Svc, design: &Design) -> String {
        let (features, order) = self.design_features(numbers, design);
        let alike = self.kernel(&features, &order, svc, design);
        let pair_count = svc.intercepts.len() as i64;
        let vector_count = svc.coefficients.len() as i64 / pair_count;
        let coefficients = self.constant("machine_coefficients", |name| {
            tensor::doubles(name, &[vector_count, pair_count], &svc.coefficients)
        });
        let intercepts = self.constant("machine_intercepts", |name| {
            tensor::doubles(name, &[1, pair_count], &svc.intercepts)
        });
        let [product, decisions] = ["machine_product", "decisions"].map(|name| self.name(name));
        self.graph.add("MatMul", &[&alike, &coefficients], &product, &[]);
        self.graph.add("Add", &[&product, &intercepts], &decisions, &[]);
        self.put_together(&decisions, svc)
    }

    /// Adds how alike the row and each vector are.
    fn kernel(&mut self, features: &str, order: &[usize], svc: &Svc, design: &Design) -> String {
        let vectors: Vec<&[f64]> = svc.vectors.chunks_exact(design.width.max(1)).collect();
        let shape = [order.len() as i64, vectors.len() as i64];
        let turned: Vec<f64> = (order.iter())
            .flat_map(|&position| vectors.iter().map(move |vector| vector[position]))
            .collect();
        let turned = self.constant("vectors", |name| tensor::doubles(name, &shape, &turned));
        let product = self.name("vector_product");
        self.graph.add("MatMul", &[features, &turned], &product, &[]);
        let kernel = svc.kernel;
        match kernel.kind {
            KernelKind::Linear => product,
            KernelKind::Poly => {
                let gamma = self.constant("gamma", |name| tensor::doubles(name, &[], &[kernel.gamma]));
                let coef0 = self.constant("coef0", |name| tensor::doubles(name, &[], &[kernel.coef0]));
                let degree = self.constant("degree", |name| {
                    tensor::doubles(name, &[], &[f64::from(kernel.degree)])
                });
                let [scaled, moved, alike] =
                    ["kernel_scaled", "kernel_moved", "alike"].map(|name| self.name(name));
                self.graph.add("Mul", &[&product, &gamma], &scaled, &[]);
                self.graph.add("Add", &[&scaled, &coef0], &moved, &[]);
                self.graph.add("Pow", &[&moved, &degree], &alike, &[]);
                alike
            }
            KernelKind::Rbf => {
                // The squared distance is the row's square and the vector's, less twice their product.
                let squares: Vec<f64> = vectors
                    .iter()
                    .map(|vector| vector.iter().map(|value| value * value).sum())
                    .collect();
                let squares = self.constant("vector_squares", |name| {
                    tensor::doubles(name, &[1, squares.len() as i64], &squares)
                });
                let axes = self.constant("kernel_axis", |name| tensor::ints(name, &[1], &[1]));
                let two = self.constant("two", |name| tensor::doubles(name, &[], &[2.0]));
                let turn = self.constant("turned_gamma", |name| {
                    tensor::doubles(name, &[], &[-kernel.gamma])
                });
                let names = [
                    "row_values",
                    "row_squares",
                    "both",
                    "twice",
                    "distance",
                    "exponent",
                    "alike",
                ];
                let [own, of_row, both, twice, distance, exponent, alike] =
                    names.map(|name| self.name(&format!("kernel_{name}")));
                self.graph.add("Mul", &[features, features], &own, &[]);
                self.graph.add("ReduceSum", &[&own, &axes], &of_row, &[]);
                self.graph.add("Add", &[&of_row, &squares], &both, &[]);
                self.graph.add("Mul", &[&product, &two], &twice, &[]);
                self.graph.add("Sub", &[&both, &twice], &distance, &[]);
                self.graph.add("Mul", &[&distance, &turn], &exponent, &[]);
                self.graph.add("Exp", &[&exponent], &alike, &[]);
                alike
            }
        }
    }

    /// Adds the scores of the classes from the decisions of the pairs.
    fn put_together(&mut self, decisions: &str, svc: &Svc) -> String {
        let classes = svc.class_count;
        let shape = [svc.intercepts.len() as i64, classes as i64];
        // One row a pair: its first class gains what its second loses.
        let side = |class: usize, (first, second): (usize, usize)| {
            f64::from(u8::from(class == first)) - f64::from(u8::from(class == second))
        };
        let sides: Vec<f64> = pairs(classes)
            .flat_map(|pair| (0..classes).map(move |class| side(class, pair)))
            .collect();
        let sides = self.constant("sides", |name| tensor::doubles(name, &shape, &sides));
        let sums = self.name("decision_sums");
        self.graph.add("MatMul", &[decisions, &sides], &sums, &[]);
        if classes == 2 {
            return sums;
        }
        // A class is the first in all pairs with later ones. A vote for the second of a pair is one more there and one less for the first.
        let firsts: Vec<f64> = (0..classes).map(|class| (classes - 1 - class) as f64).collect();
        let firsts = self.constant("firsts", |name| {
            tensor::doubles(name, &[1, classes as i64], &firsts)
        });
        let zero = self.constant("no_decision", |name| tensor::doubles(name, &[], &[0.0]));
        let one = self.constant("whole_vote", |name| tensor::doubles(name, &[], &[1.0]));
        let three = self.constant("thrice", |name| tensor::doubles(name, &[], &[3.0]));
        let names = [
            "for_second",
            "second_votes",
            "lost",
            "all",
            "sizes",
            "more",
            "limits",
            "parts",
            "scores",
        ];
        let [
            for_second,
            second_votes,
            lost,
            votes,
            sizes,
            more,
            limits,
            parts,
            scores,
        ] = names.map(|name| self.name(&format!("votes_{name}")));
        let to_double = attribute::int("to", Element::Double as i64);
        let graph = &mut self.graph;
        graph.add("Less", &[decisions, &zero], &for_second, &[]);
        graph.add("Cast", &[&for_second], &second_votes, &[to_double]);
        graph.add("MatMul", &[&second_votes, &sides], &lost, &[]);
        graph.add("Sub", &[&firsts, &lost], &votes, &[]);
        graph.add("Abs", &[&sums], &sizes, &[]);
        graph.add("Add", &[&sizes, &one], &more, &[]);
        graph.add("Mul", &[&more, &three], &limits, &[]);
        graph.add("Div", &[&sums, &limits], &parts, &[]);
        graph.add("Add", &[&votes, &parts], &scores, &[]);
        scores
    }
}
