//! The role as its clients see it, over a registry in memory and models trained here.

mod documents;
mod following;
mod invocations;
mod models;
mod predict;
mod registry;
mod support;
