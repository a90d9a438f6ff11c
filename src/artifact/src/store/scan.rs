//! Everything in a store read whole: records, files, rows, headers of weights.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::moving::move_to;
use super::part::RowsDigest;
use super::{Artifact, Rows, Store, artifact_dirs, latest_name};
use crate::table::{Visitor, visit};
use crate::{Error, Result, Row};

/// A directory in which an artifact is, or should be.
#[derive(Debug)]
pub struct Place {
    /// The stage.
    pub stage: String,
    /// The directory's name: the first digits of the key.
    pub name: String,
    /// Its path.
    pub dir: PathBuf,
    /// What it holds; `None` if it has no record.
    pub found: Result<Option<Artifact>>,
}

impl Store {
    /// Every directory of every stage. A damaged record is an error of its place alone.
    pub fn places(&self) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for stage in self.stages()? {
            let dir = self.root.join(&stage);
            let mut dirs = artifact_dirs(&dir).map_err(Error::io("list", &dir))?;
            dirs.sort();
            for dir in dirs {
                let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let found = Artifact::open(&dir).and_then(|artifact| is_at_home(artifact, &stage, &name));
                places.push(Place { stage: stage.clone(), name, dir, found });
            }
        }
        Ok(places)
    }

    /// The `latest` links that lead to nothing.
    pub fn dangling_links(&self) -> Result<Vec<PathBuf>> {
        let mut dangling = Vec::new();
        for stage in self.stages()? {
            let links = self.latest_experiments(&stage).into_iter().map(|name| latest_name(name.as_deref()));
            dangling.extend(links.map(|link| self.root.join(&stage).join(link)).filter(|link| !link.exists()));
        }
        Ok(dangling)
    }

    /// Moves a directory of a stage out of the way; returns where to.
    pub fn set_aside_dir(&self, stage: &str, name: &str) -> Result<String> {
        let aside = self.root.join("work/set-aside");
        fs::create_dir_all(&aside).map_err(Error::io("make", &aside))?;
        let from = self.root.join(stage).join(name);
        let mut to = aside.join(format!("{stage}-{name}.0"));
        let mut number = 0;
        while to.exists() {
            number += 1;
            to = aside.join(format!("{stage}-{name}.{number}"));
        }
        move_to(None, &from, &to).map_err(Error::io("set aside", &from))?;
        Ok(to.display().to_string())
    }
}

fn is_at_home(artifact: Option<Artifact>, stage: &str, name: &str) -> Result<Option<Artifact>> {
    match &artifact {
        Some(found) if found.record.preimage.stage != stage || found.record.key.short() != name => {
            let record = &found.record;
            Err(Error::NotCommitted(format!(
                "{}: is damaged (it holds {}:{})",
                found.dir.display(),
                record.preimage.stage,
                record.key
            )))
        }
        _ => Ok(artifact),
    }
}

impl Artifact {
    /// Decodes every row and compares its digest, and reads the header of every file of weights. Returns the tables
    /// that this program does not know in their version.
    pub fn verify_content(&self) -> Result<Vec<String>> {
        let mut unknown = Vec::new();
        for name in self.record.tables.keys() {
            if !visit(name, Decoding(self)).unwrap_or(Ok(false))? {
                unknown.push(name.clone());
            }
        }
        for name in self.record.files.keys().filter(|name| name.ends_with(".safetensors")) {
            check_safetensors(&self.dir.join(name))?;
        }
        Ok(unknown)
    }
}

struct Decoding<'a>(&'a Artifact);

impl Visitor for Decoding<'_> {
    type Output = Result<bool>;
    fn visit<R: Row>(self) -> Self::Output {
        let table = &self.0.record.tables[R::TABLE];
        if table.version != R::VERSION {
            return Ok(false);
        }
        // When the record was read, it was checked that the parts add up to the table.
        for part in &table.parts {
            let path = self.0.dir.join(&part.file);
            let damaged = |what: &str| Error::NotCommitted(format!("{}: is damaged ({what})", path.display()));
            let (mut digest, mut rows) = (RowsDigest::default(), 0);
            for row in Rows::<R>::new(VecDeque::from([path.clone()]), &[]) {
                digest.add(&row?.digest());
                rows += 1;
            }
            if rows != part.rows || digest.to_hex() != part.rows_digest {
                return Err(damaged("its rows are not those of its record"));
            }
        }
        Ok(true)
    }
}

/// Checks that the header of a file of weights describes the data behind it.
fn check_safetensors(path: &Path) -> Result<()> {
    let damaged = |what: &str| Error::NotCommitted(format!("{}: is damaged ({what})", path.display()));
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let bytes = file.metadata().map_err(Error::io("read", path))?.len();
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| damaged("it has no header"))?;
    let length = u64::from_le_bytes(length);
    let data = bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length));
    let data = data.ok_or_else(|| damaged("its header is longer than the file"))?;
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(Error::io("read", path))?;
    let header: Value = serde_json::from_slice(&header).map_err(|_| damaged("its header is no JSON"))?;
    let tensors = header.as_object().ok_or_else(|| damaged("its header is no table of tensors"))?;
    for (name, tensor) in tensors.iter().filter(|(name, _)| *name != "__metadata__") {
        let offset = |index: usize| tensor.get("data_offsets")?.get(index)?.as_u64();
        match (offset(0), offset(1)) {
            (Some(from), Some(to)) if from <= to && to <= data => {}
            _ => return Err(damaged(&format!("tensor '{name}' lies outside its data"))),
        }
    }
    Ok(())
}
