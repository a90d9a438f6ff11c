//! How camflow computes. Five floors, each using only those before it:
//!
//! ```text
//! data     VOC layout, image decode / resize / augment, the embedded shapes data set
//! model    resnet38, resnet50, mobilenet_v2, heads, affinity_net, deeplab, weights
//! method   the paper: cam, rcm, mam, ema, objective, affinity, random_walk, confusion. Pure.
//! train    optimiser, schedule, loader, checkpoints
//! stage    the contract that a stage binary fulfils
//! ```

pub mod data;
pub mod method;
pub mod model;
pub mod stage;
pub mod train;
