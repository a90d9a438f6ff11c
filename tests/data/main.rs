//! The data floor: what is accepted, what is refused and how, and that the same arguments give the same bytes.

mod augment;
mod codec;
mod loader;
mod shapes;
mod voc;
