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
use super::pickle::{self, Made, StorageRef, Value};
use super::tensor::{Storage, Stored};
use super::zip::Archive;
use super::{Content, Format};

/// The magic number of the legacy layout, little-endian.
pub const MAGIC: [u8; 10] = [0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19];
const PROTOCOL: i64 = 1001;
/// Where training scripts keep the state dict among other things.
const NESTS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

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

/// The named tensors of `object`, or of the state dict in it.
fn state_dict(
    format: Format,
    object: Value,
    made: &Made,
    resolve: impl Fn(&StorageRef) -> Result<Storage>,
) -> Result<Content> {
    let Value::Dict(mut dict) = object else {
        return Err("the file holds no dict of tensors; save the weights alone: torch.save(net.state_dict(), …)".into());
    };
    for nest in NESTS {
        let inner = made.dicts[dict].iter().find(|(key, _)| *key == Value::Text(nest));
        if let Some((_, Value::Dict(inner))) = inner {
            dict = *inner;
            break;
        }
    }
    let mut content = Content::new(format);
    for (name, value) in &made.dicts[dict] {
        let (Value::Text(name), Value::Tensor(tensor)) = (*name, *value) else {
            let name = if let Value::Text(name) = name { name } else { "a key that is not text" };
            return Err(format!(
                "'{name}' is no tensor; a state dict holds only tensors, and may itself stand under one of {}",
                NESTS.join(", ")
            ));
        };
        let tensor = &made.tensors[tensor];
        let stored = resolve(&made.storages[tensor.storage])
            .and_then(|storage| Stored::view(&storage, tensor.offset, &tensor.shape, &tensor.strides))
            .map_err(|why| format!("tensor '{name}': {why}"))?;
        content.insert(name, stored)?;
    }
    Ok(content)
}
