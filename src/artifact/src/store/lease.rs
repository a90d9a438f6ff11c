//! The right to work on one key.
//!
//! On one machine an advisory lock (flock) says who has it, and the system takes that back when the process ends,
//! however it ends. File systems that machines share may not share the lock, so the holder also writes who it is and
//! counts a heartbeat. Another machine believes the lease for as long as it sees the count change, measured by its own
//! steady clock: no two clocks are ever compared, and no jump of one matters.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::system::uname;
use serde::{Deserialize, Serialize};

use super::gc::{is_leased, speaks};
use super::work::{Work, move_into_place};
use super::{Artifact, Contents, Store, remove};
use crate::{Error, Key, Preimage, Result, failpoint};

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(10);
/// A holder on another machine that misses this many beats is gone.
const MISSED: f64 = 6.0;
/// How often a waiting process looks again.
const LOOK: Duration = Duration::from_millis(200);

/// The right to work on one key.
#[derive(Debug)]
pub struct Lease {
    pub(super) store: Store,
    pub(super) preimage: Preimage,
    /// `None` beside another process that has the right.
    held: Option<Held>,
}

/// Who else may work on the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody.
    Alone,
    /// Other shards of the same stage.
    Shared,
}

/// What a lock file says of its holder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Holder {
    /// For people.
    host: String,
    /// The boot of a machine: processes that share it share its locks.
    boot: String,
    pid: u32,
    beat: u64,
    /// Seconds between two beats.
    every: f64,
}

impl Store {
    /// Does a process work on a key?
    pub fn is_leased(&self, stage: &str, key: &Key) -> bool {
        is_leased(&self.work_dir(stage, key).with_extension("lock"))
    }

    /// Waits until nobody is publishing a key, and keeps others from it.
    pub fn turn(&self, stage: &str, key: &Key) -> Result<Turn> {
        Turn::take(self, stage, key)
    }

    /// Waits for the right to work on a key; see [`Lease`].
    pub fn lease(&self, preimage: &Preimage, claim: Claim, waiting: impl FnOnce()) -> Result<Lease> {
        Lease::take(self, preimage, claim, waiting)
    }

    /// The work directory of a key on which another process works that knows of this one: to be read, not written.
    pub fn beside(&self, preimage: &Preimage, contents: &Contents) -> Work {
        Work::beside(Lease::beside(self, preimage), contents)
    }
}

impl Lease {
    pub(super) fn take(store: &Store, preimage: &Preimage, claim: Claim, waiting: impl FnOnce()) -> Result<Self> {
        let path = store.work_dir(&preimage.stage, &preimage.key()).with_extension("lock");
        let mut waiting = Some(waiting);
        let mut told = move || waiting.take().into_iter().for_each(|waiting| waiting());
        loop {
            let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
            let lock = lock.map_err(Error::io("create", &path))?;
            let locked = lock_file(&lock, claim, &mut told).map_err(Error::io("lock", &path))?;
            // Its last holder may have published and removed the file while this one waited: then lock the new one.
            if !is_at(&lock, &path) || !outwait(&lock, &path, locked, &mut told) {
                continue;
            }
            failpoint::pass("lease.taken", &path).map_err(Error::io("lock", &path))?;
            let held = Some(Held::new(lock, path, claim)?);
            return Ok(Self { store: store.clone(), preimage: preimage.clone(), held });
        }
    }

    /// Of a process that works beside the one which has the right: it reads in the work directory, and publishes
    /// nothing.
    pub(super) fn beside(store: &Store, preimage: &Preimage) -> Self {
        Self { store: store.clone(), preimage: preimage.clone(), held: None }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.store.work_dir(&self.preimage.stage, &self.preimage.key())
    }

    /// Waits until nobody is publishing what is leased, and keeps others from it.
    pub fn turn(&self) -> Result<Turn> {
        self.store.turn(&self.preimage.stage, &self.preimage.key())
    }

    /// Completes a publication that was interrupted between `artifact.json` and the last rename. Whoever is publishing
    /// now is between them too: hence the turn.
    pub fn resume_publication(&self, turn: &Turn) -> Result<Option<Artifact>> {
        match Artifact::open(&self.dir()) {
            Ok(Some(artifact)) if artifact.verify().is_ok() => {
                move_into_place(&self.store, &self.dir(), artifact.record().clone(), turn).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What is leased.
    pub fn preimage(&self) -> &Preimage {
        &self.preimage
    }

    /// Opens the work directory, with all that an earlier run left there, to write `contents`.
    pub fn open(self, contents: &Contents) -> Result<Work> {
        Work::open(self, contents)
    }

    /// Forgets what is in the work directory.
    pub fn clear(&self) -> Result<()> {
        remove(&self.dir())
    }

    /// Fails if another process has taken the lease over. A process on another machine does so when it has seen no beat
    /// for a minute, because this process or its disk was asleep; it then publishes instead of this one.
    pub(super) fn check(&self) -> Result<()> {
        let Some(held) = &self.held else {
            return Err(Error::Failed("this process works beside another, which publishes".into()));
        };
        if held.is_ours() {
            return Ok(());
        }
        Err(Error::Failed(format!(
            "{}: another process has taken over, since this one gave no sign of life; its work is kept, run the same \
             command again",
            held.path.display()
        )))
    }
}

/// The turn to publish a key: shards that see the last part done at the same time take it one after another.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
    path: PathBuf,
}

impl Turn {
    pub(super) fn take(store: &Store, stage: &str, key: &Key) -> Result<Self> {
        let path = store.work_dir(stage, key).with_extension("turn");
        loop {
            let lock = File::create(&path).map_err(Error::io("create", &path))?;
            lock_file(&lock, Claim::Alone, &mut || ()).map_err(Error::io("lock", &path))?;
            if is_at(&lock, &path) {
                return Ok(Self { _lock: lock, path });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks a file; `false` where the file system has no locks.
fn lock_file(lock: &File, claim: Claim, told: &mut impl FnMut()) -> io::Result<bool> {
    let free = match claim {
        Claim::Alone => lock.try_lock(),
        Claim::Shared => lock.try_lock_shared(),
    };
    match free {
        Ok(()) => Ok(true),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
        Err(TryLockError::WouldBlock) => {
            told();
            if claim == Claim::Alone { lock.lock() } else { lock.lock_shared() }.map(|()| true)
        }
    }
}

/// Waits while a holder is alive whose lock is not visible here. `false`: look at the path again.
fn outwait(lock: &File, path: &Path, locked: bool, told: &mut impl FnMut()) -> bool {
    let mut last = read(lock);
    let mut since = Instant::now();
    loop {
        let Some(holder) = &last else { return true };
        if locked && holder.boot == boot() {
            // The holder was a process of this machine; as the lock is ours now, that process is dead.
            return true;
        }
        if since.elapsed().as_secs_f64() > holder.every.clamp(0.0, 3600.0) * MISSED {
            return true;
        }
        told();
        thread::sleep(LOOK);
        if !is_at(lock, path) {
            return false;
        }
        let now = read(lock);
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
}

fn read(lock: &File) -> Option<Holder> {
    let mut text = vec![0; 1024];
    let length = lock.read_at(&mut text, 0).ok()?;
    serde_json::from_slice(&text[..length]).ok()
}

fn is_at(file: &File, path: &Path) -> bool {
    let inode = |meta: io::Result<fs::Metadata>| meta.map(|meta| meta.ino()).ok();
    inode(file.metadata()) == inode(fs::metadata(path))
}

/// Is the holder of a lock file alive? A process of this machine is while it has the lock, one of another machine while
/// it writes.
pub(super) fn is_held(path: &Path) -> bool {
    let Ok(lock) = File::open(path) else { return false };
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => true,
        Ok(()) if read(&lock).is_none_or(|holder| holder.boot == boot()) => false,
        _ => speaks(&lock),
    }
}

/// Names this boot of this machine.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        if id.trim().is_empty() { hostname() } else { id.trim().to_owned() }
    })
}

/// The machine's name.
pub fn hostname() -> String {
    uname().nodename().to_string_lossy().into_owned()
}

/// A held lock file, and the thread that beats.
#[derive(Debug)]
pub(super) struct Held {
    file: Arc<File>,
    path: PathBuf,
    /// `None` for shards: they share the file, and none of them writes its name into it.
    heart: Option<Heart>,
}

#[derive(Debug)]
struct Heart {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Holder {
    /// Is it this process?
    fn is_self(&self) -> bool {
        self.boot == boot() && self.pid == std::process::id()
    }
}

impl Held {
    pub fn new(file: File, path: PathBuf, claim: Claim) -> Result<Self> {
        let file = Arc::new(file);
        let heart = match claim {
            Claim::Shared => None,
            Claim::Alone => Some(Heart::start(Arc::clone(&file)).map_err(Error::io("write", &path))?),
        };
        Ok(Self { file, path, heart })
    }

    fn is_ours(&self) -> bool {
        let stands_there = || read(&self.file).is_some_and(|holder| holder.is_self());
        self.heart.is_none() || is_at(&self.file, &self.path) && stands_there()
    }
}

impl Heart {
    fn start(file: Arc<File>) -> io::Result<Self> {
        let own = |beat| {
            let (host, boot, pid) = (hostname(), boot().to_owned(), std::process::id());
            let holder = Holder { host, boot, pid, beat, every: BEAT.as_secs_f64() };
            serde_json::to_vec(&holder).expect("a holder is JSON")
        };
        file.set_len(0)?;
        file.write_all_at(&own(0), 0)?;
        let (stop, stopped) = channel::<()>();
        let thread = thread::Builder::new().name("lease".into()).spawn(move || {
            let mut beat = 0;
            while stopped.recv_timeout(BEAT) == Err(RecvTimeoutError::Timeout) {
                // A process that has taken the lease over has written its name there: it stays.
                if !read(&file).is_some_and(|holder| holder.is_self()) {
                    break;
                }
                beat += 1;
                // The text only grows, so it covers the one before. A beat that fails is a missed one.
                let _ = file.write_all_at(&own(beat), 0);
            }
        })?;
        Ok(Self { stop, thread })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(Heart { stop, thread }) = self.heart.take() {
            drop(stop);
            let _ = thread.join();
            if read(&self.file).is_some_and(|holder| holder.is_self()) {
                let _ = self.file.set_len(0);
            }
        }
    }
}
