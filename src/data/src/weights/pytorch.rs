//! What `torch.save` writes: the zip layout, and the layout of 2018 and before.
//!
//! ```text
//! zip     NAME/data.pkl: the object; NAME/data/KEY: the elements of a storage; NAME/byteorder, since 2.0
//! legacy  pickles: magic number, protocol 1001, system, the object, the list of storage keys;
//!         then for each key u64 count, elements
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::cursor::{Cursor, Result};
use super::pickle::{self, Foreign, Made, StorageRef, Value};
use super::tensor::{Storage, Stored};
use super::zip::Archive;
use super::{Content, Format};

/// The magic number of the legacy layout, little-endian.
pub const MAGIC: [u8; 10] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;
/// Dicts in dicts that are looked into: no training script has more.
const DEEPEST: usize = 8;
/// Characters of all names together: dicts that hold more go round in a circle, or hold one another many times.
const MOST: usize = 1 << 24;

/// Reads the zip layout.
pub fn read_zip(bytes: &[u8]) -> Result<Content> {
    let archive = Archive::open(bytes)?;
    let mut roots = archive.names().filter_map(|name| name.strip_suffix("data.pkl"));
    let root = roots.find(|root| root.find('/').is_none_or(|slash| slash + 1 == root.len()));
    let root = root.ok_or("the archive has no data.pkl: torch.save did not write it")?;
    let entry = |name: &str| archive.get(&format!("{root}{name}"));
    if let Some(order) = entry("byteorder").map(|range| &bytes[range])
        && order != b"little"
    {
        return Err(format!("byte order '{}'; only little-endian files are read", String::from_utf8_lossy(order)));
    }
    let program = entry("data.pkl").map(|range| &bytes[range]).unwrap_or_default();
    let (object, made) = pickle::run(&mut Cursor::new(program)).map_err(|why| format!("data.pkl: {why}"))?;
    state_dict(Format::TorchZip, object, &made, |storage| {
        let StorageRef { dtype, key, count, part } = *storage;
        let range = entry(&format!("data/{key}")).ok_or_else(|| format!("the archive lacks data/{key}"))?;
        if part.is_some() || count.checked_mul(dtype.size()) != Some(range.len()) {
            return Err(format!("data/{key} has {} bytes, which are not {count} elements {dtype}", range.len()));
        }
        Ok(Storage { dtype, start: range.start, count })
    })
}

/// Reads the legacy layout.
pub fn read_legacy(bytes: &[u8]) -> Result<Content> {
    let mut cursor = Cursor::new(bytes);
    let (magic, _) = pickle::run(&mut cursor)?;
    if !matches!(magic, Value::Long(number) if number == MAGIC) {
        return Err("a Python pickle, but not of torch.save".to_owned());
    }
    if pickle::run(&mut cursor)?.0 != Value::Int(PROTOCOL) {
        return Err(format!("not protocol {PROTOCOL}, the only one that torch.save ever wrote"));
    }
    let (system, made) = pickle::run(&mut cursor)?;
    if let Value::Dict(system) = system
        && made.dicts[system].contains(&(Value::Text("little_endian"), Value::Bool(false)))
    {
        return Err("big-endian; only little-endian files are read".to_owned());
    }
    let (object, made) = pickle::run(&mut cursor)?;
    let storages = storages(&mut cursor, &made)?;
    if cursor.remaining() > 0 {
        return Err(format!("{} bytes follow the last storage, at byte {}", cursor.remaining(), cursor.at()));
    }
    state_dict(Format::TorchLegacy, object, &made, |reference| {
        let StorageRef { dtype, key, count, part } = *reference;
        let found = storages.get(key).filter(|found| found.dtype == dtype && found.count == count);
        let whole = *found.ok_or_else(|| format!("the file has no storage {key} of {count} elements {dtype}"))?;
        let (offset, count) = part.unwrap_or((0, count));
        if offset.checked_add(count).is_none_or(|end| end > whole.count) {
            return Err(format!("{count} elements from {offset} on leave storage {key}, which has {}", whole.count));
        }
        Ok(Storage { start: whole.start + offset * dtype.size(), count, ..whole })
    })
}

/// Reads the storages that follow a legacy file's pickles. Only the object says of which type each is.
fn storages<'a>(cursor: &mut Cursor<'a>, object: &Made<'a>) -> Result<HashMap<&'a str, Storage>> {
    let (keys, list) = pickle::run(cursor)?;
    let Value::List(keys) = keys else { return Err("the object is not followed by the list of storages".to_owned()) };
    let dtypes: HashMap<_, _> = object.storages.iter().map(|storage| (storage.key, storage.dtype)).collect();
    let mut storages = HashMap::new();
    for key in &list.sequences[keys] {
        let Value::Text(key) = *key else { return Err("a storage's key is not text".to_owned()) };
        let dtype = *dtypes.get(key).ok_or_else(|| format!("no tensor refers to storage {key}"))?;
        let what = format!("storage {key}");
        let count = cursor.u64(&what)?;
        let start = cursor.at();
        let bytes = cursor.take(count.saturating_mul(dtype.size() as u64), &what)?;
        let Entry::Vacant(place) = storages.entry(key) else { return Err(format!("{what} is there twice")) };
        place.insert(Storage { dtype, start, count: bytes.len() / dtype.size() });
    }
    Ok(storages)
}

/// The named tensors of `object`, of all dicts below it too: a tensor of a dict in a dict has the names of both, with a
/// dot between them.
fn state_dict(
    format: Format,
    object: Value,
    made: &Made,
    resolve: impl Fn(&StorageRef) -> Result<Storage>,
) -> Result<Content> {
    let mut found = Found { made, tensors: Vec::new(), beside: Vec::new(), foreign: None, characters: 0 };
    found.look(object, "", 0)?;
    if found.tensors.is_empty() {
        let nothing = "the file holds no dict of tensors; save the weights alone: torch.save(net.state_dict(), …)";
        return Err(found.foreign.map_or_else(|| nothing.to_owned(), |foreign| foreign.refusal()));
    }
    let mut content = Content::new(format);
    for (name, tensor) in found.tensors {
        let tensor = &made.tensors[tensor];
        let stored = resolve(&made.storages[tensor.storage])
            .and_then(|storage| Stored::view(&storage, tensor.offset, &tensor.shape, &tensor.strides))
            .map_err(|why| format!("tensor '{name}': {why}"))?;
        content.tensors.push((name, stored));
    }
    content.beside = found.beside;
    Ok(content)
}

/// What lies in the dicts of an object.
struct Found<'a, 'b> {
    made: &'b Made<'a>,
    /// Names, and the tensors' places in `made`.
    tensors: Vec<(String, usize)>,
    /// Names of what is no tensor, with what it is.
    beside: Vec<String>,
    /// The first name that means nothing here.
    foreign: Option<Foreign<'a>>,
    characters: usize,
}

impl<'a> Found<'a, '_> {
    fn look(&mut self, value: Value<'a>, name: &str, depth: usize) -> Result<()> {
        match value {
            Value::Tensor(tensor) if depth > 0 => self.tensors.push((name.to_owned(), tensor)),
            Value::Dict(dict) if depth < DEEPEST => {
                let made = self.made;
                let before = self.tensors.len();
                for (key, value) in &made.dicts[dict] {
                    // Optimisers count their parameters.
                    let Value::Text(key) = *key else { continue };
                    self.characters += name.len() + key.len() + 1;
                    if self.characters > MOST {
                        return Err(format!("names of more than {MOST} characters in dicts of dicts: no state dict"));
                    }
                    let name = if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
                    self.look(*value, &name, depth + 1)?;
                }
                if self.tensors.len() == before && depth == 1 {
                    self.beside.push(format!("{name} (a dict)"));
                }
            }
            other => {
                let what = match other {
                    Value::Foreign(foreign) => {
                        self.foreign = self.foreign.or(Some(foreign));
                        format!("{}.{}", foreign.module, foreign.name)
                    }
                    other => kind(other).to_owned(),
                };
                // What a deeper dict holds beside its tensors is of no interest.
                if (1..=2).contains(&depth) {
                    self.beside.push(format!("{name} ({what})"));
                }
            }
        }
        Ok(())
    }
}

/// What a value is that is no tensor.
fn kind(value: Value) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "true or false",
        Value::Int(_) | Value::Long(_) => "a number",
        Value::Text(_) => "a text",
        Value::Tuple(_) | Value::List(_) => "a list",
        Value::Dict(_) => "a dict",
        _ => "no tensor",
    }
}
