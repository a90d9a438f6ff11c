//! Places at which a test may kill the process, or make the system refuse, in the very binaries that users run.
//!
//! `CAMFLOW_FAILPOINT=NAME[@PART-OF-PATH][#N]=ACTION`: at the N-th (from 1) passage of `NAME` with a path that holds
//! `PART-OF-PATH`, the process is killed (`kill`: SIGKILL) or stands still until it is told to go on (`stop`:
//! SIGSTOP), or the step fails as on a full (`enospc`), broken (`eio`) or read-only disk (`erofs`), or as between two
//! file systems (`exdev`). Unset, a place costs one load.

use std::io;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};

/// The environment variable.
pub const VARIABLE: &str = "CAMFLOW_FAILPOINT";

/// Every place, in the order in which a stage passes them.
pub const PLACES: [&str; 18] = [
    "lease.taken",
    "part.create",
    "part.write",
    "part.sync",
    "part.rename",
    "part.record",
    "file.create",
    "file.sync",
    "file.rename",
    "file.renamed",
    "publish.record",
    "publish.clean",
    "publish.set-aside",
    "publish.rename",
    "publish.renamed",
    "publish.unlock",
    "latest.link",
    "latest.rename",
];

/// The places that `camflow pull` and `camflow push` pass.
pub const SHARING_PLACES: [&str; 8] = [
    "receive.write",
    "receive.file",
    "receive.record",
    "receive.rename",
    "push.file",
    "push.record",
    "push.pointer",
    "push.latest",
];

struct Failpoint {
    name: String,
    path: String,
    passage: u64,
    action: Action,
}

#[derive(Clone, Copy)]
enum Action {
    Signal(Signal),
    Fail(Errno),
}

static GIVEN: OnceLock<Option<Failpoint>> = OnceLock::new();
static PASSED: AtomicU64 = AtomicU64::new(0);

/// Passes a place on the way to writing `path`.
pub fn pass(name: &'static str, path: &Path) -> io::Result<()> {
    debug_assert!(PLACES.contains(&name) || SHARING_PLACES.contains(&name), "{name} is not listed");
    let Some(given) = GIVEN.get_or_init(|| std::env::var(VARIABLE).ok().and_then(|text| parse(&text))) else {
        return Ok(());
    };
    if given.name != name || !path.to_string_lossy().contains(&given.path) {
        return Ok(());
    }
    if PASSED.fetch_add(1, Ordering::Relaxed) + 1 != given.passage {
        return Ok(());
    }
    match given.action {
        Action::Signal(signal) => Ok(kill_process(getpid(), signal)?),
        Action::Fail(errno) => Err(errno.into()),
    }
}

fn parse(text: &str) -> Option<Failpoint> {
    let (place, action) = text.rsplit_once('=')?;
    let action = match action {
        "kill" => Action::Signal(Signal::KILL),
        "stop" => Action::Signal(Signal::STOP),
        "enospc" => Action::Fail(Errno::NOSPC),
        "eio" => Action::Fail(Errno::IO),
        "erofs" => Action::Fail(Errno::ROFS),
        "exdev" => Action::Fail(Errno::XDEV),
        _ => return None,
    };
    let (place, passage) =
        place.split_once('#').map_or(Some((place, 1)), |(place, n)| Some((place, n.parse().ok()?)))?;
    let (name, path) = place.split_once('@').unwrap_or((place, ""));
    Some(Failpoint { name: name.to_owned(), path: path.to_owned(), passage, action })
}
