//! Trees on binned columns: forest and boosting.

pub(crate) mod bins;
pub(crate) mod boosting;
pub(crate) mod ensemble;
pub(crate) mod explain;
pub(crate) mod forest;
mod grow;
pub(crate) mod lanes;
pub(crate) mod one_row;
pub(crate) mod packed;
mod predict;
mod row_masks;
pub(crate) mod shared_values;
pub(crate) mod weighed;
