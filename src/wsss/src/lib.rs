//! How camflow computes, with torch. Floors, each using only those before it; `stage` and `data` lie below all of them:
//!
//! ```text
//! foreign  settings of libtorch and the C library that no crate offers
//! device   from the manifest's `cpu` or `cuda:N` to libtorch's
//! memory   a tensor that finds no memory as an error
//! ranks    the processes of one training, and sums over them
//! tensor   photographs as tensors, tensors as plain numbers
//! model    resnet38, resnet50, mobilenet_v2, efficientnet_lite, heads, affinity_net, deeplab; strict loading of
//!          weights
//! method   the paper: cam, rcm, mam, ema, objective, extraction, affinity, random_walk, crf, pseudo_label. Pure.
//! train    optimiser, schedule, loop, checkpoints
//! infer    networks at work on many images, CAMs through the CRF
//! export   trained networks as files that are of use without a store
//! ```

pub mod device;
pub mod export;
mod foreign;
pub mod infer;
pub mod memory;
pub mod method;
pub mod model;
pub mod ranks;
pub mod tensor;
pub mod train;
