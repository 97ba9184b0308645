//! The standard operators that calculate.

use super::message::{Attributes, Element};
use super::tensor::{Data, Tensor, around, broadcast, elements, spread};
use std::cmp::Ordering;
use std::sync::Arc;

/// Operators of two inputs, each of which is spread over the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Mod,
    Max,
    Min,
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
    Xor,
}

/// Calls `body` for each pair of elements, spread over one another.
fn paired<'a, T, R>(
    (one, one_shape): (&'a [T], &[usize]),
    (two, two_shape): (&'a [T], &[usize]),
    shape: &[usize],
    body: impl Fn(&T, &T) -> R,
) -> Result<Vec<R>, String> {
    if one_shape == two_shape {
        return Ok(one.iter().zip(two).map(|(one, two)| body(one, two)).collect());
    }
    if two.len() == 1 && shape == one_shape {
        return Ok(one.iter().map(|one| body(one, &two[0])).collect());
    }
    let (ones, twos) = (spread(one_shape, shape)?, spread(two_shape, shape)?);
    Ok(ones
        .into_iter()
        .zip(twos)
        .map(|(at, other)| body(&one[at], &two[other]))
        .collect())
}

impl Binary {
    pub(super) fn run(self, one: &Tensor, two: &Tensor) -> Result<Tensor, String> {
        let shape = broadcast(&one.shape, &two.shape)?;
        macro_rules! pairs {
            ($one:expr, $two:expr, $body:expr) => {
                paired(($one, &one.shape), ($two, &two.shape), &shape, $body)?
            };
        }
        macro_rules! numbers {
            ($kind:ident, $one:expr, $two:expr, $type:ty) => {
                match self {
                    Self::Add => Data::$kind(pairs!($one, $two, |one: &$type, two: &$type| one + two)),
                    Self::Sub => Data::$kind(pairs!($one, $two, |one, two| one - two)),
                    Self::Mul => Data::$kind(pairs!($one, $two, |one, two| one * two)),
                    Self::Div => Data::$kind(pairs!($one, $two, |one, two| one / two)),
                    Self::Pow => Data::$kind(pairs!($one, $two, |one: &$type, two: &$type| one.powf(*two))),
                    Self::Mod => Data::$kind(pairs!($one, $two, |one, two| one % two)),
                    // NaN spreads.
                    Self::Max => Data::$kind(pairs!($one, $two, |one: &$type, two: &$type| {
                        if one.is_nan() || one > two {
                            *one
                        } else {
                            *two
                        }
                    })),
                    Self::Min => Data::$kind(pairs!($one, $two, |one: &$type, two: &$type| {
                        if one.is_nan() || one < two {
                            *one
                        } else {
                            *two
                        }
                    })),
                    _ => compare!($one, $two),
                }
            };
        }
        macro_rules! compare {
            ($one:expr, $two:expr) => {
                Data::Bool(match self {
                    Self::Equal => pairs!($one, $two, |one, two| one == two),
                    Self::Less => pairs!($one, $two, |one, two| one < two),
                    Self::LessOrEqual => pairs!($one, $two, |one, two| one <= two),
                    Self::Greater => pairs!($one, $two, |one, two| one > two),
                    Self::GreaterOrEqual => pairs!($one, $two, |one, two| one >= two),
                    _ => return Err(self.refuse(one)),
                })
            };
        }
        let data =
            match (&one.data, &two.data) {
                (Data::F32(one), Data::F32(two)) => numbers!(F32, one, two, f32),
                (Data::F64(one), Data::F64(two)) => numbers!(F64, one, two, f64),
                (Data::I64(one_list), Data::I64(two_list)) => match self {
                    Self::Add => {
                        Data::I64(pairs!(one_list, two_list, |one: &i64, two: &i64| one.wrapping_add(*two)))
                    }
                    Self::Sub => Data::I64(pairs!(one_list, two_list, |one, two| one.wrapping_sub(*two))),
                    Self::Mul => Data::I64(pairs!(one_list, two_list, |one, two| one.wrapping_mul(*two))),
                    Self::Div | Self::Mod if two_list.contains(&0) => {
                        return Err("it divides a whole number by 0".to_owned());
                    }
                    Self::Div => Data::I64(pairs!(one_list, two_list, |one, two| one.wrapping_div(*two))),
                    Self::Mod => Data::I64(pairs!(one_list, two_list, |one, two| {
                        let rest = one.wrapping_rem(*two);
                        if rest != 0 && (rest < 0) != (*two < 0) {
                            rest + two
                        } else {
                            rest
                        }
                    })),
                    Self::Pow => Data::I64(pairs!(one_list, two_list, |one, two| (*one as f64)
                        .powf(*two as f64)
                        as i64)),
                    Self::Max => Data::I64(pairs!(one_list, two_list, |one, two| *one.max(two))),
                    Self::Min => Data::I64(pairs!(one_list, two_list, |one, two| *one.min(two))),
                    _ => compare!(one_list, two_list),
                },
                (Data::Bool(one_list), Data::Bool(two_list)) => Data::Bool(match self {
                    Self::And => pairs!(one_list, two_list, |one, two| *one && *two),
                    Self::Or => pairs!(one_list, two_list, |one, two| *one || *two),
                    Self::Xor => pairs!(one_list, two_list, |one, two| one != two),
                    Self::Equal => pairs!(one_list, two_list, |one, two| one == two),
                    _ => return Err(self.refuse(one)),
                }),
                (Data::Text(one_list), Data::Text(two_list)) if self == Self::Equal => {
                    Data::Bool(pairs!(one_list, two_list, |one, two| one == two))
                }
                // A power may be of another type than its base.
                (_, Data::F32(_) | Data::F64(_) | Data::I64(_)) if self == Self::Pow => {
                    let powers = cast(
                        two,
                        match one.data {
                            Data::F32(_) => Element::Float,
                            Data::F64(_) => Element::Double,
                            Data::I64(_) if matches!(two.data, Data::F32(_) | Data::F64(_)) => {
                                let bases = cast(one, Element::Double)?;
                                let powers = self.run(&bases, &cast(two, Element::Double)?)?;
                                return cast(&powers, Element::Integer);
                            }
                            _ => return Err(self.refuse(one)),
                        },
                    )?;
                    return self.run(one, &powers);
                }
                (one, two) => {
                    return Err(format!("it is given {}s beside {}s", one.kind(), two.kind()));
                }
            };
        Ok(Tensor::new(shape, data))
    }

    fn refuse(self, input: &Tensor) -> String {
        format!("{self:?} of {}s is not known", input.data.kind())
    }
}

/// Operators of one input, element by element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unary {
    Abs,
    Neg,
    Sqrt,
    Exp,
    Log,
    Sigmoid,
    Tanh,
    Relu,
    Reciprocal,
    Floor,
    Ceil,
    Round,
    Sign,
    Erf,
    IsNaN,
    Not,
}

impl Unary {
    pub(super) fn run(self, input: &Tensor) -> Result<Tensor, String> {
        macro_rules! numbers {
            ($list:expr, $kind:ident, $type:ty) => {{
                let map =
                    |body: fn($type) -> $type| Data::$kind($list.iter().map(|&value| body(value)).collect());
                match self {
                    Self::Abs => map(<$type>::abs),
                    Self::Neg => map(|value| -value),
                    Self::Sqrt => map(<$type>::sqrt),
                    Self::Exp => map(<$type>::exp),
                    Self::Log => map(<$type>::ln),
                    Self::Sigmoid => map(|value| super::transform::logistic(f64::from(value)) as $type),
                    Self::Tanh => map(<$type>::tanh),
                    Self::Relu => map(|value| if value < 0.0 { 0.0 } else { value }),
                    Self::Reciprocal => map(<$type>::recip),
                    Self::Floor => map(<$type>::floor),
                    Self::Ceil => map(<$type>::ceil),
                    Self::Round => map(<$type>::round_ties_even),
                    Self::Sign => map(|value| if value == 0.0 { 0.0 } else { value.signum() }),
                    Self::Erf => map(|value| erf(f64::from(value)) as $type),
                    Self::IsNaN => Data::Bool($list.iter().map(|value| value.is_nan()).collect()),
                    Self::Not => return Err(self.refuse(input)),
                }
            }};
        }
        let data = match &input.data {
            Data::F32(list) => numbers!(list, F32, f32),
            Data::F64(list) => numbers!(list, F64, f64),
            Data::I64(list) => {
                let map = |body: fn(i64) -> i64| Data::I64(list.iter().map(|&value| body(value)).collect());
                match self {
                    Self::Abs => map(i64::wrapping_abs),
                    Self::Neg => map(i64::wrapping_neg),
                    Self::Sign => map(i64::signum),
                    Self::Relu => map(|value| value.max(0)),
                    _ => return Err(self.refuse(input)),
                }
            }
            Data::Bool(list) if matches!(self, Self::Not) => {
                Data::Bool(list.iter().map(|flag| !flag).collect())
            }
            _ => return Err(self.refuse(input)),
        };
        Ok(Tensor::new(input.shape.clone(), data))
    }

    fn refuse(self, input: &Tensor) -> String {
        format!("{self:?} of {}s is not known", input.data.kind())
    }
}

/// The error function: its series near 0, its continued fraction elsewhere; exact to about 15 digits.
fn erf(x: f64) -> f64 {
    let size = x.abs();
    if size < 2.0 {
        let (mut sum, mut term) = (size, size);
        for n in 1..60 {
            term *= -size * size / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return (2.0 / std::f64::consts::PI.sqrt() * sum).copysign(x);
    }
    let fraction = (1..60)
        .rev()
        .fold(0.0, |rest, n| f64::from(n) / 2.0 / (size + rest));
    (1.0 - (-size * size).exp() / (std::f64::consts::PI.sqrt() * (size + fraction))).copysign(x)
}

/// `Cast`. Texts that are no numbers become NaN.
pub(super) fn cast(input: &Tensor, to: Element) -> Result<Tensor, String> {
    let parse = |text: &Arc<str>| -> Result<f64, String> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(f64::NAN);
        }
        text.parse()
            .map_err(|_| format!("{:?} is no number", crate::table::shorten(text)))
    };
    let data = match (&input.data, to) {
        (Data::Text(list), Element::Float) => {
            let numbers: Result<Vec<f32>, String> = list
                .iter()
                .map(|text| parse(text).map(|number| number as f32))
                .collect();
            Data::F32(numbers?)
        }
        (Data::Text(list), Element::Double) => Data::F64(list.iter().map(parse).collect::<Result<_, _>>()?),
        (Data::Text(list), Element::Integer) => {
            let numbers: Result<Vec<i64>, String> = list
                .iter()
                .map(|text| {
                    text.trim()
                        .parse()
                        .or_else(|_| parse(text).map(|number| number as i64))
                })
                .collect();
            Data::I64(numbers?)
        }
        (Data::Text(_), Element::Text) => return Ok(input.clone()),
        (Data::Text(_), Element::Bool) => return Err("it casts texts to flags".to_owned()),
        (Data::I64(_), Element::Integer) => return Ok(input.clone()),
        (_, Element::Float) => Data::F32(input.singles()?.into_owned()),
        (_, Element::Double) => Data::F64(input.doubles()?.into_owned()),
        (Data::F32(list), Element::Integer) => Data::I64(list.iter().map(|&number| number as i64).collect()),
        (_, Element::Integer) => Data::I64(input.doubles()?.iter().map(|&number| number as i64).collect()),
        (_, Element::Bool) => Data::Bool(input.doubles()?.iter().map(|&number| number != 0.0).collect()),
        (Data::I64(list), Element::Text) => {
            Data::Text(list.iter().map(|number| number.to_string().into()).collect())
        }
        (Data::Bool(list), Element::Text) => Data::Text(
            list.iter()
                .map(|flag| u8::from(*flag).to_string().into())
                .collect(),
        ),
        (Data::F32(list), Element::Text) => Data::Text(
            list.iter()
                .map(|&number| number_text(f64::from(number)))
                .collect(),
        ),
        (Data::F64(list), Element::Text) => {
            Data::Text(list.iter().map(|&number| number_text(number)).collect())
        }
    };
    Ok(Tensor::new(input.shape.clone(), data))
}

fn number_text(number: f64) -> Arc<str> {
    if number.is_nan() {
        "NaN".into()
    } else {
        number.to_string().into()
    }
}

/// Most products that a multiplication of matrices may take.
const MAX_PRODUCTS: usize = 1 << 30;

/// `MatMul`; returns the products that it took too.
pub(super) fn mat_mul(one: &Tensor, two: &Tensor) -> Result<(Tensor, usize), String> {
    let mut left = one.shape.clone();
    let mut right = two.shape.clone();
    if left.is_empty() || right.is_empty() {
        return Err("it is given a single value".to_owned());
    }
    let (is_row, is_column) = (left.len() == 1, right.len() == 1);
    if is_row {
        left.insert(0, 1);
    }
    if is_column {
        right.push(1);
    }
    let (rows, inner) = (left[left.len() - 2], left[left.len() - 1]);
    let (other, columns) = (right[right.len() - 2], right[right.len() - 1]);
    if inner != other {
        return Err(format!(
            "shapes {:?} and {:?} do not go together",
            one.shape, two.shape
        ));
    }
    let stack = broadcast(&left[..left.len() - 2], &right[..right.len() - 2])?;
    let mut shape = stack.clone();
    shape.extend([rows, columns]);
    let count = elements(&shape)?;
    let products = count.saturating_mul(inner.max(1));
    if products > MAX_PRODUCTS {
        return Err("it multiplies matrices that are too large".to_owned());
    }
    let lefts = spread(&left[..left.len() - 2], &stack)?;
    let rights = spread(&right[..right.len() - 2], &stack)?;
    if is_column {
        shape.pop();
    }
    if is_row {
        let at = shape.len() - if is_column { 1 } else { 2 };
        shape.remove(at);
    }
    macro_rules! multiply {
        ($one:expr, $two:expr, $zero:expr) => {{
            let mut product = vec![$zero; count];
            for (at, (left, right)) in lefts.iter().zip(&rights).enumerate() {
                let left = &$one[left * rows * inner..];
                let right = &$two[right * inner * columns..];
                let product = &mut product[at * rows * columns..];
                for row in 0..rows {
                    let sums = &mut product[row * columns..(row + 1) * columns];
                    for step in 0..inner {
                        let factor = left[row * inner + step];
                        let factors = &right[step * columns..(step + 1) * columns];
                        sums.iter_mut()
                            .zip(factors)
                            .for_each(|(sum, other)| *sum += factor * other);
                    }
                }
            }
            product
        }};
    }
    let data = match (&one.data, &two.data) {
        (Data::F32(one), Data::F32(two)) => Data::F32(multiply!(one, two, 0.0f32)),
        (Data::F64(one), Data::F64(two)) => Data::F64(multiply!(one, two, 0.0f64)),
        (one, two) => return Err(format!("it multiplies {}s by {}s", one.kind(), two.kind())),
    };
    Ok((Tensor::new(shape, data), products))
}

/// `CDist`: distances of the rows of two matrices; returns the differences that it took too.
pub(super) fn distances(one: &Tensor, two: &Tensor, is_squared: bool) -> Result<(Tensor, usize), String> {
    let ((rows, width), (others, other_width)) = (one.matrix()?, two.matrix()?);
    if width != other_width {
        return Err(format!(
            "shapes {:?} and {:?} do not go together",
            one.shape, two.shape
        ));
    }
    let work = elements(&[rows, others])?.saturating_mul(width.max(1));
    if work > MAX_PRODUCTS {
        return Err("it compares matrices that are too large".to_owned());
    }
    macro_rules! compare {
        ($one:expr, $two:expr, $zero:expr) => {{
            let mut distances = Vec::with_capacity(rows * others);
            for row in 0..rows {
                let row = &$one[row * width..(row + 1) * width];
                for other in 0..others {
                    let other = &$two[other * width..(other + 1) * width];
                    let mut sum = $zero;
                    row.iter()
                        .zip(other)
                        .for_each(|(one, two)| sum += (one - two) * (one - two));
                    distances.push(if is_squared { sum } else { sum.sqrt() });
                }
            }
            distances
        }};
    }
    let data = match (&one.data, &two.data) {
        (Data::F32(one), Data::F32(two)) => Data::F32(compare!(one, two, 0.0f32)),
        (Data::F64(one), Data::F64(two)) => Data::F64(compare!(one, two, 0.0f64)),
        (one, two) => return Err(format!("it compares {}s with {}s", one.kind(), two.kind())),
    };
    Ok((Tensor::new(vec![rows, others], data), work))
}

/// What becomes of the elements along some axes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reduction {
    Sum,
    Mean,
    Max,
    Min,
    Prod,
    L1,
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
}

impl Reduction {
    /// Reduces along the given axes; along all when there are none.
    pub(super) fn run(self, input: &Tensor, axes: &[i64], keeps: bool) -> Result<Tensor, String> {
        let rank = input.shape.len();
        let mut is_reduced = vec![axes.is_empty(); rank];
        for &axis in axes {
            is_reduced[input.axis(axis)?] = true;
        }
        let mut step = 1;
        let mut steps = vec![0; rank];
        for axis in (0..rank).rev() {
            if !is_reduced[axis] {
                steps[axis] = step;
                step *= input.shape[axis];
            }
        }
        let shape: Vec<usize> = (0..rank)
            .filter(|&axis| keeps || !is_reduced[axis])
            .map(|axis| if is_reduced[axis] { 1 } else { input.shape[axis] })
            .collect();
        let groups = super::tensor::positions(&input.shape, &steps, input.data.len());
        let numbers = input.doubles()?;
        // A size of 0 leaves groups without elements.
        let group_count = elements(&shape)?;
        let size = numbers.len() as f64 / group_count.max(1) as f64;
        let start = match self {
            Self::Max | Self::LogSumExp => f64::NEG_INFINITY,
            Self::Min => f64::INFINITY,
            Self::Prod => 1.0,
            _ => 0.0,
        };
        let mut sums = vec![start; group_count];
        for (&group, &number) in groups.iter().zip(numbers.iter()) {
            let sum = &mut sums[group];
            match self {
                Self::Sum | Self::Mean | Self::LogSum => *sum += number,
                Self::Prod => *sum *= number,
                Self::L1 => *sum += number.abs(),
                Self::L2 | Self::SumSquare => *sum += number * number,
                Self::Max | Self::LogSumExp => {
                    if number > *sum || number.is_nan() {
                        *sum = number;
                    }
                }
                Self::Min => {
                    if number < *sum || number.is_nan() {
                        *sum = number;
                    }
                }
            }
        }
        match self {
            Self::Mean => sums.iter_mut().for_each(|sum| *sum /= size),
            Self::L2 => sums.iter_mut().for_each(|sum| *sum = sum.sqrt()),
            Self::LogSum => sums.iter_mut().for_each(|sum| *sum = sum.ln()),
            Self::LogSumExp => {
                let greatest = sums.clone();
                sums.iter_mut().for_each(|sum| *sum = 0.0);
                for (&group, &number) in groups.iter().zip(numbers.iter()) {
                    sums[group] += (number - greatest[group]).exp();
                }
                for (sum, greatest) in sums.iter_mut().zip(greatest) {
                    *sum = sum.ln() + greatest;
                }
            }
            _ => {}
        }
        Ok(Tensor::new(shape, same_type(&input.data, sums)))
    }
}

/// Numbers in the type of an input.
fn same_type(data: &Data, numbers: Vec<f64>) -> Data {
    match data {
        Data::F32(_) => Data::F32(numbers.into_iter().map(|number| number as f32).collect()),
        Data::I64(_) | Data::Bool(_) => Data::I64(numbers.into_iter().map(|number| number as i64).collect()),
        Data::F64(_) | Data::Text(_) => Data::F64(numbers),
    }
}

/// `ArgMax` and `ArgMin`.
pub(super) fn arg(
    input: &Tensor,
    axis: i64,
    keeps: bool,
    is_max: bool,
    is_last: bool,
) -> Result<Tensor, String> {
    let axis = input.axis(axis)?;
    let (before, size, behind) = around(&input.shape, axis);
    if size == 0 {
        return Err("it looks for the greatest of nothing".to_owned());
    }
    let numbers = input.doubles()?;
    let mut found = Vec::with_capacity(before * behind);
    for outer in 0..before {
        for inner in 0..behind {
            let at = |position: usize| numbers[(outer * size + position) * behind + inner];
            let mut best = 0;
            for position in 1..size {
                let (value, known) = (at(position), at(best));
                let is_better = if is_max { value > known } else { value < known };
                if is_better || (is_last && value == known) {
                    best = position;
                }
            }
            found.push(best as i64);
        }
    }
    let mut shape = input.shape.clone();
    if keeps {
        shape[axis] = 1;
    } else {
        shape.remove(axis);
    }
    Ok(Tensor::new(shape, Data::I64(found)))
}

/// `TopK`: values and positions.
pub(super) fn top_k(input: &Tensor, k: usize, axis: i64, is_largest: bool) -> Result<Vec<Tensor>, String> {
    let axis = input.axis(axis)?;
    let (before, size, behind) = around(&input.shape, axis);
    if k > size {
        return Err(format!("it takes {k} of {size}"));
    }
    let mut shape = input.shape.clone();
    shape[axis] = k;
    let count = elements(&shape)?;
    let numbers = input.doubles()?;
    let mut picked = vec![0; count];
    let mut order: Vec<usize> = Vec::with_capacity(size);
    for outer in 0..before {
        for inner in 0..behind {
            let at = |position: usize| (outer * size + position) * behind + inner;
            let compare = |one: &usize, two: &usize| {
                let order = numbers[at(*one)].total_cmp(&numbers[at(*two)]);
                let order = if is_largest { order.reverse() } else { order };
                // Of equal ones the first comes first.
                if order == Ordering::Equal {
                    one.cmp(two)
                } else {
                    order
                }
            };
            order.clear();
            order.extend(0..size);
            if k < size && k > 0 {
                order.select_nth_unstable_by(k - 1, compare);
                order.truncate(k);
            }
            order.truncate(k);
            order.sort_unstable_by(compare);
            for (position, &chosen) in order.iter().enumerate() {
                picked[(outer * k + position) * behind + inner] = at(chosen);
            }
        }
    }
    let positions = picked.iter().map(|at| (at / behind % size) as i64).collect();
    Ok(vec![
        Tensor::new(shape.clone(), input.data.pick(&picked)),
        Tensor::new(shape, Data::I64(positions)),
    ])
}

/// `Softmax` and `LogSoftmax`; `flattens` is how they were before version 13: along all axes from the given one on.
pub(super) fn softmax(input: &Tensor, axis: i64, flattens: bool, is_log: bool) -> Result<Tensor, String> {
    let axis = input.axis(axis)?;
    let (before, mut size, mut behind) = around(&input.shape, axis);
    if flattens {
        (size, behind) = (size * behind, 1);
    }
    let mut numbers = input.doubles()?.into_owned();
    for outer in 0..before {
        for inner in 0..behind {
            let at = |position: usize| (outer * size + position) * behind + inner;
            let greatest = (0..size)
                .map(|position| numbers[at(position)])
                .fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..size)
                .map(|position| (numbers[at(position)] - greatest).exp())
                .sum();
            for position in 0..size {
                let moved = numbers[at(position)] - greatest;
                numbers[at(position)] = if is_log {
                    moved - sum.ln()
                } else {
                    moved.exp() / sum
                };
            }
        }
    }
    Ok(Tensor::new(input.shape.clone(), same_type(&input.data, numbers)))
}

/// `Clip`.
pub(super) fn clip(input: &Tensor, low: Option<&Tensor>, high: Option<&Tensor>) -> Result<Tensor, String> {
    let bound = |bound: Option<&Tensor>| match bound {
        None => Ok(None),
        Some(bound) if bound.data.len() == 1 => Ok(Some(bound.doubles()?[0])),
        Some(bound) => Err(format!("its bound has the shape {:?}", bound.shape)),
    };
    let (low, high) = (bound(low)?, bound(high)?);
    let mut numbers = input.doubles()?.into_owned();
    for number in &mut numbers {
        if let Some(low) = low.filter(|low| *number < *low) {
            *number = low;
        }
        if let Some(high) = high.filter(|high| *number > *high) {
            *number = high;
        }
    }
    Ok(Tensor::new(input.shape.clone(), same_type(&input.data, numbers)))
}

/// `Where`.
pub(super) fn choose(condition: &Tensor, one: &Tensor, two: &Tensor) -> Result<Tensor, String> {
    let flags = condition.bools()?;
    let shape = broadcast(&broadcast(&condition.shape, &one.shape)?, &two.shape)?;
    let at = spread(&condition.shape, &shape)?;
    let (ones, twos) = (spread(&one.shape, &shape)?, spread(&two.shape, &shape)?);
    macro_rules! chosen {
        ($one:expr, $two:expr) => {
            (0..at.len())
                .map(|index| {
                    if flags[at[index]] {
                        $one[ones[index]].clone()
                    } else {
                        $two[twos[index]].clone()
                    }
                })
                .collect()
        };
    }
    let data = match (&one.data, &two.data) {
        (Data::F32(one), Data::F32(two)) => Data::F32(chosen!(one, two)),
        (Data::F64(one), Data::F64(two)) => Data::F64(chosen!(one, two)),
        (Data::I64(one), Data::I64(two)) => Data::I64(chosen!(one, two)),
        (Data::Bool(one), Data::Bool(two)) => Data::Bool(chosen!(one, two)),
        (Data::Text(one), Data::Text(two)) => Data::Text(chosen!(one, two)),
        (one, two) => return Err(format!("it chooses between {}s and {}s", one.kind(), two.kind())),
    };
    Ok(Tensor::new(shape, data))
}

/// `Gemm`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gemm {
    alpha: f32,
    beta: f32,
    turns_one: bool,
    turns_two: bool,
}

impl Gemm {
    pub(super) fn read(attributes: &Attributes) -> Result<Self, String> {
        Ok(Self {
            alpha: attributes.float_or("alpha", 1.0)?,
            beta: attributes.float_or("beta", 1.0)?,
            turns_one: attributes.int_or("transA", 0)? != 0,
            turns_two: attributes.int_or("transB", 0)? != 0,
        })
    }

    /// Returns the products that it took too.
    pub(super) fn run(
        self,
        one: &Tensor,
        two: &Tensor,
        added: Option<&Tensor>,
    ) -> Result<(Tensor, usize), String> {
        let turned = |input: &Tensor, turns: bool| match (turns, input.shape.len()) {
            (_, rank) if rank != 2 => Err(format!("it is given the shape {:?}", input.shape)),
            (true, _) => super::shape::transpose(input, &[1, 0]),
            (false, _) => Ok(input.clone()),
        };
        let (product, work) = mat_mul(&turned(one, self.turns_one)?, &turned(two, self.turns_two)?)?;
        let scaled = |input: Tensor, factor: f32| {
            if factor == 1.0 {
                return Ok(input);
            }
            let factor = same_type(&input.data, vec![f64::from(factor)]);
            Binary::Mul.run(&input, &Tensor::list(factor))
        };
        let product = scaled(product, self.alpha)?;
        let Some(added) = added else {
            return Ok((product, work));
        };
        let sum = Binary::Add.run(&product, &scaled(added.clone(), self.beta)?)?;
        if sum.shape != product.shape {
            return Err(format!("what it adds has the shape {:?}", added.shape));
        }
        Ok((sum, work))
    }
}
