//! Comparisons with scikit-learn, onnxruntime and MLflow, run by the Python interpreter that
//! `FRAGUA_TEST_PYTHON` names.

mod accuracy;
mod metrics;
mod models;
mod neighbors;
mod python;
mod rows;
