//! Content digests of files from outside (photographs, weights), remembered by size and time of change.
//!
//! A data set of 17,000 photographs is hashed once; after that a `stat` of each file tells that nothing changed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use walkdir::WalkDir;

use crate::store::write_atomically;
use crate::{Error, Result};

/// A file changed less than this ago may change again within one tick of its clock: its digest is not remembered.
const SETTLED: Duration = Duration::from_secs(2);

/// The digests of a store, kept in `work/fingerprints.json`. Losing the file costs time only.
pub struct Fingerprints {
    file: PathBuf,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    /// What a glance has seen.
    seen: Option<Mutex<BTreeMap<PathBuf, String>>>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Known {
    /// BLAKE3 over (relative path, size, time of change) of every file.
    stat: String,
    /// BLAKE3 over (relative path, content) of every file.
    content: String,
}

struct Entry {
    name: String,
    path: PathBuf,
    size: u64,
    /// When content or attributes last changed: unlike the time of modification no program can set it.
    changed: SystemTime,
}

impl Entry {
    fn new(name: String, path: PathBuf) -> Result<Self> {
        let meta = fs::metadata(&path).map_err(Error::io("read", &path))?;
        let since_1970 = Duration::new(meta.ctime().max(0) as u64, meta.ctime_nsec() as u32);
        Ok(Self { name, path, size: meta.len(), changed: UNIX_EPOCH + since_1970 })
    }
}

impl Fingerprints {
    /// Opens the memory of the store at `root`.
    pub fn open(root: &Path) -> Self {
        let file = root.join("work/fingerprints.json");
        let known = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        Self { file, known: Arc::new(Mutex::new(known)), seen: None }
    }

    /// The same memory for one glance at many stages: a file or directory that several of them name is looked at once.
    #[must_use]
    pub fn glance(&self) -> Self {
        Self { file: self.file.clone(), known: Arc::clone(&self.known), seen: Some(Mutex::default()) }
    }

    /// The digest of a file, or of all files below a directory with their names.
    pub fn digest(&self, path: &Path) -> Result<String> {
        let Some(seen) = &self.seen else { return self.look(path) };
        if let Some(digest) = seen.lock().expect("no panic under this lock").get(path) {
            return Ok(digest.clone());
        }
        let digest = self.look(path)?;
        seen.lock().expect("no panic under this lock").insert(path.to_owned(), digest.clone());
        Ok(digest)
    }

    fn look(&self, path: &Path) -> Result<String> {
        let (path, part) = part_of_file(path);
        let digest = self.look_whole(&path)?;
        Ok(part
            .map_or(digest.clone(), |part| blake3::hash(format!("{digest}\0{part}").as_bytes()).to_hex().to_string()))
    }

    fn look_whole(&self, path: &Path) -> Result<String> {
        let absolute = fs::canonicalize(path).map_err(|error| {
            Error::Config(format!("cannot read '{}': {error}; the path is relative to where you run", path.display()))
        })?;
        let mut entries = files(&absolute)?;
        entries.extend(shards(path)?);
        let stat = stat_digest(&entries);
        let name = absolute.to_string_lossy().into_owned();
        if let Some(known) = self.known.lock().expect("no panic under this lock").get(&name)
            && known.stat == stat
        {
            return Ok(known.content.clone());
        }
        let content = content_digest(&entries)?;
        let newest = entries.iter().map(|entry| entry.changed).max().unwrap_or(UNIX_EPOCH);
        if SystemTime::now().duration_since(newest).is_ok_and(|age| age > SETTLED) {
            let mut known = self.known.lock().expect("no panic under this lock");
            known.insert(name, Known { stat, content: content.clone() });
            let text = serde_json::to_vec(&*known).expect("a map of strings is JSON");
            // The memory is only a saving: a store that cannot be written to still answers.
            let _ = write_atomically(&self.file, &text);
        }
        Ok(content)
    }
}

/// `FILE#PART` is a part of what a file holds: FILE and PART. A file that has the whole name is itself.
pub fn part_of_file(path: &Path) -> (PathBuf, Option<String>) {
    let parts = path.to_str().filter(|_| !path.exists()).and_then(|text| text.rsplit_once('#'));
    match parts {
        Some((file, part)) if !file.is_empty() && !part.is_empty() => (file.into(), Some(part.to_owned())),
        _ => (path.to_owned(), None),
    }
}

/// Is it the index of a network that lies in several files beside it, as `transformers` names it?
pub fn is_index_of_shards(path: &Path) -> bool {
    path.to_string_lossy().ends_with(".index.json")
}

/// The files that an index of shards names, beside it.
fn shards(path: &Path) -> Result<Vec<Entry>> {
    if !is_index_of_shards(path) {
        return Ok(Vec::new());
    }
    let index: Option<Value> = fs::read(path).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let named = index.as_ref().and_then(|index| index.get("weight_map")?.as_object());
    let names: BTreeSet<&str> = named.into_iter().flat_map(|map| map.values().filter_map(Value::as_str)).collect();
    // What is not there, or not beside it, is the reader's to refuse.
    let beside = names.into_iter().filter(|name| !name.contains('/') && path.with_file_name(name).is_file());
    beside.map(|name| Entry::new(name.to_owned(), path.with_file_name(name))).collect()
}

/// Every file at or below `root`, named by its path below it (`/a/b.png`; a file that is `root` itself has no name), in
/// the order of the names. Links are followed.
fn files(root: &Path) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for found in WalkDir::new(root).follow_links(true) {
        let found = found.map_err(|error| walk_error(error, root))?;
        if found.file_type().is_dir() {
            continue;
        }
        let path = found.path();
        if !found.file_type().is_file() {
            // Reading a pipe could wait for ever.
            let path = path.display();
            return Err(Error::Data(format!(
                "{path} is no file, but a pipe, socket or device; take it away from there"
            )));
        }
        let below = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
        let name = if below.is_empty() { String::new() } else { format!("/{below}") };
        entries.push(Entry::new(name, path.to_owned())?);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn walk_error(error: walkdir::Error, root: &Path) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    let source = error.into_io_error();
    let source = source.unwrap_or_else(|| io::Error::other("this link leads back to a directory above it"));
    Error::io("read", &path)(source)
}

fn stat_digest(entries: &[Entry]) -> String {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        let changed = entry.changed.duration_since(UNIX_EPOCH).unwrap_or_default();
        hasher.update(format!("{}\0{}\0{}\n", entry.name, entry.size, changed.as_nanos()).as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

fn content_digest(entries: &[Entry]) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        let mut file = File::open(&entry.path).map_err(Error::io("open", &entry.path))?;
        let mut content = blake3::Hasher::new();
        io::copy(&mut file, &mut content).map_err(Error::io("read", &entry.path))?;
        hasher.update(entry.name.as_bytes()).update(&[0]).update(content.finalize().as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// The digest of a directory by its definition: over names and contents in the order of the names.
    fn expected(files: &[(&str, &str)]) -> String {
        let mut hasher = blake3::Hasher::new();
        for (name, content) in files {
            hasher.update(name.as_bytes()).update(&[0]).update(blake3::hash(content.as_bytes()).as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    #[test]
    fn a_directory_counts_by_the_names_and_contents_of_all_files_below_it() {
        let dir = tempfile::tempdir().unwrap();
        let (data, store) = (dir.path().join("data"), dir.path().join("store"));
        fs::create_dir_all(data.join("b/c/empty")).unwrap();
        let files = [("/a", "1"), ("/b/c/d.png", "22"), ("/b/e", ""), ("/b.png", "333")];
        for (name, content) in files {
            fs::write(data.join(&name[1..]), content).unwrap();
        }
        symlink(data.join("a"), data.join("z")).unwrap();
        let fingerprints = Fingerprints::open(&store);
        // `.` comes before `/`.
        let [a, d, e, b] = files;
        assert_eq!(fingerprints.digest(&data).unwrap(), expected(&[a, b, d, e, ("/z", "1")]));
        assert_eq!(fingerprints.digest(&data.join("a")).unwrap(), expected(&[("", "1")]));
    }

    #[test]
    fn what_cannot_be_read_to_an_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let fingerprints = Fingerprints::open(&dir.path().join("store"));
        let refusal = |data: &Path| fingerprints.digest(data).unwrap_err().to_string();
        let data = |name: &str| {
            fs::create_dir(dir.path().join(name)).unwrap();
            dir.path().join(name)
        };
        let socket = data("socket");
        drop(UnixListener::bind(socket.join("s")).unwrap());
        assert!(refusal(&socket).contains("socket/s is no file, but a pipe, socket or device"));
        let circle = data("circle");
        symlink(&circle, circle.join("again")).unwrap();
        assert!(refusal(&circle).contains("leads back to a directory above it"));
        let broken = data("broken");
        symlink("nowhere", broken.join("link")).unwrap();
        assert!(refusal(&broken).contains("cannot read") && refusal(&broken).contains("broken/link"));
    }
}
