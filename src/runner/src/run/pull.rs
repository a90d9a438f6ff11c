//! `run --pull`: before a stage starts, the remote is asked for its key. What it holds is fetched instead of computed.

use std::process::Command;
use std::time::Instant;

use artifact::error::exit;
use artifact::{Error, Key};

use super::child::Job;
use super::{Run, RunError};
use crate::plan::Step;
use crate::process::stopped;

/// How an artifact came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Done {
    Computed,
    Pulled,
}

impl Job {
    /// Fetches the artifact; `false` if the remote does not hold it whole, and it is to be computed. A remote that
    /// cannot be asked is a failure: hours of computing are not begun because of a network that is down.
    pub(super) fn pull(&self, command: Command) -> Result<bool, RunError> {
        let status = self.shown(command)?;
        let code = status.code();
        if status.success() {
            return Ok(self.store.find(&self.stage, &self.key)?.is_some());
        }
        if self.interrupt.check().is_err() {
            return Err(stopped().into());
        }
        if code == Some(exit::NOT_COMMITTED.into()) {
            // It has said what is damaged there.
            return Ok(false);
        }
        let named = &self.named;
        let what = format!("{named}: the remote could not be asked ({status}); leave out --pull to compute it");
        Err(Error::from_exit_code(code, what).into())
    }
}

impl Run<'_> {
    /// Takes down how an artifact came to be there.
    pub(super) fn note(&mut self, step: &Step, key: &Key, done: Done, since: Instant) {
        let name = (step.stage.clone(), key.clone());
        match done {
            Done::Computed => drop(self.computed.insert(name, since.elapsed().as_secs_f64())),
            Done::Pulled => drop(self.pulled.insert(name)),
        }
    }
}
