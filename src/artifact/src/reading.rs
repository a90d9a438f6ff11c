//! What a stage reads of an input artifact: some of its tables and files, or the parameters with which it was made.
//!
//! A key holds the digests of these parts and of nothing else, so what nobody reads may change.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Row;
use crate::store::Contents;

/// What an input can be read for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A table by its name.
    Table(String),
    /// A file by its name, which says what it is: `cam_net.safetensors`.
    File(String),
    /// The parameters with which it was made: any input has those.
    Params,
}

/// The parts of an artifact that a stage reads, each with its digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// Tables by name: digest of rows, version and metadata.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables: BTreeMap<String, String>,
    /// Files by name: digest of their bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    files: BTreeMap<String, String>,
    /// Digest of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    params: Option<String>,
}

impl Item {
    /// The table of `R`.
    pub fn table<R: Row>() -> Self {
        Self::Table(R::TABLE.to_owned())
    }

    /// Is it among these contents?
    pub fn is_in(&self, contents: &Contents) -> bool {
        match self {
            Self::Table(name) => contents.tables.contains(name),
            Self::File(name) => contents.has_file(name),
            Self::Params => true,
        }
    }

    /// The input and the part of it behind a dotted name of a preimage, such as `inputs.prepare-data.tables.mask`.
    pub fn of_field(field: &str) -> Option<(&str, Self)> {
        let (stage, part) = field.strip_prefix("inputs.")?.split_once('.')?;
        let item = match part.split_once('.') {
            Some(("tables", name)) => Self::Table(name.to_owned()),
            Some(("files", name)) => Self::File(name.to_owned()),
            _ => Self::Params,
        };
        Some((stage, item))
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(name) => write!(f, "the table '{name}'"),
            Self::File(name) => write!(f, "the file '{name}'"),
            Self::Params => f.write_str("the parameters"),
        }
    }
}

impl Reading {
    /// Those of `items` that an input holds; `digest` gives the digest of each.
    pub fn of<'a>(items: impl IntoIterator<Item = &'a Item>, digest: impl Fn(&Item) -> Option<String>) -> Self {
        let mut reading = Self::default();
        for item in items {
            let Some(digest) = digest(item) else { continue };
            match item {
                Item::Table(name) => drop(reading.tables.insert(name.clone(), digest)),
                Item::File(name) => drop(reading.files.insert(name.clone(), digest)),
                Item::Params => reading.params = Some(digest),
            }
        }
        reading
    }

    /// The parts with their digests.
    pub fn parts(&self) -> impl Iterator<Item = (Item, &str)> {
        let tables = self.tables.iter().map(|(name, digest)| (Item::Table(name.clone()), digest.as_str()));
        let files = self.files.iter().map(|(name, digest)| (Item::File(name.clone()), digest.as_str()));
        tables.chain(files).chain(self.params.as_deref().map(|digest| (Item::Params, digest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotted::leaves;

    #[test]
    fn a_part_is_found_again_by_its_field_whatever_its_name_holds() {
        let items = [Item::Table("mask".into()), Item::File("cam_net.safetensors".into()), Item::Params];
        let reading = Reading::of(&items, |_| Some("digest".to_owned()));
        assert!(reading.parts().map(|(item, _)| item).eq(items.iter().cloned()));
        let json = serde_json::json!({ "inputs": { "train-cam": reading } });
        let found: Vec<_> = leaves(&json).keys().map(|field| Item::of_field(field).unwrap().1).collect();
        assert!(items.iter().all(|item| found.contains(item)) && found.len() == items.len(), "{found:?}");
        assert_eq!(Item::of_field("params.inputs.x"), None);
    }

    #[test]
    fn what_an_input_does_not_hold_is_not_read() {
        let items = [Item::Table("cam".into()), Item::File("net".into())];
        let held = |item: &Item| (*item == items[0]).then(|| "digest".to_owned());
        let reading = Reading::of(&items, held);
        assert_eq!(serde_json::to_string(&reading).unwrap(), r#"{"tables":{"cam":"digest"}}"#);
    }
}
