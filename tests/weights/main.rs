//! Files of weights: every format bit for bit, what is refused by name, and that no file whatever does harm.
//!
//! Reads `tests/golden/weights/` (`weights.py` beside it made the checkpoints), or `weights/` in the directory that
//! `CAMFLOW_GOLDEN` names; writes only temporary files. A binary of its own: it measures the process's memory.

mod files;
#[path = "../parity/folder.rs"]
mod folder;
mod mxnet;

mod formats;
mod networks;
mod views;

mod damage;
mod refusal;
