//! The unfinished side of the store: a lease on a key, its work directory, and publication.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::part::{RowsDigest, done_file};
use super::{
    Artifact, FileRecord, LOG_FILE, PREIMAGE_FILE, Part, PartRecord, Provenance, RECORD_FILE, Record, Rows, Store,
    TableRecord, TableWriter, file_digest, sync_dir, write_atomically,
};
use crate::{Error, Preimage, Result, Row};

/// The right to work on one key: an advisory lock that the system takes back when the process ends, however it ends.
#[derive(Debug)]
pub struct Lease {
    store: Store,
    preimage: Preimage,
    _lock: File,
}

/// Who else may work on the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody.
    Alone,
    /// Other shards of the same stage.
    Shared,
}

/// The work directory of a leased key.
#[derive(Debug)]
pub struct Work {
    lease: Lease,
    dir: PathBuf,
    tables: BTreeMap<String, Declared>,
    started: OffsetDateTime,
    clock: Instant,
}

/// A table that this run writes.
#[derive(Debug)]
struct Declared {
    dir: String,
    version: u32,
    metadata: BTreeMap<String, String>,
    parts: usize,
}

impl Lease {
    pub(super) fn take(store: &Store, preimage: &Preimage, claim: Claim, waiting: impl FnOnce()) -> Result<Self> {
        let path = store.work_dir(&preimage.stage, &preimage.key()).with_extension("lock");
        let mut waiting = Some(waiting);
        loop {
            let lock = File::create(&path).map_err(Error::io("create", &path))?;
            let free = match claim {
                Claim::Alone => lock.try_lock(),
                Claim::Shared => lock.try_lock_shared(),
            };
            if free.is_err() {
                waiting.take().into_iter().for_each(|waiting| waiting());
                let locked = if claim == Claim::Alone { lock.lock() } else { lock.lock_shared() };
                locked.map_err(Error::io("lock", &path))?;
            }
            // Its last holder may have published and removed the file while this one waited: then lock the new one.
            let inode = |meta: std::io::Result<fs::Metadata>| meta.map(|meta| meta.ino()).ok();
            if inode(lock.metadata()) == inode(fs::metadata(&path)) {
                return Ok(Self { store: store.clone(), preimage: preimage.clone(), _lock: lock });
            }
        }
    }

    fn dir(&self) -> PathBuf {
        self.store.work_dir(&self.preimage.stage, &self.preimage.key())
    }

    /// Completes a publication that was interrupted between `artifact.json` and the last rename.
    pub fn resume_publication(&self) -> Result<Option<Artifact>> {
        match Artifact::open(&self.dir()) {
            Ok(Some(artifact)) if artifact.check_sizes().is_ok() => {
                move_into_place(&self.store, &self.dir(), artifact.record().clone()).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What is leased.
    pub fn preimage(&self) -> &Preimage {
        &self.preimage
    }

    /// Opens the work directory, with all that an earlier run left there.
    pub fn open(self) -> Result<Work> {
        let dir = self.dir();
        fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?;
        let text = serde_json::to_vec_pretty(&self.preimage).expect("a preimage is JSON");
        write_atomically(&dir.join(PREIMAGE_FILE), &text)?;
        let (started, clock) = (OffsetDateTime::now_utc(), Instant::now());
        Ok(Work { lease: self, dir, tables: BTreeMap::new(), started, clock })
    }

    /// Forgets what an earlier run left (`--force`).
    pub fn clear(&self) -> Result<()> {
        let dir = self.dir();
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("clear", &dir)(error)),
            _ => Ok(()),
        }
    }
}

impl Work {
    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Declares a table before its parts are written. The first table of a stage has the directory `data`; declared
    /// again, it keeps it.
    pub fn declare<R: Row>(&mut self, parts: usize, metadata: BTreeMap<String, String>) {
        let first = if self.tables.is_empty() { "data" } else { R::TABLE };
        let dir = self.tables.get(R::TABLE).map_or_else(|| first.to_owned(), |earlier| earlier.dir.clone());
        let declared = Declared { dir, version: R::VERSION, metadata, parts };
        self.tables.insert(R::TABLE.to_owned(), declared);
    }

    /// Is this part already there, from an earlier run?
    pub fn is_done<R: Row>(&self, part: Part) -> bool {
        self.done::<R>(part).is_some_and(|record| {
            fs::metadata(self.dir.join(&record.file)).is_ok_and(|meta| meta.len() == record.bytes)
        })
    }

    fn done<R: Row>(&self, part: Part) -> Option<PartRecord> {
        read_done(&done_file(&self.dir, R::TABLE, part))
    }

    /// A writer for one part of a declared table.
    pub fn writer<R: Row>(&self, part: Part) -> Result<TableWriter<R>> {
        let declared = self.tables.get(R::TABLE).expect("a table is declared before it is written");
        TableWriter::create(&self.dir, &declared.dir, part, &declared.metadata)
    }

    /// Writes a whole table in one part.
    pub fn write_all<R: Row>(&self, rows: impl IntoIterator<Item = R>) -> Result<()> {
        let mut writer = self.writer::<R>(Part::WHOLE)?;
        rows.into_iter().try_for_each(|row| writer.push(row))?;
        writer.finish()
    }

    /// The rows written so far, of a table of which every part is done.
    pub fn rows<R: Row>(&self, without: &[&str]) -> Result<Rows<R>> {
        let table = self.table_record(R::TABLE)?;
        Ok(Rows::new(table.parts.iter().map(|part| self.dir.join(&part.file)).collect(), without))
    }

    /// Commits the artifact: the declared tables, the named `files` and `metrics`. What else lies in the work
    /// directory, such as checkpoints, goes; `log.jsonl` stays.
    pub fn publish(self, files: &[&str], metrics: BTreeMap<String, Value>, experiment: &str) -> Result<Artifact> {
        let preimage = self.lease.preimage.clone();
        let mut record = Record {
            format: 1,
            key: preimage.key(),
            preimage,
            digest: String::new(),
            tables: self.table_records()?,
            files: BTreeMap::new(),
            metrics,
            provenance: self.provenance(experiment),
        };
        for name in files {
            let path = self.dir.join(name);
            let file = File::open(&path).and_then(|file| file.sync_all().map(|()| file));
            let bytes = file.and_then(|file| file.metadata()).map_err(Error::io("read", &path))?.len();
            record.files.insert((*name).to_owned(), FileRecord { bytes, blake3: file_digest(&path)? });
        }
        record.digest = record.content_digest();
        let text = serde_json::to_vec_pretty(&record).expect("a record is JSON");
        write_atomically(&self.dir.join(RECORD_FILE), &text)?;
        move_into_place(&self.lease.store, &self.dir, record)
    }

    fn table_records(&self) -> Result<BTreeMap<String, TableRecord>> {
        self.tables.keys().map(|name| Ok((name.clone(), self.table_record(name)?))).collect()
    }

    fn table_record(&self, name: &str) -> Result<TableRecord> {
        let Declared { dir, version, metadata, parts: count } = &self.tables[name];
        let (mut rows, mut digest, mut parts) = (0, RowsDigest::default(), Vec::new());
        for index in 0..*count {
            let path = done_file(&self.dir, name, Part { index, count: *count });
            let part = read_done(&path)
                .ok_or_else(|| Error::Failed(format!("{}: part {index} of {count} is not done", path.display())))?;
            rows += part.rows;
            digest.merge(RowsDigest::from_hex(&part.rows_digest).unwrap_or_default());
            parts.push(part);
        }
        let (dir, metadata) = (dir.clone(), metadata.clone());
        Ok(TableRecord { dir, version: *version, rows, digest: digest.to_hex(), metadata, parts })
    }

    fn provenance(&self, experiment: &str) -> Provenance {
        let instant = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
        Provenance {
            camflow: env!("CARGO_PKG_VERSION").to_owned(),
            host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            command: std::env::args().collect(),
            experiment: experiment.to_owned(),
            started: instant(self.started),
            finished: instant(OffsetDateTime::now_utc()),
            seconds: self.clock.elapsed().as_secs_f64(),
            accepted: Vec::new(),
        }
    }
}

fn read_done(path: &Path) -> Option<PartRecord> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Removes what is not part of the artifact, then makes the work directory the artifact by one rename.
fn move_into_place(store: &Store, work: &Path, record: Record) -> Result<Artifact> {
    let stage = &record.preimage.stage;
    let mut kept: Vec<_> = record.all_files().filter_map(|(name, ..)| name.split('/').next()).collect();
    kept.extend([RECORD_FILE, LOG_FILE]);
    for entry in fs::read_dir(work).map_err(Error::io("list", work))? {
        let path = entry.map_err(Error::io("list", work))?.path();
        if !path.file_name().is_some_and(|name| kept.iter().any(|kept| *kept == name)) {
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io("remove", &path))?;
        }
    }
    let dir = store.dir(stage, &record.key);
    let parent = store.root().join(stage);
    fs::create_dir_all(&parent).map_err(Error::io("make", &parent))?;
    if dir.exists() {
        // Computed anew by --force, or damaged: the old one leaves only now that its replacement is whole.
        store.set_aside(stage, &record.key)?;
    }
    fs::rename(work, &dir).map_err(Error::io("publish", &dir))?;
    sync_dir(&parent)?;
    sync_dir(&store.root().join("work"))?;
    let _ = fs::remove_file(work.with_extension("lock"));
    Ok(Artifact { dir, record })
}
