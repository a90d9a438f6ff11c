//! "The same result": an artifact of an earlier version of a stage, committed again under the key of this version.

use std::fs;
use std::path::Path;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Accepted, Artifact, Claim, LOG_FILE, RECORD_FILE, Store, remove, sync_dir, write_atomically};
use crate::{Error, Preimage, Result};

impl Store {
    /// Commits the content of `old` under the key of `preimage`, which is that of `old` but for the version.
    pub fn accept(&self, old: &Artifact, preimage: &Preimage, reason: &str, by: &str) -> Result<Artifact> {
        let earlier = &old.record().preimage;
        if (Preimage { version: preimage.version, ..earlier.clone() }) != *preimage {
            return Err(Error::Config(format!(
                "{}: differs in more than the version; only the same result can be accepted",
                old.dir().display()
            )));
        }
        old.verify()?;
        let lease = self.lease(preimage, Claim::Alone, || {})?;
        if let Some(artifact) = self.find(&preimage.stage, &preimage.key())? {
            return Ok(artifact);
        }
        let mut record = old.record().clone();
        (record.key, record.preimage) = (preimage.key(), preimage.clone());
        let at = OffsetDateTime::now_utc().format(&Rfc3339).unwrap_or_default();
        let (from, version) = (old.record().key.clone(), earlier.version);
        let (reason, by) = (reason.to_owned(), by.to_owned());
        record.provenance.accepted.push(Accepted { from, version, reason, at, by });
        // Made beside the work directory: a stage that resumes there must not take linked files for its own.
        let work = self.work_dir(&preimage.stage, &preimage.key());
        let beside = work.with_extension("accepted");
        lease.clear()?;
        remove(&beside)?;
        for (name, ..) in record.all_files() {
            link(&old.file(name), &beside.join(name))?;
        }
        // A log is appended to by name; it is a copy, so that it can never be the same file.
        let log = old.file(LOG_FILE);
        if log.is_file() {
            fs::copy(&log, beside.join(LOG_FILE)).map_err(Error::io("copy", &log))?;
        }
        write_atomically(&beside.join(RECORD_FILE), &record.to_bytes())?;
        fs::rename(&beside, &work).map_err(Error::io("rename", &beside))?;
        let committed = lease.resume_publication(&lease.turn()?)?;
        committed.ok_or_else(|| Error::Failed(format!("{}: could not be published; try again", work.display())))
    }
}

/// A hard link, or a copy where there can be none.
fn link(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(Error::io("make", parent))?;
    if fs::hard_link(from, to).is_err() {
        let copied = fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all());
        copied.map_err(Error::io("copy", from))?;
    }
    sync_dir(parent)
}
