//! The image lists of a VOC data set: `ID`, or `/JPEGImages/ID.jpg /SegmentationClassAug/ID.png`, one image a line.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
};

use artifact::ImageId;

use super::{Fault, VocSource, quoted, read_file, take};

/// One listed image; paths are relative to the root.
pub(super) struct Entry {
    pub(super) splits: Vec<String>,
    pub(super) image: String,
    /// The mask that a list names for it.
    pub(super) mask: Option<String>,
}

/// One line of a list.
struct Line {
    id: ImageId,
    image: Option<String>,
    mask: Option<String>,
}

/// All lists together: one entry an image.
pub(super) fn read(source: &VocSource, faults: &mut Vec<Fault>) -> BTreeMap<ImageId, Entry> {
    let mut entries: BTreeMap<ImageId, Entry> = BTreeMap::new();
    for (split, list) in &source.splits {
        let Some(bytes) = take(faults, read_file(&source.root, list)) else { continue };
        let Ok(text) = String::from_utf8(bytes) else {
            faults.push(Fault::new(list, "not UTF-8 text; give a list of image ids"));
            continue;
        };
        let mut seen: BTreeMap<ImageId, usize> = BTreeMap::new();
        let mut any = false;
        for (number, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines().map(str::trim)) {
            if text.is_empty() {
                continue;
            }
            any = true;
            let fault = |reason: String| Fault::new(format!("{list}:{number}"), reason);
            let Some(line) = take(faults, parse(text).map_err(fault)) else { continue };
            if let Some(first) = seen.insert(line.id.clone(), number) {
                faults.push(fault(format!("'{}' stands already at line {first}; remove one of them", line.id)));
                continue;
            }
            if let Err(reason) = merge(source, &mut entries, split, line) {
                faults.push(fault(reason));
            }
        }
        if !any {
            faults.push(Fault::new(list, "an empty list; give one image id a line"));
        }
    }
    entries
}

/// Adds a line of `split`; two lists may name the same image, but not different files for it.
fn merge(source: &VocSource, entries: &mut BTreeMap<ImageId, Entry>, split: &str, line: Line) -> Result<(), String> {
    let Line { id, image, mask } = line;
    let entry = entries.entry(id.clone()).or_insert_with(|| Entry {
        splits: vec![],
        image: image.clone().unwrap_or_else(|| usual_image(&source.root, &id)),
        mask: mask.clone(),
    });
    entry.splits.push(split.to_owned());
    let other =
        |found: &str, here: &str| format!("'{id}' has the file {here} here, but {found} in another list; keep one");
    if let Some(here) = image.filter(|here| *here != entry.image) {
        return Err(other(&entry.image, &here));
    }
    match (&entry.mask, mask) {
        (Some(found), Some(here)) if *found != here => Err(other(found, &here)),
        (None, here) => {
            entry.mask = here;
            Ok(())
        }
        _ => Ok(()),
    }
}

fn usual_image(root: &Path, id: &ImageId) -> String {
    let candidates = ["jpg", "jpeg", "png"].map(|ending| format!("JPEGImages/{id}.{ending}"));
    let found = candidates.iter().find(|file| root.join(file).is_file());
    found.unwrap_or(&candidates[0]).clone()
}

fn parse(line: &str) -> Result<Line, String> {
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    let mask = words.next();
    if words.next().is_some() {
        return Err("more than two columns; give 'ID' or 'IMAGE MASK', with names without spaces".into());
    }
    if let Some("1" | "-1" | "0") = mask {
        return Err("a list of one class (as in ImageSets/Main); give a list of bare ids".into());
    }
    if let Some(mask) = mask.filter(|mask| Path::new(mask).extension().is_none_or(|ending| ending != "png")) {
        let (line, mask) = (quoted(line), quoted(mask));
        return Err(format!("{mask} of {line} is no PNG mask; if it is part of a name, rename the files: no spaces"));
    }
    let mask = mask.map(inside_root).transpose()?;
    let is_file = Path::new(first).extension().is_some_and(|e| e == "jpg" || e == "jpeg" || e == "png");
    if !is_file {
        return Ok(Line { id: image_id(first)?, image: None, mask });
    }
    let image = inside_root(first)?;
    let stem = Path::new(&image).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    // A bare file name lies where VOC keeps its images.
    let full = if image.contains('/') { image.clone() } else { format!("JPEGImages/{image}") };
    Ok(Line { id: image_id(stem)?, image: Some(full), mask })
}

fn image_id(text: &str) -> Result<ImageId, String> {
    ImageId::new(text).map_err(|error| error.to_string())
}

/// `/JPEGImages/ID.jpg` means that file under the root; nothing leads out of the root.
fn inside_root(path: &str) -> Result<String, String> {
    let relative = path.trim_start_matches('/');
    let plain = Path::new(relative).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if relative.is_empty() || !plain || relative.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(format!("{} is no path inside the data set; give one without '..'", quoted(path)));
    }
    Ok(relative.to_owned())
}
