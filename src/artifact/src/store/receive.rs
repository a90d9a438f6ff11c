//! An artifact that was computed elsewhere arrives: its files gather beside the work directory of its key, each is
//! compared with its digest, and when all are there they are published as those of a stage are.
//!
//! What has arrived stays for the next attempt. A stage that resumes its own work never sees it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Component, Path, PathBuf};

use super::{
    Artifact, Claim, FileRecord, LOG_FILE, Lease, PREIMAGE_FILE, RECORD_FILE, Record, Store, remove, sync_dir,
    write_atomically,
};
use crate::{Error, Result, failpoint};

/// The directory of what arrives is that of the work with this ending: they share the lock of the key.
const ENDING: &str = "pulled";

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactFile {
    /// Path below the artifact.
    pub name: String,
    /// Its size and digest.
    pub content: FileRecord,
}

/// An artifact that arrives, under the lease of its key.
#[derive(Debug)]
pub struct Incoming {
    lease: Lease,
    record: Record,
    text: Vec<u8>,
    log: Option<FileRecord>,
    dir: PathBuf,
}

impl Record {
    /// Every file of the content.
    pub fn files(&self) -> Vec<ArtifactFile> {
        let file = |(name, bytes, blake3): (&str, u64, &str)| ArtifactFile {
            name: name.to_owned(),
            content: FileRecord { bytes, blake3: blake3.to_owned() },
        };
        self.all_files().map(file).collect()
    }

    /// Fails if a file of the content would not lie below the artifact, or in the place of another that does.
    fn check_names(&self) -> Result<()> {
        let own = [RECORD_FILE, LOG_FILE, PREIMAGE_FILE];
        let is_below = |name: &str| {
            !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)))
        };
        match self.all_files().find(|(name, ..)| !is_below(name) || own.contains(name)) {
            None => Ok(()),
            Some((name, ..)) => {
                let (stage, key) = (&self.preimage.stage, &self.key);
                Err(Error::NotCommitted(format!("{stage}:{key}: its record names a file '{name}', which cannot be")))
            }
        }
    }
}

impl Store {
    /// Begins to receive the artifact of a record, `text` being that of its `artifact.json` and `log` its log; goes on
    /// where an earlier attempt ended. `None` if it has been committed by the time that its key is free.
    pub fn receive(
        &self,
        record: Record,
        text: Vec<u8>,
        log: Option<FileRecord>,
        waiting: impl FnOnce(),
    ) -> Result<Option<Incoming>> {
        record.check_names()?;
        let lease = self.lease(&record.preimage, Claim::Alone, waiting)?;
        let is_there = lease.resume_publication(&lease.turn()?)?.is_some();
        if is_there || self.find_whole(&record.preimage.stage, &record.key)?.0.is_some() {
            return Ok(None);
        }
        let dir = lease.dir().with_extension(ENDING);
        fs::create_dir_all(&dir).map_err(Error::io("make", &dir))?;
        // It says what is worked on here, so that the inputs stay.
        let preimage = serde_json::to_vec_pretty(&record.preimage).expect("a preimage is JSON");
        write_atomically(&dir.join(PREIMAGE_FILE), &preimage)?;
        Ok(Some(Incoming { lease, record, text, log, dir }))
    }
}

impl Incoming {
    /// Every file that belongs to it.
    pub fn files(&self) -> Vec<ArtifactFile> {
        let log = self.log.clone().map(|content| ArtifactFile { name: LOG_FILE.to_owned(), content });
        self.record.files().into_iter().chain(log).collect()
    }

    /// Has a file arrived whole, in this attempt or an earlier one? Reads it.
    pub fn has(&self, file: &ArtifactFile) -> bool {
        file.content.matches(&self.dir.join(&file.name)).unwrap_or(false)
    }

    /// How many bytes of a file have arrived of which the rest is to come; none where there are more than it has.
    pub fn arrived(&self, file: &ArtifactFile) -> Result<u64> {
        let path = self.partial(file);
        match fs::metadata(&path) {
            Ok(meta) if meta.len() <= file.content.bytes => Ok(meta.len()),
            Ok(_) => self.forget(file).map(|()| 0),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    /// Adds the next bytes of a file.
    pub fn append(&self, file: &ArtifactFile, bytes: &[u8]) -> Result<()> {
        let path = self.partial(file);
        let parent = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
        let written = failpoint::pass("receive.write", &path)
            .and_then(|()| File::options().append(true).create(true).open(&path)?.write_all(bytes));
        written.map_err(Error::io("write", &path))
    }

    /// Gives a file of which all bytes have arrived its name. `false` if they are not those of its record; then it is
    /// to be fetched once more from its beginning.
    pub fn accept(&self, file: &ArtifactFile) -> Result<bool> {
        let (path, to) = (self.partial(file), self.dir.join(&file.name));
        if FileRecord::of(&path)? != file.content {
            self.forget(file)?;
            return Ok(false);
        }
        let named = failpoint::pass("receive.file", &to).and_then(|()| fs::rename(&path, &to));
        named.map_err(Error::io("rename", &path))?;
        sync_dir(to.parent().unwrap_or(&self.dir)).map(|()| true)
    }

    /// Commits the artifact. Every file is read once more before it gets its place.
    pub fn publish(self) -> Result<Artifact> {
        let record = self.dir.join(RECORD_FILE);
        failpoint::pass("receive.record", &record).map_err(Error::io("write", &record))?;
        write_atomically(&record, &self.text)?;
        self.lease.check()?;
        // What a stage has left of its own work on this key is of no use any more.
        self.lease.clear()?;
        let work = self.lease.dir();
        let named = failpoint::pass("receive.rename", &work).and_then(|()| fs::rename(&self.dir, &work));
        named.map_err(Error::io("rename", &self.dir))?;
        let committed = self.lease.resume_publication(&self.lease.turn()?)?;
        committed.ok_or_else(|| Error::Failed(format!("{}: could not be published; try again", work.display())))
    }

    /// Where the bytes of a file gather.
    fn partial(&self, file: &ArtifactFile) -> PathBuf {
        let path = self.dir.join(&file.name);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.with_file_name(format!(".{name}.partial"))
    }

    fn forget(&self, file: &ArtifactFile) -> Result<()> {
        remove(&self.partial(file))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::Contents;
    use crate::table::CurveRow;
    use crate::{Preimage, Row as _};

    #[test]
    fn a_record_that_names_a_file_outside_of_its_artifact_or_one_of_the_stores_own_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let [here, there] = ["here", "there"].map(|name| Store::open(&directory.path().join(name)).unwrap());
        let preimage = Preimage {
            stage: "train".into(),
            version: 1,
            params: serde_json::Value::Null,
            seed: None,
            inputs: BTreeMap::new(),
            files: BTreeMap::new(),
            device: None,
        };
        let lease = there.lease(&preimage, Claim::Alone, || {}).unwrap();
        let mut work = lease.open(&Contents::tables([CurveRow::TABLE]).with_file("net")).unwrap();
        work.declare::<CurveRow>(1, BTreeMap::new()).unwrap();
        work.write_all([CurveRow::default()]).unwrap();
        fs::write(work.file("net"), "net").unwrap();
        let record = work.publish(&["net"], BTreeMap::new(), "full").unwrap().record().clone();
        for name in ["../stolen", "/stolen", "a/../../stolen", "", ".", RECORD_FILE, LOG_FILE] {
            let mut other = record.clone();
            let net = other.files.remove("net").unwrap();
            other.files.insert(name.to_owned(), net);
            other.digest = other.content_digest();
            let text = other.to_bytes();
            let other = Record::from_bytes(text.clone()).expect("its seal and digests are right");
            let refused = here.receive(other, text, None, || {}).unwrap_err();
            assert!(refused.to_string().contains("which cannot be"), "{name}: {refused}");
        }
        assert!(here.receive(record.clone(), record.to_bytes(), None, || {}).unwrap().is_some());
    }
}
