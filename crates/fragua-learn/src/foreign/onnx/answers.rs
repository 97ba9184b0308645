//! What the outputs of a graph say: labels with probabilities, or numbers.

use super::session::{Block, Session};
use super::tensor::{Data, Tensor};
use crate::Label;
use std::collections::HashMap;
use std::sync::Arc;

/// Where the answers are.
#[derive(Clone, Debug, Default)]
pub(super) enum Answers {
    /// Not looked for yet.
    #[default]
    Unknown,
    /// The place of the numbers.
    Numbers(usize),
    /// The places of the labels and of the probabilities.
    Classes { label: usize, shares: Shares },
}

/// Where the probabilities are.
#[derive(Clone, Debug)]
pub(super) enum Shares {
    /// A row of probabilities, one for each class.
    Row(usize),
    /// The probability of the second of two classes.
    Second(usize),
    /// A column for each class.
    Columns(Vec<usize>),
}

/// Most operations between a label and what knows its classes.
const MAX_WAY: usize = 32;
const ADVICE: &str = "convert a classifier so that it gives a label and one probability for each class";

impl Answers {
    /// Finds out what the outputs are, from those of made-up rows; returns the classes too.
    pub(super) fn find(
        places: &[usize],
        outputs: &[&Tensor],
        names: &[String],
        rows: usize,
        session: &Session,
    ) -> Result<(Self, Vec<Label>), String> {
        let is_column = |tensor: &Tensor| tensor.data.len() == rows;
        let is_number = |tensor: &Tensor| matches!(tensor.data, Data::F32(_) | Data::F64(_));
        let is_label =
            |tensor: &Tensor| matches!(tensor.data, Data::I64(_) | Data::Text(_)) && is_column(tensor);
        let label = outputs.iter().position(|output| is_label(output));
        let Some(label) = label else {
            return match outputs {
                [output] if is_number(output) && is_column(output) => {
                    Ok((Self::Numbers(places[0]), Vec::new()))
                }
                _ => Err(format!(
                    "its outputs ({}) are neither one number a row nor a label with probabilities; {ADVICE}",
                    names
                        .iter()
                        .map(|name| crate::table::shorten(name))
                        .collect::<Vec<_>>()
                        .join(", ")
                )),
            };
        };
        let others: Vec<usize> = (0..outputs.len()).filter(|&output| output != label).collect();
        if others.is_empty() || others.iter().any(|&output| !is_number(outputs[output])) {
            return Err(format!("it gives labels without probabilities; {ADVICE}"));
        }
        let known = known_classes(places[label], session).or_else(|| {
            others
                .iter()
                .find_map(|&output| known_classes(places[output], session))
        });
        let (shares, count) = match others.as_slice() {
            &[only] => {
                let tensor = outputs[only];
                if tensor.shape.first() != Some(&rows) || tensor.data.len() == 0 {
                    return Err(format!("its probabilities have the shape {:?}", tensor.shape));
                }
                match tensor.data.len() / rows {
                    1 => (Shares::Second(places[only]), 2),
                    count => (Shares::Row(places[only]), count),
                }
            }
            many if many.iter().all(|&output| is_column(outputs[output])) => (
                Shares::Columns(many.iter().map(|&output| places[output]).collect()),
                many.len(),
            ),
            _ => return Err(format!("it gives more than a label and probabilities; {ADVICE}")),
        };
        if count > usize::from(u16::MAX) {
            return Err(format!("it has {count} classes"));
        }
        let numbered = || (0..count as i64).map(Label::Integer).collect();
        let mut labels: Vec<Label> = known.map_or_else(numbered, |data| labels_of(&data));
        // Our own trees keep a third class that can never win beside two.
        if labels.len() < count {
            return Err(format!(
                "it has {} classes and {count} probabilities",
                labels.len()
            ));
        }
        labels.truncate(count);
        let is_text = matches!(outputs[label].data, Data::Text(_));
        if labels
            .iter()
            .any(|label| matches!(label, Label::Text(_)) != is_text)
        {
            return Err("which classes its labels are among is not known".to_owned());
        }
        let distinct: std::collections::HashSet<&Label> = labels.iter().collect();
        if distinct.len() != labels.len() {
            return Err("two of its classes are the same".to_owned());
        }
        for &output in &others {
            let outside = |share: &&f64| !(-1e-4..=1.0001).contains(*share) && !share.is_nan();
            if let Some(share) = outputs[output].doubles()?.iter().find(outside) {
                return Err(format!(
                    "it gives scores such as {share} where probabilities belong; convert a model that gives \
                     probabilities, such as SVC(probability=True) or CalibratedClassifierCV around it"
                ));
            }
        }
        let label = places[label];
        Ok((Self::Classes { label, shares }, labels))
    }

    /// Reads the answers out of the values of a run.
    pub(super) fn read(
        &self,
        values: &[Arc<Tensor>],
        rows: usize,
        labels: &[Label],
        positions: &HashMap<&Label, u16>,
    ) -> Result<Block, String> {
        let checked = |place: usize, count: usize| {
            let tensor = &values[place];
            if tensor.data.len() == count {
                Ok(tensor)
            } else {
                Err(format!(
                    "its output has {} values for {rows} rows",
                    tensor.data.len()
                ))
            }
        };
        match self {
            Self::Unknown => Err("it was never run".to_owned()),
            Self::Numbers(place) => Ok(Block::Numbers(checked(*place, rows)?.doubles()?.into_owned())),
            Self::Classes { label, shares } => {
                let class = |label: Label| {
                    let found = positions.get(&label).copied();
                    found.ok_or_else(|| format!("its label {label} is none of its classes"))
                };
                let classes: Result<Vec<u16>, String> = labels_of(&checked(*label, rows)?.data)
                    .into_iter()
                    .map(class)
                    .collect();
                let count = labels.len();
                let probabilities = match shares {
                    Shares::Row(place) => checked(*place, rows * count)?.singles()?.into_owned(),
                    Shares::Second(place) => {
                        let seconds = checked(*place, rows)?;
                        let pair = |share: &f32| [1.0 - share, *share];
                        seconds.singles()?.iter().flat_map(pair).collect()
                    }
                    Shares::Columns(places) => {
                        let mut probabilities = vec![0.0; rows * count];
                        for (class, &place) in places.iter().enumerate() {
                            let column = checked(place, rows)?;
                            let slots = probabilities.iter_mut().skip(class).step_by(count);
                            slots
                                .zip(column.singles()?.iter())
                                .for_each(|(slot, share)| *slot = *share);
                        }
                        probabilities
                    }
                };
                Ok(Block::Classes(classes?, probabilities))
            }
        }
    }
}

fn labels_of(data: &Data) -> Vec<Label> {
    match data {
        Data::Text(texts) => texts.iter().map(|text| Label::Text(text.to_string())).collect(),
        Data::I64(numbers) => numbers.iter().map(|&number| Label::Integer(number)).collect(),
        Data::F32(numbers) => numbers
            .iter()
            .map(|&number| Label::Integer(number as i64))
            .collect(),
        Data::F64(numbers) => numbers
            .iter()
            .map(|&number| Label::Integer(number as i64))
            .collect(),
        Data::Bool(flags) => flags
            .iter()
            .map(|&flag| Label::Integer(i64::from(flag)))
            .collect(),
    }
}

/// Follows a value back to the operation that knows its classes.
fn known_classes(mut place: usize, session: &Session) -> Option<Data> {
    for _ in 0..MAX_WAY {
        let step = session.maker(place)?;
        if let Some(classes) = step.operator.classes() {
            return Some(classes);
        }
        let first = step.inputs.first().copied().flatten()?;
        if step.operator.picks() {
            return session.constant(first).map(|tensor| tensor.data.clone());
        }
        if !step.operator.keeps_values() {
            return None;
        }
        place = first;
    }
    None
}
