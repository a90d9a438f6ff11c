//! The real stage binaries on a dozen images: the whole pipeline, stages by hand, interruption, and bad input; also
//! `camflow-weights`.

mod by_hand;
mod finetune;
mod masks;
mod resume;
mod weights;
mod whole;
mod world;
