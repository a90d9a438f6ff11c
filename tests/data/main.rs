//! The data floor: what is accepted, what is refused and how, and that the same arguments give the same bytes.

mod augment;
mod cams;
mod cases;
mod coco;
mod codec;
mod dataset;
mod import;
mod label_files;
mod loader;
mod masks;
mod plain;
mod readers;
mod shapes;
mod survey;
