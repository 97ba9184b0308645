use crate::config::{CategoricalConfig, CategoricalImputer, OneHotDrop};
use crate::table::{Categorical, MISSING_CODE};
use std::collections::HashMap;

/// Most categories a column keeps; rarer ones are treated as unknown.
pub(crate) const MAX_CATEGORIES: usize = 254;
/// The code of a category that was not seen in training (or was too rare): equal to no other code.
pub(crate) const UNKNOWN: u8 = 254;
/// The code of a missing category, where it is not filled.
pub(crate) const MISSING: u8 = 255;

/// A fitted column of texts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CategoricalColumn {
    /// In order; the position is the code.
    pub(crate) categories: Vec<String>,
    /// The code that stands in for a missing text: a category, or [`MISSING`].
    pub(crate) fill: u8,
    /// Whether missing is a category of its own, seen in training.
    pub(crate) missing_is_category: bool,
    /// Whether rare categories were put together, so that [`UNKNOWN`] is a category of its own.
    pub(crate) rare_is_category: bool,
    /// Whether the linear model leaves out the first category.
    pub(crate) drop_first: bool,
}

impl CategoricalColumn {
    pub(crate) fn fit(column: &Categorical, config: &CategoricalConfig) -> Self {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        let mut missing = 0;
        for row in 0..column.codes().len() {
            match column.text(row) {
                Some(text) => *counts.entry(text).or_default() += 1,
                None => missing += 1,
            }
        }
        let mut by_count: Vec<(&str, usize)> = counts.into_iter().collect();
        by_count.sort_unstable_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        let most_frequent = by_count.first().map(|(text, _)| *text);
        by_count.truncate(MAX_CATEGORIES);
        let known = by_count.len();
        if let Some(frequency) = config.min_frequency {
            let least = frequency.of(column.codes().len());
            by_count.retain(|(_, count)| *count as f64 >= least);
        }
        let rare_is_category = by_count.len() < known;
        let constant = match config.imputer {
            CategoricalImputer::Constant => Some(config.fill_value.as_deref().unwrap_or("missing")),
            CategoricalImputer::MostFrequent | CategoricalImputer::None => None,
        };
        if let Some(constant) = constant.filter(|constant| by_count.iter().all(|(text, _)| text != constant))
        {
            by_count.truncate(MAX_CATEGORIES - 1);
            by_count.push((constant, missing));
        }
        let mut categories: Vec<String> = by_count.iter().map(|(text, _)| (*text).to_owned()).collect();
        categories.sort_unstable();
        let code_of = |text: &str| categories.iter().position(|known| known == text);
        let fill = match config.imputer {
            CategoricalImputer::MostFrequent => most_frequent.and_then(code_of),
            CategoricalImputer::Constant => constant.and_then(code_of),
            CategoricalImputer::None => None,
        };
        let fill = fill.map_or(MISSING, |code| code as u8);
        Self {
            categories,
            fill,
            missing_is_category: fill == MISSING && missing > 0,
            rare_is_category,
            drop_first: config.drop == OneHotDrop::First,
        }
    }

    pub(crate) fn encode<'a>(&self, source: &Categorical, target: impl Iterator<Item = &'a mut f32>) {
        let code = |text: &String| f32::from(self.code(Some(text)));
        let codes: Vec<f32> = source.dictionary().iter().map(code).collect();
        for (slot, &code) in target.zip(source.codes()) {
            *slot = if code == MISSING_CODE {
                f32::from(self.fill)
            } else {
                codes[code as usize]
            };
        }
    }

    /// The code of one text.
    pub(crate) fn code(&self, text: Option<&str>) -> u8 {
        let Some(text) = text else { return self.fill };
        let code = self.categories.binary_search_by(|known| known.as_str().cmp(text));
        code.map_or(UNKNOWN, |code| code as u8)
    }

    /// Returns the codes that get a one-hot column, in order.
    pub(crate) fn one_hot_codes(&self, drop_first: bool) -> Vec<u8> {
        let missing = self.missing_is_category.then_some(MISSING);
        (0..self.categories.len() as u8)
            .chain(self.rare_is_category.then_some(UNKNOWN))
            .chain(missing)
            .skip(usize::from(drop_first))
            .collect()
    }
}
