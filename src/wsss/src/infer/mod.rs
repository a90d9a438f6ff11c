//! Trained networks at work on the images of a data set. Reads photographs and maps that are in memory; writes nothing.
//!
//! ```text
//! networks     one network, any number of workers
//! look         DeepLab and CAM nets that look at a picture at several scales
//! crf_params   a CRF's table in the manifest
//! cam_crf      CAMs with their background, also through the CRF
//! shrink       pictures that are too large for a network
//! ```

mod cam_crf;
mod crf_params;
mod look;
mod networks;
mod shrink;

pub use cam_crf::{cam_crf, cam_scores};
pub use crf_params::CrfParams;
pub use look::{Extractor, Look, Segmenter};
pub use networks::Networks;
pub use shrink::{MaxPixels, log_shrunk};
