//! Looks at a folder of which nothing is known: how it is laid out, its classes and splits, its masks.
//!
//! ```text
//! layout    which reader fits, with its splits and classes
//! masks     a folder of masks for the pictures
//! ```

mod layout;
mod masks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use artifact::{Error, Result};

use super::source::is_background;
use super::tree::Tree;
use super::{Imported, Source, WithoutAnnotation, read};

/// The classes of PASCAL VOC 2012 in the order of its masks.
pub const VOC_CLASSES: [&str; 20] = [
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
];
/// The share of `train` that becomes `val` where there are no splits.
const VAL_SHARE: f64 = 0.2;

/// What was found.
pub struct Survey {
    /// How the folder can be read.
    pub source: Source,
    /// The data set so read; the faults of its files otherwise.
    pub imported: Result<Imported>,
    /// Sentences about what was tried before: what of the folder is left out, or read otherwise.
    pub notes: Vec<String>,
}

/// Looks at the folder `root` and reads it as it seems to be meant.
///
/// The error is that nothing there is a data set; it says what is there.
pub fn survey(root: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Survey> {
    if !root.is_dir() {
        return Err(Error::Data(format!("{}: no such directory", root.display())));
    }
    let root = &inner(root);
    let all = Tree::scan(root, None);
    let masks = masks::folder(root, &all);
    let tree = Tree::scan(root, masks.as_deref());
    let mut found = layout::find(root, &tree)?;
    found.classes.retain(|class| !is_background(class));
    if found.classes.is_empty() {
        return Err(Error::Data(format!("{}: no label is there; every image is background", root.display())));
    }
    let has = |split: &str| found.splits.contains_key(split);
    let val_share = if has("train") && !has("val") { VAL_SHARE } else { 0.0 };
    let source = Source {
        layout: found.layout,
        unlabelled: found.unlabelled,
        masks,
        val_share,
        ..Source::voc(root.clone(), found.classes, found.splits)
    };
    let first = match read(&source, progress) {
        Ok(imported) => return Ok(Survey { source, imported: Ok(imported), notes: vec![] }),
        Err(error) => error,
    };
    for (source, note) in other_readings(&source, &first) {
        if let Ok(imported) = read(&source, progress) {
            return Ok(Survey { source, imported: Ok(imported), notes: note.into_iter().collect() });
        }
    }
    Ok(Survey { source, imported: Err(first), notes: vec![] })
}

/// What else a folder that could not be read as it stands may be, the most complete reading first.
fn other_readings(source: &Source, error: &Error) -> Vec<(Source, Option<String>)> {
    // Background pictures often have no annotation; reading them so is noted by the import itself.
    let lenient = Source { without_annotation: WithoutAnnotation::Background, ..source.clone() };
    let mut others = vec![(lenient.clone(), None)];
    if source.masks.is_some() && source.classes.iter().all(|class| VOC_CLASSES.contains(&class.as_str())) {
        let all = Some(VOC_CLASSES.map(str::to_owned).to_vec());
        let note = "the masks number all classes of VOC 2012 (mask_classes); those without labels are background";
        others.push((Source { mask_classes: all.clone(), ..source.clone() }, Some(note.to_owned())));
        others.push((Source { mask_classes: all, ..lenient.clone() }, Some(note.to_owned())));
    }
    if let Some(masks) = &source.masks {
        // Masks are for scores alone.
        let why = error.to_string();
        let why = why.lines().nth(1).unwrap_or(&why).trim();
        let note = format!("{masks} is left out, so that nothing is scored: {why}");
        others.push((Source { masks: None, ..source.clone() }, Some(note.clone())));
        others.push((Source { masks: None, ..lenient }, Some(note)));
    }
    others
}

/// The folder inside a folder that holds nothing else, as `VOC2012` in `VOCdevkit`.
fn inner(root: &Path) -> PathBuf {
    let mut root = root.to_owned();
    loop {
        let entries = std::fs::read_dir(&root).into_iter().flatten().flatten();
        let mut entries = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
        match (entries.next(), entries.next()) {
            (Some(only), None) if only.path().is_dir() && split_of(&only.file_name().to_string_lossy()).is_none() => {
                root = only.path();
            }
            _ => return root,
        }
    }
}

/// The split that a file or folder of this name is for.
fn split_of(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |known: &[&str]| words.iter().any(|word| known.iter().any(|known| word.starts_with(known)));
    // A word such as `trainval` is the training split.
    if has(&["train", "default"]) {
        Some("train")
    } else if has(&["val"]) {
        Some("val")
    } else if has(&["test"]) {
        Some("test")
    } else {
        None
    }
}

/// The files of each split by their names; if none is named so, the only one is `train`.
fn by_split(files: &[&str]) -> BTreeMap<String, String> {
    let mut splits: BTreeMap<String, String> = BTreeMap::new();
    for file in files {
        if let Some(split) = split_of(file) {
            splits.entry(split.to_owned()).or_insert_with(|| (*file).to_owned());
        }
    }
    if let (true, [only]) = (splits.is_empty(), files) {
        splits.insert("train".to_owned(), (*only).to_owned());
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_splits() {
        for (name, split) in [
            ("train/_annotations.coco.json", Some("train")),
            ("ImageSets/Segmentation/trainval.txt", Some("train")),
            ("default.txt", Some("train")),
            ("instances_val2017.json", Some("val")),
            ("valid", Some("val")),
            ("test", Some("test")),
            ("contest", None),
            ("labels.csv", None),
        ] {
            assert_eq!(split_of(name), split, "{name}");
        }
        let both = by_split(&["a/train.txt", "a/trainval.txt", "a/val.txt"]);
        assert_eq!(both["train"], "a/train.txt");
        assert_eq!(by_split(&["labels.csv"])["train"], "labels.csv");
        assert!(by_split(&["a.csv", "b.csv"]).is_empty());
    }
}
