//! Whole runs of the `camflow` binary on fake stages that keep the real contract.

mod answers;
mod failure;
mod matrix;
mod selection;
mod staleness;
mod world;
