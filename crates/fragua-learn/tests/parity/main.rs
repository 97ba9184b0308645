//! Comparisons with scikit-learn, onnxruntime and MLflow, run by the Python interpreter that
//! `FRAGUA_TEST_PYTHON` names.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod accuracy;
mod classifiers;
mod foreign;
mod metrics;
mod models;
mod neighbors;
mod python;
mod regression;
mod rows;
