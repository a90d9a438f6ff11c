//! `camflow-remote`: `camflow push` and `camflow pull`. A store is shared through an object store that all who share it
//! can reach: a directory, S3, GCS or Azure.
//!
//! ```text
//! layout      the objects of a remote: what they are called, and what the small ones hold
//! remote      a URL as an object store, and what its refusals mean
//! conditions  is it a store of ours, and does it keep conditions?
//! transfer    one file there and back, in pieces
//! copy        one artifact as a remote holds it
//! named       which artifacts a command means
//! push        artifacts of this store to the remote
//! pull        artifacts of the remote to this store
//! held        what the remote holds
//! progress    how many bytes of how many have gone
//! cli         commands, options, exit codes
//! ```
//!
//! Nothing is ever listed: an artifact is found by its key, its files by its record. So a command makes a number of
//! requests that grows with stages and shards, whatever else the remote holds.

use std::process::ExitCode;

mod cli;
mod conditions;
mod copy;
mod held;
mod layout;
mod named;
mod progress;
mod pull;
mod push;
mod remote;
mod transfer;

fn main() -> ExitCode {
    cli::main()
}
