//! One folder a class: `train/cat/001.jpg` shows a cat.

use artifact::ImageId;

use super::Source;
use super::class_names::ClassNames;
use super::fault::{Fault, take};
use super::listing::{Labels, Listed, Listing, MaskSource, inside_root};
use super::places::id_of_path;
use super::tree::{Tree, is_other_picture};

/// All splits together. Each is a folder, or `.` for the root.
pub(super) fn read(source: &Source, tree: &Tree) -> Listing {
    let mut listing = Listing::default();
    let mut classes = ClassNames::new(source);
    for (split, folder) in &source.splits {
        let inside = match folder.trim_end_matches('/') {
            "." | "" => String::new(),
            given => match inside_root(given) {
                Ok(path) => path + "/",
                Err(reason) => {
                    listing.faults.push(Fault::new(folder, reason));
                    continue;
                }
            },
        };
        let here = |file: &&str| file.strip_prefix(inside.as_str()).is_some_and(|rest| !is_hidden(rest));
        let pictures: Vec<&str> = tree.pictures().filter(here).collect();
        if pictures.is_empty() {
            let there = tree.names_in("").into_iter().take(8).collect::<Vec<_>>().join(", ");
            let reason = format!("no picture in this folder; give a folder of this root, which holds {there}");
            listing.faults.push(Fault::new(folder, reason));
        }
        let labelled = !source.unlabelled.contains(split);
        for picture in pictures {
            let added = labels(&mut classes, &picture[inside.len()..], labelled)
                .and_then(|labels| add(&mut listing, split, picture, labels));
            let _ = take(&mut listing.faults, added.map_err(|reason| Fault::new(picture, reason)));
        }
        for other in tree.files().filter(here).filter(|file| is_other_picture(file)) {
            listing.faults.push(Fault::new(other, "neither a JPEG nor a PNG; convert it to one of them"));
        }
    }
    listing.notes.extend(classes.notes());
    listing
}

/// What systems and tools leave behind, such as `.ipynb_checkpoints` and `__MACOSX`.
fn is_hidden(path: &str) -> bool {
    path.split('/').any(|part| part.starts_with('.') || part == "__MACOSX")
}

/// The class that the first folder of `path` names; a picture may lie deeper.
fn labels(classes: &mut ClassNames, path: &str, labelled: bool) -> Result<Labels, String> {
    if !labelled {
        return Ok(Labels::Unknown);
    }
    let Some((class, _)) = path.split_once('/') else {
        return Err("lies beside the folders of classes; move it into that of its class, or into one named background"
            .to_owned());
    };
    Ok(Labels::Known(classes.find(class)?.into_iter().collect()))
}

fn add(listing: &mut Listing, split: &str, picture: &str, labels: Labels) -> Result<(), String> {
    let id: ImageId = id_of_path(picture)?;
    let splits = vec![split.to_owned()];
    listing.add(split, id, Listed { splits, image: picture.to_owned(), labels, mask: MaskSource::Usual })
}
