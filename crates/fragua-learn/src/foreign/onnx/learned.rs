//! The learned operators without trees: linear models and support vector machines.

use super::ensemble::Classes;
use super::message::Attributes;
use super::tensor::{Data, Tensor, elements};
use super::transform::{Second, Transform, logistic};

/// `LinearClassifier` and `LinearRegressor`.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
    outputs: usize,
    features: usize,
    transform: Transform,
    classes: Option<Classes>,
}

impl Linear {
    pub(super) fn classifier(attributes: &mut Attributes) -> Result<Self, String> {
        let classes = Classes::take(attributes, "classlabels_ints")?;
        let intercepts = attributes.take_floats("intercepts")?.unwrap_or_default();
        let outputs = intercepts.len();
        if outputs > 1 && outputs > classes.len() || outputs == 1 && classes.len() > 2 {
            return Err(format!("it has {outputs} scores for {} classes", classes.len()));
        }
        Self::read(attributes, intercepts, outputs, Some(classes))
    }

    pub(super) fn regressor(attributes: &mut Attributes) -> Result<Self, String> {
        let outputs = usize::try_from(attributes.int_or("targets", 1)?).unwrap_or(0);
        let mut intercepts = attributes.take_floats("intercepts")?.unwrap_or_default();
        if intercepts.is_empty() && outputs <= usize::from(u16::MAX) {
            intercepts = vec![0.0; outputs];
        }
        Self::read(attributes, intercepts, outputs, None)
    }

    fn read(
        attributes: &mut Attributes,
        intercepts: Vec<f32>,
        outputs: usize,
        classes: Option<Classes>,
    ) -> Result<Self, String> {
        let coefficients = attributes.take_floats("coefficients")?.unwrap_or_default();
        if outputs == 0 || intercepts.len() != outputs || !coefficients.len().is_multiple_of(outputs) {
            return Err(format!(
                "it has {} coefficients and {} intercepts for {outputs} scores",
                coefficients.len(),
                intercepts.len()
            ));
        }
        Ok(Self {
            features: coefficients.len() / outputs,
            coefficients,
            intercepts,
            outputs,
            transform: Transform::read(attributes)?,
            classes,
        })
    }

    pub(super) fn classes(&self) -> Option<&Classes> {
        self.classes.as_ref()
    }

    /// Returns the labels, where there are classes, and the scores.
    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let (row_count, width) = input.matrix()?;
        if width != self.features {
            return Err(format!(
                "it is given {width} numbers a row, it needs {}",
                self.features
            ));
        }
        let is_binary = self.outputs == 1 && self.classes.as_ref().is_some_and(|classes| classes.len() == 2);
        let second = if is_binary {
            Second::Complement
        } else {
            Second::Absent
        };
        elements(&[row_count, self.outputs.max(2)])?;
        let rows = input.singles()?;
        let mut scores = Vec::with_capacity(row_count * self.outputs);
        let mut labels = Vec::new();
        let mut row_scores = Vec::new();
        for row in 0..row_count {
            let row = &rows[row * width..(row + 1) * width];
            row_scores.clear();
            for output in 0..self.outputs {
                let factors = &self.coefficients[output * width..(output + 1) * width];
                row_scores.push(dot(row, factors) + f64::from(self.intercepts[output]));
            }
            if let Some(classes) = &self.classes {
                labels.push(match row_scores.as_slice() {
                    [score] => usize::from(*score > 0.0).min(classes.len() - 1),
                    scores => greatest(scores),
                });
            }
            if self.transform == Transform::Logistic && self.outputs == 1 && !is_binary {
                row_scores[0] = logistic(row_scores[0]);
            } else {
                self.transform.apply(&mut row_scores, second);
            }
            scores.extend(row_scores.iter().map(|&score| score as f32));
        }
        let width = if is_binary && self.transform != Transform::Probit {
            2
        } else {
            self.outputs
        };
        let scores = Tensor::new(vec![row_count, width], Data::F32(scores));
        Ok(match &self.classes {
            Some(classes) => vec![Tensor::list(classes.pick(&labels)), scores],
            None => vec![scores],
        })
    }
}

fn dot(one: &[f32], two: &[f32]) -> f64 {
    one.iter()
        .zip(two)
        .map(|(one, two)| f64::from(*one) * f64::from(*two))
        .sum()
}

/// Returns the position of the greatest number, the first of equal ones.
fn greatest<T: PartialOrd>(numbers: &[T]) -> usize {
    let mut best = 0;
    for (position, number) in numbers.iter().enumerate() {
        if *number > numbers[best] {
            best = position;
        }
    }
    best
}

#[derive(Clone, Copy, Debug)]
enum Kernel {
    Linear,
    Poly,
    Rbf,
    Sigmoid,
}

/// Vectors that rows are compared with.
#[derive(Clone, Debug)]
struct Vectors {
    kernel: Kernel,
    gamma: f64,
    coef0: f64,
    degree: f64,
    numbers: Vec<f32>,
    features: usize,
}

impl Vectors {
    fn read(attributes: &mut Attributes, numbers: Vec<f32>, count: usize) -> Result<Self, String> {
        if count == 0 || !numbers.len().is_multiple_of(count) {
            return Err(format!("it has {} numbers for {count} vectors", numbers.len()));
        }
        let kernel = match attributes.text_or("kernel_type", "LINEAR")? {
            "LINEAR" => Kernel::Linear,
            "POLY" => Kernel::Poly,
            "RBF" => Kernel::Rbf,
            "SIGMOID" => Kernel::Sigmoid,
            name => return Err(format!("its kernel {name} is not known")),
        };
        let params = attributes.take_floats("kernel_params")?.unwrap_or_default();
        let [gamma, coef0, degree] = match params.as_slice() {
            [] => [0.0; 3],
            &[gamma, coef0, degree] => [gamma, coef0, degree].map(f64::from),
            _ => return Err(format!("its kernel has {} parameters", params.len())),
        };
        Ok(Self {
            kernel,
            gamma,
            coef0,
            degree,
            features: numbers.len() / count,
            numbers,
        })
    }

    /// Returns how much a row is like each vector.
    fn compare<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        self.numbers
            .chunks_exact(self.features.max(1))
            .map(|vector| match self.kernel {
                Kernel::Linear => dot(row, vector),
                Kernel::Poly => (self.gamma * dot(row, vector) + self.coef0).powf(self.degree),
                Kernel::Sigmoid => (self.gamma * dot(row, vector) + self.coef0).tanh(),
                Kernel::Rbf => {
                    let squares = row.iter().zip(vector).map(|(one, two)| {
                        let difference = f64::from(*one - *two);
                        difference * difference
                    });
                    (-self.gamma * squares.sum::<f64>()).exp()
                }
            })
    }
}

/// `SVMRegressor`, and `SVMClassifier` of one machine a class.
#[derive(Clone, Debug)]
pub(super) struct Machines {
    vectors: Vectors,
    coefficients: Vec<f32>,
    offsets: Vec<f32>,
    kind: MachineKind,
    transform: Transform,
}

#[derive(Clone, Debug)]
enum MachineKind {
    Number {
        has_vectors: bool,
        one_class: bool,
    },
    /// One score a class, without support vectors.
    ClassEach(Classes),
    /// One machine for each pair of classes.
    Pairs {
        classes: Classes,
        /// Where the vectors of each class begin; the end of the last one behind.
        begins: Vec<usize>,
        /// Slope and intercept of each pair's probability.
        curves: Option<(Vec<f32>, Vec<f32>)>,
    },
}

impl Machines {
    pub(super) fn regressor(attributes: &mut Attributes) -> Result<Self, String> {
        let coefficients = attributes.take_floats("coefficients")?.unwrap_or_default();
        let offsets = attributes.take_floats("rho")?.unwrap_or_default();
        let count = usize::try_from(attributes.int_or("n_supports", 0)?).unwrap_or(0);
        let vectors = attributes.take_floats("support_vectors")?.unwrap_or_default();
        if offsets.is_empty() || (count > 0 && coefficients.len() != count) {
            return Err("its coefficients and offsets do not fit its vectors".to_owned());
        }
        let has_vectors = count > 0;
        let mut vectors = match has_vectors {
            true => Vectors::read(attributes, vectors, count)?,
            false => Vectors::read(attributes, coefficients.clone(), 1)?,
        };
        if !has_vectors {
            vectors.kernel = Kernel::Linear;
        }
        Ok(Self {
            vectors,
            coefficients,
            offsets,
            kind: MachineKind::Number {
                has_vectors,
                one_class: attributes.int_or("one_class", 0)? != 0,
            },
            transform: Transform::read(attributes)?,
        })
    }

    pub(super) fn classifier(attributes: &mut Attributes) -> Result<Self, String> {
        let classes = Classes::take(attributes, "classlabels_ints")?;
        let coefficients = attributes.take_floats("coefficients")?.unwrap_or_default();
        let offsets = attributes.take_floats("rho")?.unwrap_or_default();
        let vectors = attributes.take_floats("support_vectors")?.unwrap_or_default();
        let of_classes = attributes.take_ints("vectors_per_class")?.unwrap_or_default();
        let transform = Transform::read(attributes)?;
        let mut begins = vec![0usize];
        for count in of_classes {
            let last = begins[begins.len() - 1];
            let next = usize::try_from(count)
                .ok()
                .and_then(|count| last.checked_add(count));
            let next = next.filter(|next| *next <= coefficients.len());
            begins.push(next.ok_or("its vectors_per_class does not fit its coefficients")?);
        }
        let count = begins[begins.len() - 1];
        if count == 0 {
            if offsets.is_empty() {
                return Err("it has no offset".to_owned());
            }
            let mut vectors = Vectors::read(attributes, coefficients, classes.len())?;
            vectors.kernel = Kernel::Linear;
            return Ok(Self {
                vectors,
                coefficients: Vec::new(),
                offsets,
                kind: MachineKind::ClassEach(classes),
                transform,
            });
        }
        let class_count = classes.len();
        let pairs = class_count * (class_count - 1) / 2;
        let slopes = attributes.take_floats("prob_a")?.unwrap_or_default();
        let intercepts = attributes.take_floats("prob_b")?.unwrap_or_default();
        let is_fitting = |list: &[f32]| list.len() == pairs;
        if !(2..=2_000).contains(&class_count)
            || begins.len() != class_count + 1
            || coefficients.len() != (class_count - 1) * count
            || !is_fitting(&offsets)
            || !(slopes.is_empty() || is_fitting(&slopes))
            || slopes.len() != intercepts.len()
        {
            return Err("its lists do not fit its classes and vectors".to_owned());
        }
        Ok(Self {
            vectors: Vectors::read(attributes, vectors, count)?,
            offsets,
            transform,
            kind: MachineKind::Pairs {
                classes,
                begins,
                curves: (!slopes.is_empty()).then_some((slopes, intercepts)),
            },
            coefficients,
        })
    }

    pub(super) fn classes(&self) -> Option<&Classes> {
        match &self.kind {
            MachineKind::Number { .. } => None,
            MachineKind::ClassEach(classes) | MachineKind::Pairs { classes, .. } => Some(classes),
        }
    }

    /// Elements that one row is compared with.
    pub(super) fn work(&self) -> usize {
        self.vectors.numbers.len()
    }

    /// Returns the labels, where there are classes, and the scores.
    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let (row_count, width) = input.matrix()?;
        if width != self.vectors.features {
            return Err(format!(
                "it is given {width} numbers a row, it needs {}",
                self.vectors.features
            ));
        }
        let rows = input.singles()?;
        let mut labels = Vec::new();
        let mut scores = Vec::new();
        let mut score_count = 0;
        for row in 0..row_count {
            let alike = self.vectors.compare(&rows[row * width..(row + 1) * width]);
            let (label, of_row) = self.row(alike);
            labels.push(label);
            score_count = of_row.len();
            elements(&[row_count, score_count])?;
            scores.extend(of_row.into_iter().map(|score| score as f32));
        }
        let scores = Tensor::new(vec![row_count, score_count], Data::F32(scores));
        Ok(match self.classes() {
            Some(classes) => vec![Tensor::list(classes.pick(&labels)), scores],
            None => vec![scores],
        })
    }

    /// Returns the position of the class and the scores of a row.
    fn row(&self, alike: impl Iterator<Item = f64>) -> (usize, Vec<f64>) {
        match &self.kind {
            MachineKind::Number {
                has_vectors,
                one_class,
            } => {
                let factors = self.coefficients.iter().map(|&factor| f64::from(factor));
                let sum: f64 = match has_vectors {
                    true => alike.zip(factors).map(|(alike, factor)| alike * factor).sum(),
                    false => alike.sum(),
                };
                let score = sum + f64::from(self.offsets[0]);
                let sign = if score > 0.0 { 1.0 } else { -1.0 };
                (0, vec![if *one_class { sign } else { score }])
            }
            MachineKind::ClassEach(classes) => {
                let mut scores: Vec<f64> = alike.map(|score| score + f64::from(self.offsets[0])).collect();
                let mut label = greatest(&scores);
                if classes.len() == 2 && scores[label] > 0.0 {
                    label = 1;
                }
                self.transform.apply(&mut scores, Second::Absent);
                (label, scores)
            }
            MachineKind::Pairs {
                classes,
                begins,
                curves,
            } => {
                let alike: Vec<f64> = alike.collect();
                let decisions = self.decisions(&alike, begins, classes.len());
                let votes = votes(&decisions, classes.len());
                let label = greatest(&votes);
                let Some((slopes, intercepts)) = curves else {
                    let mut scores = decisions;
                    let second = match self.transform {
                        _ if classes.len() > 2 => Second::Absent,
                        Transform::None => Second::Opposite,
                        _ => Second::Complement,
                    };
                    self.transform.apply(&mut scores, second);
                    return (label, scores);
                };
                let curve = |(pair, decision): (usize, &f64)| {
                    let odds = decision * f64::from(slopes[pair]) + f64::from(intercepts[pair]);
                    ((1.0 - logistic(odds)) as f32).clamp(1e-7, 1.0 - 1e-7)
                };
                let pairs: Vec<f32> = decisions.iter().enumerate().map(curve).collect();
                let mut scores = coupled(&pairs, classes.len());
                self.transform.apply(&mut scores, Second::Absent);
                (label, scores)
            }
        }
    }

    /// Returns the decision of each pair: above 0 for its first class.
    fn decisions(&self, alike: &[f64], begins: &[usize], classes: usize) -> Vec<f64> {
        let part = |row: usize, class: usize| -> f64 {
            let vectors = begins[class]..begins[class + 1];
            let factors = &self.coefficients[row * alike.len()..][vectors.clone()];
            let factors = factors.iter().map(|&factor| f64::from(factor));
            alike[vectors]
                .iter()
                .zip(factors)
                .map(|(alike, factor)| alike * factor)
                .sum()
        };
        let mut decisions = Vec::with_capacity(self.offsets.len());
        for first in 0..classes - 1 {
            for second in first + 1..classes {
                let sum = part(second - 1, first) + part(first, second);
                decisions.push(sum + f64::from(self.offsets[decisions.len()]));
            }
        }
        decisions
    }
}

fn votes(decisions: &[f64], classes: usize) -> Vec<usize> {
    let mut votes = vec![0; classes];
    let mut decisions = decisions.iter();
    for first in 0..classes - 1 {
        for second in first + 1..classes {
            let is_first = decisions.next().is_some_and(|&decision| decision > 0.0);
            votes[if is_first { first } else { second }] += 1;
        }
    }
    votes
}

/// Probabilities of classes out of those of pairs, by the second method of Wu, Lin and Weng (2004).
/// They are found step by step until little changes, so the result depends on the 32 bits of onnxruntime.
fn coupled(pairs: &[f32], classes: usize) -> Vec<f64> {
    let mut wins = vec![0.0f32; classes * classes];
    let mut next = pairs.iter();
    for first in 0..classes {
        for second in first + 1..classes {
            let share = next.next().copied().unwrap_or(0.5);
            wins[first * classes + second] = share;
            wins[second * classes + first] = 1.0 - share;
        }
    }
    let mut factors = vec![0.0f32; classes * classes];
    for one in 0..classes {
        for two in (0..classes).filter(|&two| two != one) {
            let (won, lost) = (wins[one * classes + two], wins[two * classes + one]);
            factors[one * classes + one] += lost * lost;
            factors[one * classes + two] = -lost * won;
        }
    }
    let mut shares = vec![1.0 / classes as f32; classes];
    let mut products = vec![0.0f32; classes];
    for _ in 0..100 {
        for (class, product) in products.iter_mut().enumerate() {
            let row = &factors[class * classes..(class + 1) * classes];
            *product = row
                .iter()
                .zip(&shares)
                .map(|(factor, share)| factor * share)
                .sum();
        }
        let mut whole: f32 = products
            .iter()
            .zip(&shares)
            .map(|(product, share)| product * share)
            .sum();
        let error = products
            .iter()
            .map(|product| (product - whole).abs())
            .fold(0.0, f32::max);
        if error < 0.005 / classes as f32 {
            break;
        }
        for class in 0..classes {
            let own = factors[class * classes + class];
            let change = (whole - products[class]) / own;
            shares[class] += change;
            whole =
                (whole + change * (change * own + 2.0 * products[class])) / (1.0 + change) / (1.0 + change);
            for other in 0..classes {
                products[other] =
                    (products[other] + change * factors[class * classes + other]) / (1.0 + change);
                shares[other] /= 1.0 + change;
            }
        }
    }
    shares.into_iter().map(f64::from).collect()
}
