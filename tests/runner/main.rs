//! Whole runs of the `camflow` binary on fake stages that keep the real contract.

mod accept;
mod answers;
#[path = "../crash/mod.rs"]
mod crash;
mod crash_stages;
mod diff;
mod disk;
mod failure;
mod gc;
mod hand_over;
mod logs;
mod matrix;
mod scale;
mod selection;
mod staleness;
mod together;
mod verify;
mod world;
