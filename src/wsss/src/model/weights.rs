//! Strict loading of weights: reads one `.safetensors` file, fills a `VarStore`, and says by name what did not match.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use artifact::{Error, Result};
use safetensors::{Dtype, SafeTensors};
use tch::{Kind, Tensor, nn};

/// How many names an error lists before it counts the rest.
const NAMES_SHOWN: usize = 5;

/// One tensor of a file, unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type, as safetensors writes it (`F32`).
    pub dtype: String,
}

/// What loading did. Names are those of the `VarStore`, in alphabetical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many variables were filled.
    pub filled: usize,
    /// Variables that the file has no tensor for.
    pub missing: Vec<String>,
    /// Tensors that no variable takes.
    pub unexpected: Vec<String>,
    /// Names whose shapes differ, with both shapes.
    pub misshapen: Vec<Misshapen>,
}

/// A tensor whose shape is not its variable's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misshapen {
    /// The variable.
    pub name: String,
    /// The variable's shape.
    pub expected: Vec<i64>,
    /// The file's.
    pub found: Vec<i64>,
}

impl fmt::Display for Misshapen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (expected {:?}, found {:?})", self.name, self.expected, self.found)
    }
}

/// What the file at `path` holds, in alphabetical order.
pub fn content(path: &Path) -> Result<Vec<Entry>> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let file = parse(&bytes, path)?;
    let mut entries: Vec<Entry> = file
        .iter()
        .map(|(name, view)| Entry {
            name: name.to_owned(),
            shape: view.shape().to_vec(),
            dtype: format!("{:?}", view.dtype()),
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// Fills the variables of `vs` from the `.safetensors` file at `path`.
///
/// A leading `module.` is dropped, and `prefix` (such as `backbone.`) put before names that lack it and are not
/// variables as they stand; `num_batches_tracked` is skipped. Every variable must be filled and every tensor used, except names that begin with
/// one of `optional` (such as `classifier`), with or without the prefix: those may be missing, unexpected or of another
/// shape, and keep their values. Nothing is filled if anything else does not match.
pub fn load_safetensors(vs: &nn::VarStore, path: &Path, prefix: &str, optional: &[&str]) -> Result<LoadReport> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let file = parse(&bytes, path)?;
    let variables = vs.variables();
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let name = name.strip_prefix("module.").unwrap_or(name);
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let complete = name.starts_with(prefix) || variables.contains_key(name);
        let key = if complete { name.to_owned() } else { format!("{prefix}{name}") };
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F16 => Kind::Half,
            other => {
                return Err(Error::Data(format!(
                    "{}: tensor '{name}' is {other:?}; weights must be F32 or F16",
                    path.display()
                )));
            }
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        let tensor = Tensor::from_data_size(view.data(), &shape, kind).to_kind(Kind::Float);
        if tensors.insert(key, tensor).is_some() {
            return Err(Error::Data(format!("{}: holds '{name}' twice, with and without prefix", path.display())));
        }
    }
    fill(vs, &tensors, &path.display().to_string(), |name| {
        let bare = name.strip_prefix(prefix).unwrap_or(name);
        optional.iter().any(|o| name.starts_with(o) || bare.starts_with(o))
    })
}

/// Fills `vs` from named tensors that came from `source`, under the rule of [`load_safetensors`].
pub fn fill(
    vs: &nn::VarStore,
    tensors: &BTreeMap<String, Tensor>,
    source: &str,
    optional: impl Fn(&str) -> bool,
) -> Result<LoadReport> {
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let mut report = LoadReport::default();
    let mut matches = Vec::new();
    for (name, variable) in &variables {
        match tensors.get(name) {
            None => report.missing.push(name.clone()),
            Some(tensor) if tensor.size() != variable.size() => {
                report.misshapen.push(Misshapen {
                    name: name.clone(),
                    expected: variable.size(),
                    found: tensor.size(),
                });
            }
            Some(tensor) => matches.push((variable, tensor)),
        }
    }
    report.unexpected.extend(tensors.keys().filter(|name| !variables.contains_key(*name)).cloned());

    let required = |names: &[String]| -> Vec<String> { names.iter().filter(|n| !optional(n)).cloned().collect() };
    let misshapen: Vec<String> =
        report.misshapen.iter().filter(|m| !optional(&m.name)).map(ToString::to_string).collect();
    let complaints: Vec<String> = [
        ("missing", required(&report.missing)),
        ("unexpected", required(&report.unexpected)),
        ("of another shape", misshapen),
    ]
    .into_iter()
    .filter(|(_, names)| !names.is_empty())
    .map(|(what, names)| complaint(what, &names))
    .collect();
    if !complaints.is_empty() {
        return Err(Error::Data(format!("{source} does not fit this network: {}", complaints.join("; "))));
    }
    tch::no_grad(|| {
        for (variable, tensor) in &matches {
            variable.shallow_clone().copy_(tensor);
        }
    });
    report.filled = matches.len();
    Ok(report)
}

/// `3 missing: a, b, c`.
fn complaint(what: &str, names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {what}: {shown}{tail}", names.len())
}

/// The header is checked against the file's length before anything of its size is allocated.
fn parse<'a>(bytes: &'a [u8], path: &Path) -> Result<SafeTensors<'a>> {
    SafeTensors::deserialize(bytes)
        .map_err(|why| Error::Data(format!("{} is no safetensors file, or is damaged: {why}", path.display())))
}
