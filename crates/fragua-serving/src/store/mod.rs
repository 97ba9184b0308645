//! SQL of this crate.

pub(crate) mod deployments;
mod migrations;
pub(crate) mod predictions;

pub(crate) use migrations::migrations;
