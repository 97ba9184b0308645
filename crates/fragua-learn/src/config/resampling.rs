//! More rows of small classes, or fewer of large ones.

use super::{between, within};
use crate::Error;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step that changes how many rows of each class are learned from; rows that models are measured on stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resampling {
    /// What the step does.
    pub method: ResamplingMethod,
    /// How large classes should become, as a share of the largest one; large ones become at most the smallest over it.
    #[serde(default = "one")]
    pub ratio: f64,
    /// Neighbours of its own class that a row is made between.
    #[serde(default = "five")]
    pub k_neighbors: usize,
    /// Neighbours that tell `borderline_smote` whether a row is at the border.
    #[serde(default = "ten")]
    pub m_neighbors: usize,
    /// Neighbours that `edited_neighbours` asks.
    #[serde(default = "three")]
    pub n_neighbors: usize,
}

impl Resampling {
    /// Checks one step, which is at `at`.
    pub(super) fn check(&self, at: &str) -> Result<(), Error> {
        let key = |name: &str| format!("{at}.{name}");
        between(&key("ratio"), self.ratio, 1e-6, 1.0)?;
        within(&key("k_neighbors"), self.k_neighbors, 1, 1_000)?;
        within(&key("m_neighbors"), self.m_neighbors, 1, 1_000)?;
        within(&key("n_neighbors"), self.n_neighbors, 1, 1_000)
    }
}

fn one() -> f64 {
    1.0
}

fn three() -> usize {
    3
}

fn five() -> usize {
    5
}

fn ten() -> usize {
    10
}

/// What a step of resampling does; the definitions are imbalanced-learn's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResamplingMethod {
    /// Rows of small classes are repeated at random.
    RandomOver,
    /// Rows of large classes are left out at random.
    RandomUnder,
    /// Rows are made between those of small classes and their neighbours; with columns of texts it is `smote_nc`.
    Smote,
    /// The same with texts: those that most neighbours have.
    SmoteNc,
    /// SMOTE from rows only whose neighbours are half or more, but not all, of other classes.
    BorderlineSmote,
    /// SMOTE with more rows where more neighbours are of other classes.
    Adasyn,
    /// Rows of larger classes are left out that are mutual nearest neighbours of a row of another class.
    TomekLinks,
    /// Rows of larger classes are left out that have a neighbour of another class.
    EditedNeighbours,
}
