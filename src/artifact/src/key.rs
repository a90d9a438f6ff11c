//! What a stage's result depends on, and the key that names it.
//!
//! `key = BLAKE3(canonical JSON of the preimage)`; canonical is RFC 8785, so `1`, `1.0` and `1e0` are one number.
//! Paths, hosts, times, worker and shard counts are never in a preimage; inputs are in it by the digests of
//! what is read of them, so an upstream stage that ran again and made the same rows changes nothing downstream, and no
//! more does a table that the stage does not read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, Reading, Result, dotted};

/// Everything that decides the bytes of an artifact. Stored in `artifact.json`, so that `explain` can compare.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preimage {
    /// Name of the stage.
    pub stage: String,
    /// The stage's VERSION: rises when the same inputs would give other outputs.
    pub version: u32,
    /// The parameters that change bytes.
    pub params: Value,
    /// Seed of the pipeline, where the stage draws random numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Input stage to what is read of its artifact.
    pub inputs: BTreeMap<String, Reading>,
    /// Parameter that names a file or directory from outside to the digest of its content.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub files: BTreeMap<String, String>,
    /// Device class and data type, where the stage computes with tensors: `cpu f32`, `cuda f32`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
}

/// The name of an artifact: 64 hexadecimal digits, of which the first 16 are the directory's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Preimage {
    /// The key of this preimage.
    pub fn key(&self) -> Key {
        Key(digest_json(&serde_json::to_value(self).expect("a preimage is JSON")))
    }

    /// The fields in which `self` (new) differs from `old`, as dotted names with old and new value.
    pub fn changes_from(&self, old: &Self) -> Vec<Change> {
        let [old, new] = [old, self].map(|preimage| serde_json::to_value(preimage).expect("a preimage is JSON"));
        let (old, new) = (dotted::leaves(&old), dotted::leaves(&new));
        let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
        let value = |leaves: &BTreeMap<String, &Value>, name: &String| leaves.get(name).map(|leaf| (*leaf).clone());
        differing.map(|name| Change { field: name.clone(), old: value(&old, name), new: value(&new, name) }).collect()
    }
}

/// One differing field of two preimages.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Dotted name, such as `params.optimizer.lr` or `inputs.prepare-data.tables.dataset`.
    pub field: String,
    /// What it was, `None` if it was not there.
    pub old: Option<Value>,
    /// What it is now.
    pub new: Option<Value>,
}

impl Key {
    /// The directory's name.
    pub fn short(&self) -> &str {
        &self.0[..16]
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads a stored key back.
    pub fn parse(text: &str) -> Result<Self> {
        let hex = text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit());
        hex.then(|| Self(text.to_owned())).ok_or_else(|| Error::NotCommitted(format!("'{text}' is no artifact key")))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}

/// BLAKE3 of the canonical JSON (RFC 8785) of a value, in hexadecimal.
pub(crate) fn digest_json(value: &Value) -> String {
    let text = serde_json_canonicalizer::to_string(value).expect("JSON numbers here are finite");
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn preimage(params: Value) -> Preimage {
        Preimage {
            stage: "train-cam".into(),
            version: 1,
            params,
            seed: Some(1),
            inputs: [("prepare-data".to_owned(), Reading::default())].into(),
            files: BTreeMap::new(),
            device: Some("cpu f32".into()),
        }
    }

    #[test]
    fn one_number_has_one_key_however_it_is_written() {
        assert_eq!(preimage(json!({"lr": 1.0, "b": 2})).key(), preimage(json!({"b": 2, "lr": 1})).key());
        assert_ne!(preimage(json!({"lr": 0.1})).key(), preimage(json!({"lr": 0.100_000_1})).key());
    }

    #[test]
    fn a_change_is_named_by_its_field() {
        let (old, new) = (preimage(json!({"a": {"lr": 0.1, "x": 1}})), preimage(json!({"a": {"lr": 0.2, "x": 1}})));
        let expected = Change { field: "params.a.lr".into(), old: Some(json!(0.1)), new: Some(json!(0.2)) };
        assert_eq!(new.changes_from(&old), [expected]);
    }
}
