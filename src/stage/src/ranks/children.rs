//! The processes that a stage which is started alone starts by itself: its own command once more for each.

use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use artifact::{Error, Result};

use super::{Rank, Store};
use crate::runner_link;

/// How long processes may take to end after their work is over, or after rank 0 is.
const ENDS: Duration = Duration::from_secs(20);
/// How often a process that is to end is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Ranks 1 and up, of this machine.
#[derive(Debug, Default)]
pub(super) struct Children(Vec<Child>);

/// A socket on loopback, and rank 0 of `size` processes that meet there.
pub(super) fn meeting_place(size: usize) -> Result<(TcpListener, Rank)> {
    let failed = |source| Error::Io { action: "cannot listen on 127.0.0.1".into(), source };
    let socket = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    let store = Store { host: "127.0.0.1".into(), port, launcher: false, attempt: String::new() };
    Ok((socket, Rank { rank: 0, size, local: 0, local_size: size, store }))
}

impl Children {
    /// Starts ranks 1 and up beside rank 0.
    pub fn start(first: &Rank) -> Result<Self> {
        let program = std::env::current_exe().map_err(|source| Error::Io { action: "who am I".into(), source })?;
        let mut children = Self::default();
        for rank in 1..first.size {
            let mut command = Command::new(&program);
            command.args(std::env::args_os().skip(1));
            let numbers = [("RANK", rank), ("WORLD_SIZE", first.size), ("LOCAL_RANK", rank)];
            let numbers = numbers.into_iter().chain([("LOCAL_WORLD_SIZE", first.size)]);
            command.envs(numbers.map(|(name, value)| (name, value.to_string())));
            command.env("MASTER_ADDR", &first.store.host).env("MASTER_PORT", first.store.port.to_string());
            command.env_remove("TORCHELASTIC_USE_AGENT_STORE").env_remove("TORCHELASTIC_RESTART_COUNT");
            runner_link::announce(&mut command);
            children.0.push(command.spawn().map_err(Error::io("start", &program))?);
        }
        Ok(children)
    }

    /// After a failure of rank 0: what a child ended with, if that says more.
    pub fn reason(&mut self) -> Option<Error> {
        let (since, mut reason) = (Instant::now(), None);
        while since.elapsed() < ENDS && reason.is_none() {
            let mut all = true;
            for (child, rank) in self.0.iter_mut().zip(1..) {
                match child.try_wait() {
                    Ok(Some(status)) => reason = reason.or_else(|| of_its_own(rank, status)),
                    _ => all = false,
                }
            }
            if all {
                break;
            }
            thread::sleep(LOOK);
        }
        reason
    }
}

/// A failure that a process met by itself: not the loss of another.
fn of_its_own(rank: usize, status: ExitStatus) -> Option<Error> {
    if status.success() {
        return None;
    }
    let said = format!("rank {rank} failed ({status}); its message stands above");
    match Error::from_exit_code(status.code(), said) {
        // By a signal: the next run goes on.
        Error::Failed(_) if status.code().is_none() => Some(Error::Stopped(format!(
            "rank {rank} was killed ({status}); what is done is kept, run the same command again"
        ))),
        Error::Stopped(_) => None,
        other => Some(other),
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        let since = Instant::now();
        for child in &mut self.0 {
            while since.elapsed() < ENDS && matches!(child.try_wait(), Ok(None)) {
                thread::sleep(LOOK);
            }
            // One that has ended is not hurt.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
