//! The tables that are read and written here. Columns that only MLflow fills keep what it wrote.

pub(super) mod experiments;
pub(super) mod inputs;
pub(super) mod logged_models;
pub(super) mod purged_files;
pub(super) mod registry;
pub(super) mod runs;
pub(super) mod webhooks;
