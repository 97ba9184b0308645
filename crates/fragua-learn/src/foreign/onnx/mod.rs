//! A reader and runner of ONNX graphs, for the operators that converters of scikit-learn, LightGBM and XGBoost and our own
//! export write. Graphs inside graphs, functions and numbers in other files are refused.

mod answers;
mod ensemble;
mod features;
mod learned;
mod math;
mod message;
mod operator;
mod session;
mod shape;
mod tensor;
mod transform;

pub(super) use session::{Session, load};
