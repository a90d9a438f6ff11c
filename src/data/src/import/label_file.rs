//! Image-level labels as this field's repositories keep them (`cls_labels.npy`, `labels.npy`): a dict of NumPy arrays,
//! one number a class, by the name of the image. It is a pickle; nothing in it is executed.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use artifact::ClassId;

use crate::weights::cursor::Cursor;
use crate::weights::pickle::{self, Made, Purpose, Value};

use super::fault::{Fault, quoted, take};
use super::listing::{Labels, Listing};
use super::tree::{compose, is_picture, name, split_ending};
use super::{Source, WithoutAnnotation};

const MAGIC: &[u8] = b"\x93NUMPY";

/// What the file says, by image.
#[derive(Debug, Default)]
struct Entries {
    by_name: HashMap<String, Vec<f64>>,
    /// Names that are written as numbers: 2007000032 is `2007_000032`.
    by_number: HashMap<i64, Vec<f64>>,
}

/// Gives all images that would have their labels from an annotation those of the file.
pub(super) fn apply(source: &Source, file: &Path, listing: &mut Listing) {
    let place = file.display().to_string();
    let read = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"));
    let entries = match read.and_then(|bytes| entries(&bytes)) {
        Ok(entries) => entries,
        Err(reason) => {
            // Then nobody should look for annotations.
            listing.images.values_mut().for_each(|listed| listed.labels = Labels::Unknown);
            return listing.faults.push(Fault::new(place, reason));
        }
    };
    let mut of_number: BTreeMap<i64, usize> = BTreeMap::new();
    for number in listing.images.keys().filter_map(|id| number(id.as_str())) {
        *of_number.entry(number).or_default() += 1;
    }
    let (mut faults, mut background) = (vec![], 0);
    for (id, listed) in listing.images.iter_mut().filter(|(_, listed)| listed.labels == Labels::Annotation) {
        let of_name = entries.by_name.get(&compose(id.as_str()));
        let found = of_name.or_else(|| {
            let number = number(id.as_str()).filter(|number| of_number[number] == 1)?;
            entries.by_number.get(&number)
        });
        let labels = match found {
            Some(hot) => labels(source, hot).map_err(|reason| format!("'{id}' {reason}")),
            None if source.without_annotation == WithoutAnnotation::Background => {
                background += 1;
                Ok(vec![])
            }
            None => Err(format!(
                "it has no labels of '{id}'; take the file of this very list, or, if images without labels show no \
                 object of any class, without_annotation = \"background\""
            )),
        };
        let labels = take(&mut faults, labels.map_err(|reason| Fault::new(&place, reason)));
        listed.labels = labels.map_or(Labels::Unknown, Labels::Known);
    }
    listing.faults.append(&mut faults);
    if background > 0 {
        listing.notes.push(format!("{background} images have no labels in {place} and are read as background"));
    }
}

/// The classes that are 1.
fn labels(source: &Source, hot: &[f64]) -> Result<Vec<ClassId>, String> {
    let all = source.classes_of_masks();
    let names = [all, source.classes.as_slice()].into_iter().find(|names| names.len() == hot.len());
    let Some(names) = names else {
        return Err(format!("has {} numbers, but {} classes are listed", hot.len(), all.len()));
    };
    let mut labels = vec![];
    for (value, class) in hot.iter().zip(names) {
        let place = source.classes.iter().position(|listed| listed == class);
        match *value {
            1.0 => labels.extend(place.map(ClassId::from_foreground)),
            0.0 => {}
            other => return Err(format!("has {other} for {}, which is neither 0 nor 1", quoted(class))),
        }
    }
    Ok(labels)
}

fn entries(bytes: &[u8]) -> Result<Entries, String> {
    let (object, made) = pickle::run_for(Purpose::Labels, &mut Cursor::starting(bytes, start_of_pickle(bytes)?))?;
    let Value::Array(array) = object else { return Err(no_dict()) };
    let Value::List(list) = made.arrays[array].data else { return Err(no_dict()) };
    let [Value::Dict(dict)] = made.sequences[list][..] else { return Err(no_dict()) };
    let mut entries = Entries::default();
    for (key, value) in &made.dicts[dict] {
        let named = name_of(*key);
        let shown =
            named.as_ref().map_or_else(|| "a key that is neither text nor a number".into(), |name| quoted(name));
        let hot = numbers(*value, &made).ok_or_else(|| format!("{shown} has no array of numbers"))?;
        let before = match (*key, named) {
            (Value::Int(number), _) => entries.by_number.insert(number, hot.clone()),
            (_, Some(name)) => entries.by_name.insert(name, hot.clone()),
            (_, None) => return Err(shown),
        };
        if before.is_some_and(|before| before != hot) {
            return Err(format!("{shown} is there twice with different labels; remove one"));
        }
    }
    Ok(entries)
}

fn no_dict() -> String {
    "an array, but no dict of labels by image; save it as np.save(file, {name: labels, …})".to_owned()
}

/// Where the pickle begins in a `.npy` file of one object.
fn start_of_pickle(bytes: &[u8]) -> Result<usize, String> {
    let no_npy = || "no .npy file; save the labels as np.save(file, {name: labels, …})".to_owned();
    let (version, rest) = bytes.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk::<2>).ok_or_else(no_npy)?;
    let (length, rest) = match (version[0], rest) {
        (1, [a, b, rest @ ..]) => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        (2 | 3, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(no_npy()),
    };
    let header = rest.get(..length).and_then(|header| std::str::from_utf8(header).ok()).ok_or_else(no_npy)?;
    let header = header.replace(' ', "");
    if !header.contains("'descr':'|O'") || !header.contains("'shape':()") {
        return Err(no_dict());
    }
    Ok(bytes.len() - rest.len() + length)
}

/// The name of an image, without folders and ending.
fn name_of(key: Value) -> Option<String> {
    let text = match key {
        Value::Text(text) => text.to_owned(),
        Value::Int(number) => return Some(number.to_string()),
        Value::Wide(bytes) => {
            let code = |unit: &[u8; 4]| char::from_u32(u32::from_le_bytes(*unit));
            bytes.as_chunks().0.iter().map(code).collect::<Option<String>>()?.trim_end_matches('\0').to_owned()
        }
        _ => return None,
    };
    let bare = name(&text);
    Some(compose(if is_picture(bare) { split_ending(bare).0 } else { bare }))
}

/// The numbers of an array, or of a list of integers.
fn numbers(value: Value, made: &Made) -> Option<Vec<f64>> {
    let integer = |item: &Value| if let Value::Int(number) = *item { Some(number as f64) } else { None };
    match value {
        Value::Array(array) => made.arrays[array].numbers(),
        Value::List(list) => made.sequences[list].iter().map(integer).collect(),
        _ => None,
    }
}

/// The number that an id of digits and underscores is written as.
fn number(id: &str) -> Option<i64> {
    let digits = id.replace('_', "");
    if digits.bytes().all(|byte| byte.is_ascii_digit()) { digits.parse().ok() } else { None }
}
