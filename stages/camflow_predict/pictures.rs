//! From the command line to pictures, each with the name of what is made of it.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use artifact::{Error, Result};
use data::codec::is_encoded;
use data::import::{is_other_picture, is_picture};
use walkdir::WalkDir;

/// What the standard input is called.
const STANDARD_INPUT: &str = "-";

/// A picture to look at.
#[derive(Debug)]
pub struct Picture {
    source: PictureSource,
    /// The folder of all that is made.
    root: PathBuf,
    /// Where in it what is made of this picture goes, without an ending.
    place: PathBuf,
}

#[derive(Debug)]
enum PictureSource {
    File(PathBuf),
    /// What came from the standard input.
    Bytes(Vec<u8>),
}

impl Picture {
    /// What messages call it.
    pub fn name(&self) -> String {
        match &self.source {
            PictureSource::File(path) => path.display().to_string(),
            PictureSource::Bytes(_) => STANDARD_INPUT.to_owned(),
        }
    }

    /// The picture's file.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match &self.source {
            PictureSource::File(path) => {
                std::fs::read(path).map_err(|why| Error::Data(format!("cannot be read: {why}")))
            }
            PictureSource::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    /// A file that is made of it, in the folder `kind` of all that is made, or in that itself. `ending` includes its
    /// dot.
    pub fn file(&self, kind: &str, ending: &str) -> PathBuf {
        let mut file = self.root.join(kind).join(&self.place).into_os_string();
        file.push(ending);
        file.into()
    }
}

/// What is to be made.
pub struct Plan {
    /// Of each picture.
    pub made: Vec<Made>,
    /// May it take the place of what is there?
    pub force: bool,
}

/// A file that is made of each picture: see [`Picture::file`].
pub struct Made {
    pub kind: &'static str,
    pub ending: String,
}

impl Plan {
    fn files(&self, picture: &Picture) -> Vec<PathBuf> {
        self.made.iter().map(|Made { kind, ending }| picture.file(kind, ending)).collect()
    }
}

/// The pictures that the words of a command line mean, in their order; of a folder all below it, by name. What lies in
/// `out` is no picture to look at, and nothing that is made takes the place of another thing.
pub fn find(words: &[PathBuf], out: &Path, plan: &Plan) -> Result<Found> {
    let mut search = Search { out, pictures: Vec::new(), seen: HashSet::new(), left_out: Vec::new() };
    for word in words {
        search.add(word)?;
    }
    check(&search.pictures, out, plan)?;
    let Search { pictures, left_out, .. } = search;
    Ok(Found { pictures, left_out })
}

/// What was found.
pub struct Found {
    pub pictures: Vec<Picture>,
    /// Pictures in folders of kinds that cannot be read.
    pub left_out: Vec<PathBuf>,
}

struct Search<'a> {
    out: &'a Path,
    pictures: Vec<Picture>,
    /// The files so far: what is named twice is looked at once.
    seen: HashSet<PathBuf>,
    left_out: Vec<PathBuf>,
}

impl Search<'_> {
    fn add(&mut self, word: &Path) -> Result<()> {
        let pattern = word.to_str().filter(|text| text.contains(['*', '?', '[']));
        if word == Path::new(STANDARD_INPUT) {
            self.add_standard_input()
        } else if word.is_dir() {
            self.add_folder(word)
        } else if let Some(pattern) = pattern.filter(|_| !word.exists()) {
            self.add_pattern(pattern)
        } else if word.exists() {
            self.add_file(word, Path::new(word.file_name().unwrap_or_default()));
            Ok(())
        } else {
            Err(Error::Config(format!("there is no picture and no folder {}", word.display())))
        }
    }

    fn add_file(&mut self, path: &Path, place: &Path) {
        if !self.seen.insert(path.canonicalize().unwrap_or_else(|_| path.to_owned())) {
            return;
        }
        let source = PictureSource::File(path.to_owned());
        self.pictures.push(Picture { source, root: self.out.to_owned(), place: place.with_extension("") });
    }

    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let out = self.out.canonicalize().ok();
        let is_out = |path: &Path| out.is_some() && path.canonicalize().ok() == out;
        if is_out(folder) {
            let folder = folder.display();
            return Err(Error::Config(format!(
                "--out: {folder} is the folder of the pictures; masks among them would be taken for pictures next time"
            )));
        }
        let before = self.pictures.len();
        let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
        for entry in entries.filter_entry(|entry| !entry.file_type().is_dir() || !is_out(entry.path())) {
            // What cannot be looked at, such as a link that leads nowhere, is a bad picture among others.
            let (path, is_file) = match &entry {
                Ok(entry) => (entry.path(), entry.file_type().is_file()),
                Err(why) => (why.path().unwrap_or(folder), true),
            };
            if is_file && (entry.is_err() || is_picture(&path.to_string_lossy())) {
                self.add_file(path, path.strip_prefix(folder).unwrap_or(path));
            } else if is_file && is_other_picture(&path.to_string_lossy()) {
                self.left_out.push(path.to_owned());
            }
        }
        if self.pictures.len() == before && self.seen.is_empty() {
            return Err(Error::Config(format!("{}: there is no picture in this folder", folder.display())));
        }
        Ok(())
    }

    /// What a pattern means keeps its place below the part of the pattern that is no pattern.
    fn add_pattern(&mut self, pattern: &str) -> Result<()> {
        let wrong = |why: String| Error::Config(format!("'{pattern}': {why}"));
        let is_plain = |part: &Path| !part.to_string_lossy().contains(['*', '?', '[']);
        let base = Path::new(pattern).ancestors().find(|part| is_plain(part)).unwrap_or(Path::new(""));
        let before = self.pictures.len();
        for path in glob::glob(pattern).map_err(|why| wrong(why.to_string()))? {
            let path = path.map_err(|why| wrong(why.to_string()))?;
            if path.is_file() {
                self.add_file(&path, path.strip_prefix(base).unwrap_or(&path));
            }
        }
        if self.pictures.len() == before && self.seen.is_empty() {
            return Err(wrong("no file is called so".to_owned()));
        }
        Ok(())
    }

    fn add_standard_input(&mut self) -> Result<()> {
        let mut bytes = Vec::new();
        let action = || "cannot read the standard input".to_owned();
        std::io::stdin().read_to_end(&mut bytes).map_err(|source| Error::Io { action: action(), source })?;
        if is_encoded(&bytes) {
            let source = PictureSource::Bytes(bytes);
            self.pictures.push(Picture { source, root: self.out.to_owned(), place: "stdin".into() });
            return Ok(());
        }
        // Names are bytes; where one may hold a line's end, zeros stand between them, as `find -print0` writes it.
        let between = if bytes.contains(&0) { 0 } else { b'\n' };
        let names = bytes.split(|byte| *byte == between).map(|name| name.strip_suffix(b"\r").unwrap_or(name));
        let names: Vec<&Path> =
            names.filter(|name| !name.is_empty()).map(|name| Path::new(OsStr::from_bytes(name))).collect();
        if names.is_empty() {
            return Err(Error::Data("the standard input is empty; give a picture, or names one a line".to_owned()));
        }
        if std::str::from_utf8(&bytes).is_err() && !names.iter().any(|name| name.exists()) {
            let neither = "the standard input is neither a JPEG or PNG nor a list of their names, one a line";
            return Err(Error::Data(neither.to_owned()));
        }
        // A name in a list is no pattern, and one that is not there is a bad picture among others.
        for name in names {
            if name.is_dir() {
                self.add_folder(name)?;
            } else {
                self.add_file(name, Path::new(name.file_name().unwrap_or_default()));
            }
        }
        Ok(())
    }
}

/// No two pictures are made into one file, and none into a picture. What else is there is written over only where
/// `force` says so.
fn check(pictures: &[Picture], out: &Path, plan: &Plan) -> Result<()> {
    let mut made: HashMap<PathBuf, &Picture> = HashMap::new();
    for picture in pictures {
        for file in plan.files(picture) {
            if let Some(other) = made.insert(file.clone(), picture) {
                let (one, other, file) = (other.name(), picture.name(), file.display());
                return Err(Error::Config(format!(
                    "{one} and {other} would both be made into {file}; rename one, or give the folder that holds the \
                     folders of both, or call twice with another --out"
                )));
            }
        }
    }
    // Without that folder nothing lies in it.
    let Ok(folder) = out.canonicalize() else { return Ok(()) };
    let place = |file: &Path| Some(folder.join(file.strip_prefix(out).ok()?));
    let places: HashSet<PathBuf> = made.keys().filter_map(|file| place(file)).collect();
    let overwritten = pictures.iter().find(|picture| match &picture.source {
        PictureSource::File(path) => path.canonicalize().is_ok_and(|path| places.contains(&path)),
        PictureSource::Bytes(_) => false,
    });
    if let Some(picture) = overwritten {
        let name = picture.name();
        let reason = format!("--out: what is made would take the place of {name}; name another folder");
        return Err(Error::Config(reason));
    }
    let there = pictures.iter().flat_map(|picture| plan.files(picture)).find(|file| !plan.force && file.exists());
    match there {
        None => Ok(()),
        Some(file) => Err(Error::Config(format!(
            "{} is there already; name another folder, or --force to write over what is in this one",
            file.display()
        ))),
    }
}
