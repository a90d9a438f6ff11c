//! The networks and the method against vectors made with `PyTorch`, and the properties that hold for any input.
//!
//! Reads `tests/golden/`, or the directory that `CAMFLOW_GOLDEN` names; writes only temporary files.

mod folder;
mod golden;
mod loops;
#[path = "../weights/mxnet.rs"]
mod mxnet;
#[path = "../peers/mod.rs"]
mod peers;

mod efficientnet_lite;
mod exported;
mod names;
mod network;
mod numerics;

mod contrast;
mod plain;
mod readings;
mod scales;
mod seam;
mod step;
mod ten_steps;

mod extraction;
mod pseudo_label;
mod scores;
mod segmentation;

mod crf;
mod crops;
mod sweep;
mod walk;
mod weights;
