//! The objects of a remote.
//!
//! ```text
//! camflow.json                                  says what lies here; a push tries on it whether conditions are kept
//! <stage>/<key16>/<seal16>/artifact.json        a copy of an artifact: its record …
//! <stage>/<key16>/<seal16>/data/*.parquet       … and its files, all as they lie in a store
//! <stage>/<key16>.json                          the pointer of a key: which copy is its artifact; never replaced
//! <stage>/latest@<experiment>.json              the key to which an experiment last resolved, of whoever pushed last
//! ```
//!
//! A copy lies under the seal of its record, which is a digest of everything in it. So two machines that computed the
//! same key never write into one another's files, and what is named by a pointer never changes. The small objects carry
//! a seal as `artifact.json` does: BLAKE3 of their bytes with zeros in its place.

use artifact::store::{FileRecord, Record, latest_name, seal};
use artifact::{Error, Key, Result};
use object_store::path::Path;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Version of this layout.
pub const FORMAT: u32 = 1;

/// The object that says what lies on a remote.
pub const MARKER: &str = "camflow.json";

/// What `camflow.json` says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Marker {
    /// For whoever finds it.
    pub what: String,
}

/// What the pointer of a key says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pointer {
    /// The key.
    pub key: Key,
    /// The seal of the record of the copy that is its artifact.
    pub copy: String,
    /// Digest of the content: equal ones hold the same rows and files.
    pub digest: String,
    /// The log, where there is one: it is not in the record.
    pub log: Option<FileRecord>,
}

/// What an experiment last resolved to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Latest {
    /// The key.
    pub key: Key,
}

/// A small object as it is written.
#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    seal: String,
    format: u32,
    #[serde(flatten)]
    content: T,
}

/// Where the pointer of a key lies, below the root.
pub fn pointer(root: &Path, stage: &str, key16: &str) -> Path {
    root.clone().join(stage).join(format!("{key16}.json"))
}

/// Where a copy of an artifact lies.
pub fn copy(root: &Path, stage: &str, key: &Key, seal: &str) -> Path {
    root.clone().join(stage).join(key.short()).join(&seal[..16])
}

/// Where it lies what an experiment last resolved to.
pub fn latest(root: &Path, stage: &str, experiment: &str) -> Path {
    root.clone().join(stage).join(format!("{}.json", latest_name(Some(experiment))))
}

/// A file below a copy; its name may have several parts.
pub fn file(copy: &Path, name: &str) -> Path {
    name.split('/').fold(copy.clone(), Path::join)
}

impl Pointer {
    /// Of an artifact that is pushed.
    pub fn of(record: &Record, log: Option<FileRecord>) -> Self {
        Self { key: record.key.clone(), copy: record.seal.clone(), digest: record.digest.clone(), log }
    }
}

/// The bytes of a small object.
pub fn write<T: Serialize>(content: T) -> Vec<u8> {
    let sealed = Sealed { seal: "0".repeat(64), format: FORMAT, content };
    let mut bytes = serde_json::to_vec_pretty(&sealed).expect("a small object is JSON");
    seal(&mut bytes);
    bytes
}

/// What a small object says. `place` is its URL.
///
/// # Errors
/// [`Error::NotCommitted`] if it is damaged, [`Error::Config`] if a newer camflow wrote it.
pub fn read<T: DeserializeOwned>(bytes: &[u8], place: &str) -> Result<T> {
    let damaged = |what: &str| Error::NotCommitted(format!("{place}: is damaged ({what})"));
    let mut sealed = bytes.to_vec();
    if !seal(&mut sealed) || sealed != bytes {
        return Err(damaged("its seal is not that of its content"));
    }
    let value: Value = serde_json::from_slice(bytes).map_err(|_| damaged("it is no JSON"))?;
    let format = value.get("format").and_then(Value::as_u64).unwrap_or_default();
    if format != u64::from(FORMAT) {
        return Err(Error::Config(format!(
            "{place}: its layout has version {format}, this program reads {FORMAT}; use the camflow that wrote it, or \
             a newer one"
        )));
    }
    let read: Sealed<T> = serde_json::from_value(value).map_err(|error| damaged(&error.to_string()))?;
    Ok(read.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest_object() -> Vec<u8> {
        write(Latest { key: Key::parse(&"ab".repeat(32)).unwrap() })
    }

    #[test]
    fn a_small_object_with_any_bit_flipped_or_any_end_cut_is_damaged() {
        let whole = latest_object();
        assert_eq!(read::<Latest>(&whole, "x").unwrap().key.as_str(), "ab".repeat(32));
        for index in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[index / 8] ^= 1 << (index % 8);
            assert!(matches!(read::<Latest>(&flipped, "x"), Err(Error::NotCommitted(_))), "bit {index}");
        }
        for length in 0..whole.len() {
            assert!(matches!(read::<Latest>(&whole[..length], "x"), Err(Error::NotCommitted(_))), "{length} bytes");
        }
    }

    #[test]
    fn an_object_of_a_newer_layout_is_refused_and_says_so() {
        let text = String::from_utf8(latest_object()).unwrap().replace("\"format\": 1", "\"format\": 2");
        let mut newer = text.into_bytes();
        seal(&mut newer);
        let error = read::<Latest>(&newer, "x").unwrap_err();
        assert!(matches!(error, Error::Config(_)) && error.to_string().contains("version 2"), "{error}");
    }

    #[test]
    fn names_of_objects_keep_the_directories_of_the_files() {
        let root = Path::from("lab/store");
        let key = Key::parse(&"ab".repeat(32)).unwrap();
        let copy = copy(&root, "evaluate", &key, &"cd".repeat(32));
        assert_eq!(file(&copy, "data/part.parquet").as_ref(), format!("{copy}/data/part.parquet"));
        assert_eq!(copy.as_ref(), "lab/store/evaluate/abababababababab/cdcdcdcdcdcdcdcd");
        assert_eq!(pointer(&root, "evaluate", key.short()).as_ref(), "lab/store/evaluate/abababababababab.json");
        assert_eq!(latest(&root, "evaluate", "rcm+mam").as_ref(), "lab/store/evaluate/latest@rcm+mam.json");
    }
}
