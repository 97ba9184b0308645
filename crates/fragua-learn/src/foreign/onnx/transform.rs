//! What the operators of machine learning do to scores in the end.

use super::message::Attributes;

/// `post_transform`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transform {
    None,
    Softmax,
    Logistic,
    SoftmaxZero,
    Probit,
}

/// What the other class gets where one score is for two classes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Second {
    /// Nothing: there is a score for each class, or one is all there is.
    Absent,
    /// What is left of 1.
    Complement,
    /// The score with the other sign.
    Opposite,
}

impl Transform {
    pub(super) fn read(attributes: &Attributes) -> Result<Self, String> {
        Ok(match attributes.text_or("post_transform", "NONE")? {
            "NONE" => Self::None,
            "SOFTMAX" => Self::Softmax,
            "LOGISTIC" => Self::Logistic,
            "SOFTMAX_ZERO" => Self::SoftmaxZero,
            "PROBIT" => Self::Probit,
            name => return Err(format!("its post_transform {name} is not known")),
        })
    }

    /// Transforms the scores of a row; a single one becomes two where `second` says so.
    pub(super) fn apply(self, scores: &mut Vec<f64>, second: Second) {
        if let &mut [score] = scores.as_mut_slice() {
            if self == Self::Probit {
                scores[0] = probit(score);
                return;
            }
            match second {
                Second::Absent => {}
                _ if self == Self::Logistic => *scores = vec![logistic(-score), logistic(score)],
                Second::Complement => *scores = vec![1.0 - score, score],
                Second::Opposite => *scores = vec![-score, score],
            }
            return;
        }
        match self {
            Self::None => {}
            Self::Logistic => scores.iter_mut().for_each(|score| *score = logistic(*score)),
            Self::Probit => scores.iter_mut().for_each(|score| *score = probit(*score)),
            Self::Softmax => softmax(scores, |_| true),
            // Zeros stay zeros.
            Self::SoftmaxZero => softmax(scores, |score| score.abs() > 0.000_000_1),
        }
    }
}

fn softmax(scores: &mut [f64], counts: impl Fn(f64) -> bool) {
    let greatest = scores.iter().copied().fold(f64::from(f32::MIN), f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if counts(*score) {
            *score = (*score - greatest).exp();
            sum += *score;
        } else {
            *score *= (-greatest).exp();
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// The logistic function, exact on both sides of 0.
pub(super) fn logistic(score: f64) -> f64 {
    let above = 1.0 / (1.0 + (-score.abs()).exp());
    if score < 0.0 { 1.0 - above } else { above }
}

/// The quantile of the normal distribution, by the approximation that onnxruntime uses.
fn probit(share: f64) -> f64 {
    let x = 2.0 * share - 1.0;
    let log = ((1.0 - x) * (1.0 + x)).ln();
    let middle = 2.0 / (std::f64::consts::PI * 0.147) + 0.5 * log;
    let root = (-middle + (middle * middle - log / 0.147).sqrt()).sqrt();
    std::f64::consts::SQRT_2 * root.copysign(x)
}
