//! SQL of this crate.

pub(crate) mod access_keys;
pub(crate) mod access_log;
mod migrations;
pub(crate) mod serving_keys;
pub(crate) mod storage_keys;
pub(crate) mod tokens;
pub(crate) mod worker_tokens;

pub(crate) use migrations::migrations;

#[cfg(test)]
mod tests;
