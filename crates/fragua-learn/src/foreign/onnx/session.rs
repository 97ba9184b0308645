//! A graph that is ready to run, and the rows of a table that run through it.

use super::answers::Answers;
use super::message::{Element, Model};
use super::operator::{Inputs, Operator};
use super::tensor::{Data, Tensor};
use crate::foreign::columns::{self, MAX_COLUMNS};
use crate::foreign::{Kind, Loaded};
use crate::table::{Column, Table};
use crate::{Error, Feature, FeatureKind, Label, Predictions};
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// What the first run of two rows may take.
const TRIAL: Effort = Effort {
    elements: 1 << 25,
    steps: 1 << 28,
};
/// Elements of rows that run through together.
const BLOCK_ELEMENTS: usize = 1 << 21;
/// Most rows that run through together.
const MAX_BLOCK: usize = 512;
const TRIAL_ROWS: usize = 2;

/// What a run takes.
#[derive(Clone, Copy, Debug, Default)]
struct Effort {
    /// Elements that come out of operations; all are kept until the end.
    elements: usize,
    /// Steps beyond them, such as products of matrices.
    steps: usize,
}

/// A graph that is ready to run.
#[derive(Clone, Debug)]
pub(in crate::foreign) struct Session {
    nodes: Vec<Step>,
    /// Values that every run begins with, by their places.
    constants: Vec<(usize, Arc<Tensor>)>,
    inputs: Vec<Input>,
    answers: Answers,
    /// Number of values of a run.
    places: usize,
    /// Most rows that run through together.
    block: usize,
    /// What a made-up row took.
    of_row: Effort,
}

/// One operation with the places of its values.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) operator: Operator,
    pub(super) name: String,
    pub(super) inputs: Vec<Option<usize>>,
    /// Outputs that nobody wants have no place.
    pub(super) outputs: Vec<Option<usize>>,
}

/// What goes in: one or more columns of the table.
#[derive(Clone, Debug)]
struct Input {
    place: usize,
    element: Element,
    width: usize,
    /// Whether the columns lie in a dimension of their own.
    has_columns: bool,
}

/// Reads a graph, makes it ready and runs made-up rows through it.
pub(in crate::foreign) fn load(bytes: &[u8], columns: &[String]) -> Result<Loaded, String> {
    let mut model = Model::read(bytes)?;
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut place = |name: &str| {
        let next = places.len();
        match places.insert(name.to_owned(), next) {
            None => Ok(next),
            Some(_) => Err(format!(
                "two of its values are called {:?}",
                crate::table::shorten(name)
            )),
        }
    };
    let mut constants = Vec::with_capacity(model.constants.len());
    for (name, tensor) in std::mem::take(&mut model.constants) {
        constants.push((place(&name)?, Arc::new(tensor)));
    }
    let (inputs, features, is_single) = inputs(&model, columns, &mut place)?;
    let mut nodes = Vec::with_capacity(model.nodes.len());
    for mut node in std::mem::take(&mut model.nodes) {
        let find = |name: &String| match name.as_str() {
            "" => Ok(None),
            name => places.get(name).copied().map(Some).ok_or_else(|| {
                node.blame(&format!(
                    "its input {:?} comes from nowhere before it",
                    crate::table::shorten(name)
                ))
            }),
        };
        let inputs = node.inputs.iter().map(find).collect::<Result<_, _>>()?;
        let operator = Operator::read(&mut node, &model.versions);
        let operator = operator.map_err(|error| node.blame(&error))?;
        let mut outputs = Vec::with_capacity(node.outputs.len());
        for name in &node.outputs {
            let next = places.len();
            outputs.push(match name.as_str() {
                "" => None,
                name if places.insert(name.to_owned(), next).is_some() => {
                    return Err(node.blame("another node has an output of the same name"));
                }
                _ => Some(next),
            });
        }
        let operator = match (operator, outputs.first()) {
            (Operator::Constant(value), Some(Some(place))) => {
                constants.push((*place, Arc::new(value)));
                continue;
            }
            (operator, _) => operator,
        };
        nodes.push(Step {
            operator,
            name: node.blame("").trim_end_matches([' ', ':']).to_owned(),
            inputs,
            outputs,
        });
    }
    let find = |name: &String| {
        let found = places.get(name).copied();
        found.ok_or_else(|| format!("its output {:?} comes from nowhere", crate::table::shorten(name)))
    };
    let outputs: Vec<usize> = model.outputs.iter().map(find).collect::<Result<_, _>>()?;
    let mut session = Session {
        nodes,
        constants,
        inputs,
        answers: Answers::default(),
        places: places.len(),
        block: 1,
        of_row: Effort::default(),
    };
    let rows = if is_single { 1 } else { TRIAL_ROWS };
    let (values, effort) = session.run(session.made_up(rows), TRIAL, true)?;
    let of_outputs: Vec<&Tensor> = outputs.iter().map(|&place| &*values[place]).collect();
    let (answers, labels) = Answers::find(&outputs, &of_outputs, &model.outputs, rows, &session)?;
    session.answers = answers;
    session.of_row = Effort {
        elements: effort.elements / rows + 1,
        steps: effort.steps / rows + 1,
    };
    session.block = match is_single {
        true => 1,
        false => (BLOCK_ELEMENTS / session.of_row.elements).clamp(1, MAX_BLOCK),
    };
    Ok(Loaded {
        features,
        outputs: crate::foreign::output_names(&labels),
        labels,
        kind: Kind::Graph(Box::new(session)),
    })
}

/// Returns the inputs with their features, and whether only one row fits at a time.
fn inputs(
    model: &Model,
    columns: &[String],
    place: &mut impl FnMut(&str) -> Result<usize, String>,
) -> Result<(Vec<Input>, Vec<Feature>, bool), String> {
    let mut inputs = Vec::new();
    let mut own = Vec::new();
    let mut kinds = Vec::new();
    let mut is_single = false;
    let only = model.inputs.len() == 1;
    for input in &model.inputs {
        let blame = |error: String| format!("input {:?}: {error}", crate::table::shorten(&input.name));
        let shape = input.shape.as_deref().unwrap_or(&[None]);
        let (has_columns, width) = match shape {
            [] => return Err(blame("it is a single value".to_owned())),
            [_] => (false, Some(1)),
            [_, width] => (true, *width),
            _ => return Err(blame(format!("it has {} dimensions", shape.len()))),
        };
        match shape[0] {
            Some(1) if has_columns => is_single = true,
            None => {}
            Some(rows) => return Err(blame(format!("it takes {rows} rows at a time"))),
        }
        let width = match width {
            Some(width) => width,
            None if only && !columns.is_empty() => columns.len(),
            None => {
                return Err(blame(
                    "its number of columns is open, so the model needs a signature that names them"
                        .to_owned(),
                ));
            }
        };
        if own.len() + width > MAX_COLUMNS {
            return Err(format!("it takes more than {MAX_COLUMNS} columns"));
        }
        let kind = match input.element {
            Element::Float | Element::Double => FeatureKind::Number,
            Element::Integer | Element::Bool => FeatureKind::Integer,
            Element::Text => FeatureKind::Category,
        };
        match width {
            1 => own.push(input.name.clone()),
            _ => own.extend((0..width).map(|column| format!("{}_{column}", input.name))),
        }
        kinds.resize(own.len(), kind);
        inputs.push(Input {
            place: place(&input.name)?,
            element: input.element,
            width,
            has_columns,
        });
    }
    if inputs.is_empty() {
        return Err("it takes nothing".to_owned());
    }
    let names = columns::names(own, columns)?;
    let features = names.into_iter().zip(kinds).map(|(name, kind)| Feature {
        has_missing: kind != FeatureKind::Integer,
        ..columns::feature(name, kind)
    });
    Ok((inputs, features.collect(), is_single))
}

impl Session {
    /// The operation whose output has a place.
    pub(super) fn maker(&self, place: usize) -> Option<&Step> {
        self.nodes.iter().find(|step| step.outputs.contains(&Some(place)))
    }

    /// The constant at a place.
    pub(super) fn constant(&self, place: usize) -> Option<&Tensor> {
        let constant = self.constants.iter().find(|(known, _)| *known == place);
        constant.map(|(_, tensor)| &**tensor)
    }

    /// Rows of zeros and empty texts.
    fn made_up(&self, rows: usize) -> Vec<Tensor> {
        let tensor = |input: &Input| {
            let count = rows * input.width;
            let data = match input.element {
                Element::Float => Data::F32(vec![0.0; count]),
                Element::Double => Data::F64(vec![0.0; count]),
                Element::Integer => Data::I64(vec![0; count]),
                Element::Bool => Data::Bool(vec![false; count]),
                Element::Text => Data::Text(vec![Arc::from(""); count]),
            };
            input.tensor(rows, data)
        };
        self.inputs.iter().map(tensor).collect()
    }

    /// Runs the graph; returns all values, by their places, and the steps it took.
    fn run(
        &self,
        inputs: Vec<Tensor>,
        most: Effort,
        is_trial: bool,
    ) -> Result<(Vec<Arc<Tensor>>, Effort), String> {
        let mut values: Vec<Option<Arc<Tensor>>> = vec![None; self.places];
        for (place, tensor) in &self.constants {
            values[*place] = Some(Arc::clone(tensor));
        }
        for (input, tensor) in self.inputs.iter().zip(inputs) {
            values[input.place] = Some(Arc::new(tensor));
        }
        let mut effort = Effort::default();
        for node in &self.nodes {
            let given = |place: &Option<usize>| place.and_then(|place| values[place].as_deref());
            let inputs = Inputs(node.inputs.iter().map(given).collect());
            let blame = |error: String| format!("{}: {error}", node.name);
            let (made, work) = node.operator.run(&inputs, is_trial).map_err(blame)?;
            if made.len() < node.outputs.len() {
                return Err(blame(format!(
                    "it has {} outputs, not {}",
                    made.len(),
                    node.outputs.len()
                )));
            }
            effort.steps = effort.steps.saturating_add(work).saturating_add(1);
            for (tensor, place) in made.into_iter().zip(&node.outputs) {
                effort.elements = effort.elements.saturating_add(tensor.data.len());
                if let Some(place) = place {
                    values[*place] = Some(Arc::new(tensor));
                }
            }
            if effort.elements > most.elements || effort.steps > most.steps {
                return Err(blame("up to here it takes more than a model may take".to_owned()));
            }
        }
        let values: Option<Vec<Arc<Tensor>>> = values.into_iter().collect();
        Ok((values.ok_or("a value was never made")?, effort))
    }

    pub(in crate::foreign) fn predict(
        &self,
        features: &[Feature],
        labels: &[Label],
        table: &Table,
    ) -> Result<Predictions, Error> {
        let columns = features.iter().map(|feature| feature.column_of(table));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let columns: Vec<&Column> = columns.iter().map(AsRef::as_ref).collect();
        let texts = self.texts(&columns);
        let positions: HashMap<&Label, u16> = labels.iter().zip(0..).collect();
        let row_count = table.row_count();
        let run = |first: usize| -> Result<Block, Error> {
            let rows = first..(first + self.block).min(row_count);
            let count = rows.len();
            let inputs = self.fill(features, &columns, &texts, rows)?;
            let most = |of_row: usize| (1 << 20) + of_row.saturating_mul(16 * count);
            let most = Effort {
                elements: most(self.of_row.elements),
                steps: most(self.of_row.steps),
            };
            let values = self
                .run(inputs, most, false)
                .map_err(|error| Error::Data(format!("rows {} to {}: {error}", first + 1, first + count)))?;
            let answered = self.answers.read(&values.0, count, labels, &positions);
            answered.map_err(|error| Error::Data(format!("rows {} to {}: {error}", first + 1, first + count)))
        };
        let blocks: Vec<Block> = if row_count <= self.block {
            (row_count > 0)
                .then(|| run(0))
                .into_iter()
                .collect::<Result<_, _>>()?
        } else {
            let firsts: Vec<usize> = (0..row_count).step_by(self.block).collect();
            firsts.into_par_iter().map(run).collect::<Result<_, _>>()?
        };
        let mut predictions = Predictions {
            labels: Vec::with_capacity(row_count),
            classes: Vec::new(),
            probabilities: Vec::with_capacity(row_count * labels.len()),
            class_count: labels.len(),
        };
        for block in blocks {
            match block {
                Block::Numbers(numbers) => predictions.labels.extend(numbers.into_iter().map(Label::Number)),
                Block::Classes(classes, probabilities) => {
                    let of_classes = classes.iter().map(|&class| labels[usize::from(class)].clone());
                    predictions.labels.extend(of_classes);
                    predictions.classes.extend(classes);
                    predictions.probabilities.extend(probabilities);
                }
            }
        }
        Ok(predictions)
    }

    /// The dictionaries of the columns of texts, shared by all rows.
    fn texts(&self, columns: &[&Column]) -> Vec<Vec<Arc<str>>> {
        let texts = |column: &&Column| match column {
            Column::Numeric(_) => Vec::new(),
            Column::Categorical(values) => values
                .dictionary()
                .iter()
                .map(|text| Arc::from(text.as_str()))
                .collect(),
        };
        columns.iter().map(texts).collect()
    }

    /// Returns the inputs for some rows of the table.
    fn fill(
        &self,
        features: &[Feature],
        columns: &[&Column],
        texts: &[Vec<Arc<str>>],
        rows: std::ops::Range<usize>,
    ) -> Result<Vec<Tensor>, Error> {
        let mut first = 0;
        let mut tensors = Vec::with_capacity(self.inputs.len());
        let empty: Arc<str> = Arc::from("");
        for input in &self.inputs {
            let range = first..first + input.width;
            first = range.end;
            let count = rows.len() * input.width;
            let number = |row: usize, column: usize| match columns[column] {
                Column::Numeric(values) => values[row],
                Column::Categorical(_) => f64::NAN,
            };
            let whole = |row: usize, column: usize, is_flag: bool| {
                let number = number(row, column);
                let is_whole = number.fract() == 0.0 && number.abs() <= 9.0e18;
                if is_whole && (!is_flag || number == 0.0 || number == 1.0) {
                    return Ok(number as i64);
                }
                let expected = if is_flag { "0 or 1" } else { "a whole number" };
                let found = if number.is_nan() {
                    "a gap".to_owned()
                } else {
                    number.to_string()
                };
                Err(Error::Cell {
                    row: row + 1,
                    column: features[column].name.clone(),
                    message: format!("expected {expected}, got {found}"),
                })
            };
            let cells = || {
                rows.clone()
                    .flat_map(|row| range.clone().map(move |column| (row, column)))
            };
            let data = match input.element {
                Element::Float => {
                    Data::F32(cells().map(|(row, column)| number(row, column) as f32).collect())
                }
                Element::Double => Data::F64(cells().map(|(row, column)| number(row, column)).collect()),
                Element::Integer => {
                    let numbers: Result<Vec<i64>, Error> =
                        cells().map(|(row, column)| whole(row, column, false)).collect();
                    Data::I64(numbers?)
                }
                Element::Bool => {
                    let flags: Result<Vec<bool>, Error> = cells()
                        .map(|(row, column)| whole(row, column, true).map(|flag| flag == 1))
                        .collect();
                    Data::Bool(flags?)
                }
                Element::Text => {
                    let text = |(row, column): (usize, usize)| match columns[column] {
                        Column::Numeric(_) => empty.clone(),
                        Column::Categorical(values) => {
                            let code = values.codes()[row] as usize;
                            texts[column].get(code).unwrap_or(&empty).clone()
                        }
                    };
                    Data::Text(cells().map(text).collect())
                }
            };
            debug_assert_eq!(data.len(), count);
            tensors.push(input.tensor(rows.len(), data));
        }
        Ok(tensors)
    }
}

/// Answers for some rows.
pub(super) enum Block {
    Numbers(Vec<f64>),
    /// The class of each row, and the probabilities row by row.
    Classes(Vec<u16>, Vec<f32>),
}

impl Input {
    fn tensor(&self, rows: usize, data: Data) -> Tensor {
        let shape = if self.has_columns {
            vec![rows, self.width]
        } else {
            vec![rows]
        };
        Tensor::new(shape, data)
    }
}
