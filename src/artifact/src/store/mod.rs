//! The artifact store: what is committed is whole, what is not committed is invisible.
//!
//! ```text
//! record   `artifact.json`
//! part     Parquet files: writing one part of a table
//! rows     reading a table back, as rows or as Arrow batches
//! numbered rows of a table by number, read when they are asked for
//! lease    the right to work on one key
//! work     unfinished work under a lease, and its publication
//! accept   an artifact taken over from an earlier version of its stage
//! receive  an artifact that was computed elsewhere, as its files arrive
//! scan     a whole store read through
//! gc       what nobody needs any more, and its removal; pins
//! runs     what runs say of themselves while they go on
//! attempts what was handed to a cluster's scheduler, and which shards of a stage are left
//! files    files that are there whole or not at all
//! moving   directories that change their place, also to another file system
//! ```
//!
//! On disk it is
//!
//! ```text
//! artifacts/
//!   <stage>/<key16>/artifact.json     key preimage, digest, tables, files, metrics, provenance
//!   <stage>/<key16>/data/part-00003-of-00032.parquet    the stage's first table; others in a directory of their name
//!   <stage>/<key16>/{cam_net.safetensors, log.jsonl, …}
//!   <stage>/latest -> <key16>         what the manifest last resolved to; latest@<experiment> for the others
//!   work/<stage>-<key16>/             unfinished: parts done, checkpoints; the same key resumes there
//!   work/<stage>-<key16>.pulled/       what has arrived of an artifact that was computed elsewhere
//!   work/<stage>-<key16>.lock         held by the process that works on that key: flock and heartbeat
//!   work/runs/                        what each run that is going on says of itself, and the last one said
//!   work/attempts/                    what each submission to a scheduler was asked for, and what its jobs printed
//!   work/set-aside/                   artifacts that were found damaged
//!   work/trash/                       what is being removed
//!   <stage>/<key16>.pin               keeps an artifact that nobody needs
//! ```
//!
//! Publication: every file is written under a temporary name, synced and renamed; `artifact.json` comes last; then
//! the work directory becomes the artifact by one rename. A kill at any instant leaves either no artifact or a whole
//! one, and in the first case the parts that were done. Nothing is deleted before its replacement is committed.

mod accept;
mod attempts;
mod files;
mod gc;
mod lease;
mod moving;
mod numbered;
mod part;
mod receive;
mod record;
mod rows;
mod runs;
mod scan;
mod work;

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use files::{Stamp, replace, write_atomically, write_atomically_with};
pub(crate) use files::{file_digest, remove, sync_dir, temporary_name};
pub use gc::{Inventory, Pin, Remains, RemainsKind, Stored, Usage};
pub use lease::{Claim, Lease, Turn, hostname};
pub use numbered::NumberedRows;
pub use part::{Part, TableWriter};
pub use receive::{ArtifactFile, Incoming};
pub use record::{Accepted, Contents, FileRecord, PartRecord, Provenance, Record, TableRecord, seal};
pub use rows::{Batches, Filter, Rows};
pub use runs::{FoundRun, RunFile};
pub use scan::Place;
pub use work::Work;

use crate::table::Declaration;
use crate::{Error, Item, Key, Reading, Result, Row, dotted, failpoint};

/// Name of the file whose presence commits an artifact.
pub const RECORD_FILE: &str = "artifact.json";
/// A stage's log: one JSON object a line; kept with the artifact, not part of its content.
pub const LOG_FILE: &str = "log.jsonl";
/// In a work directory: what is being computed there, so that its inputs stay.
pub(crate) const PREIMAGE_FILE: &str = "preimage.json";

/// A directory of artifacts.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A committed artifact.
#[derive(Clone, Debug)]
pub struct Artifact {
    dir: PathBuf,
    record: Record,
}

impl Store {
    /// Opens a store, making its directories if they are not there.
    pub fn open(root: &Path) -> Result<Self> {
        let work = root.join("work");
        fs::create_dir_all(&work).map_err(Error::io("make the store's directory", &work))?;
        Ok(Self { root: root.to_owned() })
    }

    /// The store's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the artifact of a key is, or will be.
    pub fn dir(&self, stage: &str, key: &Key) -> PathBuf {
        self.root.join(stage).join(key.short())
    }

    /// The directory in which a key is worked on.
    pub fn work_dir(&self, stage: &str, key: &Key) -> PathBuf {
        self.root.join("work").join(format!("{stage}-{key}"))
    }

    /// The artifact of a key, if it is committed and all its files are there in their size.
    pub fn find(&self, stage: &str, key: &Key) -> Result<Option<Artifact>> {
        let Some(artifact) = Artifact::open(&self.dir(stage, key))? else { return Ok(None) };
        if artifact.record.key != *key {
            return Err(Error::NotCommitted(format!(
                "{}: holds key {} where {} is expected; move that directory away",
                artifact.dir.display(),
                artifact.record.key.as_str(),
                key.as_str()
            )));
        }
        Ok(Some(artifact))
    }

    /// Like [`Store::find`], but an artifact that turns out damaged is set aside, so that it is computed anew.
    /// The second value says what was damaged.
    pub fn find_whole(&self, stage: &str, key: &Key) -> Result<(Option<Artifact>, Option<String>)> {
        match self.find(stage, key) {
            Ok(Some(artifact)) => match artifact.check_sizes() {
                Ok(()) => Ok((Some(artifact), None)),
                Err(error) => self.set_aside(stage, key).map(|to| (None, Some(format!("{error}; set aside in {to}")))),
            },
            Ok(None) => Ok((None, None)),
            Err(Error::NotCommitted(reason)) => {
                self.set_aside(stage, key).map(|to| (None, Some(format!("{reason}; set aside in {to}"))))
            }
            Err(error) => Err(error),
        }
    }

    /// Moves a damaged artifact out of the way; returns where to.
    pub fn set_aside(&self, stage: &str, key: &Key) -> Result<String> {
        self.set_aside_dir(stage, key.short())
    }

    /// Points `latest` (`None`) or `latest@<experiment>` of a stage at a key.
    pub fn point_latest(&self, stage: &str, experiment: Option<&str>, key: &Key) -> Result<()> {
        let link = self.root.join(stage).join(latest_name(experiment));
        if fs::read_link(&link).is_ok_and(|target| target == Path::new(key.short())) {
            return Ok(());
        }
        if fs::symlink_metadata(&link).is_ok_and(|meta| meta.is_dir()) {
            // A copy that followed the links has a directory here, and no link can take the place of one.
            self.set_aside_dir(stage, &latest_name(experiment))?;
        }
        // Made in work/, which alone may hold what a killed process leaves.
        let name = format!("{stage}.{}.{}.{}", latest_name(experiment), hostname(), std::process::id());
        let temporary = self.root.join("work").join(name);
        let _ = fs::remove_file(&temporary);
        failpoint::pass("latest.link", &link).map_err(Error::io("link", &link))?;
        std::os::unix::fs::symlink(key.short(), &temporary).map_err(Error::io("link", &temporary))?;
        moving::move_link("latest.rename", &temporary, &link).map_err(Error::io("link", &link))
    }

    /// What `latest` or `latest@<experiment>` of a stage points at, by its own path: the link may soon lead elsewhere.
    pub fn latest(&self, stage: &str, experiment: Option<&str>) -> Result<Option<Artifact>> {
        let dir = self.root.join(stage);
        if let Some(key) = self.latest_key(stage, experiment)
            && let Some(artifact) = Artifact::open(&dir.join(key))?
        {
            return Ok(Some(artifact));
        }
        Artifact::open(&dir.join(latest_name(experiment)))
    }

    /// All experiments (`None` = the main one) to which a stage's `latest` links belong.
    pub fn latest_experiments(&self, stage: &str) -> Vec<Option<String>> {
        let entries = fs::read_dir(self.root.join(stage)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| is_latest(name));
        let experiment = |name: String| name.split_once('@').map(|(_, experiment)| experiment.to_owned());
        let mut experiments: Vec<_> = names.map(experiment).collect();
        experiments.sort();
        experiments
    }

    /// Every committed artifact of a stage, newest first.
    pub fn artifacts(&self, stage: &str) -> Result<Vec<Artifact>> {
        let dirs = artifact_dirs(&self.root.join(stage)).unwrap_or_default().into_iter();
        let mut artifacts: Vec<_> = dirs.filter_map(|dir| Artifact::open(&dir).ok().flatten()).collect();
        artifacts.sort_by(|a, b| b.record.provenance.finished.cmp(&a.record.provenance.finished));
        Ok(artifacts)
    }

    /// The artifact of a stage from which another was computed, or else the newest that holds what was read of it.
    pub fn input(&self, of: &Record, stage: &str) -> Result<Option<Artifact>> {
        let Some(reading) = of.preimage.inputs.get(stage) else { return Ok(None) };
        let key = of.provenance.inputs.get(stage);
        let mut giving: Vec<_> = self.artifacts(stage)?;
        giving.retain(|artifact| artifact.record.gives(reading));
        let recorded = giving.iter().position(|artifact| Some(&artifact.record.key) == key);
        Ok(if giving.is_empty() { None } else { Some(giving.swap_remove(recorded.unwrap_or(0))) })
    }
}

/// `latest` for the main experiment, `latest@name` for another.
pub fn latest_name(experiment: Option<&str>) -> String {
    experiment.map_or_else(|| "latest".to_owned(), |name| format!("latest@{name}"))
}

/// Is this the name of a `latest` link, of the main experiment or another?
fn is_latest(name: &str) -> bool {
    name == "latest" || name.starts_with("latest@")
}

/// The directories of a stage's artifacts, in no order. A `latest` is none of them, be it a link or, in a copy that
/// followed the links, a directory; nor is what is still being copied.
pub fn artifact_dirs(stage: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(stage)?.flatten();
    let is_artifact = |entry: &fs::DirEntry| {
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        is_dir && !entry.file_name().to_str().is_some_and(|name| is_latest(name) || name.starts_with('.'))
    };
    Ok(entries.filter(is_artifact).map(|entry| entry.path()).collect())
}

impl Artifact {
    /// Opens the artifact in a directory; `None` if nothing is committed there.
    pub fn open(dir: &Path) -> Result<Option<Self>> {
        let file = dir.join(RECORD_FILE);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &file)(error)),
        };
        let record = Record::from_bytes(text)
            .map_err(|reason| Error::NotCommitted(format!("{}: is damaged ({reason})", file.display())))?;
        Ok(Some(Self { dir: dir.to_owned(), record }))
    }

    /// The artifact as a stage sees it that reads only some of it: the other tables and files are not there.
    #[must_use]
    pub fn limited_to(mut self, items: &[Item]) -> Self {
        self.record.tables.retain(|name, _| items.contains(&Item::Table(name.clone())));
        self.record.files.retain(|name, _| items.contains(&Item::File(name.clone())));
        self
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What `artifact.json` says.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The store that it lies in; none of an artifact that was copied out of one.
    pub fn store(&self) -> Result<Option<Store>> {
        let dir = self.dir.canonicalize().map_err(Error::io("read", &self.dir))?;
        dir.ancestors().nth(2).filter(|root| root.join("work").is_dir()).map(Store::open).transpose()
    }

    /// The artifacts of the same stage from which this one goes on, the nearest first; and what was read of the next
    /// one if its store no longer holds it.
    pub fn ancestors(&self) -> Result<(Vec<Self>, Option<Reading>)> {
        let stage = &self.record.preimage.stage;
        let root = self.dir.ancestors().nth(2).unwrap_or(&self.dir).to_owned();
        let store = Store { root };
        let mut ancestors: Vec<Self> = Vec::new();
        while let Some(read) = ancestors.last().unwrap_or(self).record.preimage.inputs.get(stage).cloned() {
            let Some(ancestor) = store.input(&ancestors.last().unwrap_or(self).record, stage)? else {
                return Ok((ancestors, Some(read)));
            };
            ancestors.push(ancestor);
        }
        Ok((ancestors, None))
    }

    /// A parameter with which it was made, such as a network's `backbone`, by its dotted name: read from the artifact,
    /// so that it stands in the manifest once.
    pub fn param<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let value = dotted::get(&self.record.preimage.params, name).cloned().unwrap_or_default();
        serde_json::from_value(value).map_err(|error| {
            Error::NotCommitted(format!("{}: cannot use its parameter '{name}' ({error})", self.dir.display()))
        })
    }

    /// A file of the artifact, such as `cam_net.safetensors`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Metadata of a table, such as `classes`.
    pub fn metadata<R: Row>(&self) -> Result<&BTreeMap<String, String>> {
        Ok(&self.table::<R>()?.metadata)
    }

    /// The record of a table.
    pub fn table<R: Row>(&self) -> Result<&TableRecord> {
        let table = self
            .record
            .tables
            .get(R::TABLE)
            .ok_or_else(|| Error::NotCommitted(format!("{}: has no table '{}'", self.dir.display(), R::TABLE)))?;
        if table.version != R::VERSION {
            return Err(Error::NotCommitted(format!(
                "{}: table '{}' has version {}, this program reads {}; run the stage again",
                self.dir.display(),
                R::TABLE,
                table.version,
                R::VERSION
            )));
        }
        Ok(table)
    }

    /// All rows of a table in the order in which they were written, without the columns named.
    pub fn rows<R: Row>(&self, without: &[&str]) -> Result<Rows<R>> {
        Ok(Rows::new(self.part_files(self.table::<R>()?), without))
    }

    /// Some columns of the rows of a table by number, each read when it is asked for.
    pub fn numbered<R: Row>(&self, columns: &[&str]) -> Result<NumberedRows<R>> {
        NumberedRows::open(self.part_files(self.table::<R>()?), columns)
    }

    /// Some columns of a table as Arrow batches, its rows in the order in which they were written; `None` if the
    /// artifact does not have the table in this version.
    pub fn batches(&self, table: &Declaration, columns: &[&str]) -> Option<Batches> {
        let record = self.record.tables.get(table.name).filter(|record| record.version == table.version)?;
        Some(Batches::new(self.part_files(record), table.schema.clone(), columns))
    }

    fn part_files(&self, table: &TableRecord) -> VecDeque<PathBuf> {
        table.parts.iter().map(|part| self.dir.join(&part.file)).collect()
    }

    /// Are all files there, each in its size? Costs a `stat` a file.
    pub fn check_sizes(&self) -> Result<()> {
        for (name, bytes, _) in self.record.all_files() {
            let path = self.dir.join(name);
            let size = fs::metadata(&path)
                .map(|meta| meta.len())
                .map_err(|error| Error::NotCommitted(format!("{}: is damaged ({error})", path.display())))?;
            if size != bytes {
                let path = path.display();
                return Err(Error::NotCommitted(format!(
                    "{path}: is damaged ({size} bytes where {bytes} were written)"
                )));
            }
        }
        Ok(())
    }

    /// The stamps of its files.
    pub fn stamps(&self) -> Result<Vec<Stamp>> {
        self.record.all_files().map(|(name, ..)| Stamp::of(&self.dir.join(name))).collect()
    }

    /// Reads every file and compares its digest.
    pub fn verify(&self) -> Result<()> {
        self.check_sizes()?;
        for (name, _, digest) in self.record.all_files() {
            let path = self.dir.join(name);
            if file_digest(&path)? != digest {
                return Err(Error::NotCommitted(format!("{}: is damaged (its digest differs)", path.display())));
            }
        }
        Ok(())
    }
}
