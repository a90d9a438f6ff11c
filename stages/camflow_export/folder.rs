//! A folder with a file an image. Each file is there whole or not at all; what is there already is left alone if it is
//! the same, and stays if it is not, unless that is asked for.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use artifact::store::write_atomically;
use artifact::{Error, ImageId, Result};
use rayon::iter::{ParallelBridge as _, ParallelIterator as _};
use stage::Progress;
use walkdir::WalkDir;

use crate::names;
use crate::whole_file::write;

/// The folder, and what is to be in it.
pub struct Folder<'a> {
    root: &'a Path,
    files: BTreeMap<ImageId, PathBuf>,
    force: bool,
}

/// What was done.
pub struct Filled {
    /// Files that are there now.
    pub files: usize,
    /// Those of them that were there before.
    pub unchanged: usize,
}

impl<'a> Folder<'a> {
    /// `ending` includes its dot. Makes the folder, and refuses one that holds other files, unless `force` says so.
    pub fn open(root: &'a Path, ids: Vec<ImageId>, ending: &str, force: bool) -> Result<Self> {
        let files = names::plan(ids, ending)?;
        if fs::metadata(root).is_ok_and(|meta| !meta.is_dir()) {
            return Err(Error::Config(format!("{} is a file; name a folder", root.display())));
        }
        fs::create_dir_all(root).map_err(Error::io("make the folder", root))?;
        let folder = Self { root, files, force };
        folder.check_case()?;
        if !force {
            folder.check_foreign()?;
        }
        Ok(folder)
    }

    /// Two names that differ in capitals alone are two files on some disks and one on others.
    fn check_case(&self) -> Result<()> {
        let Some([one, other]) = names::meeting(&self.files) else { return Ok(()) };
        let root = self.root.display();
        if ignores_case(self.root)? {
            return Err(Error::Data(format!(
                "images '{one}' and '{other}' are one file in {root}, where capitals do not count; name a folder on \
                 another disk, or other splits"
            )));
        }
        let said = format!(
            "images '{one}' and '{other}' differ in capitals alone; on a disk where these do not count, one file would \
             take the place of the other"
        );
        stage::say("camflow export", said);
        Ok(())
    }

    /// Stale files among new ones would be taken for new ones.
    fn check_foreign(&self) -> Result<()> {
        let own: HashSet<&Path> = self.files.values().map(PathBuf::as_path).collect();
        let (mut count, mut first) = (0, None);
        for entry in WalkDir::new(self.root).sort_by_file_name() {
            let entry = entry.map_err(|why| Error::Data(format!("{}: {why}", self.root.display())))?;
            let file = entry.path().strip_prefix(self.root).unwrap_or(entry.path()).to_owned();
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if !entry.file_type().is_dir() && !hidden && !own.contains(file.as_path()) {
                count += 1;
                first.get_or_insert(file);
            }
        }
        let Some(first) = first else { return Ok(()) };
        let (root, first) = (self.root.display(), first.display());
        Err(Error::Config(format!(
            "{root} holds {count} files that do not belong to this, such as {first}; name an empty folder, or --force \
             to write among them"
        )))
    }

    /// Writes the files, on all cores. `rows` gives what they are made of, an image each, and is asked a second time
    /// where files are there already; `encode` gives the bytes.
    pub fn fill<R, I>(
        &self,
        rows: impl Fn() -> Result<I>,
        encode: impl Fn(R) -> Result<Vec<u8>> + Sync,
    ) -> Result<Filled>
    where
        R: Send,
        I: Iterator<Item = Result<(ImageId, R)>> + Send,
    {
        let there = self.files.values().filter(|file| self.root.join(file).exists()).count();
        if there > 0 && !self.force {
            let progress = Progress::new("camflow export", "files compared", 0, self.files.len());
            self.for_each(rows()?, &progress, |path, row| self.compare(path, || encode(row)))?;
        }
        let (unchanged, progress) =
            (AtomicUsize::new(0), Progress::new("camflow export", "files", 0, self.files.len()));
        self.for_each(rows()?, &progress, |path, row| {
            let bytes = encode(row)?;
            if there > 0 && holds(path, &bytes) {
                unchanged.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            write(path, &bytes)
        })?;
        Ok(Filled { files: self.files.len(), unchanged: unchanged.into_inner() })
    }

    fn for_each<R: Send>(
        &self,
        rows: impl Iterator<Item = Result<(ImageId, R)>> + Send,
        progress: &Progress,
        each: impl Fn(&Path, R) -> Result<()> + Sync,
    ) -> Result<()> {
        let done = rows.par_bridge().try_for_each(|row| {
            let (id, row) = row?;
            let Some(file) = self.files.get(&id) else { return Ok(()) };
            each(&self.root.join(file), row)?;
            progress.advance(1, String::new);
            Ok(())
        });
        progress.finish();
        done
    }

    fn compare(&self, path: &Path, bytes: impl FnOnce() -> Result<Vec<u8>>) -> Result<()> {
        if !path.exists() || holds(path, &bytes()?) {
            return Ok(());
        }
        let root = self.root.display();
        Err(Error::Config(format!(
            "{} is there and differs; nothing was written. Name an empty folder, or --force to write over what is in \
             {root}",
            path.display()
        )))
    }
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() == bytes.len() as u64)
        && fs::read(path).is_ok_and(|found| found == bytes)
}

/// Writes some files, each whole or not at all and none unless all can be. What is there stays if it differs, unless
/// `force` says so.
pub fn write_these(files: &[(&Path, &[u8])], force: bool) -> Result<()> {
    let open: Vec<_> = files.iter().filter(|(path, bytes)| !holds(path, bytes)).collect();
    if let Some((path, _)) = open.iter().find(|(path, _)| !force && path.exists()) {
        return Err(Error::Config(format!(
            "{} is there and differs, and nothing was written; name another folder, or --force to write over it",
            path.display()
        )));
    }
    for (path, bytes) in open {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
        write_atomically(path, bytes)?;
    }
    Ok(())
}

/// Are two names that differ in capitals one file there?
fn ignores_case(folder: &Path) -> Result<bool> {
    let probe = tempfile::Builder::new().prefix(".camflow-Case").tempfile_in(folder);
    let probe = probe.map_err(Error::io("write", folder))?;
    let name = probe.path().file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    Ok(folder.join(name).exists())
}
