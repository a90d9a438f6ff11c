//! TOML as a tree in which every value knows the file and line it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use toml_edit::{Array, Document, DocumentMut, InlineTable, Item, Table, TableLike};

use crate::error::printable;
use crate::{Error, Result};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    source: Arc<str>,
    line: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
}

/// A TOML value with its origins.
#[derive(Clone, Debug)]
pub enum Node {
    /// A table.
    Table(BTreeMap<String, Node>, Origin),
    /// Anything else.
    Leaf(Value, Origin),
}

impl Node {
    /// Parses a file.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let source: Arc<str> = path.display().to_string().into();
        let lines = Lines::new(text, source);
        let document = Document::parse(text).map_err(|error| {
            let reason = printable(error.message(), 200);
            Error::Config(format!("{}: not valid TOML: {reason}", lines.origin(error.span())))
        })?;
        lines.table(document.as_table(), None)
    }

    /// The value of a `--set name=value`: TOML, or a plain string where it is not TOML.
    pub fn from_set(assignment: &str, value: &str) -> Result<Self> {
        let source: Arc<str> = format!("--set {assignment}").into();
        let text = format!("value = {value}");
        let parsed = Document::parse(&text).ok().filter(|document| document.as_table().len() == 1);
        match parsed.as_ref().and_then(|document| document.get("value")) {
            Some(item) => {
                let mut node = Lines::new(&text, source).item(item)?;
                node.forget_lines();
                Ok(node)
            }
            None => Ok(Self::Leaf(Value::String(value.to_owned()), Origin { source, line: None })),
        }
    }

    /// An empty table, as if written by nobody.
    pub fn empty() -> Self {
        Self::Table(BTreeMap::new(), Origin { source: "(default)".into(), line: None })
    }

    fn forget_lines(&mut self) {
        match self {
            Self::Table(map, origin) => {
                origin.line = None;
                map.values_mut().for_each(Self::forget_lines);
            }
            Self::Leaf(_, origin) => origin.line = None,
        }
    }

    /// Where this value was written.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::Table(_, origin) | Self::Leaf(_, origin) => origin,
        }
    }

    /// The table's entries; a leaf has none.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Self)> {
        match self {
            Self::Table(map, _) => Some(map.iter()),
            Self::Leaf(..) => None,
        }
        .into_iter()
        .flatten()
    }

    /// The value at a dotted name.
    pub fn get(&self, name: &str) -> Option<&Self> {
        name.split('.').try_fold(self, |node, part| match node {
            Self::Table(map, _) => map.get(part),
            Self::Leaf(..) => None,
        })
    }

    /// The entry of a table; its name may hold dots.
    pub fn entry(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Table(map, _) => map.get(name),
            Self::Leaf(..) => None,
        }
    }

    /// `over` wins, tables are merged.
    pub fn merge(&mut self, over: &Self) {
        match (self, over) {
            (Self::Table(map, _), Self::Table(over, _)) => {
                for (name, node) in over {
                    match map.get_mut(name) {
                        Some(mine) => mine.merge(node),
                        None => drop(map.insert(name.clone(), node.clone())),
                    }
                }
            }
            (mine, over) => *mine = over.clone(),
        }
    }

    /// Puts `node` at a path, making tables on the way.
    pub fn set(&mut self, path: &[&str], node: Self) {
        let Some((head, rest)) = path.split_first() else {
            *self = node;
            return;
        };
        if let Self::Leaf(_, origin) = self {
            *self = Self::Table(BTreeMap::new(), origin.clone());
        }
        if let Self::Table(map, origin) = self {
            let child = map.entry((*head).to_owned());
            child.or_insert_with(|| Self::Table(BTreeMap::new(), origin.clone())).set(rest, node);
        }
    }

    /// Removes an entry of a table.
    pub fn remove(&mut self, name: &str) -> Option<Self> {
        match self {
            Self::Table(map, _) => map.remove(name),
            Self::Leaf(..) => None,
        }
    }

    /// Replaces every leaf that is the string `${name}` by `value`.
    pub fn substitute(&mut self, name: &str, value: &Value) {
        match self {
            Self::Table(map, _) => map.values_mut().for_each(|node| node.substitute(name, value)),
            Self::Leaf(leaf, _) => {
                if leaf.as_str().and_then(|text| text.strip_prefix("${")?.strip_suffix('}')) == Some(name) {
                    *leaf = value.clone();
                }
            }
        }
    }

    /// The tree as a TOML file, origins left out. A leaf is no document.
    pub fn to_toml(&self) -> String {
        let mut document = DocumentMut::new();
        *document = self.toml_table();
        document.to_string()
    }

    fn toml_table(&self) -> Table {
        let mut table = Table::new();
        for (name, node) in self.entries() {
            let item = match node {
                Self::Table(..) => Item::Table(node.toml_table()),
                Self::Leaf(value, _) => Item::Value(toml(value)),
            };
            table.insert(name, item);
        }
        table
    }

    /// The tree as JSON, origins left out.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Table(map, _) => Value::Object(map.iter().map(|(k, v)| (k.clone(), v.to_json())).collect()),
            Self::Leaf(value, _) => value.clone(),
        }
    }
}

struct Lines {
    /// Where each line after the first begins.
    starts: Vec<usize>,
    source: Arc<str>,
}

impl Lines {
    fn new(text: &str, source: Arc<str>) -> Self {
        Self { starts: text.match_indices('\n').map(|(at, _)| at + 1).collect(), source }
    }

    fn origin(&self, span: Option<std::ops::Range<usize>>) -> Origin {
        let line = span.map(|span| self.starts.partition_point(|start| *start <= span.start) + 1);
        Origin { source: Arc::clone(&self.source), line }
    }

    fn table(&self, table: &dyn TableLike, span: Option<std::ops::Range<usize>>) -> Result<Node> {
        let entries = table.iter().map(|(name, item)| Ok((name.to_owned(), self.item(item)?)));
        Ok(Node::Table(entries.collect::<Result<_>>()?, self.origin(span)))
    }

    fn item(&self, item: &Item) -> Result<Node> {
        let origin = self.origin(item.span());
        if let Some(table) = item.as_table_like() {
            return self.table(table, item.span());
        }
        let refuse = |what: &str| Err(Error::Config(format!("{origin}: {what} has no use here")));
        match item {
            Item::Value(value) => match json(value) {
                Some(value) => Ok(Node::Leaf(value, origin)),
                None => refuse("a date, or a number that is not finite or an integer of more than 53 bits,"),
            },
            _ => refuse("an array of tables"),
        }
    }
}

fn json(value: &toml_edit::Value) -> Option<Value> {
    Some(match value {
        toml_edit::Value::String(text) => Value::String(text.value().clone()),
        // Larger ones would share a key: canonical JSON has numbers of 64-bit floats only.
        toml_edit::Value::Integer(number) if number.value().unsigned_abs() > 1 << 53 => return None,
        toml_edit::Value::Integer(number) => Value::from(*number.value()),
        toml_edit::Value::Float(number) => Value::Number(serde_json::Number::from_f64(*number.value())?),
        toml_edit::Value::Boolean(flag) => Value::Bool(*flag.value()),
        toml_edit::Value::Array(items) => Value::Array(items.iter().map(json).collect::<Option<_>>()?),
        toml_edit::Value::InlineTable(table) => Value::Object(
            table.iter().map(|(name, value)| Some((name.to_owned(), json(value)?))).collect::<Option<_>>()?,
        ),
        toml_edit::Value::Datetime(_) => return None,
    })
}

/// The value that [`json`] reads as this one. TOML has no null, and so no leaf of a tree is one.
fn toml(value: &Value) -> toml_edit::Value {
    match value {
        Value::Null => toml_edit::Value::from(""),
        Value::Bool(flag) => (*flag).into(),
        Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => toml_edit::Value::Array(items.iter().map(toml).collect::<Array>()),
        Value::Object(entries) => {
            let entries = entries.iter().map(|(name, value)| (name.as_str(), toml(value)));
            toml_edit::Value::InlineTable(entries.collect::<InlineTable>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_is_written_is_read_as_the_same_one() {
        let text = r#"
            name = "a \"quoted\" name, and ümlauts"
            [stage.train-cam]
            needs = []
            lr = 1e-3
            whole = 2.0
            seed = 9007199254740992
            scales = [0.5, 1, { deep = [true] }]
            [experiment."rcm+mam"]
            [experiment.none.x]
            "train.cam" = -1
        "#;
        let tree = Node::parse(text, Path::new("a.toml")).unwrap();
        let written = Node::parse(&tree.to_toml(), Path::new("b.toml")).unwrap();
        assert_eq!(written.to_json(), tree.to_json());
        assert!(written.to_json()["stage"]["train-cam"]["whole"].is_f64());
    }
}
