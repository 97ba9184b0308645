//! How right a version was, by what turned out to be true.

use std::collections::BTreeMap;

use fragua_base::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// The normal deviate of a 95 % interval.
const Z: f64 = 1.959_963_984_540_054;
const DAY_MILLISECONDS: i64 = 24 * 60 * 60 * 1_000;

/// An answer whose truth is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judged {
    pub(crate) at: Timestamp,
    pub(crate) prediction: Value,
    pub(crate) truth: Value,
}

/// How right a version was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Accuracy {
    /// Rows whose truth is known.
    pub rows: u64,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The figures of each day, the oldest first.
    pub days: Vec<DayFigures>,
}

/// Figures of classes or of numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum Figures {
    /// Of classes.
    Classification {
        /// Rows that were right.
        correct: u64,
        /// Share of rows that were right.
        accuracy: f64,
        /// Wilson's interval of 95 % around it.
        low: f64,
        /// Its upper end.
        high: f64,
        /// Mean of the classes' F1.
        macro_f1: f64,
        /// Figures of each class that was predicted or true.
        classes: Vec<ClassFigures>,
        /// Rows by what was true, what was predicted: `[truth, prediction, rows]`, most frequent first.
        confusion: Vec<(Value, Value, u64)>,
    },
    /// Of numbers.
    Regression {
        /// Mean of the distances.
        mean_absolute_error: f64,
        /// Root of the mean of the squared distances.
        root_mean_squared_error: f64,
        /// Share of the variance that is explained; absent where the truth is one number only.
        r2: Option<f64>,
    },
}

/// Figures of one class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassFigures {
    /// The class.
    pub label: Value,
    /// Rows of this class.
    pub support: u64,
    /// Share of what was predicted to be of this class that was.
    pub precision: f64,
    /// Share of this class that was predicted to be.
    pub recall: f64,
}

/// Figures of one day.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DayFigures {
    /// The beginning of the day in UTC.
    pub day: Timestamp,
    /// Rows of the day whose truth is known.
    pub rows: u64,
    /// The share that was right, or the mean absolute error.
    pub value: f64,
    /// The lower end of its interval of 95 %; the value itself for numbers.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Accuracy {
    /// Sums up. `None` where there is nothing.
    pub(crate) fn of(judged: &[Judged]) -> Option<Self> {
        if judged.is_empty() {
            return None;
        }
        // A class may be a number too: then answers are whole numbers that repeat, and truths are among them.
        let numbers: Option<Vec<(f64, f64)>> = judged
            .iter()
            .map(|row| Some((row.prediction.as_f64()?, row.truth.as_f64()?)))
            .collect();
        let is_whole = |number: f64| number.fract() == 0.0;
        let numbers =
            numbers.filter(|pairs| pairs.iter().any(|(one, two)| !is_whole(*one) || !is_whole(*two)));
        let figures = match &numbers {
            Some(pairs) => of_numbers(pairs),
            None => of_classes(judged),
        };
        let mut days: BTreeMap<i64, Vec<&Judged>> = BTreeMap::new();
        for row in judged {
            let day = row.at.as_millis().div_euclid(DAY_MILLISECONDS);
            days.entry(day).or_default().push(row);
        }
        let days = days.into_iter().map(|(day, rows)| {
            let count = rows.len() as u64;
            let (value, low, high) = match &numbers {
                Some(_) => {
                    let error = |row: &&Judged| {
                        let distance = row.prediction.as_f64().zip(row.truth.as_f64());
                        distance.map_or(0.0, |(one, two)| (one - two).abs())
                    };
                    let mean = rows.iter().map(error).sum::<f64>() / count as f64;
                    (mean, mean, mean)
                }
                None => {
                    let correct = rows.iter().filter(|row| row.is_right()).count() as u64;
                    let (low, high) = wilson(correct, count);
                    (correct as f64 / count as f64, low, high)
                }
            };
            DayFigures {
                day: Timestamp::from_millis(day * DAY_MILLISECONDS),
                rows: count,
                value,
                low,
                high,
            }
        });
        Some(Self {
            rows: judged.len() as u64,
            figures,
            days: days.collect(),
        })
    }
}

impl Judged {
    /// 1 and 1.0 are the same class.
    fn is_right(&self) -> bool {
        match (self.prediction.as_f64(), self.truth.as_f64()) {
            (Some(prediction), Some(truth)) => prediction == truth,
            _ => self.prediction == self.truth,
        }
    }
}

fn of_classes(judged: &[Judged]) -> Figures {
    let name = |value: &Value| {
        value
            .as_f64()
            .map_or_else(|| value.to_string(), |number| number.to_string())
    };
    let mut pairs: BTreeMap<(String, String), (Value, Value, u64)> = BTreeMap::new();
    for row in judged {
        let key = (name(&row.truth), name(&row.prediction));
        let entry = pairs.entry(key);
        entry
            .or_insert_with(|| (row.truth.clone(), row.prediction.clone(), 0))
            .2 += 1;
    }
    let mut counts: BTreeMap<&String, (Value, u64, u64, u64)> = BTreeMap::new();
    for ((truth, prediction), (truth_value, prediction_value, rows)) in &pairs {
        let of_truth = counts
            .entry(truth)
            .or_insert_with(|| (truth_value.clone(), 0, 0, 0));
        of_truth.1 += rows;
        let of_prediction = counts
            .entry(prediction)
            .or_insert_with(|| (prediction_value.clone(), 0, 0, 0));
        of_prediction.2 += rows;
        if truth == prediction {
            of_prediction.3 += rows;
        }
    }
    let share = |part: u64, whole: u64| {
        if whole == 0 {
            0.0
        } else {
            part as f64 / whole as f64
        }
    };
    let classes: Vec<ClassFigures> = counts
        .into_values()
        .map(|(label, support, predicted, right)| ClassFigures {
            label,
            support,
            precision: share(right, predicted),
            recall: share(right, support),
        })
        .collect();
    let f1 = |class: &ClassFigures| match class.precision + class.recall {
        sum if sum > 0.0 => 2.0 * class.precision * class.recall / sum,
        _ => 0.0,
    };
    let macro_f1 = classes.iter().map(f1).sum::<f64>() / classes.len() as f64;
    let rows = judged.len() as u64;
    let correct = judged.iter().filter(|row| row.is_right()).count() as u64;
    let (low, high) = wilson(correct, rows);
    let mut confusion: Vec<(Value, Value, u64)> = pairs.into_values().collect();
    confusion.sort_by_key(|(.., rows)| std::cmp::Reverse(*rows));
    Figures::Classification {
        correct,
        accuracy: share(correct, rows),
        low,
        high,
        macro_f1,
        classes,
        confusion,
    }
}

fn of_numbers(pairs: &[(f64, f64)]) -> Figures {
    let count = pairs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let squared = mean(&|(one, two)| (one - two).powi(2));
    let middle = mean(&|(_, truth)| *truth);
    let variance = mean(&|(_, truth)| (truth - middle).powi(2));
    Figures::Regression {
        mean_absolute_error: mean(&|(one, two)| (one - two).abs()),
        root_mean_squared_error: squared.sqrt(),
        r2: (variance > 0.0).then(|| 1.0 - squared / variance),
    }
}

/// Wilson's interval of 95 % for a share.
fn wilson(correct: u64, rows: u64) -> (f64, f64) {
    let (count, share) = (rows as f64, correct as f64 / rows as f64);
    let divisor = 1.0 + Z * Z / count;
    let middle = (share + Z * Z / (2.0 * count)) / divisor;
    let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt() / divisor;
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judged(day: i64, prediction: Value, truth: Value) -> Judged {
        Judged {
            at: Timestamp::from_millis(day * DAY_MILLISECONDS + 5),
            prediction,
            truth,
        }
    }

    #[test]
    fn classes_are_counted() {
        let rows = [
            judged(1, json!(1), json!(1)),
            judged(1, json!(1), json!(2)),
            judged(2, json!(2), json!(2.0)),
            judged(2, json!(1), json!(1)),
        ];
        let accuracy = Accuracy::of(&rows).unwrap();
        let Figures::Classification {
            correct,
            accuracy: share,
            low,
            high,
            macro_f1,
            classes,
            confusion,
        } = &accuracy.figures
        else {
            panic!("{accuracy:?}");
        };
        assert_eq!((*correct, *share), (3, 0.75));
        // statsmodels' proportion_confint(3, 4, method="wilson")
        assert!(
            (low - 0.300_641_8).abs() < 1e-6 && (high - 0.954_412_7).abs() < 1e-6,
            "{low} {high}"
        );
        assert!((macro_f1 - (0.8 + 2.0 / 3.0) / 2.0).abs() < 1e-12);
        assert_eq!((classes[0].support, classes[0].recall), (2, 1.0));
        assert!((classes[0].precision - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(confusion[0], (json!(1), json!(1), 2));
        let days: Vec<(u64, f64)> = accuracy.days.iter().map(|day| (day.rows, day.value)).collect();
        assert_eq!(days, [(2, 0.5), (2, 1.0)]);
        assert_eq!(Accuracy::of(&[]), None);
    }

    #[test]
    fn numbers_are_measured() {
        let rows = [
            judged(1, json!(1.5), json!(1)),
            judged(1, json!(2), json!(2)),
            judged(2, json!(3), json!(4)),
        ];
        let accuracy = Accuracy::of(&rows).unwrap();
        let Figures::Regression {
            mean_absolute_error,
            root_mean_squared_error,
            r2,
        } = &accuracy.figures
        else {
            panic!("{accuracy:?}");
        };
        assert!((mean_absolute_error - 0.5).abs() < 1e-12);
        assert!((root_mean_squared_error - (1.25_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((r2.unwrap() - (1.0 - 1.25 / (14.0 / 3.0))).abs() < 1e-12);
        assert_eq!(accuracy.days[1].value, 1.0);
    }
}
