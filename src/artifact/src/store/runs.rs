//! What runs say of themselves while they go on, for whoever looks from another terminal or another machine.
//!
//! A run has a file in `work/runs/` that it replaces about once a second, and beside it a lock as a lease has one,
//! which is free when the run is gone. The file of the last run stays until the next one begins.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::lease::{Held, hostname, is_held};
use super::{Claim, LOG_FILE, Store, replace};
use crate::{Error, Result};

/// In `work/`: the directory of these files.
pub(super) const RUNS: &str = "runs";

/// The file of a run that is going on.
#[derive(Debug)]
pub struct RunFile {
    path: PathBuf,
    _lock: Held,
}

/// A run as another process finds it.
#[derive(Clone, Debug)]
pub struct FoundRun {
    /// Machine, process and when it began: `host-1234-18b5a1`.
    pub name: String,
    /// Is it going on?
    pub alive: bool,
    /// What it last said.
    pub said: Vec<u8>,
    written: SystemTime,
}

impl RunFile {
    /// Says something instead of what was said before. A disk that is full or gone is told by the work itself.
    pub fn say(&self, what: &[u8]) {
        let _ = replace(&self.path, what);
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.path.with_extension("lock"));
    }
}

impl Store {
    fn runs_dir(&self) -> PathBuf {
        self.root.join("work").join(RUNS)
    }

    /// Begins the file of this process's run. Those of runs that are over go.
    pub fn begin_run(&self) -> Result<RunFile> {
        let dir = self.runs_dir();
        fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?;
        for over in self.runs().iter().filter(|run| !run.alive) {
            for ending in ["json", "lock"] {
                let _ = fs::remove_file(dir.join(format!("{}.{ending}", over.name)));
            }
        }
        // Two containers of one name may have processes of one number.
        let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let path = dir.join(format!("{}-{}-{begun:x}.json", hostname(), std::process::id()));
        let lock = path.with_extension("lock");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
        let file = file.map_err(Error::io("create", &lock))?;
        // Where the file system has no locks, the beats that the holder writes say that it is alive.
        let _ = file.try_lock();
        Ok(RunFile { path, _lock: Held::new(file, lock, Claim::Alone)? })
    }

    /// The runs of which the store knows: all that are going on, and those that ended since the last one began. The one
    /// that said something last comes last.
    pub fn runs(&self) -> Vec<FoundRun> {
        let files = fs::read_dir(self.runs_dir()).into_iter().flatten().flatten().map(|entry| entry.path());
        let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "json"));
        let mut runs: Vec<_> = files.filter_map(|path| FoundRun::at(&path)).collect();
        runs.sort_by_key(|run| run.written);
        runs
    }

    /// The work directories in which a process is at work.
    pub fn busy(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root.join("work")).into_iter().flatten().flatten().map(|entry| entry.path());
        let begun = entries.filter(|dir| dir.join(LOG_FILE).is_file());
        let mut busy: Vec<_> = begun.filter(|dir| super::gc::is_leased(&dir.with_extension("lock"))).collect();
        busy.sort();
        busy
    }
}

impl FoundRun {
    fn at(path: &Path) -> Option<Self> {
        // In this order: a run that ends in between has said its last word by the time that it is read.
        let alive = is_held(&path.with_extension("lock"));
        let written = fs::metadata(path).and_then(|meta| meta.modified()).ok()?;
        let name = path.file_stem()?.to_string_lossy().into_owned();
        Some(Self { name, alive, said: fs::read(path).ok()?, written })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_alive_while_its_file_is_held_and_its_last_word_stays_until_the_next_begins() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        assert!(store.runs().is_empty());
        let run = store.begin_run().unwrap();
        run.say(b"one");
        run.say(b"two");
        let found = store.runs();
        assert_eq!((found.len(), found[0].alive, found[0].said.as_slice()), (1, true, b"two".as_slice()));
        drop(run);
        assert_eq!((store.runs()[0].alive, store.runs()[0].said.as_slice()), (false, b"two".as_slice()));
        fs::write(store.runs_dir().join("elsewhere-7.json"), "gone").unwrap();
        let run = store.begin_run().unwrap();
        run.say(b"three");
        assert_eq!(store.runs().len(), 1, "what is over has gone");
        assert!(store.remains().is_empty(), "gc sees nothing of it");
    }

    #[test]
    fn a_lock_of_another_machine_is_believed_while_it_is_written_and_one_of_a_dead_process_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let run = store.begin_run().unwrap();
        run.say(b"here");
        let holder = fs::read_to_string(run.path.with_extension("lock")).unwrap();
        drop(run);
        let lock = store.runs_dir().join("other-7.lock");
        fs::write(lock.with_extension("json"), "there").unwrap();
        let alive = || store.runs().iter().any(|run| run.alive);
        fs::write(&lock, &holder).unwrap();
        assert!(!alive(), "its holder was a process of this machine, and its lock is free");
        let boot = holder.split("\"boot\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        fs::write(&lock, holder.replace(&boot, "another")).unwrap();
        assert!(alive(), "the lock of another machine may not be visible here");
    }
}
