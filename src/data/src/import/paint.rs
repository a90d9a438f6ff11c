//! Which class the paint of a mask means: its index, its colour, or "all that is not black".
//!
//! A converter may keep the colours of a palette and put them into another order, so that a palette mask can be read in
//! two ways. Where they differ, that way is taken which agrees with the image-level labels.

use std::collections::{BTreeSet, HashMap};

use artifact::ClassId;

use crate::codec::{Paint, voc_colour};

use super::fault::Fault;
use super::picture::{Opened, Seen, Used};
use super::source::{is_background, is_void};
use super::tree::Tree;
use super::{Source, Unknown, read_file, text};

/// The colour map that CVAT writes beside its masks: `label:r,g,b:parts:actions`.
const LABEL_MAP: &str = "labelmap.txt";
const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];

/// How the masks of a data set are read.
pub(super) struct Paints {
    readings: Vec<(Paint, Reading)>,
    indices: Vec<Meaning>,
    colours: Colours,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// The number is the class.
    Index,
    /// The colour names the class.
    Colour,
    /// Whatever is not black is the only class.
    OnlyClass,
}

/// What an index or a colour stands for.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    /// A class as stored, background and void included.
    Class(u8),
    /// A class that is not listed.
    Unlisted(String),
}

struct Colours {
    meanings: HashMap<[u8; 3], Meaning>,
    /// Who says so.
    from: &'static str,
    /// Did the user, or a file of the data set?
    given: bool,
}

/// Decides how masks of each kind are read.
pub(super) fn decide(source: &Source, tree: &Tree, images: &[Opened]) -> Result<Paints, Fault> {
    let colours = colours(source, tree)?;
    let indices = (0..=255).map(|index| meaning_of_index(source, index)).collect();
    let mut paints = Paints { readings: vec![], indices, colours, notes: vec![] };
    for paint in [Paint::Palette, Paint::Grey, Paint::Colour] {
        let masks: Vec<(&Seen, Option<&[ClassId]>)> = images
            .iter()
            .filter_map(|opened| Some((opened.mask.as_ref().filter(|mask| !mask.drawn)?, opened.labels.as_deref())))
            .map(|(mask, labels)| (&mask.seen, labels))
            .filter(|(seen, _)| seen.paint == paint)
            .collect();
        if !masks.is_empty() {
            let (reading, note) = paints.reading_of(source, paint, &masks);
            paints.readings.push((paint, reading));
            paints.notes.extend(note);
        }
    }
    Ok(paints)
}

impl Paints {
    /// The class of each number of a mask; an error names the first that means none.
    pub(super) fn classes(&self, seen: &Seen) -> Result<[u8; 256], String> {
        let reading = self.readings.iter().find(|(paint, _)| *paint == seen.paint);
        self.read(seen, reading.map_or(Reading::Index, |(_, reading)| *reading))
    }

    fn read(&self, seen: &Seen, reading: Reading) -> Result<[u8; 256], String> {
        let mut table = [0; 256];
        for used in &seen.used {
            table[used.number as usize] = match reading {
                Reading::Index => self.by_index(used.number)?,
                Reading::Colour => self.by_colour(used)?,
                Reading::OnlyClass => u8::from(used.colour != BLACK || used.number == 255),
            };
        }
        Ok(table)
    }

    fn by_index(&self, number: u8) -> Result<u8, String> {
        match &self.indices[number as usize] {
            Meaning::Class(class) => Ok(*class),
            Meaning::Unlisted(known) => Err(format!(
                "the mask holds index {number}, but only {known} classes are listed; complete the list, or name in \
                 mask_classes all classes that the masks number"
            )),
        }
    }

    fn by_colour(&self, used: &Used) -> Result<u8, String> {
        let ([r, g, b], pixels, from) = (used.colour, used.pixels, self.colours.from);
        match self.colours.meanings.get(&used.colour) {
            Some(Meaning::Class(class)) => Ok(*class),
            Some(Meaning::Unlisted(name)) => Err(format!(
                "{pixels} pixels have the colour {r}, {g}, {b}, in {from} that of {name}, which is not in classes; \
                 add it there, or ignore unknown classes"
            )),
            None => Err(format!(
                "{pixels} pixels have the colour {r}, {g}, {b}, which {from} does not know; say in mask_colours what \
                 it is, as in mask_colours.cat = [{r}, {g}, {b}]"
            )),
        }
    }

    /// How masks of one kind are read, and what is to be said of it.
    fn reading_of(
        &self,
        source: &Source,
        paint: Paint,
        masks: &[(&Seen, Option<&[ClassId]>)],
    ) -> (Reading, Option<String>) {
        let from = self.colours.from;
        if source.classes.len() == 1 && source.mask_classes.is_none() && !self.colours.given && black_and_white(masks) {
            let class = &source.classes[0];
            let note = format!("the masks are black and white, and there is one class: white is read as '{class}'");
            return (Reading::OnlyClass, Some(note));
        }
        if paint == Paint::Colour {
            return (
                Reading::Colour,
                Some(format!("the masks are RGB pictures; their colours are read as {from} has them")),
            );
        }
        if !source.mask_colours.is_empty() {
            return (Reading::Colour, None);
        }
        let both = |seen: &Seen| (self.read(seen, Reading::Index).ok(), self.read(seen, Reading::Colour).ok());
        let by_colour_too = masks.iter().all(|(seen, _)| both(seen).1.is_some());
        let differ = masks.iter().any(|(seen, _)| {
            let (index, colour) = both(seen);
            index != colour
        });
        if paint == Paint::Grey || !by_colour_too || !differ {
            return (Reading::Index, None);
        }
        let agreeing =
            |reading: Reading| masks.iter().filter(|(seen, labels)| self.agrees(seen, *labels, reading)).count();
        let (index, colour) = (agreeing(Reading::Index), agreeing(Reading::Colour));
        let told = |way: &str, with: usize, other: usize| {
            format!(
                "the palettes of the masks are not in the order of the classes; the masks are read by {way}, which \
                 agrees with the labels of {with} images, while the other way agrees with {other}"
            )
        };
        if colour > index || (colour == index && self.colours.given) {
            (Reading::Colour, Some(told(&format!("colour, as {from} has them"), colour, index)))
        } else {
            (Reading::Index, Some(told("index", index, colour)))
        }
    }

    /// Does a mask hold exactly the classes that its image is labelled with?
    fn agrees(&self, seen: &Seen, labels: Option<&[ClassId]>, reading: Reading) -> bool {
        let (Some(labels), Ok(table)) = (labels, self.read(seen, reading)) else { return false };
        let classes: BTreeSet<_> = seen.used.iter().map(|used| ClassId(table[used.number as usize])).collect();
        classes.into_iter().filter(|class| class.foreground().is_some()).eq(labels.iter().copied())
    }
}

/// Are there no numbers but 0 and 255, or no colours but black and white?
fn black_and_white(masks: &[(&Seen, Option<&[ClassId]>)]) -> bool {
    let mut used = masks.iter().flat_map(|(seen, _)| seen.used.iter().map(|used| (seen.paint, used)));
    let white = |(paint, used): (Paint, &Used)| match paint {
        Paint::Colour => used.colour == WHITE,
        _ => used.number == 255,
    };
    let black = |(paint, used): (Paint, &Used)| match paint {
        Paint::Colour => used.colour == BLACK,
        _ => used.number == 0,
    };
    used.clone().any(white) && used.all(|used| white(used) || black(used))
}

fn meaning_of_index(source: &Source, index: u8) -> Meaning {
    let all = source.classes_of_masks();
    match ClassId(index).foreground() {
        None => Meaning::Class(index),
        Some(place) => all
            .get(place)
            .map_or_else(|| Meaning::Unlisted(all.len().to_string()), |name| meaning_of_name(source, name)),
    }
}

fn meaning_of_name(source: &Source, name: &str) -> Meaning {
    if is_background(name) {
        return Meaning::Class(ClassId::BACKGROUND.0);
    }
    if is_void(name) {
        return Meaning::Class(ClassId::VOID.0);
    }
    match source.classes.iter().position(|class| class == name) {
        Some(place) => Meaning::Class(ClassId::from_foreground(place).0),
        None if source.unknown_classes == Unknown::Ignore || source.classes_of_masks().iter().any(|c| c == name) => {
            Meaning::Class(ClassId::BACKGROUND.0)
        }
        None => Meaning::Unlisted(format!("'{name}'")),
    }
}

/// The colour map that the manifest gives, or a file of the data set, or VOC's.
fn colours(source: &Source, tree: &Tree) -> Result<Colours, Fault> {
    if !source.mask_colours.is_empty() {
        let meaning = |(name, colour): (&String, &[u8; 3])| (*colour, meaning_of_name(source, name));
        let meanings = source.mask_colours.iter().map(meaning).collect();
        return Ok(Colours { meanings, from: "mask_colours", given: true });
    }
    match tree.file(LABEL_MAP).first() {
        Some(file) => label_map(source, file),
        None => Ok(voc_colours(source)),
    }
}

fn voc_colours(source: &Source) -> Colours {
    let known = source.classes_of_masks().len();
    let meaning = |index: u8| match meaning_of_index(source, index) {
        Meaning::Unlisted(_) => (voc_colour(index), Meaning::Unlisted(format!("class {index} of {known}"))),
        listed @ Meaning::Class(_) => (voc_colour(index), listed),
    };
    Colours { meanings: (0..=255).map(meaning).collect(), from: "VOC's colour map", given: false }
}

fn label_map(source: &Source, file: &str) -> Result<Colours, Fault> {
    let text = text::decode(&read_file(&source.root, file)?)
        .ok_or_else(|| Fault::new(file, "not UTF-8 text; save it as UTF-8"))?;
    // What nobody painted is black.
    let mut meanings = HashMap::from([(BLACK, Meaning::Class(ClassId::BACKGROUND.0))]);
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    for (number, line) in lines {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default().trim();
        let parts: Vec<_> = fields.next().unwrap_or_default().split(',').map(|part| part.trim().parse()).collect();
        let [Ok(r), Ok(g), Ok(b)] = parts[..] else {
            return Err(Fault::new(format!("{file}:{number}"), "no colour; a line is 'label:red,green,blue::'"));
        };
        meanings.insert([r, g, b], meaning_of_name(source, name));
    }
    Ok(Colours { meanings, from: LABEL_MAP, given: true })
}
