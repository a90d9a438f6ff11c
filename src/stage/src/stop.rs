//! SIGTERM, SIGINT, SIGHUP, SIGUSR1 and SIGUSR2 ask for a checkpoint and exit code 75.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use artifact::{Error, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// The signals that ask a stage or the runner to stop. SIGHUP is none of them where it was ignored from the start, as
/// below `nohup`.
pub fn stop_signals() -> impl Iterator<Item = i32> {
    [SIGTERM, SIGINT, SIGUSR1, SIGUSR2].into_iter().chain((!hangup_is_ignored()).then_some(SIGHUP))
}

fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & 1 << (SIGHUP - 1) != 0
}

/// A flag that signals raise.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Installs the handlers. A second SIGINT or SIGTERM ends the process at once.
    pub fn on_signals() -> Result<Self> {
        let stop = Self::default();
        for signal in stop_signals() {
            // A terminal that closes may send SIGHUP twice.
            let installed = if [SIGUSR1, SIGUSR2, SIGHUP].contains(&signal) {
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

    /// Stops as if a signal had come: one has come to another process of the same work.
    pub fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// An error once a signal has come; work that is done by then stays done.
    pub fn check(&self) -> Result<()> {
        if self.requested() {
            return Err(Error::Stopped("stopped by a signal; what is done is kept, run the same command again".into()));
        }
        Ok(())
    }
}
