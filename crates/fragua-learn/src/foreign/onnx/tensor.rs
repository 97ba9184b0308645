//! Values on their way through a graph.

use std::sync::Arc;

/// Most elements of a tensor that an operation makes.
const MAX_ELEMENTS: usize = 1 << 24;
/// Most dimensions.
pub(super) const MAX_DIMENSIONS: usize = 16;

/// Numbers, flags or texts in some dimensions, the last of which varies fastest.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    /// Whole numbers of any size.
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<Arc<str>>),
}

impl Data {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(list) => list.len(),
            Self::F64(list) => list.len(),
            Self::I64(list) => list.len(),
            Self::Bool(list) => list.len(),
            Self::Text(list) => list.len(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "float",
            Self::F64(_) => "double",
            Self::I64(_) => "int64",
            Self::Bool(_) => "bool",
            Self::Text(_) => "string",
        }
    }

    /// Picks elements by their positions.
    pub(super) fn pick(&self, positions: &[usize]) -> Self {
        fn picked<T: Clone>(list: &[T], positions: &[usize]) -> Vec<T> {
            positions.iter().map(|&position| list[position].clone()).collect()
        }
        match self {
            Self::F32(list) => Self::F32(picked(list, positions)),
            Self::F64(list) => Self::F64(picked(list, positions)),
            Self::I64(list) => Self::I64(picked(list, positions)),
            Self::Bool(list) => Self::Bool(picked(list, positions)),
            Self::Text(list) => Self::Text(picked(list, positions)),
        }
    }
}

/// Returns the number of elements of a shape, with a limit.
pub(super) fn elements(shape: &[usize]) -> Result<usize, String> {
    let product = shape
        .iter()
        .try_fold(1usize, |product, &size| product.checked_mul(size));
    // A size of 0 hides sizes of any number beside it.
    let is_small = shape.iter().all(|&size| size <= MAX_ELEMENTS) && shape.len() <= MAX_DIMENSIONS;
    product
        .filter(|&product| product <= MAX_ELEMENTS && is_small)
        .ok_or_else(|| format!("a tensor of the shape {shape:?} is too large"))
}

impl Tensor {
    pub(super) fn new(shape: Vec<usize>, data: Data) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Self { shape, data }
    }

    /// One dimension.
    pub(super) fn list(data: Data) -> Self {
        Self {
            shape: vec![data.len()],
            data,
        }
    }

    fn refuse(&self, expected: &str) -> String {
        format!("it is given {}s where {expected} is needed", self.data.kind())
    }

    pub(super) fn ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::I64(list) => Ok(list),
            _ => Err(self.refuse("int64")),
        }
    }

    pub(super) fn bools(&self) -> Result<&[bool], String> {
        match &self.data {
            Data::Bool(list) => Ok(list),
            _ => Err(self.refuse("bool")),
        }
    }

    /// Numbers of any type as 32 bits.
    pub(super) fn singles(&self) -> Result<std::borrow::Cow<'_, [f32]>, String> {
        Ok(match &self.data {
            Data::F32(list) => list.into(),
            Data::F64(list) => list.iter().map(|&number| number as f32).collect(),
            Data::I64(list) => list.iter().map(|&number| number as f32).collect(),
            Data::Bool(list) => list.iter().map(|&flag| f32::from(u8::from(flag))).collect(),
            Data::Text(_) => return Err(self.refuse("a number")),
        })
    }

    /// Numbers of any type as 64 bits.
    pub(super) fn doubles(&self) -> Result<std::borrow::Cow<'_, [f64]>, String> {
        Ok(match &self.data {
            Data::F32(list) => list.iter().map(|&number| f64::from(number)).collect(),
            Data::F64(list) => list.into(),
            Data::I64(list) => list.iter().map(|&number| number as f64).collect(),
            Data::Bool(list) => list.iter().map(|&flag| f64::from(u8::from(flag))).collect(),
            Data::Text(_) => return Err(self.refuse("a number")),
        })
    }

    /// Returns the numbers of rows and of columns, where the operators of machine learning want a matrix: one dimension is
    /// one row.
    pub(super) fn matrix(&self) -> Result<(usize, usize), String> {
        match self.shape.as_slice() {
            [columns] => Ok((1, *columns)),
            [rows, columns] => Ok((*rows, *columns)),
            shape => Err(format!(
                "it is given the shape {shape:?} where a matrix is needed"
            )),
        }
    }

    /// Returns the position of a dimension, which may be counted from the end.
    pub(super) fn axis(&self, axis: i64) -> Result<usize, String> {
        axis_of(axis, self.shape.len())
    }
}

pub(super) fn axis_of(axis: i64, rank: usize) -> Result<usize, String> {
    let from_end = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(from_end)
        .ok()
        .filter(|&axis| axis < rank)
        .ok_or_else(|| format!("it has no axis {axis} in {rank} dimensions"))
}

/// Returns the shape that both shapes spread to.
pub(super) fn broadcast(one: &[usize], two: &[usize]) -> Result<Vec<usize>, String> {
    let rank = one.len().max(two.len());
    let size = |shape: &[usize], at: usize| (at + shape.len()).checked_sub(rank).map_or(1, |at| shape[at]);
    let joined = (0..rank).map(|at| match (size(one, at), size(two, at)) {
        (one, two) if one == two => Ok(one),
        (1, size) | (size, 1) => Ok(size),
        _ => Err(format!("shapes {one:?} and {two:?} do not go together")),
    });
    let joined: Vec<usize> = joined.collect::<Result<_, _>>()?;
    elements(&joined)?;
    Ok(joined)
}

/// Returns for each element of `shape` the position of the element of `from` that is spread there.
pub(super) fn spread(from: &[usize], shape: &[usize]) -> Result<Vec<usize>, String> {
    let count = elements(shape)?;
    let mut steps = vec![0; shape.len()];
    let mut step = 1;
    for (at, &size) in from.iter().enumerate().rev() {
        let at = at + shape.len() - from.len();
        steps[at] = if size == 1 { 0 } else { step };
        step *= size;
    }
    Ok(positions(shape, &steps, count))
}

/// Walks through a shape; returns the sum of steps times index for each element.
pub(super) fn positions(shape: &[usize], steps: &[usize], count: usize) -> Vec<usize> {
    let mut result = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut position = 0;
    for _ in 0..count {
        result.push(position);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            position += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            position -= steps[axis] * index[axis];
            index[axis] = 0;
        }
    }
    result
}

/// Returns the sizes before, at and behind an axis, multiplied.
pub(super) fn around(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let before = shape[..axis].iter().product();
    let behind = shape[axis + 1..].iter().product();
    (before, shape[axis], behind)
}
