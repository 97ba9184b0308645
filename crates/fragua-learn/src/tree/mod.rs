//! Trees on binned columns: forest and boosting.

pub(crate) mod bins;
pub(crate) mod boosting;
pub(crate) mod ensemble;
pub(crate) mod explain;
pub(crate) mod forest;
mod grow;
pub(crate) mod lanes;
mod predict;
pub(crate) mod weighed;
