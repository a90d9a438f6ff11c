//! Trained networks as files that are of use without a store. Reads artifacts and files of weights; writes nothing.
//!
//! ```text
//! model_file   a network with all that its use takes, in one safetensors file
//! inference    how a network looks at a picture
//! graph        what a network computes, as a list of operations
//! onnx         that list and the weights as an ONNX model
//! ```

pub mod graph;
mod inference;
pub mod model_file;
pub mod onnx;

pub use inference::Inference;
pub use model_file::{Model, Network};

/// A program that loads in `PyTorch` a file with a network's graph: `deeplab.py`.
pub const PYTHON: &str = include_str!("deeplab.py");
