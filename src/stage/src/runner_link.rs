//! What a stage knows of the runner that started it, by environment variables. A stage does not outlive its runner: it
//! would hold its lease, and a user who believes the run dead would find it writing.

use std::process::Command;

use artifact::{Error, Result};
use rustix::process::{Pid, Signal, set_parent_process_death_signal, test_kill_process};

/// In the environment of a stage: the process id of its runner.
const RUNNER: &str = "CAMFLOW_RUNNER";
/// In the environment of a stage: how many cores are its own, where not all are.
pub const THREADS: &str = "CAMFLOW_THREADS";

/// In the environment of a stage whose runner shows how far it has come.
pub const SHOWN: &str = "CAMFLOW_SHOWN";

/// Does the runner that started this stage show how far it has come?
pub(crate) fn is_shown() -> bool {
    std::env::var_os(SHOWN).is_some()
}

/// Says to a stage that is about to be started whose child it is. The calling thread has to wait for it.
pub fn announce(command: &mut Command) {
    command.env(RUNNER, std::process::id().to_string());
}

/// In a stage that a runner started: from now on, if the runner dies, SIGUSR1 asks for a checkpoint and the end.
pub fn follow() -> Result<()> {
    let runner = std::env::var(RUNNER).ok().and_then(|id| Pid::from_raw(id.parse().ok()?));
    let Some(runner) = runner else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::USR1))
        .map_err(|errno| Error::Io { action: "cannot follow the runner".into(), source: errno.into() })?;
    // It may have died before the line above. (A wrapper may stand between the two; then that is followed.)
    if test_kill_process(runner).is_err() {
        return Err(Error::Stopped("the runner that started this stage is gone; nothing was begun".into()));
    }
    Ok(())
}
