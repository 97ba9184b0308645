//! What the rows were like that a model was learned from: drawn behind the fields of a form, compared with what comes in
//! later, and looked up for rows like a new one.

use crate::random::Random;
use crate::table::{Column, Table};
use crate::{Error, MISSING_CODE};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;

/// The version of the file.
const VERSION: u32 = 1;
/// Bars of a histogram.
const BARS: usize = 20;
/// Categories that are listed; the rest are summed up.
const LISTED_CATEGORIES: usize = 50;
/// Rows that are kept.
const SAMPLE_ROWS: usize = 500;

/// What the training rows were like. A file beside the model, in JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingProfile {
    version: u32,
    /// Number of training rows.
    pub rows: u64,
    /// Each column that the model takes, in its order.
    pub features: Vec<ColumnProfile>,
    /// The column that is predicted: classes as texts, or numbers.
    pub target: ColumnProfile,
    /// Some of the rows, drawn at random and in random order.
    pub sample: Vec<SampleRow>,
}

/// The values of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnProfile {
    /// Its name.
    pub name: String,
    /// Rows without a value.
    pub missing: u64,
    /// The values that are there.
    pub values: ValueProfile,
}

/// How values are spread.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ValueProfile {
    /// Of numbers.
    Number(NumberProfile),
    /// Of texts.
    Category(CategoryProfile),
}

/// How numbers are spread. Everything is 0 or empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumberProfile {
    /// The smallest.
    pub minimum: f64,
    /// The largest.
    pub maximum: f64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation, with the number of rows as divisor.
    pub deviation: f64,
    /// The numbers below which 0, 1, 2, … 100 percent lie, each one that occurs.
    pub percentiles: Vec<f64>,
    /// The bounds of the bars, one more than bars, evenly from the first percentile to the last but one. What lies outside
    /// counts to the first and the last bar.
    pub edges: Vec<f64>,
    /// Rows in each bar.
    pub counts: Vec<u64>,
    /// Upper bounds (themselves in) of the tenths of the rows, but for the last, which has none; fewer where values repeat.
    pub tenth_bounds: Vec<f64>,
    /// Rows in each tenth, one more than bounds.
    pub tenth_counts: Vec<u64>,
}

/// How texts are spread.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CategoryProfile {
    /// The most frequent texts with their rows, the most frequent first.
    pub counts: Vec<(String, u64)>,
    /// Rows with another text.
    pub other: u64,
}

/// A training row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleRow {
    /// A value for each feature: a number, a text or null.
    pub values: Vec<Value>,
    /// What was to be predicted: a class as a text, or a number.
    pub target: Value,
}

/// A training row that is like another one.
#[derive(Clone, Debug, PartialEq)]
pub struct Similar<'a> {
    /// The row.
    pub row: &'a SampleRow,
    /// From 0, the same in every column, to 1: Gower's distance, the mean over the columns of what they differ by. Numbers
    /// by their share of the range of the middle 98 percent, texts by 0 or 1, a gap from any value by 1.
    pub distance: f64,
}

impl TrainingProfile {
    /// Describes `rows` of a table: the columns of `features`, and the target. The sample depends on the seed alone.
    pub(crate) fn of(features: &Table, target: (&str, &Column), rows: &[usize], seed: u64) -> Self {
        let describe = |name: &str, column: &Column| ColumnProfile::of(name, column, rows);
        let columns = features.names().iter().zip(features.columns());
        let mut drawn = rows.to_vec();
        Random::derive(seed, &[]).shuffle(&mut drawn);
        drawn.truncate(SAMPLE_ROWS);
        let sample = drawn.into_iter().map(|row| SampleRow {
            values: features
                .columns()
                .iter()
                .map(|column| value(column, row))
                .collect(),
            target: value(target.1, row),
        });
        Self {
            version: VERSION,
            rows: rows.len() as u64,
            features: columns.map(|(name, column)| describe(name, column)).collect(),
            target: describe(target.0, target.1),
            sample: sample.collect(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`Error::Data`] for a text that is no profile, or one of a later version.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let profile: Self = serde_json::from_slice(json)
            .map_err(|error| Error::Data(format!("this is no training profile: {error}")))?;
        if profile.version > VERSION {
            let message = format!(
                "the training profile has version {}, later than {VERSION}",
                profile.version
            );
            return Err(Error::Data(message));
        }
        let is_whole = |column: &ColumnProfile| match &column.values {
            ValueProfile::Number(numbers) => {
                let bars = numbers.edges.len() == numbers.counts.len() + 1 || numbers.edges.is_empty();
                bars && numbers.tenth_counts.len() <= numbers.tenth_bounds.len() + 1
            }
            ValueProfile::Category(_) => true,
        };
        let width = profile.features.len();
        let sample_fits = profile.sample.iter().all(|row| row.values.len() == width);
        match profile.features.iter().chain([&profile.target]).all(is_whole) && sample_fits {
            true => Ok(profile),
            false => Err(Error::Data(
                "the parts of the training profile do not fit together".to_owned(),
            )),
        }
    }

    /// Writes the file.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers and texts can be written")
    }

    /// Returns a column by name.
    pub fn feature(&self, name: &str) -> Option<&ColumnProfile> {
        self.features.iter().find(|feature| feature.name == name)
    }

    /// Returns the `most` rows of the sample that are most like `row`, the most similar first. The row has a value for each
    /// feature, in order; null is a gap.
    pub fn similar(&self, row: &[Value], most: usize) -> Vec<Similar<'_>> {
        let ranges: Vec<f64> = self.features.iter().map(ColumnProfile::range).collect();
        let mut found: Vec<Similar<'_>> = self
            .sample
            .iter()
            .map(|known| {
                let pairs = known.values.iter().zip(row).zip(&ranges);
                let sum: f64 = pairs
                    .map(|((known, new), range)| difference(known, new, *range))
                    .sum();
                Similar {
                    row: known,
                    distance: sum / self.features.len().max(1) as f64,
                }
            })
            .collect();
        found.sort_by(|one, two| one.distance.total_cmp(&two.distance));
        found.truncate(most);
        found
    }
}

fn difference(one: &Value, two: &Value, range: f64) -> f64 {
    match (one, two) {
        (Value::Null, Value::Null) => 0.0,
        (Value::Null, _) | (_, Value::Null) => 1.0,
        _ => match (one.as_f64(), two.as_f64()) {
            (Some(one), Some(two)) if range > 0.0 => ((one - two).abs() / range).min(1.0),
            (Some(one), Some(two)) => f64::from(u8::from(one != two)),
            _ => f64::from(u8::from(one != two)),
        },
    }
}

fn value(column: &Column, row: usize) -> Value {
    match column {
        Column::Numeric(numbers) => Value::from(numbers[row]),
        Column::Categorical(texts) => texts.text(row).map_or(Value::Null, Value::from),
    }
}

impl ColumnProfile {
    fn of(name: &str, column: &Column, rows: &[usize]) -> Self {
        let (missing, values) = match column {
            Column::Numeric(numbers) => {
                let mut present: Vec<f64> = rows
                    .iter()
                    .map(|&row| numbers[row])
                    .filter(|number| number.is_finite())
                    .collect();
                let missing = rows.len() - present.len();
                (missing, ValueProfile::Number(NumberProfile::of(&mut present)))
            }
            Column::Categorical(texts) => {
                let mut counts = vec![0_u64; texts.dictionary().len()];
                let codes = texts.codes();
                let present = rows.iter().filter(|&&row| codes[row] != MISSING_CODE);
                let present = present.inspect(|&&row| counts[codes[row] as usize] += 1).count();
                let named = texts.dictionary().iter().cloned().zip(counts);
                (
                    rows.len() - present,
                    ValueProfile::Category(CategoryProfile::of(named.collect())),
                )
            }
        };
        Self {
            name: name.to_owned(),
            missing: missing as u64,
            values,
        }
    }

    /// Rows with a value.
    pub fn present(&self) -> u64 {
        match &self.values {
            ValueProfile::Number(numbers) => numbers.counts.iter().sum(),
            ValueProfile::Category(texts) => {
                texts.counts.iter().map(|(_, count)| count).sum::<u64>() + texts.other
            }
        }
    }

    /// The width of the middle 98 percent of the numbers; 0 for texts.
    fn range(&self) -> f64 {
        match &self.values {
            ValueProfile::Number(numbers) => match numbers.percentiles.as_slice() {
                [_, low, .., high, _] => high - low,
                _ => 0.0,
            },
            ValueProfile::Category(_) => 0.0,
        }
    }
}

impl NumberProfile {
    /// Describes numbers, which it sorts.
    pub(crate) fn of(numbers: &mut [f64]) -> Self {
        numbers.sort_unstable_by(f64::total_cmp);
        let (Some(&minimum), Some(&maximum)) = (numbers.first(), numbers.last()) else {
            return Self::default();
        };
        let count = numbers.len() as f64;
        let mean = numbers.iter().sum::<f64>() / count;
        let variance = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>() / count;
        let at = |percent: usize| numbers[(percent * (numbers.len() - 1) + 50) / 100];
        let percentiles: Vec<f64> = (0..=100).map(at).collect();
        let (low, high) = (percentiles[1], percentiles[99]);
        // A column of one value gets one bar in the middle of the picture.
        let (low, high) = if low < high {
            (low, high)
        } else {
            (low - 0.5, high + 0.5)
        };
        let edges: Vec<f64> = (0..=BARS)
            .map(|bar| low + (high - low) * bar as f64 / BARS as f64)
            .collect();
        let mut counts = vec![0; BARS];
        for number in &*numbers {
            let bar = (number - low) / (high - low) * BARS as f64;
            counts[(bar.max(0.0) as usize).min(BARS - 1)] += 1;
        }
        let mut tenth_bounds: Vec<f64> = (1..10).map(|tenth| at(tenth * 10)).collect();
        tenth_bounds.dedup();
        tenth_bounds.retain(|bound| *bound < maximum);
        let tenth_counts = count_up_to(numbers, &tenth_bounds);
        Self {
            minimum,
            maximum,
            mean,
            deviation: variance.sqrt(),
            percentiles,
            edges,
            counts,
            tenth_bounds,
            tenth_counts,
        }
    }
}

/// Counts sorted numbers between bounds: up to the first one, then up to the second, … and above the last.
pub(crate) fn count_up_to(sorted: &[f64], bounds: &[f64]) -> Vec<u64> {
    let mut begin = 0;
    let mut counts: Vec<u64> = bounds
        .iter()
        .map(|bound| {
            let end = sorted.partition_point(|number| number <= bound);
            let count = end - begin;
            begin = end;
            count as u64
        })
        .collect();
    counts.push((sorted.len() - begin) as u64);
    counts
}

impl CategoryProfile {
    /// Sums up counted texts.
    pub(crate) fn of(mut counts: Vec<(String, u64)>) -> Self {
        counts.retain(|(_, count)| *count > 0);
        counts.sort_by(|one, two| two.1.cmp(&one.1).then_with(|| one.0.cmp(&two.0)));
        let other = counts
            .iter()
            .skip(LISTED_CATEGORIES)
            .map(|(_, count)| count)
            .sum();
        counts.truncate(LISTED_CATEGORIES);
        Self { counts, other }
    }

    /// Returns the counts by text.
    pub(crate) fn by_text(&self) -> HashMap<&str, u64> {
        self.counts
            .iter()
            .map(|(text, count)| (text.as_str(), *count))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Categorical;
    use serde_json::json;

    fn profile() -> TrainingProfile {
        let numbers = (0..1_000).map(|row| if row == 7 { f64::NAN } else { f64::from(row % 100) });
        let codes = (0..1_000).map(|row| {
            if row == 9 {
                MISSING_CODE
            } else {
                u32::from(row % 4 == 0)
            }
        });
        let texts = Categorical::new(vec!["a".to_owned(), "b".to_owned()], codes.collect()).unwrap();
        let features = Table::new(vec![
            ("number".to_owned(), Column::Numeric(numbers.collect())),
            ("text".to_owned(), Column::Categorical(texts)),
        ])
        .unwrap();
        let target = Column::Numeric((0..1_000).map(f64::from).collect());
        let rows: Vec<usize> = (0..1_000).collect();
        TrainingProfile::of(&features, ("target", &target), &rows, 3)
    }

    #[test]
    fn rows_are_described_and_read_back() {
        let profile = profile();
        assert_eq!(profile.rows, 1_000);
        let number = profile.feature("number").unwrap();
        assert_eq!((number.missing, number.present()), (1, 999));
        let ValueProfile::Number(numbers) = &number.values else {
            panic!("{number:?}")
        };
        assert_eq!((numbers.minimum, numbers.maximum), (0.0, 99.0));
        assert_eq!(numbers.percentiles.len(), 101);
        assert_eq!((numbers.tenth_bounds.len(), numbers.tenth_counts.len()), (9, 10));
        assert_eq!(numbers.tenth_counts.iter().sum::<u64>(), 999);
        let text = profile.feature("text").unwrap();
        assert_eq!((text.missing, text.present()), (1, 999));
        let ValueProfile::Category(texts) = &text.values else {
            panic!("{text:?}")
        };
        assert_eq!(texts.counts, [("a".to_owned(), 749), ("b".to_owned(), 250)]);
        assert_eq!(profile.sample.len(), SAMPLE_ROWS);
        assert_eq!(
            TrainingProfile::parse(profile.to_json().as_bytes()).unwrap(),
            profile
        );
        for wrong in [json!({}), json!([]), json!({"version": 9})] {
            assert!(TrainingProfile::parse(wrong.to_string().as_bytes()).is_err());
        }
        let later = profile.to_json().replace("\"version\":1", "\"version\":2");
        assert!(TrainingProfile::parse(later.as_bytes()).is_err());
    }

    #[test]
    fn a_column_of_one_value_and_one_of_none_can_be_drawn() {
        let one = NumberProfile::of(&mut [4.0, 4.0]);
        assert_eq!(one.counts.iter().sum::<u64>(), 2);
        assert!(one.edges[0] < 4.0 && one.tenth_bounds.is_empty());
        assert_eq!(one.tenth_counts, [2]);
        assert_eq!(NumberProfile::of(&mut []), NumberProfile::default());
    }

    #[test]
    fn similar_rows_come_in_the_order_of_their_distance() {
        let profile = profile();
        let wanted = profile.sample[42].values.clone();
        let similar = profile.similar(&wanted, 5);
        assert_eq!((similar.len(), similar[0].distance), (5, 0.0));
        assert!(
            similar
                .windows(2)
                .all(|pair| pair[0].distance <= pair[1].distance)
        );
        let far = profile.similar(&[json!(1e9), json!("c")], 1);
        assert_eq!(far[0].distance, 1.0);
        let gap = profile.similar(&[Value::Null, json!("a")], 1);
        assert!((0.0..=0.5).contains(&gap[0].distance));
    }
}
