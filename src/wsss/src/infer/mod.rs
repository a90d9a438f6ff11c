//! Trained networks at work on the images of a data set.
//!
//! ```text
//! networks     one network, any number of workers
//! cam_crf      CAMs with their background through the CRF
//! ```

mod cam_crf;
mod networks;

pub use cam_crf::{CamScores, cam_crf, winners};
pub use networks::Networks;
