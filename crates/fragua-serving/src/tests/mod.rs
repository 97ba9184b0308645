//! The role as its clients see it, over a registry in memory and models trained here.

mod batch;
mod bodies;
mod deployments;
mod documents;
mod following;
mod infer;
mod invocations;
mod keys;
mod log;
mod models;
mod named;
mod predict;
mod registry;
mod schemathesis;
mod support;
