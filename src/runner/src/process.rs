//! A child process, and a request to stop passed on to it.
//!
//! A stage that is told to stop writes a checkpoint and exits with 75; the runner waits for that. Children stay in
//! the runner's process group, so Ctrl-C and a cluster's SIGTERM reach them directly as well. To a stage a second
//! SIGINT or SIGTERM means "at once, without a checkpoint"; that is why the runner passes every request on as
//! SIGUSR1, which only ever means "checkpoint and stop", and which may come twice.

use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use artifact::{Error, Result};
use rustix::process::{Pid, Signal, kill_process};
use stage::{runner_link, stop_signals};

/// How often a running child is looked at: short against the shortest stage.
const LOOK: Duration = Duration::from_millis(10);

/// How a run is told to stop. Clones share one state; the default is told by [`Interrupt::stop`] only.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Told by SIGINT, SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 from now on.
    pub fn on_signals() -> Result<Self> {
        let interrupt = Self::default();
        for signal in stop_signals() {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))
                .map_err(|source| Error::Io { action: format!("cannot handle signal {signal}"), source })?;
        }
        Ok(interrupt)
    }

    /// Tells the run to stop, and the stage that is running too.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Fails if the run has been told to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(stopped()) } else { Ok(()) }
    }

    /// Runs a child to its end; a request to stop is passed on once.
    pub(crate) fn run(&self, mut command: Command) -> Result<ExitStatus> {
        let program = command.get_program().to_owned();
        let program = Path::new(&program);
        runner_link::announce(&mut command);
        let mut child = command.spawn().map_err(Error::io("start", program))?;
        // It holds the ends of pipes that are the child's now.
        drop(command);
        let mut told = false;
        loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for", program))? {
                return Ok(status);
            }
            if !told && self.check().is_err() {
                told = true;
                ask_to_stop(&child);
            }
            thread::sleep(LOOK);
        }
    }
}

/// What a run that was told to stop ends with.
pub(crate) fn stopped() -> Error {
    Error::Stopped("stopped; run the same command again to go on".into())
}

fn ask_to_stop(child: &Child) {
    // The child has not been waited for, so its id is its own; that it may have ended by now is no failure.
    let _ = kill_process(Pid::from_child(child), Signal::USR1);
}
