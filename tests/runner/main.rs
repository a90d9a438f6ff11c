//! Whole runs of the `camflow` binary on fake stages that keep the real contract.

mod accept;
mod answers;
mod diff;
mod failure;
mod gc;
mod logs;
mod matrix;
mod scale;
mod selection;
mod staleness;
mod verify;
mod world;
