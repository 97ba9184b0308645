//! What listeners are told.

use crate::experiments::ExperimentId;

/// Something that changed, told after its transaction has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// An experiment was made, renamed, tagged, deleted or restored.
    ExperimentChanged {
        /// The experiment.
        experiment_id: ExperimentId,
    },
    /// A run was made, changed, or logged to.
    RunChanged {
        /// The run.
        run_id: String,
    },
    /// A registered model or one of its versions was made, changed or deleted.
    ModelChanged {
        /// The name of the registered model.
        name: String,
    },
    /// An alias points elsewhere.
    Alias {
        /// The name of the registered model.
        name: String,
        /// The alias.
        alias: String,
        /// The version it points at now; `None` when the alias is gone.
        version: Option<i32>,
    },
}
