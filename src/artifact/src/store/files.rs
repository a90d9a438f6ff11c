//! Files as the store writes them: whole or not at all, named so that no two processes meet, lasting through a loss of
//! power.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{FileRecord, lease};
use crate::{Error, Result, failpoint};

/// Which file it is, and when its content or attributes last changed, which no program can set. If two stamps are
/// equal, nobody has changed or replaced the file in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// Of a file.
    pub fn of(path: &Path) -> Result<Self> {
        let meta = fs::metadata(path).map_err(Error::io("read", path))?;
        Ok(Self { inode: meta.ino(), changed: (meta.ctime(), meta.ctime_nsec()) })
    }
}

/// BLAKE3 of a file's bytes in hexadecimal.
pub(crate) fn file_digest(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io("open", path))?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut file, &mut hasher).map_err(Error::io("read", path))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// A name beside `path` that no other process uses, be it on this machine or another.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{}.tmp", lease::hostname(), std::process::id()))
}

/// Writes a file such that it is there whole or not at all: temporary name, sync, rename, sync of the directory.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    atomically(path, |temporary| {
        let mut file = File::create(temporary).map_err(Error::io("create", path))?;
        let written = file.write_all(content).and_then(|()| failpoint::pass("file.sync", path));
        written.and_then(|()| file.sync_all()).map_err(Error::io("write", path))
    })
}

/// The same of a file that another writer fills: `write` is given a temporary name. Returns what it wrote.
pub fn write_atomically_with(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<FileRecord> {
    atomically(path, |temporary| {
        write(temporary)?;
        FileRecord::of(temporary)
    })
}

/// Replaces a file in one step and does not wait for the disk: for what is of no worth after a loss of power.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary_name(path);
    fs::write(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Gives a file its name once `write` has written and synced it under a temporary one.
fn atomically<T>(path: &Path, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let temporary = temporary_name(path);
    let put = || {
        failpoint::pass("file.rename", path)?;
        fs::rename(&temporary, path)?;
        failpoint::pass("file.renamed", path)
    };
    let written = || {
        failpoint::pass("file.create", path).map_err(Error::io("write", path))?;
        let written = write(&temporary)?;
        put().map_err(Error::io("write", path))?;
        sync_dir(path.parent().unwrap_or(Path::new(".")))?;
        Ok(written)
    };
    written().inspect_err(|_| drop(fs::remove_file(&temporary)))
}

/// Removes a file, or a directory with all that is in it. It is no failure if there is none, or if another process
/// removes it too.
pub(crate) fn remove(path: &Path) -> Result<()> {
    loop {
        let is_dir = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir());
        match if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) } {
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(path).is_ok() => {}
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io("remove", path)(error)),
            _ => return Ok(()),
        }
    }
}

/// Makes the renames in a directory last through a loss of power. The directory of a bare file name is the current one.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Error::io("sync", dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_file_name_lies_in_the_current_directory() {
        sync_dir(Path::new("artifact.json").parent().unwrap()).unwrap();
        assert!(sync_dir(Path::new("no such directory")).is_err());
    }
}
