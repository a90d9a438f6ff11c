//! One network in several files: `model.safetensors.index.json` and the shards beside it, as `transformers` saves them.
//! Shards may be of any format.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::{Error, Result};
use serde::Deserialize;

use super::{Content, content, refusal};

/// The index: in which file each tensor lies.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// The files that an index names, by their names beside it. An index that cannot be read names none.
fn files(index: &[u8]) -> std::result::Result<BTreeMap<String, String>, String> {
    let Index { weight_map } = serde_json::from_slice(index)
        .map_err(|why| format!("no index of shards ({why}); name the file of weights itself"))?;
    if weight_map.is_empty() {
        return Err("an index of shards that names none".to_owned());
    }
    let mut files = weight_map.values();
    match files.find(|file| file.contains(['/', '\\']) || file.as_str() == "..") {
        Some(file) => Err(format!("names the shard '{file}', which does not lie beside it")),
        None => Ok(weight_map),
    }
}

/// Reads the shards that the index at `path` names: their bytes, one after the other, and what they hold together.
pub fn read(path: &Path, index: &[u8]) -> Result<(Vec<u8>, Content)> {
    let source = path.display().to_string();
    let places = files(index).map_err(|why| refusal(&source, &why))?;
    let mut names: Vec<&String> = places.values().collect();
    names.sort();
    names.dedup();
    let (mut bytes, mut all) = (Vec::new(), None::<Content>);
    for name in names {
        let path = path.with_file_name(name);
        let shard = std::fs::read(&path).map_err(|why| match why.kind() {
            std::io::ErrorKind::NotFound => refusal(&source, &format!("its shard {name} is not beside it")),
            _ => Error::io("read", &path)(why),
        })?;
        let found = content(&shard).map_err(|why| refusal(&path.display().to_string(), &why))?;
        let place = all.get_or_insert_with(|| Content::new(found.format));
        for (tensor, stored) in found.tensors {
            if places.get(&tensor) == Some(name) {
                place.tensors.push((tensor, stored.after(bytes.len())));
            }
        }
        bytes.extend(shard);
    }
    let all = all.ok_or_else(|| refusal(&source, "an index of shards that names none"))?;
    let there: std::collections::BTreeSet<&str> = all.tensors.iter().map(|(name, _)| name.as_str()).collect();
    match places.iter().find(|(tensor, _)| !there.contains(tensor.as_str())) {
        Some((tensor, file)) => Err(refusal(&source, &format!("'{tensor}' is not in its shard {file}"))),
        None => Ok((bytes, all)),
    }
}
