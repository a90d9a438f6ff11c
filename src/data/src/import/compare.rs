//! Masks beside image-level labels: where the two disagree, one of them was read wrongly.

use std::collections::BTreeSet;

use artifact::ClassId;

use crate::codec::decode_mask;

use super::fault::Fault;
use super::picture::Opened;
use super::{MaskCheck, Record, Source};

/// Images of a class that tell something about it.
const ENOUGH: usize = 3;
/// Disagreements that every data set has: objects that a mask leaves out, or an annotation.
const FEW: usize = 2;
/// The share of all images that is few too.
const FEW_OF_ALL: f64 = 0.05;
/// Images that a message names.
const NAMED: usize = 5;

/// One class in the images that have both.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    labelled: usize,
    masked: usize,
    both: usize,
}

/// Adds a fault, or a note, if masks and labels disagree in more than a few images.
pub(super) fn check(
    source: &Source,
    images: &[Opened],
    records: &[Record],
    faults: &mut Vec<Fault>,
    notes: &mut Vec<String>,
) {
    let compared: Vec<Compared> = images.iter().zip(records).filter_map(|(o, r)| Compared::of(o, r)).collect();
    let apart: Vec<&str> = compared.iter().filter(|image| image.labels != image.masked).map(|i| i.image).collect();
    let all = compared.len();
    let counts: Vec<Counts> = (0..source.classes.len()).map(|index| Counts::of(&compared, index)).collect();
    let wrong = counts.iter().any(Counts::contradict) || (apart.len() >= ENOUGH && apart.len() * 2 > all);
    let few = apart.len() <= FEW.max((all as f64 * FEW_OF_ALL) as usize);
    if !wrong && few {
        return;
    }
    let named = apart.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    let more = if apart.len() > NAMED { ", …" } else { "" };
    let classes: Vec<String> = source
        .classes
        .iter()
        .zip(&counts)
        .filter(|(_, class)| class.labelled != class.both || class.masked != class.both)
        .map(|(name, class)| format!("{name} {} / {} / {}", class.labelled, class.masked, class.both))
        .collect();
    let said = format!(
        "masks and image-level labels disagree in {} of {all} images ({named}{more}); images labelled with a class / \
         with it in the mask / both: {}",
        apart.len(),
        classes.join(", ")
    );
    if wrong && source.mask_check == MaskCheck::Refuse {
        let advice = advice(source, &compared);
        faults.push(Fault::new("masks", format!("{said}. {advice}; to read them all the same, mask_check = \"warn\"")));
    } else {
        notes.push(said);
    }
}

/// What may be the cause.
fn advice(source: &Source, compared: &[Compared]) -> String {
    if compared.iter().all(|image| image.masked.is_empty()) {
        return "The masks hold no class at all, 255 is \"not scored\"; if 255 is a class, say so, as in \
                mask_colours.cat = [255, 255, 255]"
            .to_owned();
    }
    match order(source, compared) {
        Some(order) => format!("The masks seem to number the classes in this order: mask_classes = {order:?}"),
        None => "If the masks number the classes of another list, give that list as mask_classes; if their colours \
                 mean something else, as mask_colours"
            .to_owned(),
    }
}

/// The order of the classes in which masks and labels agree, if there is one.
fn order<'a>(source: &'a Source, compared: &[Compared]) -> Option<Vec<&'a str>> {
    let classes = source.classes.len();
    let together = |masked: usize, labelled: usize| {
        let [masked, labelled] = [masked, labelled].map(ClassId::from_foreground);
        let (both, either) = compared.iter().fold((0, 0), |(both, either), image| {
            let (m, l) = (image.masked.contains(&masked), image.labels.contains(&labelled));
            (both + usize::from(m && l), either + usize::from(m || l))
        });
        both * 10 > either * 9
    };
    let order: Vec<usize> =
        (0..classes).map(|masked| (0..classes).find(|labelled| together(masked, *labelled))).collect::<Option<_>>()?;
    let distinct = order.iter().collect::<BTreeSet<_>>().len() == classes;
    distinct.then(|| order.into_iter().map(|class| source.classes[class].as_str()).collect())
}

/// The classes of one image.
struct Compared<'a> {
    image: &'a str,
    labels: BTreeSet<ClassId>,
    masked: BTreeSet<ClassId>,
}

impl<'a> Compared<'a> {
    fn of(opened: &Opened, record: &'a Record) -> Option<Self> {
        // Both are of one annotation, and an object that others cover is no mistake.
        if opened.mask.as_ref().is_some_and(|mask| mask.drawn) {
            return None;
        }
        let labels = opened.labels.iter().flatten().copied().collect();
        let mask = decode_mask(record.mask.as_ref().filter(|_| opened.labels.is_some())?).ok()?;
        let classes: BTreeSet<u8> = mask.classes.into_iter().collect();
        let masked = classes.into_iter().map(ClassId).filter(|class| class.foreground().is_some()).collect();
        Some(Self { image: record.image_id.as_str(), labels, masked })
    }
}

impl Counts {
    fn of(compared: &[Compared], index: usize) -> Self {
        let class = ClassId::from_foreground(index);
        compared.iter().fold(Self::default(), |mut counts, image| {
            let (labelled, masked) = (image.labels.contains(&class), image.masked.contains(&class));
            counts.labelled += usize::from(labelled);
            counts.masked += usize::from(masked);
            counts.both += usize::from(labelled && masked);
            counts
        })
    }

    /// Is the class mostly where the other says that it is not?
    fn contradict(&self) -> bool {
        let nowhere = |of: usize| of >= ENOUGH && self.both * 2 < of;
        nowhere(self.labelled) || nowhere(self.masked)
    }
}
