//! A folder of masks for the pictures of other folders.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::codec::{Paint, decode_painted};

use super::super::places::folder_of;
use super::super::tree::{Tree, is_picture, name, split_ending};

/// More numbers than a mask has: a picture in grey has them.
const MOST_CLASSES: usize = 64;
/// Files that are looked at.
const LOOKED_AT: usize = 3;
/// What people call such folders.
const NAMES: [&str; 5] = ["segmentation", "mask", "label", "annotation", "gt"];

/// The folder with most masks; of equal ones that which is called as such.
pub(super) fn folder(root: &Path, tree: &Tree) -> Option<String> {
    let mut by_folder: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut folders_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for file in tree.files().filter(|file| is_picture(file)) {
        by_folder.entry(folder_of(file)).or_default().push(file);
        folders_of.entry(stem(file)).or_default().insert(folder_of(file));
    }
    let mut best: Option<(usize, bool, &str)> = None;
    for (folder, files) in &by_folder {
        let paired = files.iter().filter(|file| folders_of[stem(file)].len() > 1).count();
        if folder.is_empty()
            || paired * 2 < files.len()
            || !files.iter().take(LOOKED_AT).all(|file| is_mask(root, file))
        {
            continue;
        }
        let called = NAMES.iter().any(|known| name(folder).to_lowercase().contains(known));
        if best.is_none_or(|best| (paired, called) > (best.0, best.1)) {
            best = Some((paired, called, folder));
        }
    }
    best.map(|(_, _, folder)| folder.to_owned())
}

fn stem(file: &str) -> &str {
    name(split_ending(file).0)
}

fn is_mask(root: &Path, file: &str) -> bool {
    let painted = std::fs::read(root.join(file)).ok().and_then(|bytes| decode_painted(&bytes).ok());
    painted.is_some_and(|painted| {
        let used: BTreeSet<u8> = painted.numbers.classes.iter().copied().collect();
        painted.paint == Paint::Palette || used.len() <= MOST_CLASSES
    })
}
