//! Reads a data set in PASCAL VOC's layout, and says everything that is wrong with it at once.
//!
//! ```text
//! lists        ROOT/ImageSets/…/SPLIT.txt       one image a line
//!              ROOT/JPEGImages/ID.jpg           or .jpeg, .png
//! annotation   ROOT/Annotations/ID.xml          names of the objects: the image-level labels
//!              ROOT/SegmentationClass/ID.png    palette masks, where they exist
//! ```

mod annotation;
mod lists;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use artifact::error::printable;
use artifact::{ClassId, Error, ImageId, Result};

use crate::codec::{Mask, decode_image, decode_mask, encode_mask};
use lists::Entry;

/// Faults shown by name; the rest is counted.
const SHOWN: usize = 50;
/// Characters of a name out of a file that a message shows.
const QUOTED: usize = 80;

/// Where a data set lies and what of it is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VocSource {
    /// The directory that holds `JPEGImages`, `Annotations` and `ImageSets`.
    pub root: PathBuf,
    /// Foreground classes in the order of their indices, from 1.
    pub classes: Vec<String>,
    /// Name of a split -> its list, relative to the root.
    pub splits: BTreeMap<String, String>,
    /// Splits whose images may lack an annotation (VOC's test set); their labels are then empty.
    pub unlabelled: Vec<String>,
    /// Directory of the masks, such as `SegmentationClass`; a list that names its masks needs none.
    pub masks: Option<String>,
    /// What the masks' indices from 1 mean, when that is another list than `classes`: pixels of classes that are not
    /// wanted become background.
    pub mask_classes: Option<Vec<String>>,
    /// What to do about objects whose class is not listed.
    pub unknown_classes: Unknown,
}

/// What to do about objects whose class is not listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// It is a fault: the class list is taken to be complete.
    Refuse,
    /// They are background: a subset of the classes is wanted.
    Ignore,
}

/// One image with everything known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub image_id: ImageId,
    /// The splits that list it, in alphabetical order.
    pub splits: Vec<String>,
    /// The encoded image as found.
    pub image: Vec<u8>,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Foreground classes of its objects, difficult ones included; ascending, each once.
    pub labels: Vec<ClassId>,
    /// The encoded palette mask, if there is one.
    pub mask: Option<Vec<u8>>,
}

/// Something wrong with one file.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fault {
    file: String,
    reason: String,
}

impl Fault {
    fn new(file: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { file: file.into(), reason: reason.into() }
    }

    /// On one line, whatever a file's name or content put into it.
    fn line(&self) -> String {
        printable(&format!("{}: {}", self.file, self.reason), usize::MAX)
    }
}

/// Reads every image of every split, in parallel; one record an image, ascending by id.
///
/// `progress` is told how many images are done, of how many; from any thread.
pub fn read(source: &VocSource, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Vec<Record>> {
    let mut faults = check_source(source);
    if !faults.is_empty() {
        return Err(report(&source.root, faults));
    }
    let entries = lists::read(source, &mut faults);
    if source.unknown_classes == Unknown::Ignore
        && source.mask_classes.is_none()
        && (source.masks.is_some() || entries.values().any(|e| e.mask.is_some()))
    {
        faults.push(Fault::new(
            "mask_classes",
            "a subset of the classes is read, so the masks number them otherwise; list all classes of the masks in \
             order",
        ));
    }
    let (done, total) = (AtomicUsize::new(0), entries.len());
    let read: Vec<Result<Record, Vec<Fault>>> = entries
        .into_par_iter()
        .map(|(id, entry)| {
            let record = read_image(source, id, entry);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, total);
            record
        })
        .collect();
    let mut records = Vec::with_capacity(total);
    for outcome in read {
        match outcome {
            Ok(record) => records.push(record),
            Err(of_image) => faults.extend(of_image),
        }
    }
    if faults.is_empty() { Ok(records) } else { Err(report(&source.root, faults)) }
}

/// What can be said before any list is read.
fn check_source(source: &VocSource) -> Vec<Fault> {
    let mut faults = vec![];
    if !source.root.is_dir() {
        let root = source.root.display().to_string();
        return vec![Fault::new(root, "no such directory; give the one that holds JPEGImages and Annotations")];
    }
    for (key, classes) in [("classes", Some(&source.classes)), ("mask_classes", source.mask_classes.as_ref())] {
        let Some(classes) = classes else { continue };
        if classes.is_empty() || classes.len() > 254 {
            faults.push(Fault::new(key, format!("{} classes; list 1 to 254", classes.len())));
        }
        for (index, class) in classes.iter().enumerate() {
            if classes[..index].contains(class) {
                faults.push(Fault::new(key, format!("'{class}' is listed twice; list each class once")));
            }
        }
    }
    if let Some(all) = &source.mask_classes {
        for class in source.classes.iter().filter(|class| !all.contains(class)) {
            faults.push(Fault::new("mask_classes", format!("'{class}' of classes is missing here; add it")));
        }
    }
    if source.splits.is_empty() {
        faults.push(Fault::new("splits", "none given; name at least one list, such as train"));
    }
    for split in source.unlabelled.iter().filter(|split| !source.splits.contains_key(*split)) {
        faults.push(Fault::new("unlabelled", format!("'{split}' is none of the splits")));
    }
    if let Some(masks) = source.masks.as_ref().filter(|masks| !source.root.join(masks).is_dir()) {
        faults.push(Fault::new(masks, "no such directory of masks; correct its name or leave masks out"));
    }
    faults
}

fn read_image(source: &VocSource, image_id: ImageId, entry: Entry) -> Result<Record, Vec<Fault>> {
    let mut faults = vec![];
    let image = take(&mut faults, read_file(&source.root, &entry.image));
    let size = image.as_ref().and_then(|bytes| {
        let decoded = decode_image(bytes).map_err(|error| Fault::new(&entry.image, error.to_string()));
        take(&mut faults, decoded).map(|rgb| (rgb.height, rgb.width))
    });
    let unlabelled = entry.splits.iter().all(|split| source.unlabelled.contains(split));
    let labels = match annotation::read(source, &image_id, unlabelled) {
        Ok(labels) => labels,
        Err(of_annotation) => {
            faults.extend(of_annotation);
            vec![]
        }
    };
    let mask = take(&mut faults, read_mask(source, &image_id, entry.mask.as_deref(), size)).flatten();
    match (image, size) {
        (Some(image), Some((height, width))) if faults.is_empty() => Ok(Record {
            image_id,
            splits: entry.splits,
            image,
            width: width as u32,
            height: height as u32,
            labels,
            mask,
        }),
        _ => Err(faults),
    }
}

/// The mask a list names must be there; that of the mask directory may be missing.
fn read_mask(
    source: &VocSource,
    id: &ImageId,
    named: Option<&str>,
    image_size: Option<(usize, usize)>,
) -> Result<Option<Vec<u8>>, Fault> {
    let file = match (named, &source.masks) {
        (Some(named), _) => named.to_owned(),
        (None, Some(directory)) => format!("{directory}/{id}.png"),
        (None, None) => return Ok(None),
    };
    if named.is_none() && !source.root.join(&file).exists() {
        return Ok(None);
    }
    let bytes = read_file(&source.root, &file)?;
    let mut mask = decode_mask(&bytes).map_err(|error| Fault::new(&file, error.to_string()))?;
    if let Some((height, width)) = image_size.filter(|size| *size != (mask.height, mask.width)) {
        let turned = if (mask.width, mask.height) == (height, width) {
            " as its pixels are stored: an orientation tag (EXIF) turns neither of them"
        } else {
            ""
        };
        let reason = format!(
            "the mask has {} x {} pixels, its image {width} x {height}; take the mask of this very image{turned}",
            mask.width, mask.height
        );
        return Err(Fault::new(&file, reason));
    }
    // A subset without its masks' numbering is one fault of the source, told by `read`, not one of every mask.
    let complete = (source.unknown_classes == Unknown::Refuse).then_some(&source.classes);
    if let Some(known) = source.mask_classes.as_ref().or(complete).map(Vec::len)
        && let Some(index) = mask.classes.iter().find(|&&v| v as usize > known && v != ClassId::VOID.0)
    {
        let reason = format!(
            "the mask holds index {index}, but only {known} classes are listed; complete the list, or name in \
             mask_classes all classes that the masks number"
        );
        return Err(Fault::new(&file, reason));
    }
    let Some(all) = &source.mask_classes else { return Ok(Some(bytes)) };
    renumber(&mut mask, all, &source.classes);
    Ok(Some(encode_mask(&mask)))
}

/// From the indices of `all` to those of `wanted`; the rest becomes background, void stays.
fn renumber(mask: &mut Mask, all: &[String], wanted: &[String]) {
    let mut table: [u8; 256] = std::array::from_fn(|v| if v == 255 { 255 } else { 0 });
    for (index, name) in all.iter().enumerate() {
        let target =
            wanted.iter().position(|class| class == name).map_or(ClassId::BACKGROUND, ClassId::from_foreground);
        table[ClassId::from_foreground(index).0 as usize] = target.0;
    }
    mask.classes.iter_mut().for_each(|v| *v = table[*v as usize]);
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

/// A name out of a file, not all of a long one.
fn quoted(text: &str) -> String {
    format!("'{}'", printable(text, QUOTED))
}

fn take<T>(faults: &mut Vec<Fault>, outcome: Result<T, Fault>) -> Option<T> {
    outcome.map_err(|fault| faults.push(fault)).ok()
}

fn report(root: &Path, mut faults: Vec<Fault>) -> Error {
    faults.sort();
    faults.dedup();
    let count = if faults.len() == 1 { "1 fault".to_owned() } else { format!("{} faults", faults.len()) };
    let shown: Vec<String> = faults.iter().take(SHOWN).map(|fault| format!("\n  {}", fault.line())).collect();
    let rest = match faults.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("\n  … and {more} more"),
    };
    Error::Data(format!("{count} in the data set at {}:{}{rest}", root.display(), shown.concat()))
}
