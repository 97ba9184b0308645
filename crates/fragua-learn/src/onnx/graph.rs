//! The graph of a whole pipeline.
//!
//! Each input is one column in its own type and each output is one column (`[N]`), because that is what MLflow
//! can put a data frame into and make one of.

use super::encoder::{self, Element, Graph, attribute, node, tensor, value};
use super::{neighbors, trees};
use crate::feature::FeatureKind;
use crate::linear::{Design, Encoding, Logistic};
use crate::model::Model;
use crate::prepare::PreparedColumn;
use crate::prepare::categorical::{CategoricalColumn, UNKNOWN};
use crate::{Label, Pipeline};

const ML: &str = "ai.onnx.ml";

/// The names of the outputs: the label, then one probability a class.
pub(crate) struct Outputs {
    pub(crate) label: String,
    pub(crate) probabilities: Vec<String>,
}

impl Outputs {
    /// Names that no input has.
    pub(crate) fn of(pipeline: &Pipeline) -> Self {
        let free = |mut name: String| {
            while pipeline.features.iter().any(|feature| feature.name == name) {
                name.push('_');
            }
            name
        };
        let probabilities = pipeline
            .labels
            .iter()
            .map(|label| free(format!("proba_{label}")))
            .collect();
        Self {
            label: free("label".to_owned()),
            probabilities,
        }
    }
}

/// Writes the pipeline as an ONNX file.
pub(crate) fn export(pipeline: &Pipeline) -> Vec<u8> {
    let mut export = Export {
        pipeline,
        graph: Graph::default(),
        prefix: free_prefix(pipeline),
    };
    export.inputs();
    let numbers = export.numbers();
    let outputs = Outputs::of(pipeline);
    let probabilities = match &pipeline.model {
        Model::Trees(ensemble) => {
            let features = export.tree_features(numbers.as_deref());
            let probabilities = export.name("probabilities");
            let attributes = trees::attributes(ensemble, &export.tree_columns(), &pipeline.labels);
            let made = [outputs.label.as_str(), &probabilities];
            export.graph.nodes.push(node(
                "TreeEnsembleClassifier",
                ML,
                &[&features],
                &made,
                &attributes,
            ));
            probabilities
        }
        Model::Linear { logistic, design } => {
            export.linear(numbers.as_deref(), logistic, design, &outputs.label)
        }
    };
    export.outputs(&outputs, &probabilities);
    encoder::model(&export.graph)
}

/// What names of inner values begin with: something no column's name begins with.
fn free_prefix(pipeline: &Pipeline) -> String {
    let mut prefix = "/".to_owned();
    while pipeline
        .features
        .iter()
        .any(|feature| feature.name.starts_with(&prefix))
    {
        prefix.push('/');
    }
    prefix
}

struct Export<'a> {
    pipeline: &'a Pipeline,
    graph: Graph,
    prefix: String,
}

impl Export<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn constant(&mut self, name: &str, make: impl FnOnce(&str) -> encoder::Message) -> String {
        let name = self.name(name);
        self.graph.constants.push(make(&name));
        name
    }

    fn inputs(&mut self) {
        for feature in &self.pipeline.features {
            let element = match feature.kind {
                FeatureKind::Integer => Element::Int64,
                FeatureKind::Number => Element::Double,
                FeatureKind::Category => Element::String,
            };
            self.graph.inputs.push(value(&feature.name, element, &[-1]));
        }
    }

    /// Adds the numeric columns side by side, filled; `None` when there are none.
    fn numbers(&mut self) -> Option<String> {
        let pipeline = self.pipeline;
        let column_shape = self.constant("column_shape", |name| tensor::ints(name, &[2], &[-1, 1]));
        let mut columns = Vec::new();
        let mut fills = Vec::new();
        for (position, feature) in pipeline.features.iter().enumerate() {
            let PreparedColumn::Numeric(column) = &pipeline.preparation.columns[position] else {
                continue;
            };
            let (single, shaped) = (
                self.name(&format!("single_{position}")),
                self.name(&format!("column_{position}")),
            );
            let to_float = attribute::int("to", Element::Float as i64);
            self.graph.add("Cast", &[&feature.name], &single, &[to_float]);
            self.graph.add("Reshape", &[&single, &column_shape], &shaped, &[]);
            columns.push(shaped);
            fills.push(column.fill);
        }
        if columns.is_empty() {
            return None;
        }
        let raw = self.name("numbers");
        let inputs: Vec<&str> = columns.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &inputs, &raw, &[attribute::int("axis", 1)]);
        if let Some(imputer) = &pipeline.preparation.knn {
            return Some(neighbors::add(&mut self.graph, &self.prefix, imputer, &raw));
        }
        let fills: Option<Vec<f32>> = fills.into_iter().collect();
        let Some(fills) = fills else { return Some(raw) };
        let fill = self.constant("fill", |name| {
            tensor::floats(name, &[1, fills.len() as i64], &fills)
        });
        let (missing, filled) = (self.name("missing"), self.name("filled"));
        self.graph.add("IsNaN", &[&raw], &missing, &[]);
        self.graph.add("Where", &[&missing, &fill, &raw], &filled, &[]);
        Some(filled)
    }

    /// Adds the one-hot columns of the given codes.
    fn one_hot(&mut self, position: usize, column: &CategoricalColumn, codes: &[u8]) -> String {
        let feature = &self.pipeline.features[position];
        let flat_shape = self.constant(&format!("flat_{position}"), |name| {
            tensor::ints(name, &[1], &[-1])
        });
        let [flat, code, hot] = ["text", "code", "hot"].map(|what| self.name(&format!("{what}_{position}")));
        self.graph
            .add("Reshape", &[&feature.name, &flat_shape], &flat, &[]);
        let mut texts: Vec<&str> = column.categories.iter().map(String::as_str).collect();
        let mut values: Vec<i64> = (0..texts.len() as i64).collect();
        // What data frames make of a missing text, unless it is a category itself.
        for missing in ["", "nan", "None", "<NA>"] {
            if !texts.contains(&missing) {
                texts.push(missing);
                values.push(i64::from(column.fill));
            }
        }
        let encode = [
            attribute::texts("keys_strings", &texts),
            attribute::ints("values_int64s", &values),
            attribute::int("default_int64", i64::from(UNKNOWN)),
        ];
        self.graph
            .nodes
            .push(node("LabelEncoder", ML, &[&flat], &[&code], &encode));
        let codes: Vec<i64> = codes.iter().map(|&code| i64::from(code)).collect();
        let spread = [attribute::ints("cats_int64s", &codes), attribute::int("zeros", 1)];
        self.graph
            .nodes
            .push(node("OneHotEncoder", ML, &[&code], &[&hot], &spread));
        hot
    }

    /// Adds what the trees read: numbers, then one-hot columns of every category.
    fn tree_features(&mut self, numbers: Option<&str>) -> String {
        let pipeline = self.pipeline;
        let mut parts: Vec<String> = numbers.iter().map(|name| (*name).to_owned()).collect();
        for (position, column) in pipeline.preparation.columns.iter().enumerate() {
            if let PreparedColumn::Categorical(column) = column {
                let codes = column.one_hot_codes(false);
                if !codes.is_empty() {
                    parts.push(self.one_hot(position, column, &codes));
                }
            }
        }
        let features = self.name("features");
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &parts, &features, &[attribute::int("axis", 1)]);
        features
    }

    /// Returns where each column's values lie among the trees' features, in the order of [`Self::tree_features`].
    fn tree_columns(&self) -> Vec<trees::Position> {
        let columns = &self.pipeline.preparation.columns;
        let is_numeric = |column: &&PreparedColumn| matches!(column, PreparedColumn::Numeric(_));
        let mut number = 0;
        let mut next = columns.iter().filter(is_numeric).count();
        let position = |column: &PreparedColumn| match column {
            PreparedColumn::Numeric(_) => {
                number += 1;
                trees::Position::Number(number - 1)
            }
            PreparedColumn::Categorical(column) => {
                let codes = column.one_hot_codes(false);
                let begin = next;
                next += codes.len();
                trees::Position::OneHot(codes.into_iter().zip(begin..).collect())
            }
        };
        columns.iter().map(position).collect()
    }

    /// Adds scaling, the product with the coefficients in 64 bits, and the label; returns the probabilities.
    fn linear(&mut self, numbers: Option<&str>, logistic: &Logistic, design: &Design, label: &str) -> String {
        let pipeline = self.pipeline;
        let to_double = || [attribute::int("to", Element::Double as i64)];
        let mut parts = Vec::new();
        // Coefficients in the order of the parts: numbers first, then the categories.
        let mut order = Vec::new();
        if let Some(numbers) = numbers {
            let (mut means, mut scales) = (Vec::new(), Vec::new());
            for (column, encoding) in pipeline.preparation.columns.iter().zip(&design.encodings) {
                if let (PreparedColumn::Numeric(column), Encoding::Scaled { position }) = (column, encoding) {
                    means.push(column.mean);
                    scales.push(column.scale);
                    order.push(*position);
                }
            }
            let width = [1, means.len() as i64];
            let mean = self.constant("mean", |name| tensor::doubles(name, &width, &means));
            let scale = self.constant("scale", |name| tensor::doubles(name, &width, &scales));
            let [double, centred, scaled] = ["double", "centred", "scaled"].map(|name| self.name(name));
            self.graph.add("Cast", &[numbers], &double, &to_double());
            self.graph.add("Sub", &[&double, &mean], &centred, &[]);
            self.graph.add("Mul", &[&centred, &scale], &scaled, &[]);
            parts.push(scaled);
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
        let classes = logistic.class_count;
        let row = |position: usize| &logistic.coefficients[position * classes..][..classes];
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

        let names = [
            "features",
            "product",
            "scores",
            "shares",
            "probabilities",
            "class",
        ];
        let [features, product, scores, shares, probabilities, class] = names.map(|name| self.name(name));
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let graph = &mut self.graph;
        graph.add("Concat", &parts, &features, &[attribute::int("axis", 1)]);
        graph.add("MatMul", &[&features, &coefficients], &product, &[]);
        graph.add("Add", &[&product, &intercepts], &scores, &[]);
        graph.add("Softmax", &[&scores], &shares, &[attribute::int("axis", 1)]);
        graph.add(
            "Cast",
            &[&shares],
            &probabilities,
            &[attribute::int("to", Element::Float as i64)],
        );
        graph.add(
            "ArgMax",
            &[&scores],
            &class,
            &[attribute::int("axis", 1), attribute::int("keepdims", 0)],
        );
        let labels = self.constant("labels", |name| label_tensor(name, &pipeline.labels));
        self.graph
            .add("Gather", &[&labels, &class], label, &[attribute::int("axis", 0)]);
        probabilities
    }

    fn outputs(&mut self, outputs: &Outputs, probabilities: &str) {
        let element = match &self.pipeline.labels[0] {
            Label::Integer(_) => Element::Int64,
            Label::Text(_) => Element::String,
        };
        self.graph.outputs.push(value(&outputs.label, element, &[-1]));
        for (class, output) in outputs.probabilities.iter().enumerate() {
            let index = self.constant(&format!("index_{class}"), |name| {
                tensor::ints(name, &[], &[class as i64])
            });
            self.graph.add(
                "Gather",
                &[probabilities, &index],
                output,
                &[attribute::int("axis", 1)],
            );
            self.graph.outputs.push(value(output, Element::Float, &[-1]));
        }
    }
}

fn label_tensor(name: &str, labels: &[Label]) -> encoder::Message {
    let shape = [labels.len() as i64];
    match integers(labels) {
        Some(numbers) => tensor::ints(name, &shape, &numbers),
        None => tensor::texts(
            name,
            &shape,
            &labels.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ),
    }
}

/// Returns the labels as numbers when all are.
pub(crate) fn integers(labels: &[Label]) -> Option<Vec<i64>> {
    let number = |label: &Label| match label {
        Label::Integer(number) => Some(*number),
        Label::Text(_) => None,
    };
    labels.iter().map(number).collect()
}
