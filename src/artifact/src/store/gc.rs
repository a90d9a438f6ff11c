//! What nobody needs any more, and its removal.
//!
//! An artifact is needed if the manifest describes it, if a `latest` link names it, if it is pinned, if a process
//! reads it, or if one of these was computed from it. A stage with artifacts and no link has lost its links: all its
//! artifacts are needed. What is removed is first moved to `work/trash/` by one rename. So a reader sees a whole
//! artifact or none, and what a killed removal leaves lies where the next run or gc removes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use walkdir::WalkDir;

use super::attempts::ATTEMPTS;
use super::moving::move_to;
use super::runs::RUNS;
use super::{Artifact, PREIMAGE_FILE, Record, Store, latest_name, remove, sync_dir, write_atomically};
use crate::{Error, Key, Preimage, Reading, Result};

/// A holder of a lock file counts as alive for this long after it last wrote into the file.
const LIVELY: Duration = Duration::from_mins(2);

/// Files of `work/` in which the store remembers what would take time to find out again.
const MEMORIES: [&str; 2] = ["describe.json", "fingerprints.json"];

/// Why an artifact stays although nothing needs it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What for.
    pub reason: String,
    /// When it was pinned, RFC 3339, UTC.
    pub at: String,
    /// Who pinned it.
    pub by: String,
}

/// A committed artifact and what keeps it.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The artifact.
    pub artifact: Artifact,
    /// Its size and time.
    pub usage: Usage,
    /// Its pin.
    pub pin: Option<Pin>,
    /// Does something that stays need it?
    pub needed: bool,
}

/// The committed artifacts of a store.
#[derive(Clone, Debug)]
pub struct Inventory {
    /// Every artifact, stage by stage, the newest first.
    pub artifacts: Vec<Stored>,
    /// The stages that have artifacts and no `latest` link, as in a store that was copied without its links. Nothing
    /// says which of their artifacts are needed, so all of them count as needed.
    pub unlinked: Vec<String>,
}

/// What lies in `work/`.
#[derive(Clone, Debug)]
pub struct Remains {
    /// What it is.
    pub kind: RemainsKind,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Its size and time.
    pub usage: Usage,
    /// Is somebody at work on it?
    pub leased: bool,
}

/// What something in `work/` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RemainsKind {
    /// Unfinished work: parts, checkpoints.
    Work,
    /// An artifact that was found damaged.
    SetAside,
    /// What was asked of a cluster's scheduler, and what its jobs printed.
    Attempt,
    /// A file that a killed process left.
    Left,
}

/// What a file or directory takes up.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Bytes; of a file with several names (an accepted artifact shares its files) each name has its share.
    pub bytes: u64,
    /// When any of it was last written.
    pub written: SystemTime,
}

impl Usage {
    /// Of a file, or of all files below a directory.
    pub fn of(path: &Path) -> Self {
        let entries = WalkDir::new(path).follow_root_links(false).into_iter().flatten();
        let entries = entries.filter_map(|entry| entry.metadata().ok());
        entries.fold(Self { bytes: 0, written: UNIX_EPOCH }, |sum, meta| Self {
            bytes: sum.bytes + if meta.is_dir() { 0 } else { meta.len() / meta.nlink().max(1) },
            written: sum.written.max(meta.modified().unwrap_or(UNIX_EPOCH)),
        })
    }
}

impl Store {
    /// Names of the stages of which anything was ever committed.
    pub fn stages(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.root).map_err(Error::io("list", &self.root))?.flatten();
        // A stage's directory may be a link to another disk.
        let dirs = entries.filter(|entry| entry.path().is_dir());
        let mut stages: Vec<_> = dirs.filter_map(|dir| dir.file_name().into_string().ok()).collect();
        stages.retain(|name| name != "work" && !name.starts_with('.'));
        stages.sort();
        Ok(stages)
    }

    fn pin_file(&self, stage: &str, key: &Key) -> PathBuf {
        // Beside the artifact: computing it anew, which replaces its directory, leaves the pin.
        self.dir(stage, key).with_extension("pin")
    }

    /// Keeps an artifact although nothing needs it.
    pub fn pin(&self, stage: &str, key: &Key, reason: &str, by: &str) -> Result<()> {
        let at = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let pin = Pin { reason: reason.to_owned(), at, by: by.to_owned() };
        write_atomically(&self.pin_file(stage, key), &serde_json::to_vec_pretty(&pin).expect("a pin is JSON"))
    }

    /// Takes a pin away; `false` if there was none.
    pub fn unpin(&self, stage: &str, key: &Key) -> Result<bool> {
        let file = self.pin_file(stage, key);
        match fs::remove_file(&file) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::io("remove", &file)(error)),
        }
    }

    /// The pin of an artifact. One that cannot be read pins all the same.
    pub fn pinned(&self, stage: &str, key: &Key) -> Option<Pin> {
        let text = fs::read(self.pin_file(stage, key)).ok()?;
        let unreadable = || Pin { reason: "(unreadable)".into(), at: String::new(), by: String::new() };
        Some(serde_json::from_slice(&text).unwrap_or_else(|_| unreadable()))
    }

    /// Every committed artifact and what keeps it; `described` are the stages and keys that the manifest describes.
    /// While a process works that has not yet written down its inputs, everything is needed.
    pub fn inventory(&self, described: &BTreeSet<(String, Key)>) -> Result<Inventory> {
        let work = self.work_in_progress();
        let (mut all, mut unlinked) = (Vec::new(), Vec::new());
        for stage in self.stages()? {
            let (artifacts, linked) = (self.artifacts(&stage)?, self.linked_keys(&stage));
            if !artifacts.is_empty() && linked.is_empty() {
                unlinked.push(stage.clone());
            }
            for artifact in artifacts {
                let key = &artifact.record().key;
                let pin = self.pinned(&stage, key);
                let named = linked.is_empty() || linked.contains(key.short());
                let described = described.contains(&(stage.clone(), key.clone()));
                let needed = work.is_none() || pin.is_some() || named || described;
                let usage = Usage::of(artifact.dir());
                all.push(Stored { artifact, usage, pin, needed });
            }
        }
        need_inputs(&mut all, work.iter().flatten());
        Ok(Inventory { artifacts: all, unlinked })
    }

    /// The short key to which `latest` or `latest@<experiment>` of a stage leads. A copy that followed the links has a
    /// directory there: it names the artifact that it holds.
    pub fn latest_key(&self, stage: &str, experiment: Option<&str>) -> Option<String> {
        let latest = self.root.join(stage).join(latest_name(experiment));
        match fs::read_link(&latest) {
            Ok(target) => target.file_name()?.to_str().map(str::to_owned),
            Err(_) => Some(Artifact::open(&latest).ok()??.record().key.short().to_owned()),
        }
    }

    /// The short keys that the `latest` links of a stage name.
    fn linked_keys(&self, stage: &str) -> BTreeSet<String> {
        let experiments = self.latest_experiments(stage);
        experiments.iter().filter_map(|name| self.latest_key(stage, name.as_deref())).collect()
    }

    /// What is being worked on; `None` if a process works that has not yet written down its inputs.
    fn work_in_progress(&self) -> Option<Vec<Preimage>> {
        let remains = self.remains();
        let leased = remains.iter().filter(|one| one.leased);
        let preimage = |one: &Remains| serde_json::from_slice(&fs::read(one.path.join(PREIMAGE_FILE)).ok()?).ok();
        leased.map(preimage).collect()
    }

    /// All that lies in `work/`.
    pub fn remains(&self) -> Vec<Remains> {
        let work = self.root.join("work");
        let list = |dir: &Path| {
            let mut entries: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().collect();
            entries.sort_by_key(fs::DirEntry::file_name);
            entries
        };
        let mut all = Vec::new();
        for (dir, entry) in [work.join("set-aside"), work.join(ATTEMPTS), work]
            .iter()
            .flat_map(|dir| list(dir).into_iter().map(move |e| (dir, e)))
        {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            let kind = match entry.file_type() {
                _ if dir.ends_with("set-aside") => RemainsKind::SetAside,
                Ok(kind) if dir.ends_with(ATTEMPTS) && !kind.is_dir() => continue,
                _ if dir.ends_with(ATTEMPTS) => RemainsKind::Attempt,
                Ok(kind) if kind.is_dir() && ["set-aside", "trash", RUNS, ATTEMPTS].contains(&name.as_str()) => {
                    continue;
                }
                Ok(kind) if kind.is_dir() => RemainsKind::Work,
                _ if MEMORIES.contains(&name.as_str()) => continue,
                // A lock goes with its directory, which may not be there yet.
                _ if path.extension().is_some_and(|kind| kind == "lock") && path.with_extension("").is_dir() => {
                    continue;
                }
                _ => RemainsKind::Left,
            };
            let leased = kind != RemainsKind::SetAside && is_leased(&path.with_extension("lock"));
            all.push(Remains { kind, name, usage: Usage::of(&path), path, leased });
        }
        all
    }

    /// Removes an artifact unless a `latest` link has come to name it; `false` then.
    pub fn remove(&self, artifact: &Artifact) -> Result<bool> {
        let record = artifact.record();
        let (stage, key) = (&record.preimage.stage, &record.key);
        if self.linked_keys(stage).contains(key.short()) || self.pinned(stage, key).is_some() {
            return Ok(false);
        }
        self.discard(artifact.dir(), &format!("{stage}-{key}"))?;
        Ok(true)
    }

    /// Removes something from `work/` unless somebody has begun to work on it; `false` then.
    pub fn clear_away(&self, remains: &Remains) -> Result<bool> {
        if remains.kind == RemainsKind::SetAside {
            return self.discard(&remains.path, &remains.name).map(|()| true);
        }
        let lock = remains.path.with_extension("lock");
        let held = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&lock);
        let held = held.map_err(Error::io("open", &lock))?;
        // Whoever waits for this lock finds that the file is gone, and makes another.
        if matches!(held.try_lock(), Err(TryLockError::WouldBlock)) || speaks(&held) {
            return Ok(false);
        }
        if remains.path != lock {
            self.discard(&remains.path, &remains.name)?;
        }
        fs::remove_file(&lock).map_err(Error::io("remove", &lock))?;
        Ok(true)
    }

    /// Removes what an interrupted removal left.
    pub fn empty_trash(&self) -> Result<()> {
        let trash = self.root.join("work/trash");
        fs::read_dir(&trash).into_iter().flatten().flatten().try_for_each(|entry| remove(&entry.path()))
    }

    fn discard(&self, path: &Path, name: &str) -> Result<()> {
        let trash = self.root.join("work/trash");
        fs::create_dir_all(&trash).map_err(Error::io("make", &trash))?;
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let to = trash.join(format!("{name}.{}.{nanos}", std::process::id()));
        match move_to(None, path, &to) {
            // Another gc was first.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            other => other.map_err(Error::io("remove", path))?,
        }
        sync_dir(path.parent().unwrap_or(&self.root))?;
        remove(&to)
    }
}

/// What something was computed from.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Input {
    stage: String,
    /// The very artifact, where that was taken down.
    key: Option<Key>,
    /// What was read of it.
    reading: Reading,
}

impl Input {
    fn all_of(preimage: &Preimage, keys: &BTreeMap<String, Key>) -> Vec<Self> {
        let input = |(stage, reading): (&String, &Reading)| Self {
            stage: stage.clone(),
            key: keys.get(stage).cloned(),
            reading: reading.clone(),
        };
        preimage.inputs.iter().map(input).collect()
    }

    /// The places of the artifacts that it may be: the very one, or where that is gone or was not taken down, all that
    /// hold what was read.
    fn places(&self, all: &[Stored]) -> Vec<usize> {
        let of_stage = |one: &&(usize, &Record)| one.1.preimage.stage == self.stage;
        let records: Vec<_> = all.iter().map(|one| one.artifact.record()).enumerate().collect();
        let mut found: Vec<_> = records.iter().filter(of_stage).filter(|one| one.1.gives(&self.reading)).collect();
        if found.iter().any(|(_, record)| Some(&record.key) == self.key.as_ref()) {
            found.retain(|(_, record)| Some(&record.key) == self.key.as_ref());
        }
        found.into_iter().map(|(place, _)| *place).collect()
    }
}

/// Marks as needed what the artifacts that are needed, and what is being worked on, were computed from.
fn need_inputs<'a>(all: &mut [Stored], work: impl Iterator<Item = &'a Preimage>) {
    let of = |record: &Record| Input::all_of(&record.preimage, &record.provenance.inputs);
    let mut open: Vec<_> = work.flat_map(|preimage| Input::all_of(preimage, &BTreeMap::new())).collect();
    open.extend(all.iter().filter(|one| one.needed).flat_map(|one| of(one.artifact.record())));
    let mut seen = BTreeSet::new();
    while let Some(input) = open.pop() {
        if seen.contains(&input) {
            continue;
        }
        for place in input.places(all) {
            if !std::mem::replace(&mut all[place].needed, true) {
                open.extend(of(all[place].artifact.record()));
            }
        }
        seen.insert(input);
    }
}

/// Does a process hold this lock, here or on another machine?
pub(super) fn is_leased(lock: &Path) -> bool {
    let file = OpenOptions::new().read(true).write(true).open(lock).or_else(|_| File::open(lock));
    // The exclusive lock is tried, since shards share theirs. It is released at once, so nobody waits long for it.
    file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || speaks(&file))
}

/// Was the file written a moment ago? The lock of a holder on another machine may not be visible here, but such a
/// holder writes into the file again and again.
pub(super) fn speaks(lock: &File) -> bool {
    let Ok(meta) = lock.metadata() else { return false };
    let written = meta.modified().unwrap_or(UNIX_EPOCH);
    // A time in the future comes from a clock that is ahead of this one, and counts as now.
    meta.len() > 0 && !SystemTime::now().duration_since(written).is_ok_and(|age| age >= LIVELY)
}
