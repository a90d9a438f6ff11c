//! Images, masks, labels: from VOC files to training crops.
//!
//! ```text
//! codec        JPEG and PNG bytes <-> Rgb, Mask (palette indices); strict
//! voc          a data set in VOC's layout -> records, or one error that lists every fault
//! shapes       the embedded data set, drawn in that same layout
//! random       randomness from (seed, epoch, stream); the order of an epoch
//! resize       bicubic pictures, nearest maps
//! score_maps   maps of many images in memory, compressed
//! jitter       colours
//! augment      picture + maps -> one training crop; normalisation
//! loader       crops -> batches, made ahead on threads, always in the same order
//! ```

pub mod augment;
pub mod codec;
pub mod dataset;
pub mod jitter;
pub mod loader;
pub mod random;
pub mod resize;
pub mod score_maps;
pub mod shapes;
pub mod voc;
