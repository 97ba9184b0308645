//! The standard operators that rearrange.

use super::tensor::{Data, Tensor, around, axis_of, elements, positions, spread};

/// `Reshape`: 0 keeps a size, -1 is what is left.
pub(super) fn reshape(input: &Tensor, sizes: &[i64], allows_zero: bool) -> Result<Tensor, String> {
    let mut shape = Vec::with_capacity(sizes.len());
    let mut open = None;
    for (axis, &size) in sizes.iter().enumerate() {
        shape.push(match size {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 if !allows_zero => *input
                .shape
                .get(axis)
                .ok_or_else(|| format!("it keeps the size of axis {axis}, which is not there"))?,
            size => usize::try_from(size).map_err(|_| format!("it makes the shape {sizes:?}"))?,
        });
    }
    let count = input.data.len();
    if let Some(axis) = open {
        shape[axis] = count.checked_div(elements(&shape)?).unwrap_or(0);
    }
    let refuse = || format!("it makes {:?} the shape {sizes:?}", input.shape);
    if elements(&shape)? != count {
        return Err(refuse());
    }
    Ok(Tensor::new(shape, input.data.clone()))
}

/// `Concat`.
pub(super) fn concat(inputs: &[&Tensor], axis: i64) -> Result<Tensor, String> {
    let first = inputs.first().ok_or("it is given nothing")?;
    let axis = first.axis(axis)?;
    let mut shape = first.shape.clone();
    shape[axis] = 0;
    for input in inputs {
        let fits = input.shape.len() == shape.len()
            && (0..shape.len()).all(|at| at == axis || input.shape[at] == shape[at]);
        if !fits {
            return Err(format!(
                "shapes {:?} and {:?} do not go together",
                first.shape, input.shape
            ));
        }
        shape[axis] += input.shape[axis];
    }
    let count = elements(&shape)?;
    let (before, _, behind) = around(&first.shape, axis);
    macro_rules! joined {
        ($kind:ident) => {{
            let mut joined = Vec::with_capacity(count);
            for outer in 0..before {
                for input in inputs {
                    let Data::$kind(list) = &input.data else {
                        return Err(format!(
                            "it is given {}s beside {}s",
                            first.data.kind(),
                            input.data.kind()
                        ));
                    };
                    let size = input.shape[axis] * behind;
                    joined.extend_from_slice(&list[outer * size..(outer + 1) * size]);
                }
            }
            Data::$kind(joined)
        }};
    }
    let data = match &first.data {
        Data::F32(_) => joined!(F32),
        Data::F64(_) => joined!(F64),
        Data::I64(_) => joined!(I64),
        Data::Bool(_) => joined!(Bool),
        Data::Text(_) => joined!(Text),
    };
    Ok(Tensor::new(shape, data))
}

/// `Gather`.
pub(super) fn gather(input: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = input.axis(axis)?;
    let (before, size, behind) = around(&input.shape, axis);
    let indices_list: Vec<usize> = indices
        .ints()?
        .iter()
        .map(|&index| axis_of(index, size).map_err(|_| format!("it takes {index} of {size}")))
        .collect::<Result<_, _>>()?;
    let mut shape = input.shape[..axis].to_vec();
    shape.extend(&indices.shape);
    shape.extend(&input.shape[axis + 1..]);
    let mut picked = Vec::with_capacity(elements(&shape)?);
    for outer in 0..before {
        for index in &indices_list {
            let begin = (outer * size + index) * behind;
            picked.extend(begin..begin + behind);
        }
    }
    Ok(Tensor::new(shape, input.data.pick(&picked)))
}

/// `GatherElements`.
pub(super) fn gather_elements(input: &Tensor, indices: &Tensor, axis: i64) -> Result<Tensor, String> {
    let axis = input.axis(axis)?;
    let fits = indices.shape.len() == input.shape.len()
        && (0..input.shape.len()).all(|at| at == axis || indices.shape[at] <= input.shape[at]);
    if !fits {
        return Err(format!(
            "shapes {:?} and {:?} do not go together",
            input.shape, indices.shape
        ));
    }
    let steps = steps_of(&input.shape);
    let mut elsewhere = steps.clone();
    elsewhere[axis] = 0;
    let bases = positions(&indices.shape, &elsewhere, indices.data.len());
    let size = input.shape[axis];
    let at = |(base, &index): (usize, &i64)| {
        let index = axis_of(index, size).map_err(|_| format!("it takes {index} of {size}"))?;
        Ok(base + index * steps[axis])
    };
    let picked: Vec<usize> = bases
        .into_iter()
        .zip(indices.ints()?)
        .map(at)
        .collect::<Result<_, String>>()?;
    Ok(Tensor::new(indices.shape.clone(), input.data.pick(&picked)))
}

fn steps_of(shape: &[usize]) -> Vec<usize> {
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    steps
}

/// `Slice`.
pub(super) fn slice(
    input: &Tensor,
    starts: &[i64],
    ends: &[i64],
    axes: Option<&[i64]>,
    strides: Option<&[i64]>,
) -> Result<Tensor, String> {
    let count = starts.len();
    let fits = |list: Option<&[i64]>| list.is_none_or(|list| list.len() == count);
    if ends.len() != count || !fits(axes) || !fits(strides) {
        return Err("its lists differ in length".to_owned());
    }
    // The indexes that are kept of each axis.
    let mut kept: Vec<Vec<usize>> = input.shape.iter().map(|&size| (0..size).collect()).collect();
    for at in 0..count {
        let axis = input.axis(axes.map_or(at as i64, |axes| axes[at]))?;
        let stride = strides.map_or(1, |strides| strides[at]);
        let size = input.shape[axis] as i64;
        let from_end = |position: i64| {
            if position < 0 {
                position.saturating_add(size)
            } else {
                position
            }
        };
        let (start, end) = (from_end(starts[at]), from_end(ends[at]));
        kept[axis] = match stride {
            1.. => {
                let stride = usize::try_from(stride).unwrap_or(usize::MAX);
                let range = start.clamp(0, size)..end.clamp(0, size);
                range.step_by(stride).map(|index| index as usize).collect()
            }
            ..=-1 => {
                let stride = usize::try_from(stride.unsigned_abs()).unwrap_or(usize::MAX);
                let range = end.clamp(-1, size - 1) + 1..start.clamp(-1, size - 1) + 1;
                range.rev().step_by(stride).map(|index| index as usize).collect()
            }
            0 => return Err("its step is 0".to_owned()),
        };
    }
    let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
    let steps = steps_of(&input.shape);
    let mut picked = vec![0; elements(&shape)?.min(1)];
    for (axis, kept) in kept.iter().enumerate() {
        picked = picked
            .iter()
            .flat_map(|base| kept.iter().map(move |index| (base, index)))
            .map(|(base, index)| base + index * steps[axis])
            .collect();
    }
    Ok(Tensor::new(shape, input.data.pick(&picked)))
}

/// `Transpose`.
pub(super) fn transpose(input: &Tensor, order: &[usize]) -> Result<Tensor, String> {
    let mut sorted = order.to_vec();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..input.shape.len()) {
        return Err(format!(
            "it cannot order the axes of {:?} by {order:?}",
            input.shape
        ));
    }
    let steps = steps_of(&input.shape);
    let shape: Vec<usize> = order.iter().map(|&axis| input.shape[axis]).collect();
    let steps: Vec<usize> = order.iter().map(|&axis| steps[axis]).collect();
    let picked = positions(&shape, &steps, input.data.len());
    Ok(Tensor::new(shape, input.data.pick(&picked)))
}

/// `Squeeze`: leaves out axes of size 1, all of them when none is named.
pub(super) fn squeeze(input: &Tensor, axes: Option<&[i64]>) -> Result<Tensor, String> {
    let mut is_left_out: Vec<bool> = input
        .shape
        .iter()
        .map(|&size| axes.is_none() && size == 1)
        .collect();
    for &axis in axes.unwrap_or_default() {
        let axis = input.axis(axis)?;
        if input.shape[axis] != 1 {
            return Err(format!("it leaves out axis {axis} of {:?}", input.shape));
        }
        is_left_out[axis] = true;
    }
    let shape = (0..input.shape.len()).filter(|&axis| !is_left_out[axis]);
    let shape = shape.map(|axis| input.shape[axis]).collect();
    Ok(Tensor::new(shape, input.data.clone()))
}

/// `Unsqueeze`.
pub(super) fn unsqueeze(input: &Tensor, axes: &[i64]) -> Result<Tensor, String> {
    let rank = input.shape.len() + axes.len();
    elements(&vec![1; rank])?;
    let mut is_new = vec![false; rank];
    for &axis in axes {
        is_new[axis_of(axis, rank)?] = true;
    }
    if is_new.iter().filter(|is_new| **is_new).count() != axes.len() {
        return Err("it names an axis twice".to_owned());
    }
    let mut sizes = input.shape.iter().copied();
    let shape = is_new
        .into_iter()
        .map(|is_new| if is_new { 1 } else { sizes.next().unwrap_or(1) })
        .collect();
    Ok(Tensor::new(shape, input.data.clone()))
}

/// `Flatten`.
pub(super) fn flatten(input: &Tensor, axis: i64) -> Result<Tensor, String> {
    let rank = input.shape.len();
    let axis = if axis == rank as i64 {
        rank
    } else {
        axis_of(axis, rank.max(1))?
    };
    let before = input.shape[..axis.min(rank)].iter().product();
    let behind = input.shape[axis.min(rank)..].iter().product();
    Ok(Tensor::new(vec![before, behind], input.data.clone()))
}

/// `Expand`.
pub(super) fn expand(input: &Tensor, sizes: &[i64]) -> Result<Tensor, String> {
    let sizes = sizes_of(sizes)?;
    let shape = super::tensor::broadcast(&input.shape, &sizes)?;
    Ok(Tensor::new(
        shape.clone(),
        input.data.pick(&spread(&input.shape, &shape)?),
    ))
}

pub(super) fn sizes_of(sizes: &[i64]) -> Result<Vec<usize>, String> {
    let sizes_list: Result<Vec<usize>, _> = sizes.iter().map(|&size| usize::try_from(size)).collect();
    sizes_list.map_err(|_| format!("it makes the shape {sizes:?}"))
}

/// `Tile`.
pub(super) fn tile(input: &Tensor, repeats: &[i64]) -> Result<Tensor, String> {
    let repeats = sizes_of(repeats)?;
    if repeats.len() != input.shape.len() {
        return Err(format!("it repeats {:?} by {repeats:?}", input.shape));
    }
    let shape: Vec<usize> = input
        .shape
        .iter()
        .zip(&repeats)
        .map(|(size, times)| size.saturating_mul(*times))
        .collect();
    let count = elements(&shape)?;
    let mut picked = vec![0; count.min(1)];
    let steps = steps_of(&input.shape);
    for (axis, &size) in shape.iter().enumerate() {
        picked = picked
            .iter()
            .flat_map(|base| (0..size).map(move |index| (base, index)))
            .map(|(base, index)| base + index % input.shape[axis] * steps[axis])
            .collect();
    }
    Ok(Tensor::new(shape, input.data.pick(&picked)))
}
