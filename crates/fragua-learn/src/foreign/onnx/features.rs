//! The operators of machine learning that prepare features.

use super::ensemble::Classes;
use super::message::Attributes;
use super::tensor::{Data, Tensor, elements};
use std::collections::HashMap;
use std::sync::Arc;

/// A number by its bits, so that it can be looked up; all NaN are one.
fn bits(number: f64) -> u64 {
    if number.is_nan() {
        f64::NAN.to_bits()
    } else if number == 0.0 {
        0
    } else {
        number.to_bits()
    }
}

/// What is looked up in a table.
#[derive(Clone, Debug)]
enum Keys {
    Texts(HashMap<Arc<str>, usize>),
    Integers(HashMap<i64, usize>),
    Numbers(HashMap<u64, usize>),
}

impl Keys {
    /// Later ones of equal keys do not count.
    fn new(data: &Data) -> Self {
        fn positions<K: std::hash::Hash + Eq>(keys: impl Iterator<Item = K>) -> HashMap<K, usize> {
            let mut positions = HashMap::new();
            for (position, key) in keys.enumerate() {
                positions.entry(key).or_insert(position);
            }
            positions
        }
        match data {
            Data::Text(texts) => Self::Texts(positions(texts.iter().cloned())),
            Data::I64(numbers) => Self::Integers(positions(numbers.iter().copied())),
            Data::Bool(flags) => Self::Integers(positions(flags.iter().map(|&flag| i64::from(flag)))),
            Data::F32(numbers) => {
                Self::Numbers(positions(numbers.iter().map(|&number| bits(f64::from(number)))))
            }
            Data::F64(numbers) => Self::Numbers(positions(numbers.iter().map(|&number| bits(number)))),
        }
    }

    /// Returns the position of each element's key.
    fn find(&self, data: &Data) -> Result<Vec<Option<usize>>, String> {
        Ok(match (self, data) {
            (Self::Texts(keys), Data::Text(texts)) => {
                texts.iter().map(|text| keys.get(text).copied()).collect()
            }
            (Self::Integers(keys), Data::I64(numbers)) => {
                numbers.iter().map(|number| keys.get(number).copied()).collect()
            }
            (Self::Integers(keys), Data::Bool(flags)) => flags
                .iter()
                .map(|&flag| keys.get(&i64::from(flag)).copied())
                .collect(),
            // Numbers with fractions are cut to whole ones, as onnxruntime does.
            (Self::Integers(keys), Data::F32(numbers)) => numbers
                .iter()
                .map(|&number| keys.get(&(number as i64)).copied())
                .collect(),
            (Self::Integers(keys), Data::F64(numbers)) => numbers
                .iter()
                .map(|&number| keys.get(&(number as i64)).copied())
                .collect(),
            (Self::Numbers(keys), Data::F32(numbers)) => {
                let key = |&number: &f32| bits(f64::from(number));
                numbers
                    .iter()
                    .map(|number| keys.get(&key(number)).copied())
                    .collect()
            }
            (Self::Numbers(keys), Data::F64(numbers)) => numbers
                .iter()
                .map(|&number| keys.get(&bits(number)).copied())
                .collect(),
            (_, data) => {
                return Err(format!(
                    "it is given {}s, its keys are of another type",
                    data.kind()
                ));
            }
        })
    }
}

/// `LabelEncoder` and `CategoryMapper`.
#[derive(Clone, Debug)]
pub(super) struct LabelEncoder {
    keys: Keys,
    /// The values, and the default one behind them.
    values: Data,
}

impl LabelEncoder {
    pub(super) fn read(attributes: &mut Attributes) -> Result<Self, String> {
        // The first version numbers the classes.
        if let Some(classes) = attributes.take_texts("classes_strings")? {
            let numbers = (0..classes.len() as i64).collect();
            let default = attributes.int_or("default_int64", -1)?;
            return Self::new(&Data::Text(classes), Data::I64(numbers), Data::I64(vec![default]));
        }
        let keys = Self::list(attributes, "keys")?.ok_or("it has no keys")?;
        let values = Self::list(attributes, "values")?.ok_or("it has no values")?;
        let default = match (attributes.take_tensor("default_tensor")?, &values) {
            (Some(tensor), _) => tensor.data,
            (None, Data::Text(_)) => {
                Data::Text(vec![attributes.text_or("default_string", "_Unused")?.into()])
            }
            (None, Data::I64(_)) => Data::I64(vec![attributes.int_or("default_int64", -1)?]),
            (None, Data::F32(_)) => Data::F32(vec![attributes.float_or("default_float", -0.0)?]),
            (None, Data::F64(_)) => Data::F64(vec![-0.0]),
            (None, Data::Bool(_)) => Data::Bool(vec![false]),
        };
        Self::new(&keys, values, default)
    }

    fn list(attributes: &mut Attributes, what: &str) -> Result<Option<Data>, String> {
        if let Some(list) = attributes.take_texts(&format!("{what}_strings"))? {
            return Ok(Some(Data::Text(list)));
        }
        if let Some(list) = attributes.take_ints(&format!("{what}_int64s"))? {
            return Ok(Some(Data::I64(list)));
        }
        if let Some(list) = attributes.take_floats(&format!("{what}_floats"))? {
            return Ok(Some(Data::F32(list)));
        }
        Ok(attributes
            .take_tensor(&format!("{what}_tensor"))?
            .map(|tensor| tensor.data))
    }

    fn new(keys: &Data, values: Data, default: Data) -> Result<Self, String> {
        if keys.len() != values.len() {
            return Err(format!("it has {} keys and {} values", keys.len(), values.len()));
        }
        let values = match (values, default) {
            (Data::Text(values), Data::Text(default)) => Data::Text([values, default].concat()),
            (Data::I64(values), Data::I64(default)) => Data::I64([values, default].concat()),
            (Data::F32(values), Data::F32(default)) => Data::F32([values, default].concat()),
            (Data::F64(values), Data::F64(default)) => Data::F64([values, default].concat()),
            (Data::Bool(values), Data::Bool(default)) => Data::Bool([values, default].concat()),
            _ => return Err("its default is of another type than its values".to_owned()),
        };
        if values.len() != keys.len() + 1 {
            return Err("it has not one default".to_owned());
        }
        Ok(Self {
            keys: Keys::new(keys),
            values,
        })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let default = self.values.len() - 1;
        let found = self.keys.find(&input.data)?;
        let found: Vec<usize> = found
            .into_iter()
            .map(|position| position.unwrap_or(default))
            .collect();
        Ok(Tensor::new(input.shape.clone(), self.values.pick(&found)))
    }

    /// Returns the values in the order of their keys 0, 1, … when these are the keys.
    pub(super) fn classes(&self) -> Option<Data> {
        let Keys::Integers(keys) = &self.keys else {
            return None;
        };
        let positions: Option<Vec<usize>> = (0..keys.len() as i64)
            .map(|key| keys.get(&key).copied())
            .collect();
        positions.map(|positions| self.values.pick(&positions))
    }
}

/// `CategoryMapper`: between texts and numbers, whichever way the input needs.
#[derive(Clone, Debug)]
pub(super) struct CategoryMapper {
    to_numbers: LabelEncoder,
    to_texts: LabelEncoder,
}

impl CategoryMapper {
    pub(super) fn read(attributes: &mut Attributes) -> Result<Self, String> {
        let names = Data::Text(attributes.take_texts("cats_strings")?.unwrap_or_default());
        let numbers = Data::I64(attributes.take_ints("cats_int64s")?.unwrap_or_default());
        let default_number = Data::I64(vec![attributes.int_or("default_int64", -1)?]);
        let default_text = Data::Text(vec![attributes.text_or("default_string", "_Unused")?.into()]);
        Ok(Self {
            to_numbers: LabelEncoder::new(&names, numbers.clone(), default_number)?,
            to_texts: LabelEncoder::new(&numbers, names, default_text)?,
        })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        match input.data {
            Data::Text(_) => self.to_numbers.run(input),
            _ => self.to_texts.run(input),
        }
    }
}

/// `OneHotEncoder`.
#[derive(Clone, Debug)]
pub(super) struct OneHotEncoder {
    keys: Keys,
    count: usize,
    allows_unknown: bool,
}

impl OneHotEncoder {
    pub(super) fn read(attributes: &mut Attributes) -> Result<Self, String> {
        let keys = match attributes.take_texts("cats_strings")? {
            Some(list) if !list.is_empty() => Data::Text(list),
            _ => Data::I64(attributes.take_ints("cats_int64s")?.unwrap_or_default()),
        };
        if keys.len() == 0 {
            return Err("it has no categories".to_owned());
        }
        Ok(Self {
            keys: Keys::new(&keys),
            count: keys.len(),
            allows_unknown: attributes.int_or("zeros", 1)? != 0,
        })
    }

    /// A made-up row has no category and is let through in a trial.
    pub(super) fn run(&self, input: &Tensor, is_trial: bool) -> Result<Tensor, String> {
        let found = self.keys.find(&input.data)?;
        let mut shape = input.shape.clone();
        shape.push(self.count);
        let mut hot = vec![0.0; elements(&shape)?];
        for (at, position) in found.into_iter().enumerate() {
            match position {
                Some(position) => hot[at * self.count + position] = 1.0,
                None if self.allows_unknown || is_trial => {}
                None => return Err("it is given a category that training did not see".to_owned()),
            }
        }
        Ok(Tensor::new(shape, Data::F32(hot)))
    }
}

/// `Scaler`: a number for each column, or one for all.
#[derive(Clone, Debug)]
pub(super) struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Scaler {
    pub(super) fn read(attributes: &mut Attributes) -> Result<Self, String> {
        let offset = attributes.take_floats("offset")?.unwrap_or_else(|| vec![0.0]);
        let scale = attributes.take_floats("scale")?.unwrap_or_else(|| vec![1.0]);
        if offset.is_empty() || scale.is_empty() {
            return Err("it has no offset or no scale".to_owned());
        }
        Ok(Self { offset, scale })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        let width = input.shape.last().copied().unwrap_or(1);
        let fits = |list: &[f32]| list.len() == 1 || list.len() == width;
        if !fits(&self.offset) || !fits(&self.scale) {
            return Err(format!(
                "it scales {} columns, it is given {width}",
                self.scale.len()
            ));
        }
        let of = |list: &[f32], column: usize| list[if list.len() == 1 { 0 } else { column }];
        let scaled = input.singles()?;
        let scaled = scaled.iter().enumerate().map(|(at, value)| {
            let column = at % width;
            (value - of(&self.offset, column)) * of(&self.scale, column)
        });
        Ok(Tensor::new(input.shape.clone(), Data::F32(scaled.collect())))
    }
}

/// `Imputer`.
#[derive(Clone, Debug)]
pub(super) enum Imputer {
    Numbers { fills: Vec<f32>, replaced: f32 },
    Integers { fills: Vec<i64>, replaced: i64 },
}

impl Imputer {
    pub(super) fn read(attributes: &mut Attributes) -> Result<Self, String> {
        let floats = attributes
            .take_floats("imputed_value_floats")?
            .unwrap_or_default();
        let ints = attributes.take_ints("imputed_value_int64s")?.unwrap_or_default();
        match (floats.is_empty(), ints.is_empty()) {
            (false, _) => Ok(Self::Numbers {
                fills: floats,
                replaced: attributes.float_or("replaced_value_float", 0.0)?,
            }),
            (true, false) => Ok(Self::Integers {
                fills: ints,
                replaced: attributes.int_or("replaced_value_int64", 0)?,
            }),
            (true, true) => Err("it has nothing to fill gaps with".to_owned()),
        }
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, String> {
        fn filled<T: Copy>(
            list: &[T],
            width: usize,
            fills: &[T],
            is_gap: impl Fn(T) -> bool,
        ) -> Result<Vec<T>, String> {
            if fills.len() != 1 && fills.len() != width {
                return Err(format!("it fills {} columns, it is given {width}", fills.len()));
            }
            let fill = |(at, &value): (usize, &T)| match is_gap(value) {
                true => fills[if fills.len() == 1 { 0 } else { at % width }],
                false => value,
            };
            Ok(list.iter().enumerate().map(fill).collect())
        }
        let width = input.shape.last().copied().unwrap_or(1);
        let data = match (self, &input.data) {
            (Self::Integers { fills, replaced }, Data::I64(list)) => {
                Data::I64(filled(list, width, fills, |value| value == *replaced)?)
            }
            (Self::Numbers { fills, replaced }, _) => {
                let is_gap = |value: f32| value == *replaced || (value.is_nan() && replaced.is_nan());
                Data::F32(filled(&input.singles()?, width, fills, is_gap)?)
            }
            (Self::Integers { .. }, data) => {
                return Err(format!("it fills whole numbers, it is given {}s", data.kind()));
            }
        };
        Ok(Tensor::new(input.shape.clone(), data))
    }
}

/// `Normalizer`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Normalizer {
    Greatest,
    Sum,
    Length,
}

impl Normalizer {
    pub(super) fn read(attributes: &Attributes) -> Result<Self, String> {
        match attributes.text_or("norm", "MAX")? {
            "MAX" => Ok(Self::Greatest),
            "L1" => Ok(Self::Sum),
            "L2" => Ok(Self::Length),
            name => Err(format!("its norm {name} is not known")),
        }
    }

    pub(super) fn run(self, input: &Tensor) -> Result<Tensor, String> {
        let (_, width) = input.matrix()?;
        let mut rows = input.singles()?.into_owned();
        for row in rows.chunks_exact_mut(width.max(1)) {
            let numbers = row.iter().map(|&value| f64::from(value));
            let size = match self {
                Self::Greatest => numbers.fold(f64::NEG_INFINITY, f64::max),
                Self::Sum => numbers.map(f64::abs).sum(),
                Self::Length => numbers.map(|value| value * value).sum::<f64>().sqrt(),
            };
            if size != 0.0 {
                row.iter_mut()
                    .for_each(|value| *value = (f64::from(*value) / size) as f32);
            }
        }
        Ok(Tensor::new(input.shape.clone(), Data::F32(rows)))
    }
}

/// `Binarizer`.
pub(super) fn binarize(input: &Tensor, threshold: f32) -> Result<Tensor, String> {
    let binarized = input.singles()?;
    let binarized = binarized
        .iter()
        .map(|&value| f32::from(u8::from(value > threshold)));
    Ok(Tensor::new(input.shape.clone(), Data::F32(binarized.collect())))
}

/// `ArrayFeatureExtractor`: some columns of the last dimension.
pub(super) fn extract(input: &Tensor, columns: &Tensor) -> Result<Tensor, String> {
    let width = input.shape.last().copied().ok_or("it is given a single value")?;
    let columns = columns.ints()?;
    let rows = input.shape[..input.shape.len() - 1].iter().product::<usize>();
    let mut shape = input.shape.clone();
    if shape.len() == 1 {
        shape.insert(0, 1);
    }
    let last = shape.len() - 1;
    shape[last] = columns.len();
    let mut positions = Vec::with_capacity(elements(&shape)?);
    for row in 0..rows {
        for &column in columns {
            let column = usize::try_from(column).ok().filter(|&column| column < width);
            let column = column.ok_or_else(|| format!("it takes a column that is not among {width}"))?;
            positions.push(row * width + column);
        }
    }
    Ok(Tensor::new(shape, input.data.pick(&positions)))
}

/// `FeatureVectorizer`: numbers side by side.
pub(super) fn vectorize(inputs: &[&Tensor], widths: &[i64]) -> Result<Tensor, String> {
    if widths.len() != inputs.len() {
        return Err(format!(
            "it is given {} inputs, it needs {}",
            inputs.len(),
            widths.len()
        ));
    }
    let mut parts = Vec::with_capacity(inputs.len());
    let mut rows = None;
    let mut total = 0;
    for (input, &width) in inputs.iter().zip(widths) {
        let width = usize::try_from(width)
            .ok()
            .filter(|&width| width > 0)
            .ok_or("a width is not above 0")?;
        let numbers = input.singles()?;
        let count = input.shape.first().copied().unwrap_or(1);
        if numbers.len() != count.saturating_mul(width) || rows.is_some_and(|rows| rows != count) {
            return Err(format!(
                "it is given the shape {:?} for {width} columns",
                input.shape
            ));
        }
        rows = Some(count);
        total += width;
        parts.push((numbers, width));
    }
    let rows = rows.ok_or("it is given nothing")?;
    let mut joined = Vec::with_capacity(elements(&[rows, total])?);
    for row in 0..rows {
        for (numbers, width) in &parts {
            joined.extend_from_slice(&numbers[row * width..(row + 1) * width]);
        }
    }
    Ok(Tensor::new(vec![rows, total], Data::F32(joined)))
}

/// The classes of `ZipMap`, whose maps stay a matrix here.
pub(super) fn zip_map(attributes: &mut Attributes) -> Result<Classes, String> {
    Classes::take(attributes, "classlabels_int64s")
}
