//! The operators that know orchestration, tracking and learning at once. Only the binary may see all three.

mod dataset;
mod held_out;
mod promote;
mod rows;
mod tracking;
mod train;

use std::sync::Arc;

use fragua_orchestrator::OperatorCatalog;

pub(crate) use rows::query;
pub(crate) use train::train_config;

/// Returns every operator that a DAG file may name.
pub(crate) fn catalog() -> OperatorCatalog {
    OperatorCatalog::builtin()
        .with(Arc::new(train::Train))
        .with(Arc::new(promote::Promote))
}
