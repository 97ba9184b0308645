//! What happens to the columns before the model.

use super::columns::ColumnSelector;
use super::{between, within};
use crate::Error;
use crate::table::ColumnKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to the columns before the model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PreparationConfig {
    /// Columns of numbers.
    pub numeric: NumericConfig,
    /// Columns of texts.
    pub categorical: CategoricalConfig,
    /// Principal components instead of the scaled numbers, for models that are not of trees: those split the numbers as they
    /// are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pca: Option<PcaConfig>,
    /// Other preparation for some columns; the first entry that names a column holds for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<ColumnPreparation>,
}

/// Principal components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PcaConfig {
    /// How many.
    pub n_components: Components,
}

/// A count of components, or the share of the variance that they explain together: as few as explain more than that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a count of components or a share of the variance"
)]
pub enum Components {
    /// A count, at most that of the columns of numbers.
    Count(usize),
    /// A share, above 0 and below 1.
    Share(f64),
}

/// How some columns are prepared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnPreparation {
    /// The columns.
    pub columns: Vec<ColumnSelector>,
    /// For those with numbers; as all others when absent. The `knn` imputer is for all columns or for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numeric: Option<NumericConfig>,
    /// For those with texts; as all others when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categorical: Option<CategoricalConfig>,
}

/// Preparation of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NumericConfig {
    /// How missing numbers are filled.
    pub imputer: NumericImputer,
    /// How the linear model's numbers are scaled; trees do not depend on scale and split the raw numbers.
    pub scaler: Scaler,
    /// Neighbours of the `knn` imputer.
    pub n_neighbors: Option<usize>,
    /// Weights of the `knn` imputer's neighbours.
    pub weights: Option<NeighborWeights>,
    /// The number of the `constant` imputer; 0 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_value: Option<f64>,
}

/// How missing numbers are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumericImputer {
    /// With the column's median.
    #[default]
    Median,
    /// With the column's mean.
    Mean,
    /// With `fill_value`.
    Constant,
    /// With the column's most frequent value, the smallest of equals.
    MostFrequent,
    /// With the mean of the nearest rows by nan-Euclidean distance over the numeric columns.
    Knn,
    /// Not at all: trees learn where missing values go. Not for logistic regression.
    None,
}

/// How numbers are scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaler {
    /// Mean 0 and standard deviation 1 on the training rows.
    #[default]
    Standard,
    /// From 0 to 1 on the training rows.
    MinMax,
    /// Median 0, and 1 between the quartiles, on the training rows; outliers hardly count.
    Robust,
    /// The share of the training rows that are below, between 256 quantiles in proportion.
    Quantile,
    /// As they are.
    None,
}

/// Weights of neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NeighborWeights {
    /// All alike.
    #[default]
    Uniform,
    /// By the inverse of the distance.
    Distance,
}

/// Preparation of texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CategoricalConfig {
    /// How missing texts are filled.
    pub imputer: CategoricalImputer,
    /// Which one-hot column the linear model leaves out; trees split on the categories themselves.
    pub drop: OneHotDrop,
    /// What models are given for a text.
    pub encoding: TextEncoding,
    /// With how many rows of the mean of all a category's own mean is mixed for the `target` encoding; 10 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smoothing: Option<f64>,
    /// The parts of the `date` encoding; all seven when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Vec<DatePart>>,
    /// The text of the `constant` imputer; `missing` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fill_value: Option<String>,
    /// Categories in fewer training rows (a count, or a share such as 0.01) become one category, which those never seen
    /// belong to, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_frequency: Option<Frequency>,
}

/// A count of rows, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a count of rows or a share of them")]
pub enum Frequency {
    /// A count.
    Rows(usize),
    /// A share, above 0 and below 1.
    Share(f64),
}

impl Frequency {
    /// Returns the least number of rows that is frequent.
    pub(crate) fn of(self, rows: usize) -> f64 {
        match self {
            Self::Rows(count) => count as f64,
            Self::Share(share) => share * rows as f64,
        }
    }
}

/// How missing texts are filled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CategoricalImputer {
    /// With the column's most frequent text, the first in order of equals.
    #[default]
    MostFrequent,
    /// With `fill_value`, a category of its own unless it is one already.
    Constant,
    /// Not at all: missing is a category of its own.
    None,
}

/// What models are given for a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TextEncoding {
    /// The category: trees split on it, linear models see it as one-hot columns.
    #[default]
    Category,
    /// The position of the category in order, as a number; one never seen is -1.
    Ordinal,
    /// The mean of the target in the category: of the number, of being the second of two classes, or of being each of
    /// more, which gives one number a class. For the rows that are learned from it is the mean of other rows.
    Target,
    /// Parts of an ISO date, with or without a time, each as a number: see `parts`. A missing date is filled as all numbers
    /// are, by the median with the `knn` imputer; so is a text that is no date, which is refused in training. Time zones
    /// are not looked at. A model with it has no ONNX file.
    Date,
}

/// A part of a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DatePart {
    /// The year.
    Year,
    /// 1 to 12.
    Month,
    /// Of the month, from 1.
    Day,
    /// 0, Monday, to 6, as in pandas.
    Weekday,
    /// 1 to 366.
    DayOfYear,
    /// 0 to 23; 0 without a time.
    Hour,
    /// 0 to 59; 0 without a time.
    Minute,
}

/// Which one-hot column is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OneHotDrop {
    /// That of the first category in order; an unknown category then counts as the first.
    #[default]
    First,
    /// None; an unknown category is all zeros.
    None,
}

impl PreparationConfig {
    pub(super) fn numerics(&self) -> impl Iterator<Item = &NumericConfig> {
        let others = self.columns.iter().filter_map(|columns| columns.numeric.as_ref());
        std::iter::once(&self.numeric).chain(others)
    }

    fn categoricals(&self) -> impl Iterator<Item = &CategoricalConfig> {
        let others = self
            .columns
            .iter()
            .filter_map(|columns| columns.categorical.as_ref());
        std::iter::once(&self.categorical).chain(others)
    }

    fn for_column(&self, name: &str, kind: ColumnKind) -> Option<&ColumnPreparation> {
        let names_it =
            |columns: &&ColumnPreparation| columns.columns.iter().any(|selector| selector.fits(name, kind));
        self.columns.iter().find(names_it)
    }

    /// Returns how a column of numbers is prepared.
    pub(crate) fn numeric_of(&self, name: &str) -> &NumericConfig {
        let own = self.for_column(name, ColumnKind::Numeric);
        own.and_then(|columns| columns.numeric.as_ref())
            .unwrap_or(&self.numeric)
    }

    /// Returns how a column of texts is prepared.
    pub(crate) fn categorical_of(&self, name: &str) -> &CategoricalConfig {
        let own = self.for_column(name, ColumnKind::Categorical);
        own.and_then(|columns| columns.categorical.as_ref())
            .unwrap_or(&self.categorical)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refused = match self.pca.as_ref().map(|pca| pca.n_components) {
            Some(Components::Count(0)) => Some("0".to_owned()),
            Some(Components::Share(share)) if !(share > 0.0 && share < 1.0) => Some(share.to_string()),
            _ => None,
        };
        if let Some(got) = refused {
            let message = format!("expected a count from 1 or a share above 0 and below 1, got {got}");
            return Err(Error::config("preparation.pca.n_components", message));
        }
        for (index, columns) in self.columns.iter().enumerate() {
            let at = format!("preparation.columns[{index}]");
            if columns.columns.is_empty() {
                return Err(Error::config(
                    format!("{at}.columns"),
                    "expected at least one column",
                ));
            }
            let knn = |numeric: &NumericConfig| numeric.imputer == NumericImputer::Knn;
            if columns.numeric.as_ref().is_some_and(knn) || (columns.numeric.is_some() && knn(&self.numeric))
            {
                let message =
                    "the knn imputer looks at all columns of numbers at once, so it is for all or none";
                return Err(Error::config(format!("{at}.numeric.imputer"), message));
            }
        }
        for numeric in self.numerics() {
            let value = numeric.fill_value;
            if value.is_some_and(|value| value.is_nan() || value.abs() > f64::from(f32::MAX)) {
                return Err(Error::config(
                    "preparation.numeric.fill_value",
                    "expected a finite 32-bit number",
                ));
            }
            if value.is_some() && numeric.imputer != NumericImputer::Constant {
                let message = "only the constant imputer has a value of its own";
                return Err(Error::config("preparation.numeric.fill_value", message));
            }
        }
        for categorical in self.categoricals() {
            if let Some(smoothing) = categorical.smoothing {
                between("preparation.categorical.smoothing", smoothing, 0.0, 1e9)?;
                if categorical.encoding != TextEncoding::Target {
                    let message = "only the target encoding has means to smooth";
                    return Err(Error::config("preparation.categorical.smoothing", message));
                }
            }
            if let Some(parts) = &categorical.parts {
                let refuse = |message: &str| Err(Error::config("preparation.categorical.parts", message));
                if categorical.encoding != TextEncoding::Date {
                    return refuse("only the date encoding has parts");
                }
                let is_repeated = |(index, part)| parts[..index].contains(part);
                if parts.is_empty() || parts.iter().enumerate().any(is_repeated) {
                    return refuse("expected at least one part, and each once");
                }
            }
            let value = &categorical.fill_value;
            if value.is_some() && categorical.imputer != CategoricalImputer::Constant {
                let message = "only the constant imputer has a value of its own";
                return Err(Error::config("preparation.categorical.fill_value", message));
            }
            if value.as_ref().is_some_and(String::is_empty) {
                let message = "expected a text that is not empty: an empty one is missing";
                return Err(Error::config("preparation.categorical.fill_value", message));
            }
            if let Some(Frequency::Share(share)) = categorical.min_frequency
                && !(share > 0.0 && share < 1.0)
            {
                let message = format!("expected a count or a share above 0 and below 1, got {share}");
                return Err(Error::config("preparation.categorical.min_frequency", message));
            }
        }
        let numeric = &self.numeric;
        if let Some(count) = numeric.n_neighbors {
            within("preparation.numeric.n_neighbors", count, 1, 1_000)?;
        }
        let named = [
            ("n_neighbors", numeric.n_neighbors.is_some()),
            ("weights", numeric.weights.is_some()),
        ];
        for (name, given) in named {
            if given && numeric.imputer != NumericImputer::Knn {
                return Err(Error::config(
                    format!("preparation.numeric.{name}"),
                    "only the knn imputer has neighbours",
                ));
            }
        }
        Ok(())
    }
}
