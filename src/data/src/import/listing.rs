//! What a reader finds of each image, before any picture is opened.

use std::collections::BTreeMap;

use artifact::{ClassId, ImageId};

use super::coco::Drawing;
use super::fault::{Fault, quoted};
use super::tree::{Tree, compose, is_picture, name, split_ending};

/// One image; paths are relative to the root.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listed {
    pub(super) splits: Vec<String>,
    pub(super) image: String,
    pub(super) labels: Labels,
    pub(super) mask: MaskSource,
}

/// Where image-level labels come from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Labels {
    /// The image's annotation.
    Annotation,
    /// The reader knows them.
    Known(Vec<ClassId>),
    /// Nobody knows them: the image can be predicted alone.
    Unknown,
}

/// Where ground truth comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MaskSource {
    /// `ID.png` in the directory of masks, if it is there.
    Usual,
    /// This file, which must be there.
    File(String),
    /// Drawn from the outlines of objects.
    Drawn(Box<Drawing>),
}

/// Everything that readers found, and what they have to say of it.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) images: BTreeMap<ImageId, Listed>,
    pub(super) faults: Vec<Fault>,
    /// Sentences for the person who gave the data set: how something was read that could be read otherwise.
    pub(super) notes: Vec<String>,
    /// What the table says of how it was made.
    pub(super) metadata: BTreeMap<String, String>,
}

impl Listing {
    /// Adds an image of one split. Several lists may name it, but not different files for it.
    pub(super) fn add(&mut self, split: &str, id: ImageId, listed: Listed) -> Result<(), String> {
        let Some(known) = self.images.get_mut(&id) else {
            self.images.insert(id, listed);
            return Ok(());
        };
        let other =
            |found: &str, here: &str| format!("'{id}' has the file {here} here, but {found} in another list; keep one");
        if known.image != listed.image {
            return Err(other(&known.image, &listed.image));
        }
        match (&known.mask, listed.mask) {
            (MaskSource::File(found), MaskSource::File(here)) if *found != here => return Err(other(found, &here)),
            (MaskSource::Drawn(found), MaskSource::Drawn(here)) if found.objects_differ(&here) => {
                return Err(format!("'{id}' has other objects here than in {}; keep one", found.file));
            }
            (MaskSource::Usual, here) => known.mask = here,
            _ => {}
        }
        match (&mut known.labels, listed.labels) {
            (Labels::Known(found), Labels::Known(here)) => found.extend(here),
            (Labels::Unknown, here) => known.labels = here,
            _ => {}
        }
        if !known.splits.iter().any(|known| known == split) {
            known.splits.push(split.to_owned());
        }
        Ok(())
    }
}

/// The image id of a name; accents are in one form, so that tables of different sources meet.
pub(super) fn image_id(text: &str) -> Result<ImageId, String> {
    ImageId::new(&compose(text)).map_err(|error| error.to_string())
}

/// A picture with its name as an id.
pub(super) fn id_of_file(path: &str) -> Result<ImageId, String> {
    image_id(split_ending(name(path)).0)
}

/// A path as written in a file, with `/` and without what leads out of the data set.
pub(super) fn inside_root(path: &str) -> Result<String, String> {
    let path = path.replace('\\', "/");
    let relative: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if relative.is_empty() || relative.contains(&"..") || path.contains(char::is_control) {
        return Err(format!("{} is no path inside the data set; give one without '..'", quoted(&path)));
    }
    Ok(relative.join("/"))
}

/// The one file that `found` holds; an error if there are several.
pub(super) fn only<'a>(found: &[&'a str], wanted: &str) -> Result<Option<&'a str>, String> {
    match found {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        several => {
            let wanted = quoted(wanted);
            Err(format!("{wanted} can mean {}; write one of them out, with its ending", several.join(" and ")))
        }
    }
}

/// The picture below the root that a list means by `text`, a name or path with or without ending; none if there is no
/// such file. A bare name lies where VOC keeps its images, or anywhere if it is the only one.
pub(super) fn picture<'t>(tree: &'t Tree, text: &str) -> Result<Option<&'t str>, String> {
    let path = inside_root(text)?;
    let usual = format!("JPEGImages/{path}");
    let bare = !path.contains('/');
    let there = |found: Vec<&'t str>| Some(found).filter(|found| !found.is_empty());
    let as_file = || {
        let here = if bare { there(tree.file(&usual)) } else { None };
        here.or_else(|| there(tree.file(&path)))
    };
    let as_name = || {
        let anywhere = || if bare { there(tree.pictures_called(&path)) } else { None };
        there(tree.picture(&usual)).or_else(|| there(tree.picture(&path))).or_else(anywhere)
    };
    let found = if is_picture(&path) { as_file().or_else(as_name) } else { as_name() };
    only(&found.unwrap_or_default(), text)
}

/// The picture that a path of another machine means by its end.
pub(super) fn picture_elsewhere<'t>(tree: &'t Tree, text: &str) -> Result<Option<&'t str>, String> {
    let path = inside_root(text)?;
    if is_picture(&path) { only(&tree.at_end_of(&path), text) } else { Ok(None) }
}
