//! The unfinished side of the store: the work directory of a leased key, and publication.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::lease::{Lease, Turn, hostname};
use super::moving::move_to;
use super::part::{RowsDigest, done_file};
use super::record::FORMAT;
use super::{
    Artifact, Contents, FileRecord, LOG_FILE, PREIMAGE_FILE, Part, PartRecord, Provenance, RECORD_FILE, Record, Rows,
    Store, TableRecord, TableWriter, sync_dir, write_atomically,
};
use crate::{Error, Key, Result, Row, failpoint};

/// The work directory of a leased key.
#[derive(Debug)]
pub struct Work {
    lease: Lease,
    dir: PathBuf,
    contents: Contents,
    tables: BTreeMap<String, Declared>,
    inputs: BTreeMap<String, Key>,
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

impl Work {
    pub(super) fn open(lease: Lease, contents: &Contents) -> Result<Self> {
        let dir = lease.dir();
        fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?;
        let text = serde_json::to_vec_pretty(&lease.preimage).expect("a preimage is JSON");
        write_atomically(&dir.join(PREIMAGE_FILE), &text)?;
        Ok(Self::beside(lease, contents))
    }

    /// Of a directory that is there already.
    pub(super) fn beside(lease: Lease, contents: &Contents) -> Self {
        let dir = lease.dir();
        let (started, clock) = (OffsetDateTime::now_utc(), Instant::now());
        let (contents, tables, inputs) = (contents.clone(), BTreeMap::new(), BTreeMap::new());
        Self { lease, dir, contents, tables, inputs, started, clock }
    }

    /// Takes down from which artifacts it is computed: input stage to key.
    pub fn computed_from(&mut self, inputs: BTreeMap<String, Key>) {
        self.inputs = inputs;
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Says in how many parts a table comes, before they are written. That it is none of the stage's tables is an error
    /// of the program.
    pub fn declare<R: Row>(&mut self, parts: usize, metadata: BTreeMap<String, String>) -> Result<()> {
        let dir = self.contents.table_dir(R::TABLE).ok_or_else(|| self.unsaid("table", R::TABLE))?;
        let declared = Declared { dir, version: R::VERSION, metadata, parts };
        self.tables.insert(R::TABLE.to_owned(), declared);
        Ok(())
    }

    /// Is this part there, in its size?
    pub fn is_done<R: Row>(&self, part: Part) -> bool {
        self.done::<R>(part).is_some_and(|record| {
            fs::metadata(self.dir.join(&record.file)).is_ok_and(|meta| meta.len() == record.bytes)
        })
    }

    /// Is this part there from an earlier run, and do its bytes have their digest still? One that is damaged is done
    /// again.
    pub fn is_whole<R: Row>(&self, part: Part) -> bool {
        self.done::<R>(part).is_some_and(|record| record.matches(&self.dir).unwrap_or(false))
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
    /// directory, such as checkpoints, goes; `log.jsonl` stays. That they are not the contents which the stage says
    /// that it writes is an error of the program.
    pub fn publish(self, files: &[&str], metrics: BTreeMap<String, Value>, experiment: &str) -> Result<Artifact> {
        self.check_contents(files)?;
        let preimage = self.lease.preimage.clone();
        let turn = self.lease.turn()?;
        let mut record = Record {
            seal: String::new(),
            format: FORMAT,
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
            record.files.insert((*name).to_owned(), FileRecord::of(&path)?);
        }
        record.digest = record.content_digest();
        self.lease.check()?;
        failpoint::pass("publish.record", &self.dir).map_err(Error::io("publish", &self.dir))?;
        write_atomically(&self.dir.join(RECORD_FILE), &record.to_bytes())?;
        move_into_place(&self.lease.store, &self.dir, record, &turn)
    }

    /// Forgets everything: it was made of something that changed meanwhile.
    pub fn discard(self) -> Result<()> {
        self.lease.clear()
    }

    fn check_contents(&self, files: &[&str]) -> Result<()> {
        let Contents { tables, files: expected, .. } = &self.contents;
        if let Some(name) = tables.iter().find(|name| !self.tables.contains_key(*name)) {
            return Err(self.unwritten("table", name));
        }
        if let Some(name) = expected.iter().find(|name| !files.contains(&name.as_str())) {
            return Err(self.unwritten("file", name));
        }
        match files.iter().find(|name| !self.contents.has_file(name)) {
            Some(name) => Err(self.unsaid("file", name)),
            None => Ok(()),
        }
    }

    fn unsaid(&self, kind: &str, name: &str) -> Error {
        let stage = &self.lease.preimage.stage;
        Error::Failed(format!("{stage} writes the {kind} '{name}', but its description does not say so"))
    }

    fn unwritten(&self, kind: &str, name: &str) -> Error {
        let stage = &self.lease.preimage.stage;
        Error::Failed(format!("{stage} has not written the {kind} '{name}', as its description says"))
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
            host: hostname(),
            command: std::env::args().collect(),
            experiment: experiment.to_owned(),
            started: instant(self.started),
            finished: instant(OffsetDateTime::now_utc()),
            seconds: self.clock.elapsed().as_secs_f64(),
            inputs: self.inputs.clone(),
            accepted: Vec::new(),
        }
    }
}

fn read_done(path: &Path) -> Option<PartRecord> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Removes what is not part of the artifact, then makes the work directory the artifact by one rename. Two that did so
/// at the same time would set each other's aside.
pub(super) fn move_into_place(store: &Store, work: &Path, record: Record, _: &Turn) -> Result<Artifact> {
    let stage = &record.preimage.stage;
    failpoint::pass("publish.clean", work).map_err(Error::io("publish", work))?;
    let mut kept: BTreeSet<_> = record.all_files().map(|(name, ..)| work.join(name)).collect();
    kept.extend([RECORD_FILE, LOG_FILE].map(|name| work.join(name)));
    remove_others(work, &kept)?;
    let dir = store.dir(stage, &record.key);
    let parent = store.root().join(stage);
    fs::create_dir_all(&parent).map_err(Error::io("make", &parent))?;
    let mut aside = None;
    if dir.exists() {
        // Computed anew by --force, or damaged: the old one leaves only now that its replacement is whole.
        failpoint::pass("publish.set-aside", &dir).map_err(Error::io("set aside", &dir))?;
        aside = Some(store.set_aside(stage, &record.key)?);
    }
    let moved = move_to(Some("publish.rename"), work, &dir).map_err(Error::io("publish", &dir));
    if let (Err(_), Some(aside)) = (&moved, aside) {
        // It is better than none.
        let _ = fs::rename(aside, &dir);
    }
    moved?;
    failpoint::pass("publish.renamed", &dir).map_err(Error::io("publish", &dir))?;
    sync_dir(&parent)?;
    sync_dir(&store.root().join("work"))?;
    let lock = work.with_extension("lock");
    failpoint::pass("publish.unlock", &lock).map_err(Error::io("remove", &lock))?;
    let _ = fs::remove_file(lock);
    Ok(Artifact { dir, record })
}

/// Removes every file below `dir` that is not among `kept`, and every directory that holds none of those. Another shard
/// may be at work there still: what it takes away itself is no failure.
fn remove_others(dir: &Path, kept: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let path = entry.map_err(Error::io("list", dir))?.path();
        let removed = if kept.contains(&path) {
            Ok(())
        } else if !path.is_dir() {
            fs::remove_file(&path)
        } else if kept.iter().any(|kept| kept.starts_with(&path)) {
            remove_others(&path, kept)?;
            Ok(())
        } else {
            fs::remove_dir_all(&path)
        };
        match removed {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.map_err(Error::io("remove", &path))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Preimage;
    use crate::store::Claim;
    use crate::table::{CurveRow, HistogramRow, SweepRow};

    fn work(store: &Store, contents: &Contents) -> Work {
        let preimage = Preimage {
            stage: "sweep".into(),
            version: 1,
            params: Value::Null,
            seed: None,
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            device: None,
        };
        let lease = store.lease(&preimage, Claim::Alone, || {}).unwrap();
        lease.clear().unwrap();
        lease.open(contents).unwrap()
    }

    fn write<R: Row + Default>(work: &mut Work) {
        work.declare::<R>(1, BTreeMap::new()).unwrap();
        work.write_all([R::default()]).unwrap();
    }

    #[test]
    fn what_another_shard_takes_away_at_the_same_time_is_no_failure() {
        let directory = tempfile::tempdir().unwrap();
        for index in 0..2000 {
            fs::write(directory.path().join(format!(".part-{index}.tmp")), "").unwrap();
        }
        let kept = BTreeSet::from([directory.path().join("artifact.json")]);
        fs::write(directory.path().join("artifact.json"), "").unwrap();
        std::thread::scope(|scope| {
            let both: Vec<_> = (0..2).map(|_| scope.spawn(|| remove_others(directory.path(), &kept))).collect();
            for one in both {
                one.join().unwrap().unwrap();
            }
        });
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        (directory, store)
    }

    #[test]
    fn the_first_table_of_the_contents_lies_in_data_whatever_is_written_first() {
        let (_directory, store) = store();
        let contents = Contents::tables(["sweep", "histogram"]).with_optional_file("note");
        let mut work = work(&store, &contents);
        write::<HistogramRow>(&mut work);
        write::<SweepRow>(&mut work);
        let artifact = work.publish(&[], BTreeMap::new(), "full").unwrap();
        let dir = |table: &str| artifact.record().tables[table].dir.clone();
        assert_eq!([dir("sweep"), dir("histogram")], ["data", "histogram"]);
    }

    #[test]
    fn what_is_written_is_what_the_stage_says_that_it_writes() {
        let (_directory, store) = store();
        let contents = Contents::tables(["sweep", "histogram"]).with_file("net").with_optional_file("note");
        let refused = |tables: &[fn(&mut Work)], files: &[&str]| {
            let mut work = work(&store, &contents);
            for write in tables {
                write(&mut work);
            }
            for file in files {
                fs::write(work.file(file), "").unwrap();
            }
            work.publish(files, BTreeMap::new(), "full").map(drop).map_err(|error| error.to_string())
        };
        let both = [write::<SweepRow> as fn(&mut Work), write::<HistogramRow>];
        let unwritten = |what: &str| Err(format!("sweep has not written the {what}, as its description says"));
        assert_eq!(refused(&both[..1], &["net"]), unwritten("table 'histogram'"));
        assert_eq!(refused(&both, &[]), unwritten("file 'net'"));
        let unsaid = |what: &str| format!("sweep writes the {what}, but its description does not say so");
        assert_eq!(refused(&both, &["net", "other"]), Err(unsaid("file 'other'")));
        assert_eq!(refused(&both, &["net", "note"]), Ok(()));
        let stray = work(&store, &contents).declare::<CurveRow>(1, BTreeMap::new());
        assert_eq!(stray.unwrap_err().to_string(), unsaid("table 'curve'"));
    }
}
