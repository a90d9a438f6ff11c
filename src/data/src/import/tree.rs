//! The files below a data set's root, found by names that lists, annotations and file systems write differently:
//! another case of letters, composed or decomposed accents (NFC, NFD), backslashes, the path of another machine.

use std::collections::HashMap;
use std::path::Path;

use unicode_normalization::UnicodeNormalization as _;
use walkdir::WalkDir;

/// Endings of pictures that can be read.
pub(super) const PICTURES: [&str; 5] = ["jpg", "jpeg", "png", "jpe", "jfif"];
/// Endings of pictures that cannot, which a message should name.
const OTHER_PICTURES: [&str; 6] = ["bmp", "gif", "heic", "tif", "tiff", "webp"];

/// All files below a root; paths are relative to it, with `/`.
#[derive(Debug, Default)]
pub(super) struct Tree {
    files: Vec<String>,
    /// By folded path.
    by_path: HashMap<String, Vec<usize>>,
    /// Pictures by their folded path without ending.
    by_stem: HashMap<String, Vec<usize>>,
    /// Pictures by the folded last part of that.
    by_picture_name: HashMap<String, Vec<usize>>,
    /// Every file by the folded last part of its path.
    by_name: HashMap<String, Vec<usize>>,
}

impl Tree {
    /// Lists everything below `root`. What lies in the directory `masks`, or in one that VOC has for masks, is no
    /// picture.
    pub(super) fn scan(root: &Path, masks: Option<&str>) -> Self {
        let entries = WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_map(Result::ok);
        let files = entries.filter(|entry| !entry.file_type().is_dir());
        let relative = |path: &Path| Some(path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/"));
        Self::of(files.filter_map(|entry| relative(entry.path())).collect(), masks)
    }

    fn of(files: Vec<String>, masks: Option<&str>) -> Self {
        let masks = masks.map(|masks| format!("{}/", fold(masks.trim_end_matches('/'))));
        let is_mask = |folded: &str| {
            masks.as_ref().is_some_and(|masks| folded.starts_with(masks))
                || folded.split('/').any(|part| part.starts_with("segmentation"))
        };
        let mut this = Self::default();
        for (index, file) in files.iter().enumerate() {
            let folded = fold(file);
            if is_picture(&folded) && !is_mask(&folded) {
                let stem = split_ending(&folded).0;
                this.by_stem.entry(stem.to_owned()).or_default().push(index);
                this.by_picture_name.entry(name(stem).to_owned()).or_default().push(index);
            }
            this.by_name.entry(name(&folded).to_owned()).or_default().push(index);
            this.by_path.entry(folded).or_default().push(index);
        }
        Self { files, ..this }
    }

    /// Does any file lie in this folder?
    pub(super) fn has_folder(&self, folder: &str) -> bool {
        let folder = format!("{}/", fold(folder.trim_matches('/')));
        self.by_path.keys().any(|path| path.starts_with(&folder))
    }

    /// Every file.
    pub(super) fn files(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(String::as_str)
    }

    /// Every picture, by path.
    pub(super) fn pictures(&self) -> impl Iterator<Item = &str> {
        let mut indices: Vec<usize> = self.by_stem.values().flatten().copied().collect();
        indices.sort_unstable();
        indices.into_iter().map(|index| self.files[index].as_str())
    }

    /// The files that `path` can mean: those written exactly so, else those that differ in the form of accents, else
    /// those that differ in case too.
    pub(super) fn file(&self, path: &str) -> Vec<&str> {
        self.nearest(self.by_path.get(&fold(path)), path, |file| file)
    }

    /// The pictures with the path `stem` and any ending.
    pub(super) fn picture(&self, stem: &str) -> Vec<&str> {
        self.nearest(self.by_stem.get(&fold(stem)), stem, |file| split_ending(file).0)
    }

    /// The pictures called `stem` in any folder.
    pub(super) fn pictures_called(&self, stem: &str) -> Vec<&str> {
        self.nearest(self.by_picture_name.get(&fold(stem)), stem, |file| split_ending(name(file)).0)
    }

    /// The files that a path of another machine can mean: those at the longest end of it that is a path here, of two
    /// parts at the least.
    pub(super) fn at_end_of(&self, path: &str) -> Vec<&str> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let ends = (0..parts.len().saturating_sub(1)).map(|from| self.file(&parts[from..].join("/")));
        ends.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
    }

    /// A picture called `stem` of a kind that cannot be read.
    pub(super) fn unreadable_picture(&self, stem: &str) -> Option<&str> {
        let named = |ending: &&str| self.by_name.get(&fold(&format!("{stem}.{ending}")));
        OTHER_PICTURES.iter().find_map(named).map(|found| self.files[found[0]].as_str())
    }

    /// The names in a folder, files and folders, each once.
    pub(super) fn names_in(&self, folder: &str) -> Vec<&str> {
        let below =
            |file| if folder.is_empty() { Some(file) } else { str::strip_prefix(file, folder)?.strip_prefix('/') };
        let mut names: Vec<&str> = self.files().filter_map(below).filter_map(|rest| rest.split('/').next()).collect();
        names.dedup();
        names
    }

    /// Those of `found` that are written as `wanted` most exactly.
    fn nearest<'a>(
        &'a self,
        found: Option<&Vec<usize>>,
        wanted: &str,
        of: impl Fn(&'a str) -> &'a str,
    ) -> Vec<&'a str> {
        let found: Vec<&str> = found.into_iter().flatten().map(|index| self.files[*index].as_str()).collect();
        let same = |form: &dyn Fn(&str) -> String| -> Vec<&str> {
            let wanted = form(wanted);
            found.iter().copied().filter(|file| form(of(file)) == wanted).collect()
        };
        let exactly = same(&str::to_owned);
        if !exactly.is_empty() {
            return exactly;
        }
        let composed = same(&compose);
        if composed.is_empty() { found } else { composed }
    }
}

/// One form of each accented letter (NFC).
pub(super) fn compose(text: &str) -> String {
    text.nfc().collect()
}

/// The form in which names are compared.
fn fold(text: &str) -> String {
    compose(&text.to_lowercase())
}

/// The last part of a path.
pub(super) fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A path without its ending, and the ending without its dot.
pub(super) fn split_ending(path: &str) -> (&str, Option<&str>) {
    match name(path).rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() => (&path[..path.len() - ending.len() - 1], Some(ending)),
        _ => (path, None),
    }
}

/// Does the name of a file end as a picture of a kind that cannot be read?
pub fn is_other_picture(path: &str) -> bool {
    split_ending(path).1.is_some_and(|ending| OTHER_PICTURES.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

/// Does the name of a file end as a picture that can be read?
pub fn is_picture(path: &str) -> bool {
    split_ending(path).1.is_some_and(|ending| PICTURES.iter().any(|known| known.eq_ignore_ascii_case(ending)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_spelling_is_meant() {
        let tree = ["A/x.JPG", "A/X.jpg", "A/cafe\u{301}.png", "B/y.Jpeg", "M/z.png"];
        let tree = Tree::of(tree.map(str::to_owned).into(), Some("M"));
        assert_eq!(tree.file("A/x.JPG"), ["A/x.JPG"]);
        assert_eq!(tree.file("a/x.jpg"), ["A/x.JPG", "A/X.jpg"], "two can be meant");
        assert_eq!(tree.file("A/caf\u{e9}.PNG"), ["A/cafe\u{301}.png"]);
        assert_eq!(tree.picture("A/x"), ["A/x.JPG"]);
        assert_eq!(tree.picture("B/y"), ["B/y.Jpeg"]);
        assert_eq!(tree.pictures_called("y"), ["B/y.Jpeg"]);
        assert_eq!(tree.pictures_called("z"), Vec::<&str>::new(), "a mask is no picture");
        assert_eq!(tree.at_end_of("/data/other/B/y.jpeg"), ["B/y.Jpeg"]);
        assert_eq!(tree.at_end_of("/data/y.jpeg"), Vec::<&str>::new(), "a name alone is no path");
        assert_eq!(tree.names_in("A"), ["x.JPG", "X.jpg", "cafe\u{301}.png"]);
        assert_eq!(tree.names_in(""), ["A", "B", "M"]);
    }
}
