//! Whole runs of the `camflow` binary on fake stages that keep the real contract.

mod answers;
#[path = "../crash/mod.rs"]
mod crash;
mod crash_stages;
mod disk;
mod failure;
mod matrix;
mod selection;
mod staleness;
mod together;
mod world;
