//! VOC's image lists: `ID`, or `/JPEGImages/ID.jpg /SegmentationClassAug/ID.png`, one image a line; or, in place of a
//! list, a folder whose every picture is meant.

use std::collections::BTreeMap;

use artifact::ImageId;

use super::fault::{Fault, quoted, take};
use super::listing::{Labels, Listed, Listing, MaskSource, id_of_file, inside_root, only, picture, picture_elsewhere};
use super::tree::{Tree, is_picture, name, split_ending};
use super::{Source, read_file, text};

/// Bytes of a line: two paths as long as a file system allows.
const LONGEST: usize = 2 * 4096;
/// Names that a message shows.
const SHOWN: usize = 8;

/// One line of a list.
struct Line {
    id: ImageId,
    image: String,
    mask: MaskSource,
}

/// All lists together.
pub(super) fn read(source: &Source, tree: &Tree) -> Listing {
    let mut listing = Listing::default();
    for (split, list) in &source.splits {
        let labels = if source.unlabelled.contains(split) { Labels::Unknown } else { Labels::Annotation };
        if source.root.join(list).is_dir() {
            read_folder(tree, split, list, &labels, &mut listing);
        } else {
            read_list(source, tree, split, list, &labels, &mut listing);
        }
    }
    listing
}

/// Every picture of a folder, as Roboflow keeps each split.
fn read_folder(tree: &Tree, split: &str, folder: &str, labels: &Labels, listing: &mut Listing) {
    let inside = format!("{}/", folder.trim_matches('/'));
    let pictures: Vec<&str> = tree.pictures().filter(|file| inside == "./" || file.starts_with(&inside)).collect();
    if pictures.is_empty() {
        listing.faults.push(Fault::new(folder, "no picture in this folder; give a folder of pictures or a list"));
    }
    for image in pictures {
        let listed = Listed {
            splits: vec![split.to_owned()],
            image: image.to_owned(),
            labels: labels.clone(),
            mask: MaskSource::Usual,
        };
        let added = id_of_file(image).and_then(|id| listing.add(split, id, listed));
        let _ = take(&mut listing.faults, added.map_err(|reason| Fault::new(image, reason)));
    }
}

fn read_list(source: &Source, tree: &Tree, split: &str, list: &str, labels: &Labels, listing: &mut Listing) {
    let found = find_list(tree, list, "txt");
    let bytes = found.and_then(|found| read_file(&source.root, &found));
    let Some(bytes) = take(&mut listing.faults, bytes) else { return };
    let Some(text) = text::decode(&bytes) else {
        listing.faults.push(Fault::new(list, "not UTF-8 or UTF-16 text; give a list of image ids"));
        return;
    };
    let mut seen: BTreeMap<ImageId, usize> = BTreeMap::new();
    let (mut any, mut elsewhere) = (false, 0);
    for (number, text) in (1..).zip(text.lines().map(str::trim)).filter(|(_, text)| !text.is_empty()) {
        any = true;
        let fault = |reason: String| Fault::new(format!("{list}:{number}"), reason);
        let Some(line) = take(&mut listing.faults, parse(tree, text).map_err(fault)) else { continue };
        if let Some(first) = seen.insert(line.id.clone(), number) {
            listing.faults.push(fault(format!("'{}' stands already at line {first}; remove one of them", line.id)));
            continue;
        }
        elsewhere += usize::from(text.starts_with('/') && !is_below(text, &line.image));
        let Line { id, image, mask } = line;
        let listed = Listed { splits: vec![split.to_owned()], image, labels: labels.clone(), mask };
        let added = listing.add(split, id, listed);
        let _ = take(&mut listing.faults, added.map_err(fault));
    }
    if !any {
        listing.faults.push(Fault::new(list, "an empty list; give one image id a line"));
    }
    if elsewhere > 0 {
        listing.notes.push(format!(
            "{list}: {elsewhere} absolute paths were read by their ends, below {}",
            source.root.display()
        ));
    }
}

/// Is `/JPEGImages/a.jpg` this file below the root?
fn is_below(text: &str, image: &str) -> bool {
    text.trim_start_matches('/').starts_with(image)
}

/// A list may be written in another case; one that is missing is told with those of the same ending that are there.
pub(super) fn find_list(tree: &Tree, list: &str, ending: &str) -> Result<String, Fault> {
    let fault = |reason: String| Fault::new(list, reason);
    let path = inside_root(list).map_err(fault)?;
    if let Some(found) = only(&tree.file(&path), list).map_err(fault)? {
        return Ok(found.to_owned());
    }
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let is_list = |name: &&str| split_ending(name).1.is_some_and(|found| found.eq_ignore_ascii_case(ending));
    let beside: Vec<&str> = tree.names_in(folder).into_iter().filter(is_list).take(SHOWN).collect();
    let at_root: Vec<&str> = tree.names_in("").into_iter().take(SHOWN).collect();
    Err(fault(match (beside.as_slice(), at_root.as_slice()) {
        ([], []) => "missing, and the root is empty; correct the root".to_owned(),
        ([], names) => {
            format!("missing; the root holds {}: name a list of images, or a folder of them", names.join(", "))
        }
        (lists, _) => format!("missing; beside it there is {}: name it in splits, or make this list", lists.join(", ")),
    }))
}

/// Does each of the first lines of a text file name a picture?
pub(super) fn is_list(root: &std::path::Path, tree: &Tree, file: &str) -> bool {
    let lines = lines_of(root, file);
    !lines.is_empty() && lines.iter().take(SHOWN).all(|line| parse(tree, line).is_ok())
}

/// The pictures of a list, or of a folder.
pub(super) fn names(root: &std::path::Path, tree: &Tree, list: &str) -> Vec<String> {
    if root.join(list).is_dir() {
        let inside = format!("{}/", list.trim_matches('/'));
        return tree.pictures().filter(|file| file.starts_with(&inside)).map(str::to_owned).collect();
    }
    lines_of(root, list).iter().filter_map(|line| parse(tree, line).ok()).map(|line| line.image).collect()
}

fn lines_of(root: &std::path::Path, file: &str) -> Vec<String> {
    let text = read_file(root, file).ok().and_then(|bytes| text::decode(&bytes)).unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// What a line means. A name may hold spaces, so that every way to read the line is tried: those that lead to files
/// count.
fn parse(tree: &Tree, line: &str) -> Result<Line, String> {
    if line.len() > LONGEST {
        return Err(format!("a line of {} bytes, {}, names no picture", line.len(), quoted(line)));
    }
    let mut ways = vec![];
    if let Some(image) = picture(tree, line)? {
        ways.push((image, MaskSource::Usual));
    }
    for (at, _) in line.char_indices().filter(|(_, c)| c.is_whitespace()) {
        let (left, right) = (line[..at].trim_end(), line[at..].trim_start());
        if left.is_empty() || line[at..].chars().nth(1).is_some_and(char::is_whitespace) || !is_png(right) {
            continue;
        }
        if let Some(image) = picture(tree, left)?.or(picture_elsewhere(tree, left)?) {
            let mask = inside_root(right)?;
            let found = only(&tree.file(&mask), right)?.or(only(&tree.at_end_of(&mask), right)?);
            ways.push((image, MaskSource::File(found.unwrap_or(&mask).to_owned())));
        }
    }
    if let (true, Some(image)) = (ways.is_empty(), picture_elsewhere(tree, line)?) {
        ways.push((image, MaskSource::Usual));
    }
    match ways.as_slice() {
        [(image, mask)] => Ok(Line { id: id_of_file(image)?, image: (*image).to_owned(), mask: mask.clone() }),
        [] => Err(nowhere(tree, line)),
        several => {
            let pictures: Vec<_> = several.iter().map(|(image, _)| *image).collect();
            Err(format!("{} can mean the picture {}; rename one of them", quoted(line), pictures.join(" or ")))
        }
    }
}

fn is_png(path: &str) -> bool {
    split_ending(path).1.is_some_and(|ending| ending.eq_ignore_ascii_case("png"))
}

/// Why no picture is meant by a line.
fn nowhere(tree: &Tree, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    if let [_, "1" | "-1" | "0"] = words.as_slice() {
        return "a list of one class (as in ImageSets/Main); give a list of bare ids".to_owned();
    }
    let (image, mask) = match words.as_slice() {
        [image, mask] if is_png(mask) => (*image, true),
        _ => (line, false),
    };
    let path = image.replace('\\', "/");
    let stem = if is_picture(&path) { split_ending(name(&path)).0 } else { name(&path) };
    if let Some(other) = tree.unreadable_picture(stem) {
        return format!("{other} is neither a JPEG nor a PNG; convert it to one of them");
    }
    let image = quoted(image);
    let spaces = if words.len() > 1 && !mask { "; a line is 'ID' or 'IMAGE MASK'" } else { "" };
    format!("no picture is called {image}: missing; add the file or take its image out of the list{spaces}")
}
