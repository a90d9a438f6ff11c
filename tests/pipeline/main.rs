//! The real stage binaries on a dozen images: the whole pipeline, stages by hand, interruption, and bad input.

mod by_hand;
mod masks;
mod resume;
mod whole;
mod world;
