//! The graph of a whole pipeline.
//!
//! Each input is one column in its own type and each output is one column (`[N]`), because that is what MLflow
//! can put a data frame into and make one of.

use super::encoder::{self, Element, Graph, attribute, node, tensor, value};
use super::{neighbors, trees};
use crate::feature::{Feature, FeatureKind};
use crate::linear::{LEAST_LOGISTIC, Link};
use crate::model::{Model, Span};
use crate::prepare::PreparedColumn;
use crate::prepare::categorical::{CategoricalColumn, UNKNOWN};
use crate::prepare::encoded::EncodedColumn;
use crate::{Label, Pipeline};

const ML: &str = "ai.onnx.ml";

/// The names of the outputs: the label, then one probability a class; or the predicted number.
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
            label: free(
                if pipeline.labels.is_empty() {
                    "prediction"
                } else {
                    "label"
                }
                .to_owned(),
            ),
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
        has_labels: false,
    };
    export.inputs();
    let filled = export.numbers();
    let numbers = export.with_encoded(filled);
    let outputs = Outputs::of(pipeline);
    match &pipeline.model {
        Model::Trees(ensemble) => {
            let features = export.tree_features(numbers.as_deref());
            let probabilities = export.name("probabilities");
            let attributes = trees::attributes(ensemble, &export.tree_columns(), &pipeline.labels);
            let label = export.model_label(&outputs.label);
            let made = [label.as_str(), &probabilities];
            export.graph.nodes.push(node(
                "TreeEnsembleClassifier",
                ML,
                &[&features],
                &made,
                &attributes,
            ));
            let probabilities = export.calibrated(probabilities, &outputs.label);
            export.outputs(&outputs, &probabilities);
        }
        Model::Linear { linear, design, link } => {
            let scores = export.linear_scores(numbers.as_deref(), linear, design);
            export.classes(&scores, *link, &outputs);
        }
        Model::Svc { svc, design } => {
            let scores = export.svc_scores(numbers.as_deref(), svc, design);
            export.classes(&scores, svc.link(), &outputs);
        }
        Model::NaiveBayes { bayes, design } => {
            let scores = export.bayes_scores(numbers.as_deref(), bayes, design);
            export.classes(&scores, Link::Softmax, &outputs);
        }
        Model::TreeNumbers { ensemble, span } => {
            let features = export.tree_features(numbers.as_deref());
            let scores = export.name("scores");
            let attributes = trees::number_attributes(ensemble, &export.tree_columns());
            export.graph.nodes.push(node(
                "TreeEnsembleRegressor",
                ML,
                &[&features],
                &[&scores],
                &attributes,
            ));
            export.spanned(&scores, *span, &outputs.label);
        }
        Model::LinearNumbers { linear, design } => {
            let scores = export.linear_scores(numbers.as_deref(), linear, design);
            export.number(&scores, &outputs.label);
        }
    }
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

pub(super) struct Export<'a> {
    pub(super) pipeline: &'a Pipeline,
    pub(super) graph: Graph,
    prefix: String,
    /// Whether the constant of the labels is there already.
    has_labels: bool,
}

impl<'a> Export<'a> {
    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn constant(&mut self, name: &str, make: impl FnOnce(&str) -> encoder::Message) -> String {
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

    /// The input that a prepared column is made of.
    fn feature_of(&self, position: usize) -> &'a Feature {
        &self.pipeline.features[self.pipeline.preparation.sources[position]]
    }

    /// Adds the numeric columns side by side, filled; `None` when there are none.
    fn numbers(&mut self) -> Option<String> {
        let pipeline = self.pipeline;
        let column_shape = self.constant("column_shape", |name| tensor::ints(name, &[2], &[-1, 1]));
        let mut columns = Vec::new();
        let mut fills = Vec::new();
        for (position, column) in pipeline.preparation.columns.iter().enumerate() {
            let PreparedColumn::Numeric(column) = column else {
                continue;
            };
            let feature = self.feature_of(position);
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
        if fills.iter().all(Option::is_none) {
            return Some(raw);
        }
        // What stays missing is filled with what it is.
        let fills: Vec<f32> = fills.into_iter().map(|fill| fill.unwrap_or(f32::NAN)).collect();
        let fill = self.constant("fill", |name| {
            tensor::floats(name, &[1, fills.len() as i64], &fills)
        });
        let (missing, filled) = (self.name("missing"), self.name("filled"));
        self.graph.add("IsNaN", &[&raw], &missing, &[]);
        self.graph.add("Where", &[&missing, &fill, &raw], &filled, &[]);
        Some(filled)
    }

    /// Adds, behind the numbers, the columns of texts that models see as numbers.
    fn with_encoded(&mut self, numbers: Option<String>) -> Option<String> {
        let pipeline = self.pipeline;
        let column_shape = self.name("column_shape");
        let mut parts: Vec<String> = numbers.iter().cloned().collect();
        for (position, column) in pipeline.preparation.columns.iter().enumerate() {
            let PreparedColumn::Encoded(column) = column else {
                continue;
            };
            let (texts, codes) = known_texts(&column.texts);
            let values: Vec<f32> = codes.iter().map(|&code| column.value(code)).collect();
            let [flat, number, shaped] =
                ["text", "encoded", "column"].map(|what| self.name(&format!("{what}_{position}")));
            let flat_shape = self.constant(&format!("flat_{position}"), |name| {
                tensor::ints(name, &[1], &[-1])
            });
            self.graph.add(
                "Reshape",
                &[&self.feature_of(position).name, &flat_shape],
                &flat,
                &[],
            );
            let encode = [
                attribute::texts("keys_strings", &texts),
                attribute::floats("values_floats", &values),
                attribute::float("default_float", EncodedColumn::value(column, UNKNOWN)),
            ];
            self.graph
                .nodes
                .push(node("LabelEncoder", ML, &[&flat], &[&number], &encode));
            self.graph.add("Reshape", &[&number, &column_shape], &shaped, &[]);
            parts.push(shaped);
        }
        if parts.len() == numbers.iter().count() {
            return numbers;
        }
        let all = self.name("all_numbers");
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.graph
            .add("Concat", &parts, &all, &[attribute::int("axis", 1)]);
        Some(all)
    }

    /// The positions of the columns that models see as numbers, in the order of the numbers: texts come last.
    pub(super) fn number_positions(&self) -> Vec<usize> {
        let columns = &self.pipeline.preparation.columns;
        let of = |is_wanted: fn(&PreparedColumn) -> bool| {
            (0..columns.len()).filter(move |&position| is_wanted(&columns[position]))
        };
        of(|column| matches!(column, PreparedColumn::Numeric(_)))
            .chain(of(|column| matches!(column, PreparedColumn::Encoded(_))))
            .collect()
    }

    /// Adds the one-hot columns of the given codes.
    pub(super) fn one_hot(&mut self, position: usize, column: &CategoricalColumn, codes: &[u8]) -> String {
        let feature = self.feature_of(position);
        let flat_shape = self.constant(&format!("flat_{position}"), |name| {
            tensor::ints(name, &[1], &[-1])
        });
        let [flat, code, hot] = ["text", "code", "hot"].map(|what| self.name(&format!("{what}_{position}")));
        self.graph
            .add("Reshape", &[&feature.name, &flat_shape], &flat, &[]);
        let (texts, codes_of_texts) = known_texts(column);
        let values: Vec<i64> = codes_of_texts.into_iter().map(i64::from).collect();
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
        let numbers = self.number_positions();
        let mut next = numbers.len();
        let position = |(position, column): (usize, &PreparedColumn)| match column {
            PreparedColumn::Date(_) => unreachable!("pipelines with dates are not exported"),
            PreparedColumn::Numeric(_) | PreparedColumn::Encoded(_) => {
                let number = numbers.iter().position(|&known| known == position);
                trees::Position::Number(number.expect("all numbers are listed"))
            }
            PreparedColumn::Categorical(column) => {
                let codes = column.one_hot_codes(false);
                let begin = next;
                next += codes.len();
                trees::Position::OneHot(codes.into_iter().zip(begin..).collect())
            }
        };
        columns.iter().enumerate().map(position).collect()
    }

    /// Adds the label of the greatest score and the probabilities, calibrated, as outputs.
    fn classes(&mut self, scores: &str, link: Link, outputs: &Outputs) {
        let [shares, probabilities, class] = ["shares", "probabilities", "class"].map(|name| self.name(name));
        match link {
            Link::Softmax => self
                .graph
                .add("Softmax", &[scores], &shares, &[attribute::int("axis", 1)]),
            Link::OneAgainstRest => {
                let least = self.constant("least_logistic", |name| {
                    tensor::doubles(name, &[], &[LEAST_LOGISTIC])
                });
                let axes = self.constant("score_axis", |name| tensor::ints(name, &[1], &[1]));
                let [logistic, above, sum] =
                    ["logistic", "logistic_above", "logistic_sum"].map(|name| self.name(name));
                self.graph.add("Sigmoid", &[scores], &logistic, &[]);
                self.graph.add("Max", &[&logistic, &least], &above, &[]);
                self.graph.add("ReduceSum", &[&above, &axes], &sum, &[]);
                self.graph.add("Div", &[&above, &sum], &shares, &[]);
            }
        }
        let label = self.model_label(&outputs.label);
        let graph = &mut self.graph;
        graph.add(
            "Cast",
            &[&shares],
            &probabilities,
            &[attribute::int("to", Element::Float as i64)],
        );
        graph.add(
            "ArgMax",
            &[scores],
            &class,
            &[attribute::int("axis", 1), attribute::int("keepdims", 0)],
        );
        self.labels(&class, &label);
        let probabilities = self.calibrated(probabilities, &outputs.label);
        self.outputs(outputs, &probabilities);
    }

    /// Adds the labels of some classes.
    pub(super) fn labels(&mut self, classes: &str, output: &str) {
        let labels = self.name("labels");
        if !self.has_labels {
            self.has_labels = true;
            let pipeline = self.pipeline;
            self.graph.constants.push(label_tensor(&labels, &pipeline.labels));
        }
        self.graph.add(
            "Gather",
            &[&labels, classes],
            output,
            &[attribute::int("axis", 0)],
        );
    }

    /// Adds the way from the scores of trees to the predicted numbers, in 64 bits.
    fn spanned(&mut self, scores: &str, span: Span, output: &str) {
        let scale = self.constant("span", |name| tensor::doubles(name, &[], &[span.scale]));
        let offset = self.constant("offset", |name| tensor::doubles(name, &[], &[span.offset]));
        let [double, scaled, moved] =
            ["double_scores", "scaled_scores", "moved_scores"].map(|name| self.name(name));
        let to_double = attribute::int("to", Element::Double as i64);
        self.graph.add("Cast", &[scores], &double, &[to_double]);
        self.graph.add("Mul", &[&double, &scale], &scaled, &[]);
        self.graph.add("Add", &[&scaled, &offset], &moved, &[]);
        self.number(&moved, output);
    }

    /// Adds the predicted numbers as one column.
    fn number(&mut self, numbers: &str, output: &str) {
        let shape = self.constant("number_shape", |name| tensor::ints(name, &[1], &[-1]));
        self.graph.add("Reshape", &[numbers, &shape], output, &[]);
        self.graph.outputs.push(value(output, Element::Double, &[-1]));
    }

    fn outputs(&mut self, outputs: &Outputs, probabilities: &str) {
        let element = match integers(&self.pipeline.labels) {
            Some(_) => Element::Int64,
            None => Element::String,
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

/// The texts that a column knows, with their codes; those that data frames make of a missing text among them.
fn known_texts(column: &CategoricalColumn) -> (Vec<&str>, Vec<u8>) {
    let mut texts: Vec<&str> = column.categories.iter().map(String::as_str).collect();
    let mut codes: Vec<u8> = (0..texts.len()).map(|code| code as u8).collect();
    for missing in ["", "nan", "None", "<NA>"] {
        // Unless it is a category itself.
        if !texts.contains(&missing) {
            texts.push(missing);
            codes.push(column.fill);
        }
    }
    (texts, codes)
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
        Label::Text(_) | Label::Number(_) => None,
    };
    labels.iter().map(number).collect()
}
