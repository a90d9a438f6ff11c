//! From the command line to pictures, each with the name of what is made of it.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use artifact::{Error, Result};
use data::codec::is_encoded;
use data::import::is_picture;
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

/// A file that is made of each picture: see [`Picture::file`].
pub struct Made {
    pub kind: &'static str,
    pub ending: String,
}

/// The pictures that the words of a command line mean, in their order; of a folder all below it, by name. What lies in
/// `out` is no picture to look at, and nothing that is made takes the place of another thing.
pub fn find(words: &[PathBuf], out: &Path, made_of_each: &[Made]) -> Result<Vec<Picture>> {
    let mut found = Found { out, pictures: Vec::new() };
    for word in words {
        found.add(word)?;
    }
    check(&found.pictures, out, made_of_each)?;
    Ok(found.pictures)
}

struct Found<'a> {
    out: &'a Path,
    pictures: Vec<Picture>,
}

impl Found<'_> {
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
            }
        }
        if self.pictures.len() == before {
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
        if self.pictures.len() == before { Err(wrong("no file is called so".to_owned())) } else { Ok(()) }
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
        let text = String::from_utf8(bytes).map_err(|_| {
            Error::Data("the standard input is neither a JPEG or PNG nor a list of their names, one a line".to_owned())
        })?;
        let names: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        if names.is_empty() {
            return Err(Error::Data("the standard input is empty; give a picture, or names one a line".to_owned()));
        }
        // A name in a list is no pattern, and one that is not there is a bad picture among others.
        for name in names.into_iter().map(Path::new) {
            if name.is_dir() {
                self.add_folder(name)?;
            } else {
                self.add_file(name, Path::new(name.file_name().unwrap_or_default()));
            }
        }
        Ok(())
    }
}

/// No two pictures are made into one file, and none into a picture.
fn check(pictures: &[Picture], out: &Path, made_of_each: &[Made]) -> Result<()> {
    let files =
        |picture: &Picture| made_of_each.iter().map(|Made { kind, ending }| picture.file(kind, ending)).collect();
    let mut made: HashMap<PathBuf, &Picture> = HashMap::new();
    for picture in pictures {
        let files: Vec<PathBuf> = files(picture);
        for file in files {
            if let Some(other) = made.insert(file.clone(), picture) {
                let (one, other, file) = (other.name(), picture.name(), file.display());
                return Err(Error::Config(format!(
                    "{one} and {other} would both be made into {file}; give the folder that holds both, or rename one, \
                     or call twice with another --out"
                )));
            }
        }
    }
    // Without that folder no picture lies in it.
    let Ok(folder) = out.canonicalize() else { return Ok(()) };
    let made: HashSet<PathBuf> =
        made.keys().filter_map(|file| Some(folder.join(file.strip_prefix(out).ok()?))).collect();
    let overwritten = pictures.iter().find(|picture| match &picture.source {
        PictureSource::File(path) => path.canonicalize().is_ok_and(|path| made.contains(&path)),
        PictureSource::Bytes(_) => false,
    });
    match overwritten {
        None => Ok(()),
        Some(picture) => Err(Error::Config(format!(
            "--out: what is made would take the place of {}; name another folder",
            picture.name()
        ))),
    }
}
