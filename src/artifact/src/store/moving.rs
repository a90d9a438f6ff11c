//! Directories and links that change their place in the store: by one rename, or where the new place is on another file
//! system, as a copy that is synced and then renamed.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::{Store, remove};
use crate::{Error, failpoint};

/// Moves a file or directory to a place where nothing is. `place` is the failpoint before the rename.
pub(super) fn move_to(place: Option<&'static str>, from: &Path, to: &Path) -> io::Result<()> {
    let renamed = place.map_or(Ok(()), |place| failpoint::pass(place, to)).and_then(|()| fs::rename(from, to));
    match renamed {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let copy = beside(to);
            remove(&copy).map_err(io::Error::other)?;
            copy_all(from, &copy)?;
            fs::rename(&copy, to)?;
            sync(to.parent().unwrap_or(Path::new(".")))?;
            remove(from).map_err(io::Error::other)
        }
        renamed => renamed,
    }
}

/// Moves a symbolic link into the place of another.
pub(super) fn move_link(place: &'static str, from: &Path, to: &Path) -> io::Result<()> {
    match failpoint::pass(place, to).and_then(|()| fs::rename(from, to)) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            let copy = beside(to);
            remove(&copy).map_err(io::Error::other)?;
            symlink(fs::read_link(from)?, &copy)?;
            fs::rename(&copy, to)?;
            fs::remove_file(from)
        }
        renamed => renamed,
    }
}

/// Where something lies while it is copied. Nobody takes it for an artifact, and who moves to the same place next
/// removes what a killed process left there.
fn beside(to: &Path) -> PathBuf {
    to.with_file_name(format!(".{}.incoming", to.file_name().unwrap_or_default().to_string_lossy()))
}

fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    for entry in WalkDir::new(from) {
        let entry = entry?;
        let target = match entry.path().strip_prefix(from) {
            Ok(below) if !below.as_os_str().is_empty() => to.join(below),
            _ => to.to_owned(),
        };
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            sync(&target)?;
        }
    }
    let dirs = WalkDir::new(to).into_iter().flatten().filter(|entry| entry.file_type().is_dir());
    dirs.into_iter().try_for_each(|dir| sync(dir.path()))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

impl Store {
    /// What to expect where the results of a stage lie on another file system than the work that becomes them; `None`
    /// where a rename does.
    pub fn copies(&self, stage: &str) -> Result<Option<String>, Error> {
        let (work, dir) = (self.root.join("work"), self.root.join(stage));
        // A stage that never ran gets its directory in the store's own.
        let dir = if dir.exists() { dir } else { self.root.clone() };
        let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev()).map_err(Error::io("read", path));
        let apart = device(&work)? != device(&dir)?;
        let (work, dir) = (work.display(), dir.display());
        Ok(apart.then(|| {
            format!(
                "{work} and {dir} are on two file systems: results are copied when they are done, which takes room and \
                 time"
            )
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_and_a_link_move_to_another_file_system_and_leave_nothing() {
        let Ok(other) = tempfile::tempdir_in("/dev/shm") else { return };
        let here = tempfile::tempdir().unwrap();
        let from = here.path().join("work");
        fs::create_dir_all(from.join("data/deep")).unwrap();
        fs::write(from.join("data/deep/part"), "rows").unwrap();
        symlink("target", here.path().join("link")).unwrap();
        let to = other.path().join("artifact");
        // What a killed process left on its way to the same place.
        fs::create_dir_all(beside(&to).join("half")).unwrap();
        move_to(None, &from, &to).unwrap();
        move_link("latest.rename", &here.path().join("link"), &other.path().join("latest")).unwrap();
        assert_eq!(fs::read_to_string(to.join("data/deep/part")).unwrap(), "rows");
        assert_eq!(fs::read_link(other.path().join("latest")).unwrap(), Path::new("target"));
        assert!(fs::read_dir(here.path()).unwrap().next().is_none());
        assert_eq!(fs::read_dir(other.path()).unwrap().count(), 2);
    }
}
