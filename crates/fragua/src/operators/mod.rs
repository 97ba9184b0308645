//! The operators that know orchestration, tracking, learning and serving at once. Only the binary may see all of them.

mod dataset;
mod held_out;
mod place;
mod predict;
mod promote;
mod rows;
mod tracking;
mod train;

use std::sync::Arc;

use fragua_orchestrator::OperatorCatalog;

pub(crate) use rows::{Types, Wanted, query};
pub(crate) use train::{features_told, learn_config};

/// Returns every operator that a DAG file may name.
pub(crate) fn catalog() -> OperatorCatalog {
    OperatorCatalog::builtin()
        .with(Arc::new(train::Train))
        .with(Arc::new(predict::Predict))
        .with(Arc::new(promote::Promote))
}
