//! One image opened: its bytes, its labels, and its mask as it is painted.

use artifact::{ClassId, ImageId};

use crate::codec::{Orientation, Paint, Painted, as_stored, decode_image, decode_painted, encode_mask, voc_palette};

use super::annotation::{self, Annotated};
use super::coco::Drawing;
use super::fault::{Fault, take};
use super::listing::{Labels, Listed, MaskSource, only};
use super::paint::Paints;
use super::tree::Tree;
use super::{OrientationRule, Record, Source, read_file};

/// An image whose picture is whole.
pub(super) struct Opened {
    pub(super) image_id: ImageId,
    splits: Vec<String>,
    image: Vec<u8>,
    height: usize,
    width: usize,
    /// None if nobody knows them.
    pub(super) labels: Option<Vec<ClassId>>,
    /// Was it read as background for want of an annotation?
    pub(super) without_annotation: bool,
    /// How its pixels are turned for a viewer.
    pub(super) orientation: Orientation,
    pub(super) mask: Option<OpenedMask>,
}

/// A mask whose size fits.
pub(super) struct OpenedMask {
    pub(super) file: String,
    bytes: Vec<u8>,
    pub(super) seen: Seen,
    pub(super) fits: Fits,
    /// Was it drawn by the reader, so that its numbers are classes as they are stored?
    pub(super) drawn: bool,
}

/// What a mask holds, without its pixels.
pub(super) struct Seen {
    pub(super) paint: Paint,
    /// Each number that occurs, with its colour and its pixels.
    pub(super) used: Vec<Used>,
}

/// One number of a mask.
#[derive(Clone, Copy)]
pub(super) struct Used {
    pub(super) number: u8,
    pub(super) colour: [u8; 3],
    pub(super) pixels: usize,
}

/// Which of the two ways to hold a picture a mask can be meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fits {
    /// As a viewer shows it.
    Upright,
    /// As its pixels are stored: it has to be turned.
    Stored,
    /// Either: the size is the same.
    Both,
}

/// Opens the files of one image; all their faults together.
pub(super) fn open(source: &Source, tree: &Tree, image_id: ImageId, listed: Listed) -> Result<Opened, Vec<Fault>> {
    let mut faults = vec![];
    let picture = open_picture(source, &listed.image);
    let picture = take(&mut faults, picture);
    let mut without_annotation = false;
    let labels = match listed.labels {
        Labels::Known(mut labels) => {
            labels.sort_unstable();
            labels.dedup();
            Some(labels)
        }
        Labels::Unknown => None,
        Labels::Annotation => match annotation::read(source, tree, image_id.as_str(), &listed.image) {
            Ok(Annotated::Labels(labels)) => Some(labels),
            Ok(Annotated::Nothing) => {
                without_annotation = true;
                Some(vec![])
            }
            Err(of_annotation) => {
                faults.extend(of_annotation);
                None
            }
        },
    };
    let mask = open_mask(source, tree, &image_id, &listed.mask, picture.as_ref());
    let mask = take(&mut faults, mask).flatten();
    match picture {
        Some(Picture { image, height, width, orientation }) if faults.is_empty() => Ok(Opened {
            image_id,
            splits: listed.splits,
            image,
            height,
            width,
            labels,
            without_annotation,
            orientation,
            mask,
        }),
        _ => Err(faults),
    }
}

struct Picture {
    image: Vec<u8>,
    height: usize,
    width: usize,
    orientation: Orientation,
}

fn open_picture(source: &Source, file: &str) -> Result<Picture, Fault> {
    let mut image = read_file(&source.root, file)?;
    if source.orientation == OrientationRule::Stored && Orientation::of(&image) != Orientation::UPRIGHT {
        image = as_stored(&image);
    }
    let decoded = decode_image(&image).map_err(|error| Fault::new(file, error.to_string()))?;
    let orientation = Orientation::of(&image);
    Ok(Picture { image, height: decoded.height, width: decoded.width, orientation })
}

/// The mask a list names must be there; that of the mask directory may be missing.
fn open_mask(
    source: &Source,
    tree: &Tree,
    id: &ImageId,
    of: &MaskSource,
    picture: Option<&Picture>,
) -> Result<Option<OpenedMask>, Fault> {
    let file = match (of, &source.masks) {
        (MaskSource::Drawn(drawing), _) => return picture.map(|picture| draw(id, drawing, picture)).transpose(),
        (MaskSource::File(named), _) => named.clone(),
        (MaskSource::Usual, Some(directory)) => {
            let usual = format!("{}/{id}.png", directory.trim_matches('/'));
            match only(&tree.file(&usual), &usual).map_err(|reason| Fault::new(&usual, reason))? {
                Some(file) => file.to_owned(),
                None => return Ok(None),
            }
        }
        (MaskSource::Usual, None) => return Ok(None),
    };
    let bytes = read_file(&source.root, &file)?;
    let painted = decode_painted(&bytes).map_err(|error| Fault::new(&file, error.to_string()))?;
    let fits = match picture {
        Some(picture) => fits(picture, (painted.numbers.height, painted.numbers.width))
            .map_err(|reason| Fault::new(&file, reason))?,
        None => Fits::Upright,
    };
    Ok(Some(OpenedMask { file, bytes, seen: seen(&painted), fits, drawn: false }))
}

/// The mask that a reader found as outlines.
fn draw(id: &ImageId, drawing: &Drawing, picture: &Picture) -> Result<OpenedMask, Fault> {
    let fault = |reason: String| Fault::new(&drawing.file, format!("image '{id}': {reason}"));
    let (height, width) = drawing.size.unwrap_or((picture.height, picture.width));
    let fits = fits(picture, (height, width)).map_err(fault)?;
    let numbers = drawing.paint(height, width).map_err(fault)?;
    let bytes = encode_mask(&numbers);
    let seen = seen(&Painted { paint: Paint::Palette, numbers, colours: voc_palette().to_vec(), bytes: true });
    Ok(OpenedMask { file: drawing.file.clone(), bytes, seen, fits, drawn: true })
}

/// Which way a mask of so many rows and columns is meant.
fn fits(picture: &Picture, of_mask: (usize, usize)) -> Result<Fits, String> {
    let upright = (picture.height, picture.width);
    let stored = if picture.orientation.swaps_sides() { (picture.width, picture.height) } else { upright };
    match (of_mask == upright, of_mask == stored) {
        _ if picture.orientation == Orientation::UPRIGHT && of_mask == upright => Ok(Fits::Upright),
        (true, true) => Ok(Fits::Both),
        (true, false) => Ok(Fits::Upright),
        (false, true) => Ok(Fits::Stored),
        (false, false) => {
            let (height, width) = upright;
            let reason = format!(
                "the mask has {} x {} pixels, its image {width} x {height}; take the mask of this very image",
                of_mask.1, of_mask.0
            );
            Err(reason)
        }
    }
}

fn seen(painted: &Painted) -> Seen {
    let mut pixels = [0; 256];
    for number in &painted.numbers.classes {
        pixels[*number as usize] += 1;
    }
    let used = |(number, pixels): (usize, usize)| {
        let colour = painted.colours.get(number).copied().unwrap_or_default();
        (pixels > 0).then_some(Used { number: number as u8, colour, pixels })
    };
    Seen { paint: painted.paint, used: pixels.into_iter().enumerate().filter_map(used).collect() }
}

/// The record of an image, with its mask as class indices.
pub(super) fn finish(opened: &Opened, paints: &Paints) -> Result<Record, Fault> {
    let mask = opened.mask.as_ref().map(|mask| {
        let table =
            if mask.drawn { Ok(std::array::from_fn(|number| number as u8)) } else { paints.classes(&mask.seen) };
        let table = table.map_err(|reason| Fault::new(&mask.file, reason))?;
        let mut painted = decode_painted(&mask.bytes).map_err(|error| Fault::new(&mask.file, error.to_string()))?;
        let same = painted.bytes && mask.seen.used.iter().all(|used| table[used.number as usize] == used.number);
        let turn = mask.fits == Fits::Stored;
        if same && !turn {
            return Ok(mask.bytes.clone());
        }
        painted.numbers.classes.iter_mut().for_each(|number| *number = table[*number as usize]);
        let upright = if turn { opened.orientation.turn_mask(&painted.numbers) } else { painted.numbers };
        Ok(encode_mask(&upright))
    });
    Ok(Record {
        image_id: opened.image_id.clone(),
        splits: opened.splits.clone(),
        image: opened.image.clone(),
        width: opened.width as u32,
        height: opened.height as u32,
        labels: opened.labels.clone().unwrap_or_default(),
        mask: mask.transpose()?,
    })
}
