//! Writing a pipeline as an ONNX file that onnxruntime runs with the same labels.

mod calibration;
mod design;
mod encoder;
mod graph;
mod neighbors;
mod svc;
mod trees;

pub(crate) use graph::{Outputs, export};
