//! One operation of a graph, read once and run often.

use super::ensemble::{Classes, Ensemble};
use super::features::{self, CategoryMapper, Imputer, LabelEncoder, Normalizer, OneHotEncoder, Scaler};
use super::learned::{Linear, Machines};
use super::math::{self, Binary, Gemm, Reduction, Unary};
use super::message::{Attributes, Element, Node};
use super::shape;
use super::tensor::{Data, Tensor, elements};
use std::collections::HashMap;

/// What an operation does, with all that its node says.
#[derive(Clone, Debug)]
pub(super) enum Operator {
    Trees(Box<Ensemble>),
    Linear(Box<Linear>),
    Machines(Box<Machines>),
    LabelEncoder(Box<LabelEncoder>),
    CategoryMapper(Box<CategoryMapper>),
    OneHotEncoder(Box<OneHotEncoder>),
    Scaler(Scaler),
    Imputer(Imputer),
    Normalizer(Normalizer),
    Binarizer(f32),
    ArrayFeatureExtractor,
    FeatureVectorizer(Vec<i64>),
    ZipMap(Classes),
    Binary(Binary),
    /// `Sum`, `Mean`, `Max` and `Min` of any number of inputs.
    Many {
        each: Binary,
        is_mean: bool,
    },
    Unary(Unary),
    Cast(Element),
    MatMul,
    Gemm(Gemm),
    Distances {
        is_squared: bool,
    },
    Reduce {
        reduction: Reduction,
        axes: Vec<i64>,
        keeps: bool,
        is_nothing_when_empty: bool,
    },
    Arg {
        axis: i64,
        keeps: bool,
        is_max: bool,
        is_last: bool,
    },
    TopK {
        k: Option<i64>,
        axis: i64,
        is_largest: bool,
    },
    Softmax {
        axis: i64,
        flattens: bool,
        is_log: bool,
    },
    Clip {
        low: Option<Tensor>,
        high: Option<Tensor>,
    },
    Where,
    Identity,
    Constant(Tensor),
    ConstantOfShape(Tensor),
    Reshape {
        allows_zero: bool,
        sizes: Option<Vec<i64>>,
    },
    Concat {
        axis: i64,
    },
    Gather {
        axis: i64,
    },
    GatherElements {
        axis: i64,
    },
    Slice {
        starts: Vec<i64>,
        ends: Vec<i64>,
        axes: Option<Vec<i64>>,
    },
    Transpose(Option<Vec<usize>>),
    Squeeze(Option<Vec<i64>>),
    Unsqueeze(Option<Vec<i64>>),
    Flatten {
        axis: i64,
    },
    Expand,
    Tile,
    Shape,
    Size,
}

/// What an operation is run with.
pub(super) struct Inputs<'a>(pub(super) Vec<Option<&'a Tensor>>);

impl<'a> Inputs<'a> {
    fn maybe(&self, position: usize) -> Option<&'a Tensor> {
        self.0.get(position).copied().flatten()
    }

    fn get(&self, position: usize) -> Result<&'a Tensor, String> {
        self.maybe(position)
            .ok_or_else(|| format!("its input {} is missing", position + 1))
    }

    fn all(&self) -> Result<Vec<&'a Tensor>, String> {
        (0..self.0.len()).map(|position| self.get(position)).collect()
    }

    /// Whole numbers that are an attribute in older files and an input in newer ones.
    fn ints_or<'b>(&'b self, position: usize, own: Option<&'b [i64]>) -> Result<Option<&'b [i64]>, String> {
        match (own, self.maybe(position)) {
            (Some(own), _) => Ok(Some(own)),
            (None, Some(input)) => input.ints().map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl Operator {
    /// Reads what a node is to do.
    ///
    /// # Errors
    /// An operator that is not known, or attributes that cannot be.
    pub(super) fn read(node: &mut Node, versions: &HashMap<String, i64>) -> Result<Self, String> {
        let attributes = &mut node.attributes;
        let version = versions.get("").copied().unwrap_or(1);
        let binary = |binary| Ok(Self::Binary(binary));
        let unary = |unary| Ok(Self::Unary(unary));
        match (node.domain.as_str(), node.operator.as_str()) {
            ("ai.onnx.ml", name) => Self::read_learned(name, attributes),
            ("", "Add") => binary(Binary::Add),
            ("", "Sub") => binary(Binary::Sub),
            ("", "Mul") => binary(Binary::Mul),
            ("", "Div") => binary(Binary::Div),
            ("", "Pow") => binary(Binary::Pow),
            ("", "Mod") => binary(Binary::Mod),
            ("", "Equal") => binary(Binary::Equal),
            ("", "Less") => binary(Binary::Less),
            ("", "LessOrEqual") => binary(Binary::LessOrEqual),
            ("", "Greater") => binary(Binary::Greater),
            ("", "GreaterOrEqual") => binary(Binary::GreaterOrEqual),
            ("", "And") => binary(Binary::And),
            ("", "Or") => binary(Binary::Or),
            ("", "Xor") => binary(Binary::Xor),
            ("", "Sum") => Ok(Self::Many {
                each: Binary::Add,
                is_mean: false,
            }),
            ("", "Mean") => Ok(Self::Many {
                each: Binary::Add,
                is_mean: true,
            }),
            ("", "Max") => Ok(Self::Many {
                each: Binary::Max,
                is_mean: false,
            }),
            ("", "Min") => Ok(Self::Many {
                each: Binary::Min,
                is_mean: false,
            }),
            ("", "Abs") => unary(Unary::Abs),
            ("", "Neg") => unary(Unary::Neg),
            ("", "Sqrt") => unary(Unary::Sqrt),
            ("", "Exp") => unary(Unary::Exp),
            ("", "Log") => unary(Unary::Log),
            ("", "Sigmoid") => unary(Unary::Sigmoid),
            ("", "Tanh") => unary(Unary::Tanh),
            ("", "Relu") => unary(Unary::Relu),
            ("", "Reciprocal") => unary(Unary::Reciprocal),
            ("", "Floor") => unary(Unary::Floor),
            ("", "Ceil") => unary(Unary::Ceil),
            ("", "Round") => unary(Unary::Round),
            ("", "Sign") => unary(Unary::Sign),
            ("", "Erf") => unary(Unary::Erf),
            ("", "IsNaN") => unary(Unary::IsNaN),
            ("", "Not") => unary(Unary::Not),
            ("", "Cast") => Ok(Self::Cast(Element::of(attributes.int_or("to", 0)?)?)),
            ("", "MatMul") => Ok(Self::MatMul),
            ("", "Gemm") => Ok(Self::Gemm(Gemm::read(attributes)?)),
            ("com.microsoft", "CDist") => match attributes.text_or("metric", "sqeuclidean")? {
                "sqeuclidean" => Ok(Self::Distances { is_squared: true }),
                "euclidean" => Ok(Self::Distances { is_squared: false }),
                name => Err(format!("its distance {name} is not known")),
            },
            ("", "ReduceSum") => Self::reduce(Reduction::Sum, attributes),
            ("", "ReduceMean") => Self::reduce(Reduction::Mean, attributes),
            ("", "ReduceMax") => Self::reduce(Reduction::Max, attributes),
            ("", "ReduceMin") => Self::reduce(Reduction::Min, attributes),
            ("", "ReduceProd") => Self::reduce(Reduction::Prod, attributes),
            ("", "ReduceL1") => Self::reduce(Reduction::L1, attributes),
            ("", "ReduceL2") => Self::reduce(Reduction::L2, attributes),
            ("", "ReduceSumSquare") => Self::reduce(Reduction::SumSquare, attributes),
            ("", "ReduceLogSum") => Self::reduce(Reduction::LogSum, attributes),
            ("", "ReduceLogSumExp") => Self::reduce(Reduction::LogSumExp, attributes),
            ("", "ArgMax" | "ArgMin") => Ok(Self::Arg {
                axis: attributes.int_or("axis", 0)?,
                keeps: attributes.int_or("keepdims", 1)? != 0,
                is_max: node.operator == "ArgMax",
                is_last: attributes.int_or("select_last_index", 0)? != 0,
            }),
            ("", "TopK") => Ok(Self::TopK {
                k: attributes.take_int("k")?,
                axis: attributes.int_or("axis", -1)?,
                is_largest: attributes.int_or("largest", 1)? != 0,
            }),
            ("", "Softmax" | "LogSoftmax") => Ok(Self::Softmax {
                axis: attributes.int_or("axis", if version < 13 { 1 } else { -1 })?,
                flattens: version < 13,
                is_log: node.operator == "LogSoftmax",
            }),
            ("", "Clip") => {
                let mut bound = |name: &str| -> Result<Option<Tensor>, String> {
                    Ok(attributes
                        .take_float(name)?
                        .map(|bound| Tensor::list(Data::F32(vec![bound]))))
                };
                Ok(Self::Clip {
                    low: bound("min")?,
                    high: bound("max")?,
                })
            }
            ("", "Where") => Ok(Self::Where),
            ("", "Identity" | "Dropout") => Ok(Self::Identity),
            ("", "Constant") => Self::constant(attributes),
            ("", "ConstantOfShape") => {
                let value = attributes.take_tensor("value")?;
                let value = value.unwrap_or_else(|| Tensor::list(Data::F32(vec![0.0])));
                if value.data.len() == 1 {
                    Ok(Self::ConstantOfShape(value))
                } else {
                    Err("its value is not one value".to_owned())
                }
            }
            ("", "Reshape") => Ok(Self::Reshape {
                allows_zero: attributes.int_or("allowzero", 0)? != 0,
                sizes: attributes.take_ints("shape")?,
            }),
            ("", "Concat") => Ok(Self::Concat {
                axis: attributes.int_or("axis", 1)?,
            }),
            ("", "Gather") => Ok(Self::Gather {
                axis: attributes.int_or("axis", 0)?,
            }),
            ("", "GatherElements") => Ok(Self::GatherElements {
                axis: attributes.int_or("axis", 0)?,
            }),
            ("", "Slice") => Ok(Self::Slice {
                starts: attributes.take_ints("starts")?.unwrap_or_default(),
                ends: attributes.take_ints("ends")?.unwrap_or_default(),
                axes: attributes.take_ints("axes")?,
            }),
            ("", "Transpose") => {
                let order = attributes.take_ints("perm")?;
                let order = order.map(|order| shape::sizes_of(&order)).transpose()?;
                Ok(Self::Transpose(order))
            }
            ("", "Squeeze") => Ok(Self::Squeeze(attributes.take_ints("axes")?)),
            ("", "Unsqueeze") => Ok(Self::Unsqueeze(attributes.take_ints("axes")?)),
            ("", "Flatten") => Ok(Self::Flatten {
                axis: attributes.int_or("axis", 1)?,
            }),
            ("", "Expand") => Ok(Self::Expand),
            ("", "Tile") => Ok(Self::Tile),
            ("", "Shape") if !attributes.has("start") && !attributes.has("end") => Ok(Self::Shape),
            ("", "Size") => Ok(Self::Size),
            (domain, name) => {
                let domain = if domain.is_empty() { "ai.onnx" } else { domain };
                Err(format!(
                    "the operator {} of {} is not supported; convert the model with skl2onnx or onnxmltools, with \
                     target_opset={{\"\": 17, \"ai.onnx.ml\": 3}}",
                    crate::table::shorten(name),
                    crate::table::shorten(domain)
                ))
            }
        }
    }

    fn read_learned(name: &str, attributes: &mut Attributes) -> Result<Self, String> {
        Ok(match name {
            "TreeEnsembleClassifier" => Self::Trees(Box::new(Ensemble::classifier(attributes)?)),
            "TreeEnsembleRegressor" => Self::Trees(Box::new(Ensemble::regressor(attributes)?)),
            "LinearClassifier" => Self::Linear(Box::new(Linear::classifier(attributes)?)),
            "LinearRegressor" => Self::Linear(Box::new(Linear::regressor(attributes)?)),
            "SVMClassifier" => Self::Machines(Box::new(Machines::classifier(attributes)?)),
            "SVMRegressor" => Self::Machines(Box::new(Machines::regressor(attributes)?)),
            "LabelEncoder" => Self::LabelEncoder(Box::new(LabelEncoder::read(attributes)?)),
            "CategoryMapper" => Self::CategoryMapper(Box::new(CategoryMapper::read(attributes)?)),
            "OneHotEncoder" => Self::OneHotEncoder(Box::new(OneHotEncoder::read(attributes)?)),
            "Scaler" => Self::Scaler(Scaler::read(attributes)?),
            "Imputer" => Self::Imputer(Imputer::read(attributes)?),
            "Normalizer" => Self::Normalizer(Normalizer::read(attributes)?),
            "Binarizer" => Self::Binarizer(attributes.float_or("threshold", 0.0)?),
            "ArrayFeatureExtractor" => Self::ArrayFeatureExtractor,
            "FeatureVectorizer" => {
                Self::FeatureVectorizer(attributes.take_ints("inputdimensions")?.unwrap_or_default())
            }
            "ZipMap" => Self::ZipMap(features::zip_map(attributes)?),
            name => {
                return Err(format!(
                    "the operator {} of ai.onnx.ml is not supported; convert the model with target_opset={{\"\": 17, \
                     \"ai.onnx.ml\": 3}}",
                    crate::table::shorten(name)
                ));
            }
        })
    }

    fn reduce(reduction: Reduction, attributes: &mut Attributes) -> Result<Self, String> {
        Ok(Self::Reduce {
            reduction,
            axes: attributes.take_ints("axes")?.unwrap_or_default(),
            keeps: attributes.int_or("keepdims", 1)? != 0,
            is_nothing_when_empty: attributes.int_or("noop_with_empty_axes", 0)? != 0,
        })
    }

    fn constant(attributes: &mut Attributes) -> Result<Self, String> {
        let single = |data| Tensor {
            shape: Vec::new(),
            data,
        };
        let value = if let Some(value) = attributes.take_tensor("value")? {
            value
        } else if let Some(value) = attributes.take_float("value_float")? {
            single(Data::F32(vec![value]))
        } else if let Some(value) = attributes.take_int("value_int")? {
            single(Data::I64(vec![value]))
        } else if let Some(value) = attributes.take_text("value_string")? {
            single(Data::Text(vec![value.into()]))
        } else if let Some(values) = attributes.take_floats("value_floats")? {
            Tensor::list(Data::F32(values))
        } else if let Some(values) = attributes.take_ints("value_ints")? {
            Tensor::list(Data::I64(values))
        } else if let Some(values) = attributes.take_texts("value_strings")? {
            Tensor::list(Data::Text(values))
        } else {
            return Err("it has no value".to_owned());
        };
        Ok(Self::Constant(value))
    }

    /// Returns what comes out, and how many steps it took beyond the elements that came out.
    pub(super) fn run(&self, inputs: &Inputs<'_>, is_trial: bool) -> Result<(Vec<Tensor>, usize), String> {
        let one = |tensor: Tensor| Ok((vec![tensor], 0));
        match self {
            Self::Trees(trees) => Ok((trees.run(inputs.get(0)?)?, 0)),
            Self::Linear(linear) => Ok((linear.run(inputs.get(0)?)?, 0)),
            Self::Machines(machines) => {
                let input = inputs.get(0)?;
                let (rows, _) = input.matrix()?;
                Ok((machines.run(input)?, rows.saturating_mul(machines.work())))
            }
            Self::LabelEncoder(encoder) => one(encoder.run(inputs.get(0)?)?),
            Self::CategoryMapper(mapper) => one(mapper.run(inputs.get(0)?)?),
            Self::OneHotEncoder(encoder) => one(encoder.run(inputs.get(0)?, is_trial)?),
            Self::Scaler(scaler) => one(scaler.run(inputs.get(0)?)?),
            Self::Imputer(imputer) => one(imputer.run(inputs.get(0)?)?),
            Self::Normalizer(normalizer) => one(normalizer.run(inputs.get(0)?)?),
            Self::Binarizer(threshold) => one(features::binarize(inputs.get(0)?, *threshold)?),
            Self::ArrayFeatureExtractor => one(features::extract(inputs.get(0)?, inputs.get(1)?)?),
            Self::FeatureVectorizer(widths) => one(features::vectorize(&inputs.all()?, widths)?),
            Self::ZipMap(_) | Self::Identity => one(inputs.get(0)?.clone()),
            Self::Binary(binary) => one(binary.run(inputs.get(0)?, inputs.get(1)?)?),
            Self::Many { each, is_mean } => {
                let mut result = inputs.get(0)?.clone();
                for input in &inputs.all()?[1..] {
                    result = each.run(&result, input)?;
                }
                if *is_mean {
                    let count = math::cast(
                        &Tensor::list(Data::I64(vec![inputs.0.len() as i64])),
                        match result.data {
                            Data::F64(_) => Element::Double,
                            _ => Element::Float,
                        },
                    )?;
                    let shape = result.shape.clone();
                    result = Binary::Div.run(&result, &count)?;
                    result.shape = shape;
                }
                one(result)
            }
            Self::Unary(unary) => one(unary.run(inputs.get(0)?)?),
            Self::Cast(element) => one(math::cast(inputs.get(0)?, *element)?),
            Self::MatMul => {
                let (product, work) = math::mat_mul(inputs.get(0)?, inputs.get(1)?)?;
                Ok((vec![product], work))
            }
            Self::Gemm(gemm) => {
                let (product, work) = gemm.run(inputs.get(0)?, inputs.get(1)?, inputs.maybe(2))?;
                Ok((vec![product], work))
            }
            Self::Distances { is_squared } => {
                let (distances, work) = math::distances(inputs.get(0)?, inputs.get(1)?, *is_squared)?;
                Ok((vec![distances], work))
            }
            Self::Reduce {
                reduction,
                axes,
                keeps,
                is_nothing_when_empty,
            } => {
                let input = inputs.get(0)?;
                let own = (!axes.is_empty()).then_some(axes.as_slice());
                let axes = inputs.ints_or(1, own)?.unwrap_or_default();
                if axes.is_empty() && *is_nothing_when_empty {
                    return one(input.clone());
                }
                Ok((vec![reduction.run(input, axes, *keeps)?], input.data.len()))
            }
            Self::Arg {
                axis,
                keeps,
                is_max,
                is_last,
            } => {
                let input = inputs.get(0)?;
                let found = math::arg(input, *axis, *keeps, *is_max, *is_last)?;
                Ok((vec![found], input.data.len()))
            }
            Self::TopK { k, axis, is_largest } => {
                let input = inputs.get(0)?;
                let own = k.as_ref().map(std::slice::from_ref);
                let k = inputs.ints_or(1, own)?.and_then(|list| list.first().copied());
                let k = k
                    .and_then(|k| usize::try_from(k).ok())
                    .ok_or("it takes no number of elements")?;
                Ok((math::top_k(input, k, *axis, *is_largest)?, input.data.len()))
            }
            Self::Softmax {
                axis,
                flattens,
                is_log,
            } => one(math::softmax(inputs.get(0)?, *axis, *flattens, *is_log)?),
            Self::Clip { low, high } => {
                let low = inputs.maybe(1).or(low.as_ref());
                one(math::clip(
                    inputs.get(0)?,
                    low,
                    inputs.maybe(2).or(high.as_ref()),
                )?)
            }
            Self::Where => one(math::choose(inputs.get(0)?, inputs.get(1)?, inputs.get(2)?)?),
            Self::Constant(value) => one(value.clone()),
            Self::ConstantOfShape(value) => {
                let shape = shape::sizes_of(inputs.get(0)?.ints()?)?;
                let positions = vec![0; elements(&shape)?];
                one(Tensor::new(shape, value.data.pick(&positions)))
            }
            Self::Reshape { allows_zero, sizes } => {
                let sizes = inputs.ints_or(1, sizes.as_deref())?.ok_or("it has no shape")?;
                one(shape::reshape(inputs.get(0)?, sizes, *allows_zero)?)
            }
            Self::Concat { axis } => one(shape::concat(&inputs.all()?, *axis)?),
            Self::Gather { axis } => one(shape::gather(inputs.get(0)?, inputs.get(1)?, *axis)?),
            Self::GatherElements { axis } => {
                one(shape::gather_elements(inputs.get(0)?, inputs.get(1)?, *axis)?)
            }
            Self::Slice { starts, ends, axes } => {
                let own = |list: &'_ Vec<i64>| (!list.is_empty()).then_some(list.clone());
                let (starts, ends) = (own(starts), own(ends));
                let starts = inputs.ints_or(1, starts.as_deref())?.unwrap_or_default();
                let ends = inputs.ints_or(2, ends.as_deref())?.unwrap_or_default();
                let axes = inputs.ints_or(3, axes.as_deref())?;
                one(shape::slice(
                    inputs.get(0)?,
                    starts,
                    ends,
                    axes,
                    inputs.ints_or(4, None)?,
                )?)
            }
            Self::Transpose(order) => {
                let input = inputs.get(0)?;
                let reversed = || (0..input.shape.len()).rev().collect();
                one(shape::transpose(input, &order.clone().unwrap_or_else(reversed))?)
            }
            Self::Squeeze(axes) => {
                let axes = inputs.ints_or(1, axes.as_deref())?;
                one(shape::squeeze(inputs.get(0)?, axes)?)
            }
            Self::Unsqueeze(axes) => {
                let axes = inputs.ints_or(1, axes.as_deref())?.unwrap_or_default();
                one(shape::unsqueeze(inputs.get(0)?, axes)?)
            }
            Self::Flatten { axis } => one(shape::flatten(inputs.get(0)?, *axis)?),
            Self::Expand => one(shape::expand(inputs.get(0)?, inputs.get(1)?.ints()?)?),
            Self::Tile => one(shape::tile(inputs.get(0)?, inputs.get(1)?.ints()?)?),
            Self::Shape => {
                let sizes = inputs.get(0)?.shape.iter().map(|&size| size as i64);
                one(Tensor::list(Data::I64(sizes.collect())))
            }
            Self::Size => one(Tensor {
                shape: Vec::new(),
                data: Data::I64(vec![inputs.get(0)?.data.len() as i64]),
            }),
        }
    }

    /// Returns the classes that the labels of this operation are among, where it knows them.
    pub(super) fn classes(&self) -> Option<Data> {
        match self {
            Self::Trees(trees) => trees.classes().map(Classes::to_data),
            Self::Linear(linear) => linear.classes().map(Classes::to_data),
            Self::Machines(machines) => machines.classes().map(Classes::to_data),
            Self::ZipMap(classes) => Some(classes.to_data()),
            Self::LabelEncoder(encoder) => encoder.classes(),
            _ => None,
        }
    }

    /// Tells whether its first input comes out with the same values.
    pub(super) fn keeps_values(&self) -> bool {
        matches!(
            self,
            Self::Cast(_)
                | Self::Reshape { .. }
                | Self::Identity
                | Self::Squeeze(_)
                | Self::Unsqueeze(_)
                | Self::Flatten { .. }
        )
    }

    /// Tells whether it picks among the values of its first input.
    pub(super) fn picks(&self) -> bool {
        matches!(self, Self::ArrayFeatureExtractor | Self::Gather { .. })
    }
}
