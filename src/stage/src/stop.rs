//! SIGTERM, SIGINT and SIGUSR1 ask for a checkpoint and exit code 75.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use artifact::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};

/// A flag that signals raise.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the handlers. A second SIGINT or SIGTERM ends the process at once.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in [SIGTERM, SIGINT, SIGUSR1] {
            let installed = if signal == SIGUSR1 {
                Ok(())
            } else {
                signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop.0)).map(drop)
            };
            installed
                .and_then(|()| signal_hook::flag::register(signal, Arc::clone(&stop.0)))
                .map_err(|source| Error::Io { action: format!("cannot handle signal {signal}"), source })?;
        }
        Ok(stop)
    }

    /// Has a signal come?
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// An error once a signal has come; work that is done by then stays done.
    pub fn check(&self) -> Result<()> {
        if self.requested() {
            return Err(Error::Stopped("stopped by a signal; what is done is kept, run the same command again".into()));
        }
        Ok(())
    }
}
