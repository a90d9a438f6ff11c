//! What a stage works with when several processes run it: who it is among them, and what rank 0 tells the others. A
//! process alone is a party of one, of which nothing is asked.

use std::sync::{Arc, Mutex, PoisonError};

use artifact::{Error, Result};

use super::children::{Children, meeting_place};
use super::{Join, Rank, Together};

/// This process among those that run the stage. Clones share it.
#[derive(Clone)]
pub struct Party {
    rank: Rank,
    link: Option<Arc<dyn Together>>,
    children: Arc<Mutex<Children>>,
}

impl Party {
    /// A process alone.
    pub fn alone() -> Self {
        Self { rank: Rank::alone(), link: None, children: Arc::default() }
    }

    /// Joins the processes of which the environment speaks.
    pub(crate) fn join(rank: Rank, join: Join) -> Result<Self> {
        let link = join(&rank, None)?;
        Ok(Self { rank, link: Some(link), children: Arc::default() })
    }

    /// Starts the others on this machine, and joins them as rank 0.
    pub(crate) fn start(size: usize, join: Join) -> Result<Self> {
        let (socket, rank) = meeting_place(size)?;
        let mut children = Children::start(&rank)?;
        let link = join(&rank, Some(socket)).map_err(|error| children.reason().unwrap_or(error))?;
        Ok(Self { rank, link: Some(link), children: Arc::new(Mutex::new(children)) })
    }

    /// Who it is.
    pub fn rank(&self) -> &Rank {
        &self.rank
    }

    /// Is it the process that writes: rank 0, or one alone?
    pub fn is_first(&self) -> bool {
        self.rank.rank == 0
    }

    /// Rank 0 says something to the others, under a name of its own.
    pub fn tell(&self, name: &str, what: &str) -> Result<()> {
        self.link.as_ref().map_or(Ok(()), |link| link.tell(name, what))
    }

    /// Waits for what rank 0 says under a name.
    pub fn hear(&self, name: &str) -> Result<String> {
        self.link.as_ref().map_or_else(|| Ok(String::new()), |link| link.hear(name))
    }

    /// Waits for all processes and parts from them.
    pub(crate) fn leave(&self) -> Result<()> {
        self.link.as_ref().map_or(Ok(()), |link| link.leave())
    }

    /// A failure of this process, or that of one of its children which is the reason for it.
    pub(crate) fn explained(&self, error: Error) -> Error {
        match error {
            Error::Stopped(_) => self.children.lock().unwrap_or_else(PoisonError::into_inner).reason().unwrap_or(error),
            other => other,
        }
    }

    /// The device on which this process computes, of that which the manifest names.
    ///
    /// # Errors
    /// One GPU named for several processes of a machine.
    pub(crate) fn device(&self, named: &str) -> Result<String> {
        let Rank { local, local_size, size, .. } = self.rank;
        if size == 1 || named == "cpu" {
            return Ok(named.to_owned());
        }
        if named != "cuda" && local_size > 1 {
            return Err(Error::Config(format!(
                "pipeline.device: '{named}' is one GPU, but {local_size} processes of this machine need one each; \
                 set it to cuda"
            )));
        }
        // A launcher may have given each process a GPU that it alone sees.
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let only = visible.is_some_and(|names| names.split(',').filter(|name| !name.trim().is_empty()).count() == 1);
        Ok(if named == "cuda" && !only { format!("cuda:{local}") } else { named.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_process_of_a_machine_has_a_gpu_of_its_own() {
        let of =
            |local, local_size| Party { rank: Rank { local, local_size, size: 4, ..Rank::alone() }, ..Party::alone() };
        assert_eq!(of(3, 4).device("cuda").unwrap(), "cuda:3");
        assert_eq!(of(3, 4).device("cpu").unwrap(), "cpu");
        assert_eq!(of(0, 1).device("cuda:1").unwrap(), "cuda:1");
        assert_eq!(of(0, 2).device("cuda:1").unwrap_err().exit_code(), 78);
        assert_eq!(Party::alone().device("cuda").unwrap(), "cuda");
    }
}
