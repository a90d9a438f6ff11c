//! `artifact.json`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::file_digest;
use super::part::RowsDigest;
use crate::key::digest_json;
use crate::{Error, Item, Key, Preimage, Reading, Result, failpoint};

/// Version of the layout of `artifact.json`.
pub(super) const FORMAT: u32 = 3;

/// How the file begins: with the digest of its own bytes, taken while zeros stood in its place.
const SEAL: &str = "{\n  \"seal\": \"";
/// Hexadecimal digits of the seal.
const DIGITS: usize = 64;

/// What is written last: with it an artifact is committed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// BLAKE3 of the file with zeros in place of this; set when it is written.
    pub seal: String,
    /// Version of this file's own layout.
    pub format: u32,
    /// The key: BLAKE3 of `preimage`.
    pub key: Key,
    /// Everything that decided the content.
    pub preimage: Preimage,
    /// Digest of the content: rows and files, not parts, row groups or codecs.
    pub digest: String,
    /// The tables by name.
    pub tables: BTreeMap<String, TableRecord>,
    /// Files beside the tables that are part of the content, such as a checkpoint.
    pub files: BTreeMap<String, FileRecord>,
    /// Numbers that the stage wants seen: a best threshold, a final loss.
    pub metrics: BTreeMap<String, Value>,
    /// Who made it, when and how.
    pub provenance: Provenance,
}

/// The names of what an artifact holds: what a stage says that it writes, or what a record says that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Tables; the first lies in `data/`, each of the others in a directory of its name.
    pub tables: Vec<String>,
    /// Files beside the tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Files that are there under some parameters only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub optional_files: Vec<String>,
}

/// One table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableRecord {
    /// Directory below the artifact.
    pub dir: String,
    /// Version of the schema.
    pub version: u32,
    /// Number of rows.
    pub rows: u64,
    /// Sum modulo 2^256 of the rows' BLAKE3 digests: the same for any number of parts.
    pub digest: String,
    /// What holds for all rows, such as the class list.
    pub metadata: BTreeMap<String, String>,
    /// Its files.
    pub parts: Vec<PartRecord>,
}

/// One Parquet file.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// Path below the artifact.
    pub file: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: String,
    /// Sum modulo 2^256 of its rows' digests.
    pub rows_digest: String,
}

/// A file that is no table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// Its size.
    pub bytes: u64,
    /// BLAKE3 of its bytes.
    pub blake3: String,
}

/// Who made an artifact. Never part of a key or digest.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of camflow.
    pub camflow: String,
    /// Name of the machine.
    pub host: String,
    /// The command line.
    pub command: Vec<String>,
    /// Experiment for which it was first computed.
    pub experiment: String,
    /// Start of the run that published it, RFC 3339, UTC.
    pub started: String,
    /// When it was published, RFC 3339, UTC.
    pub finished: String,
    /// Seconds of the process that published it. Earlier processes from whose checkpoint it went on, and other shards,
    /// are not in it.
    pub seconds: f64,
    /// The artifacts from which it was computed: input stage to key. Others may hold the same of what was read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, Key>,
    /// Where it was computed under an earlier version of its stage: each time that it was taken over, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
}

/// "The same result": an artifact taken over from an earlier version of its stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Key of the artifact that was taken over.
    pub from: Key,
    /// Version of the stage that computed it.
    pub version: u32,
    /// Why the result is the same.
    pub reason: String,
    /// When, RFC 3339, UTC.
    pub at: String,
    /// Who said so.
    pub by: String,
}

impl Contents {
    /// Tables alone.
    pub fn tables<const N: usize>(names: [&str; N]) -> Self {
        Self { tables: names.map(str::to_owned).into(), ..Self::default() }
    }

    /// A file besides.
    #[must_use]
    pub fn with_file(mut self, name: &str) -> Self {
        self.files.push(name.to_owned());
        self
    }

    /// A file besides that some parameters leave out.
    #[must_use]
    pub fn with_optional_file(mut self, name: &str) -> Self {
        self.optional_files.push(name.to_owned());
        self
    }

    /// Is a file of this name among them, always or at times?
    pub fn has_file(&self, name: &str) -> bool {
        self.files.iter().chain(&self.optional_files).any(|file| file == name)
    }

    /// The directory of a table, if it is among them.
    pub(super) fn table_dir(&self, table: &str) -> Option<String> {
        let index = self.tables.iter().position(|name| name == table)?;
        Some(if index == 0 { "data".to_owned() } else { table.to_owned() })
    }
}

impl TableRecord {
    /// What its digest in that of an artifact is taken of.
    fn content(&self) -> Value {
        let Self { version, rows, digest, metadata, .. } = self;
        json!({ "version": version, "rows": rows, "digest": digest, "metadata": metadata })
    }

    fn is_sum_of_parts(&self) -> bool {
        let (mut rows, mut digest) = (0, RowsDigest::default());
        for part in &self.parts {
            rows = u64::wrapping_add(rows, part.rows);
            let Some(of_part) = RowsDigest::from_hex(&part.rows_digest) else { return false };
            digest.merge(of_part);
        }
        rows == self.rows && digest.to_hex() == self.digest
    }
}

impl PartRecord {
    /// Does its file, below `dir`, hold what was written?
    pub fn matches(&self, dir: &Path) -> Result<bool> {
        FileRecord { bytes: self.bytes, blake3: self.blake3.clone() }.matches(&dir.join(&self.file))
    }
}

impl FileRecord {
    /// Syncs a file and takes down what it holds.
    pub fn of(path: &Path) -> Result<Self> {
        let synced = failpoint::pass("file.sync", path).and_then(|()| File::open(path)?.sync_all());
        synced.map_err(Error::io("sync", path))?;
        Self::read(path)
    }

    /// Takes down what a file holds that is known to be on the disk.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::metadata(path).map_err(Error::io("read", path))?.len();
        Ok(Self { bytes, blake3: file_digest(path)? })
    }

    /// Does a file hold what was taken down?
    pub fn matches(&self, path: &Path) -> Result<bool> {
        let bytes = fs::metadata(path).map_err(Error::io("read", path))?.len();
        Ok(bytes == self.bytes && file_digest(path)? == self.blake3)
    }
}

/// Sets the seal of an `artifact.json` to that of its bytes, whatever it was; false if they do not begin as such a file
/// does.
pub fn seal(bytes: &mut [u8]) -> bool {
    let whole = bytes.starts_with(SEAL.as_bytes()) && bytes.len() > SEAL.len() + DIGITS;
    if whole {
        bytes[SEAL.len()..][..DIGITS].fill(b'0');
        let digest = blake3::hash(bytes).to_hex();
        bytes[SEAL.len()..][..DIGITS].copy_from_slice(digest.as_bytes());
    }
    whole
}

impl Record {
    /// The file as it is written, sealed.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let blank = Self { seal: "0".repeat(DIGITS), ..self.clone() };
        let mut bytes = serde_json::to_vec_pretty(&blank).expect("a record is JSON");
        seal(&mut bytes);
        bytes
    }

    /// Reads the file; the error says what is wrong with it.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        if record.format != FORMAT {
            return Err(format!("its layout has version {}, this program reads {FORMAT}", record.format));
        }
        if !seal(&mut bytes) || bytes[SEAL.len()..][..DIGITS] != *record.seal.as_bytes() {
            return Err("its seal is not that of its content".to_owned());
        }
        if record.preimage.key() != record.key || record.content_digest() != record.digest {
            return Err("its own digests differ".to_owned());
        }
        match record.tables.iter().find(|(_, table)| !table.is_sum_of_parts()) {
            None => Ok(record),
            Some((name, _)) => Err(format!("the parts of table '{name}' do not add up to it")),
        }
    }

    /// The digest that `digest` must be.
    pub(crate) fn content_digest(&self) -> String {
        let tables: BTreeMap<_, _> = self.tables.iter().map(|(name, table)| (name, table.content())).collect();
        let files: BTreeMap<_, _> = self.files.iter().map(|(name, file)| (name, &file.blake3)).collect();
        digest_json(&json!({ "tables": tables, "files": files }))
    }

    /// Digest of a part of the content, or of the parameters with which it was made and the names of those that are
    /// files; `None` where there is no such part.
    pub fn digest_of(&self, item: &Item) -> Option<String> {
        match item {
            Item::Table(name) => self.tables.get(name).map(|table| digest_json(&table.content())),
            Item::File(name) => self.files.get(name).map(|file| file.blake3.clone()),
            Item::Params => {
                let files: Vec<_> = self.preimage.files.keys().collect();
                Some(digest_json(&json!({ "params": self.preimage.params, "files": files })))
            }
        }
    }

    /// Does it hold what was read of an artifact?
    pub fn gives(&self, reading: &Reading) -> bool {
        reading.parts().all(|(item, digest)| self.digest_of(&item).as_deref() == Some(digest))
    }

    /// The names of what is there. (Which table lies in `data/` is not told by their order here.)
    pub fn contents(&self) -> Contents {
        let (tables, files) = (self.tables.keys().cloned().collect(), self.files.keys().cloned().collect());
        Contents { tables, files, optional_files: Vec::new() }
    }

    /// Every file of the content: path below the artifact, size, BLAKE3.
    pub(crate) fn all_files(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        let parts = self.tables.values().flat_map(|table| &table.parts);
        let parts = parts.map(|part| (part.file.as_str(), part.bytes, part.blake3.as_str()));
        parts.chain(self.files.iter().map(|(name, file)| (name.as_str(), file.bytes, file.blake3.as_str())))
    }
}
