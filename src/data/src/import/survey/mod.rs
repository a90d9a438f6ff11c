//! Looks at a folder of which nothing is known: how it is laid out, its classes and splits, its masks.
//!
//! ```text
//! layout    which reader fits, with its splits and classes
//! masks     a folder of masks for the pictures
//! ```

mod layout;
mod masks;

use std::collections::BTreeMap;
use std::path::Path;

use artifact::{Error, Result};

use super::source::is_background;
use super::tree::Tree;
use super::{Imported, Source, WithoutAnnotation, read};

/// The share of `train` that becomes `val` where there are no splits.
const VAL_SHARE: f64 = 0.2;

/// What was found.
pub struct Survey {
    /// How the folder can be read.
    pub source: Source,
    /// The data set so read; the faults of its files otherwise.
    pub imported: Result<Imported>,
}

/// Looks at the folder `root` and reads it as it seems to be meant.
///
/// The error is that nothing there is a data set; it says what is there.
pub fn survey(root: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Survey> {
    if !root.is_dir() {
        return Err(Error::Data(format!("{}: no such directory", root.display())));
    }
    let all = Tree::scan(root, None);
    let masks = masks::folder(root, &all);
    let tree = Tree::scan(root, masks.as_deref());
    let mut found = layout::find(root, &tree)?;
    found.classes.retain(|class| !is_background(class));
    if found.classes.is_empty() {
        return Err(Error::Data(format!("{}: no label is there; every image is background", root.display())));
    }
    let val_share =
        if found.splits.contains_key("train") && !found.splits.contains_key("val") { VAL_SHARE } else { 0.0 };
    let source = Source {
        layout: found.layout,
        unlabelled: found.unlabelled,
        masks,
        val_share,
        ..Source::voc(root.to_owned(), found.classes, found.splits)
    };
    let imported = read(&source, progress);
    if imported.is_err() {
        // Background pictures often have no annotation; that is tried, and said.
        let lenient = Source { without_annotation: WithoutAnnotation::Background, ..source.clone() };
        if let Ok(imported) = read(&lenient, progress) {
            return Ok(Survey { source: lenient, imported: Ok(imported) });
        }
    }
    Ok(Survey { source, imported })
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
