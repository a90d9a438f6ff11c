//! Which reader fits a folder: COCO's JSON, annotations, tables, or folders of classes, in this order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use artifact::{Error, Result};

use super::super::tree::{Tree, name, split_ending};
use super::super::{Layout, annotation, coco, csv, lists};
use super::{by_split, split_of};

/// Names that a message shows.
const SHOWN: usize = 12;

/// A way to read a folder.
pub(super) struct Found {
    pub(super) layout: Layout,
    pub(super) classes: Vec<String>,
    pub(super) splits: BTreeMap<String, String>,
    pub(super) unlabelled: Vec<String>,
}

/// The first reader that finds labels.
pub(super) fn find(root: &Path, tree: &Tree) -> Result<Found> {
    let ways = [of_coco, of_annotations, of_tables, of_folders];
    if let Some(found) = ways.iter().find_map(|way| way(root, tree)) {
        return Ok(found);
    }
    let there = tree.names_in("").into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
    Err(Error::Data(format!(
        "{}: no labels were found. It holds {there}. Give one folder a class, a table of paths and labels (csv), \
         annotations as of VOC (xml), or instances as of COCO (json)",
        root.display()
    )))
}

/// Files with this ending, the shallowest first.
fn with_ending<'t>(tree: &'t Tree, endings: &[&str]) -> Vec<&'t str> {
    let fits = |file: &&str| {
        split_ending(file).1.is_some_and(|ending| endings.iter().any(|known| known.eq_ignore_ascii_case(ending)))
    };
    let mut files: Vec<&str> = tree.files().filter(fits).collect();
    files.sort_by_key(|file| (file.matches('/').count(), *file));
    files
}

fn of_coco(root: &Path, tree: &Tree) -> Option<Found> {
    let mut classes = BTreeSet::new();
    let mut files = vec![];
    for file in with_ending(tree, &["json"]) {
        if let Some(of_file) = coco::class_names(root, file) {
            classes.extend(of_file);
            files.push(file);
        }
    }
    let splits = by_split(&files);
    let found = Found { layout: Layout::Coco, classes: classes.into_iter().collect(), splits, unlabelled: vec![] };
    (!found.splits.is_empty()).then_some(found)
}

fn of_annotations(root: &Path, tree: &Tree) -> Option<Found> {
    let annotations = with_ending(tree, &["xml"]);
    let classes: BTreeSet<String> = annotations.iter().flat_map(|file| annotation::names(root, file)).collect();
    if classes.is_empty() {
        return None;
    }
    let usable: Vec<&str> =
        with_ending(tree, &["txt"]).into_iter().filter(|file| lists::is_list(root, tree, file)).collect();
    // Where there are lists for segmentation, those of the other tasks mean something else.
    let of_segmentation: Vec<&str> = usable.iter().copied().filter(|file| file.contains("Segmentation/")).collect();
    let mut splits = by_split(if of_segmentation.is_empty() { &usable } else { &of_segmentation });
    if splits.is_empty() {
        splits = folders_of_pictures(tree);
    }
    let annotated: BTreeSet<String> =
        annotations.iter().map(|file| name(split_ending(file).0).to_lowercase()).collect();
    let lacks_all = |list: &String| {
        lists::names(root, tree, list)
            .iter()
            .all(|image| !annotated.contains(&name(split_ending(image).0).to_lowercase()))
    };
    let unlabelled = splits.iter().filter(|(split, list)| *split == "test" && lacks_all(list));
    let unlabelled = unlabelled.map(|(split, _)| split.clone()).collect();
    Some(Found { layout: Layout::Voc, classes: classes.into_iter().collect(), splits, unlabelled })
}

/// The folders that are splits by their names, or the one that holds the pictures.
fn folders_of_pictures(tree: &Tree) -> BTreeMap<String, String> {
    let folders: BTreeSet<&str> = tree.pictures().map(|file| file.rsplit_once('/').map_or(".", |(f, _)| f)).collect();
    let named: Vec<&str> = folders.iter().copied().filter(|folder| split_of(folder).is_some()).collect();
    let folders: Vec<&str> = folders.into_iter().collect();
    match (named.as_slice(), folders.as_slice()) {
        ([], [only]) => [("train".to_owned(), (*only).to_owned())].into(),
        ([], _) => [("train".to_owned(), ".".to_owned())].into(),
        (named, _) => by_split(named),
    }
}

fn of_tables(root: &Path, tree: &Tree) -> Option<Found> {
    let tables: Vec<(&str, csv::Surveyed)> = with_ending(tree, &["csv", "tsv"])
        .into_iter()
        .filter_map(|file| Some((file, csv::survey(root, tree, file)?)))
        .collect();
    let classes: BTreeSet<String> = tables.iter().flat_map(|(_, table)| table.classes.iter().cloned()).collect();
    let files: Vec<&str> = tables.iter().map(|(file, _)| *file).collect();
    let mut splits = by_split(&files);
    if let [(file, table)] = tables.as_slice() {
        let of_rows = table.splits.iter().filter_map(|value| split_of(value));
        let of_rows: BTreeMap<String, String> = of_rows.map(|split| (split.to_owned(), (*file).to_owned())).collect();
        if !of_rows.is_empty() {
            splits = of_rows;
        }
    }
    let found = Found { layout: Layout::Csv, classes: classes.into_iter().collect(), splits, unlabelled: vec![] };
    (!found.splits.is_empty()).then_some(found)
}

fn of_folders(_: &Path, tree: &Tree) -> Option<Found> {
    let pictures: Vec<&str> = tree.pictures().collect();
    let top: BTreeSet<&str> = pictures.iter().filter_map(|file| Some(file.split_once('/')?.0)).collect();
    // VOC has a class called train: a split holds folders, a class holds pictures.
    let holds_folders = |folder: &str| {
        let mut inside = pictures.iter().filter_map(|file| file.strip_prefix(folder)?.strip_prefix('/'));
        inside.all(|rest| rest.contains('/'))
    };
    let is_split = |folder: &&str| split_of(folder).is_some() && holds_folders(folder);
    let named: Vec<&str> = top.iter().copied().filter(is_split).collect();
    let splits = if named.is_empty() { [("train".to_owned(), ".".to_owned())].into() } else { by_split(&named) };
    let mut classes = BTreeSet::new();
    for folder in splits.values() {
        let inside = if folder == "." { String::new() } else { format!("{folder}/") };
        let of_split = pictures.iter().filter_map(|file| file.strip_prefix(inside.as_str()));
        classes.extend(of_split.filter_map(|rest| Some(rest.split_once('/')?.0.to_owned())));
    }
    let found = Found { layout: Layout::Folders, classes: classes.into_iter().collect(), splits, unlabelled: vec![] };
    (found.classes.len() > 1).then_some(found)
}
