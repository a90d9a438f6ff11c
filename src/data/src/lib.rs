//! Data: from files of pictures, masks, labels and weights to what a network is trained on. No torch here.
//!
//! Reads data sets and files of weights; writes nothing but the embedded data set, where it is told to.
//!
//! ```text
//! codec        JPEG and PNG bytes <-> Rgb, Mask (palette indices); strict
//! draw         masks and maps over photographs
//! import       a data set as users have it -> records, or one error that lists every fault
//! shapes       the embedded data set, drawn in that same layout
//! weights      files of weights of every format that users have
//! random       randomness from (seed, epoch, stream); the order of an epoch
//! resize       bicubic pictures, nearest maps
//! jitter       how far colours are varied
//! tones        colours changed, on as many pixels at once as the processor can
//! augment      picture + maps -> one training crop; normalisation
//! loader       crops -> batches, made ahead on threads, always in the same order
//! dataset      the artifact of prepare-data: its list in memory, pictures and masks when they are asked for
//! score_maps   maps by image and class in memory: CAMs, and what a CRF makes of them
//! labels       pseudo-labels in memory
//! numpy        dicts of arrays as NumPy saves them
//! confusion    every threshold's confusion matrix in one pass; scores; the best threshold
//! ```

pub mod codec;
pub mod draw;
pub mod import;
pub mod shapes;

pub mod weights;

pub mod random;

pub mod augment;
pub mod jitter;
pub mod resize;
pub mod tones;

pub mod loader;

pub mod dataset;
pub mod labels;
pub mod numpy;
pub mod score_maps;

pub mod confusion;
