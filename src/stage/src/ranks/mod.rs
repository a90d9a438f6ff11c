//! The processes that run one stage together: a training over several of them, on one machine or on many.
//!
//! ```text
//! environment  what torchrun and Slurm say of a process
//! children     processes that a stage starts by itself
//! party        what a stage works with: who it is among them, what rank 0 tells the others
//! ```

mod children;
mod environment;
mod party;

use std::net::TcpListener;
use std::sync::Arc;

use artifact::Result;

pub use environment::{Rank, Store};
pub use party::Party;

/// How the processes find each other. Tensors are not known here: whoever trains implements it.
pub trait Together: Send + Sync {
    /// Rank 0 says something under a name of its own.
    fn tell(&self, name: &str, what: &str) -> Result<()>;

    /// Waits for what rank 0 says under a name.
    fn hear(&self, name: &str) -> Result<String>;

    /// Waits for all processes and parts from them.
    fn leave(&self) -> Result<()>;
}

/// Joins the others as this rank; the socket is that of a store which rank 0 holds for its own children.
pub type Join = fn(&Rank, Option<TcpListener>) -> Result<Arc<dyn Together>>;

/// In how many processes a stage runs whose manifest says `processes`: the environment's where it speaks.
pub fn number(processes: usize) -> Result<usize> {
    Ok(Rank::of_environment()?.map_or(processes, |rank| rank.size))
}
