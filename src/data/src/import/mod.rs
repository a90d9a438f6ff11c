//! Reads a data set as users have it, and says everything that is wrong with it at once.
//!
//! A reader lists the images with their splits, labels and masks; from there on all data sets are the same: pictures
//! are opened, masks are read as what they are painted in, and compared with the image-level labels.
//!
//! ```text
//! source       what a manifest says of a data set
//! root         a root that is one level too high or too low
//! tree         the files below the root, by names that are written differently
//! text         text in the encodings of editors and tools
//! listing      what a reader finds of each image
//! places       pictures that are named by a path below one of several folders
//! class_names  classes by name, and what is to be said of them
//! lists        VOC's image lists, and folders of pictures
//! annotation   VOC's annotations: image-level labels
//! label_file   image-level labels of a .npy file, in place of annotations
//! csv          tables of pictures and labels
//! folders      one folder a class
//! coco         COCO's instances: labels, and masks drawn from outlines
//! mask_files   masks for pictures that lie in folders
//! hold_out     a validation split where there is none
//! picture      one image opened: its bytes, its labels, its mask as painted
//! paint        which class the paint of a mask means
//! upright      masks of pictures with an orientation tag
//! compare      masks beside image-level labels
//! shrink       pictures that are longer than they need be
//! survey       what a folder holds of which nothing is known
//! fault        what is wrong, as one error
//! ```

mod annotation;
mod class_names;
mod coco;
mod compare;
mod csv;
mod fault;
mod folders;
mod hold_out;
mod label_file;
mod listing;
mod lists;
mod mask_files;
mod paint;
mod picture;
mod places;
mod root;
mod shrink;
mod source;
mod survey;
mod text;
mod tree;
mod upright;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use artifact::{ClassId, ImageId, Result};

pub use source::{Layout, MaskCheck, OrientationRule, Segmentations, Source, Unknown, WithoutAnnotation};
pub use survey::{Survey, VOC_CLASSES, survey};
pub use tree::{is_other_picture, is_picture};

use fault::{Fault, report};
use listing::Listing;
use picture::Opened;
use tree::Tree;

/// Image ids that a note names; the log names all.
const NAMED: usize = 20;

/// One image with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub image_id: ImageId,
    /// The splits that list it, in alphabetical order.
    pub splits: Vec<String>,
    /// The encoded image as found.
    pub image: Vec<u8>,
    /// Columns, as a viewer shows it.
    pub width: u32,
    /// Rows, as a viewer shows it.
    pub height: u32,
    /// Foreground classes of its objects, difficult ones included; ascending, each once.
    pub labels: Vec<ClassId>,
    /// The encoded mask of class indices, if there is one; upright as the image.
    pub mask: Option<Vec<u8>>,
}

/// A whole data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// One an image, ascending by id.
    pub records: Vec<Record>,
    /// Sentences for the person who gave it: how it was read where it could be read otherwise, and what it lacks.
    pub notes: Vec<String>,
    /// What the table of masks says of how they were made, by name: the rule of masks that were drawn.
    pub metadata: BTreeMap<String, String>,
}

/// Reads every image of every split, in parallel.
///
/// `progress` is told how many images are done, of how many; from any thread.
pub fn read(source: &Source, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Imported> {
    let whole = |faults: Vec<Fault>| if faults.is_empty() { Ok(()) } else { Err(report(&source.root, faults)) };
    whole(source.faults())?;
    let (source, moved) = root::find(source).map_err(|fault| report(&source.root, vec![fault]))?;
    let tree = Tree::scan(&source.root, source.masks.as_deref());
    let Listing { images, mut faults, mut notes, metadata } = list(&source, &tree);
    notes.splice(0..0, moved);
    if let Some(masks) =
        source.masks.as_ref().filter(|masks| !tree.has_folder(masks) && !source.root.join(masks).is_dir())
    {
        faults.push(Fault::new(masks, "no such directory of masks; correct its name or leave masks out"));
    }
    let (done, total) = (AtomicUsize::new(0), images.len());
    let opened: Vec<Result<Opened, Vec<Fault>>> = images
        .into_par_iter()
        .map(|(id, listed)| {
            let opened = picture::open(&source, &tree, id, listed);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            opened
        })
        .collect();
    let mut images = Vec::with_capacity(total);
    for outcome in opened {
        match outcome {
            Ok(opened) => images.push(opened),
            Err(of_image) => faults.extend(of_image),
        }
    }
    if faults.is_empty() && images.iter().all(|opened| opened.mask.is_none()) {
        faults.extend(strange_masks(&source, &tree));
    }
    notes.extend(upright::decide(&mut images, &mut faults));
    let mut records = Vec::with_capacity(total);
    if let Some(painted) = fault::take(&mut faults, paint::decide(&source, &tree, &images)) {
        let read: Vec<_> = images.par_iter().map(|opened| picture::finish(opened, &painted)).collect();
        records.extend(read.into_iter().filter_map(|outcome| fault::take(&mut faults, outcome)));
        notes.extend(painted.notes);
    }
    if faults.is_empty() {
        compare::check(&source, &images, &records, &mut faults, &mut notes);
    }
    whole(faults)?;
    notes.extend(shrink::apply(&mut records, source.max_side));
    notes.extend(counts(&images));
    notes.extend(missing_masks(&records));
    Ok(Imported { records, notes, metadata })
}

/// What the reader of the layout finds.
fn list(source: &Source, tree: &Tree) -> Listing {
    let mut listing = match source.layout {
        Layout::Voc => lists::read(source, tree),
        Layout::Csv => csv::read(source, tree),
        Layout::Folders => folders::read(source, tree),
        Layout::Coco => coco::read(source, tree),
    };
    if let (Layout::Voc, Some(file)) = (source.layout, &source.labels) {
        label_file::apply(source, file, &mut listing);
    }
    if source.layout != Layout::Voc {
        mask_files::pair(source, tree, &mut listing);
    }
    hold_out::apply(source, &mut listing);
    listing
}

/// A directory of masks that holds files, of which none is called as any picture.
fn strange_masks(source: &Source, tree: &Tree) -> Option<Fault> {
    let masks = source.masks.as_ref()?;
    let there = tree.names_in(masks.trim_matches('/'));
    let example = there.first()?;
    if there.iter().any(|name| !tree.pictures_called(tree::split_ending(name).0).is_empty()) {
        return None;
    }
    let reason = format!(
        "no file here is the mask of an image; it holds {} files, such as {example}: a mask is a PNG that is called as \
         its image",
        there.len()
    );
    Some(Fault::new(masks, reason))
}

/// How many images were taken for background because they have no annotation.
fn counts(images: &[Opened]) -> Option<String> {
    let without = images.iter().filter(|opened| opened.without_annotation).count();
    (without > 0).then(|| format!("{without} images have no annotation, or an empty one, and are read as background"))
}

/// What cannot be scored, split by split.
fn missing_masks(records: &[Record]) -> Vec<String> {
    let splits: BTreeSet<&String> = records.iter().flat_map(|record| &record.splits).collect();
    let note = |split: &String| {
        let of_split = || records.iter().filter(|record| record.splits.contains(split));
        let without: Vec<&str> = of_split().filter(|r| r.mask.is_none()).map(|r| r.image_id.as_str()).collect();
        match (without.len(), of_split().count()) {
            (0, _) => None,
            (missing, all) if missing == all => {
                Some(format!("no image of {split} has a mask, so nothing can be scored on {split}"))
            }
            (missing, all) => {
                let named = without.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
                let more = if missing > NAMED { format!(" and {} more", missing - NAMED) } else { String::new() };
                Some(format!("{missing} of the {all} images of {split} have no mask and are not scored: {named}{more}"))
            }
        }
    };
    splits.into_iter().filter_map(note).collect()
}

fn read_file(root: &Path, file: &str) -> Result<Vec<u8>, Fault> {
    let path = root.join(file);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Fault::new(file, "missing; add the file or take its image out of the list"),
        _ => Fault::new(file, format!("cannot be read: {error}")),
    };
    // Of a pipe nobody may ever write the end.
    if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
        return Err(Fault::new(file, "no file, but a directory or device; put the file there"));
    }
    std::fs::read(&path).map_err(unreadable)
}
