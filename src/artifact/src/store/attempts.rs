//! Submissions to a cluster's scheduler: a directory each, for what was asked for and what the jobs print. And which
//! shards of a stage are left to do, whatever a scheduler says of its jobs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Part, Store};
use crate::{Error, Key, Result};

/// In `work/`: the directory of the attempts.
pub(super) const ATTEMPTS: &str = "attempts";

impl Store {
    fn attempts_dir(&self) -> PathBuf {
        self.root.join("work").join(ATTEMPTS)
    }

    /// Makes the directory of a new attempt: its name tells its jobs from those of every other, of other stores too.
    pub fn begin_attempt(&self) -> Result<PathBuf> {
        let all = self.attempts_dir();
        fs::create_dir_all(&all).map_err(Error::io("make", &all))?;
        // Jobs may begin elsewhere than where they were asked for.
        let all = all.canonicalize().map_err(Error::io("find", &all))?;
        loop {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let (seconds, millis, process) = (now.as_secs(), now.subsec_millis(), std::process::id());
            let dir = all.join(format!("{seconds:x}{millis:03x}-{process:x}"));
            match fs::create_dir(&dir) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                made => return made.map(|()| dir.clone()).map_err(Error::io("make", &dir)),
            }
        }
    }

    /// The directories of the attempts, the oldest first.
    pub fn attempts(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.attempts_dir()).into_iter().flatten().flatten();
        let mut dirs: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        dirs.sort();
        dirs
    }

    /// Waits until nobody else submits from this store, and keeps others from it while the file is held.
    pub fn submission_turn(&self) -> Result<File> {
        let all = self.attempts_dir();
        fs::create_dir_all(&all).map_err(Error::io("make", &all))?;
        let path = all.join("lock");
        let lock = File::create(&path).map_err(Error::io("create", &path))?;
        match lock.lock() {
            // Without locks two submissions at the same instant may both ask for a stage; the store lets one compute.
            Err(error) if error.kind() != ErrorKind::Unsupported => Err(Error::io("lock", &path)(error)),
            _ => Ok(lock),
        }
    }

    /// Which of `count` shards of a key have parts that are not done. All, where nothing is done yet.
    pub fn shards_left(&self, stage: &str, key: &Key, count: usize) -> Vec<usize> {
        // Of each table its number of parts, and those that are done.
        let mut tables: BTreeMap<String, (usize, Vec<usize>)> = BTreeMap::new();
        let done = fs::read_dir(self.work_dir(stage, key).join("done")).into_iter().flatten().flatten();
        for name in done.filter_map(|entry| entry.file_name().into_string().ok()) {
            if let Some((table, part)) = Part::of_done_file(&name) {
                let (parts, done) = tables.entry(table.to_owned()).or_default();
                *parts = part.count;
                done.push(part.index);
            }
        }
        let left = |shard: &usize| {
            let range = |parts: usize| Part { index: *shard, count }.range(parts);
            tables.is_empty() || tables.values().any(|(parts, done)| range(*parts).any(|part| !done.contains(&part)))
        };
        (0..count).filter(left).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_that_are_left_are_those_with_a_part_that_is_not_done() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let key = Key::parse(&"ab".repeat(32)).unwrap();
        assert_eq!(store.shards_left("walk", &key, 3), [0, 1, 2], "nothing is done");
        let done = store.work_dir("walk", &key).join("done");
        fs::create_dir_all(&done).unwrap();
        let finish = |part: &str| fs::write(done.join(part), "{}").unwrap();
        // Of six parts the shards have 0 and 1, 2 and 3, 4 and 5.
        for part in ["label-00000-of-00006.json", "label-00001-of-00006.json", "label-00004-of-00006.json"] {
            finish(part);
        }
        assert_eq!(store.shards_left("walk", &key, 3), [1, 2]);
        finish("label-00005-of-00006.json");
        assert_eq!(store.shards_left("walk", &key, 3), [1]);
        assert_eq!(store.shards_left("walk", &key, 12), [5, 7], "a shard without parts has nothing to do");
    }

    #[test]
    fn an_attempt_has_a_name_of_its_own_and_goes_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let made = [store.begin_attempt().unwrap(), store.begin_attempt().unwrap()];
        assert!(made[0] < made[1]);
        drop(store.submission_turn().unwrap());
        assert_eq!(store.attempts(), made);
        let remains = store.remains();
        assert_eq!(remains.iter().map(|one| &one.path).collect::<Vec<_>>(), made.iter().collect::<Vec<_>>());
        assert!(store.clear_away(&remains[0]).unwrap());
        assert_eq!(store.attempts(), made[1..]);
    }
}
