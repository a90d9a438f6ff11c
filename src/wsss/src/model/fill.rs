//! Strict loading: every variable is filled and every tensor used, or a report says which not.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use artifact::{Error, Result};
use data::weights::{Stored, Weights, shown};
use tch::{Tensor, nn};

/// How the names begin of heads of published classifiers, which no network here has.
pub const FOREIGN_HEADS: [&str; 5] = ["classifier.", "fc.", "_fc.", "fc8.", "linear1000"];

/// How many names a report lists before it counts the rest.
const NAMES_SHOWN: usize = 5;

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

/// A variable and the tensor of its name and shape.
struct Match<'a> {
    name: &'a str,
    variable: &'a Tensor,
    stored: &'a Stored,
}

impl LoadReport {
    /// Whether every variable has its tensor and every tensor its variable.
    pub fn fits(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.misshapen.is_empty()
    }

    /// Without the names that begin with one of `optional`, with or without `prefix`.
    #[must_use]
    pub fn required(&self, prefix: &str, optional: &[&str]) -> Self {
        let required = |name: &str| {
            let bare = name.strip_prefix(prefix).unwrap_or(name);
            !optional.iter().any(|o| name.starts_with(o) || bare.starts_with(o))
        };
        let names = |names: &[String]| names.iter().filter(|name| required(name)).cloned().collect();
        Self {
            filled: self.filled,
            missing: names(&self.missing),
            unexpected: names(&self.unexpected),
            misshapen: self.misshapen.iter().filter(|tensor| required(&tensor.name)).cloned().collect(),
        }
    }
}

/// `2 missing: a, b; 1 of another shape: c (expected [4], found [3])`.
impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let misshapen: Vec<String> = self.misshapen.iter().map(ToString::to_string).collect();
        let complaints: Vec<String> =
            [("missing", &self.missing), ("unexpected", &self.unexpected), ("of another shape", &misshapen)]
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| complaint(what, names))
                .collect();
        f.write_str(&shown(&complaints.join("; ")))
    }
}

/// Fills the variables of `vs` from the file at `path`, of any format.
///
/// `prefix` (such as `backbone.`) is put before names that lack it and are not variables as they stand;
/// `num_batches_tracked` is skipped. Every variable must be filled and every tensor used, except names that begin with
/// one of `optional` (such as `classifier.`), with or without the prefix: those may be missing, unexpected or of
/// another shape, and keep their values. Nothing is filled if anything else does not match.
pub fn load(vs: &nn::VarStore, path: &Path, prefix: &str, optional: &[&str]) -> Result<LoadReport> {
    fill(&Weights::read(path)?, vs, prefix, optional)
}

/// What [`fill`] would do, with nothing optional.
pub fn compare(weights: &Weights, vs: &nn::VarStore, prefix: &str) -> Result<LoadReport> {
    Ok(assign(weights, &vs.variables().into_iter().collect(), prefix)?.0)
}

/// Fills the variables of `vs`, under the rule of [`load`].
pub fn fill(weights: &Weights, vs: &nn::VarStore, prefix: &str, optional: &[&str]) -> Result<LoadReport> {
    let variables = vs.variables().into_iter().collect();
    let (report, matches) = assign(weights, &variables, prefix)?;
    let required = report.required(prefix, optional);
    if !required.fits() {
        return Err(Error::Data(format!("{} does not fit this network: {required}", weights.source())));
    }
    for Match { name, stored, .. } in &matches {
        if !stored.dtype().is_float() {
            let dtype = stored.dtype();
            let name = shown(name);
            return Err(Error::Data(format!("{}: tensor '{name}' is {dtype}; weights are floats", weights.source())));
        }
    }
    let mut filled = Vec::new();
    for Match { name, variable, stored } in matches {
        let values = weights.values(stored);
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(not_a_number(weights, name, *value, &values));
        }
        filled.push((variable, Tensor::from_slice(&values).reshape(variable.size())));
    }
    tch::no_grad(|| {
        for (variable, tensor) in filled {
            variable.shallow_clone().copy_(&tensor);
        }
    });
    Ok(report)
}

/// A network with such a value computes nothing but such values.
fn not_a_number(weights: &Weights, name: &str, value: f32, values: &[f32]) -> Error {
    let (name, bad) = (shown(name), values.iter().filter(|value| !value.is_finite()).count());
    let (source, of) = (weights.source(), values.len());
    Error::Data(format!(
        "{source}: tensor '{name}' holds {value}, in {bad} of its {of} elements: these weights are of a training that \
         diverged, or damaged"
    ))
}

/// The variables with a tensor of their name and shape, and a report of all others. Of the file, only names and
/// shapes are read.
fn assign<'a>(
    weights: &'a Weights,
    variables: &'a BTreeMap<String, Tensor>,
    prefix: &str,
) -> Result<(LoadReport, Vec<Match<'a>>)> {
    let mut tensors = BTreeMap::new();
    for (name, stored) in weights.tensors().iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        let complete = name.starts_with(prefix) || variables.contains_key(name);
        let key = if complete { name.clone() } else { format!("{prefix}{name}") };
        if tensors.insert(key, stored).is_some() {
            let name = shown(name);
            return Err(Error::Data(format!("{}: holds '{name}' twice, with and without prefix", weights.source())));
        }
    }
    let mut report = LoadReport::default();
    let mut matches = Vec::new();
    for (name, variable) in variables {
        let Some(stored) = tensors.remove(name) else {
            report.missing.push(name.clone());
            continue;
        };
        let (expected, found) = (variable.size(), stored.shape().iter().map(|&n| n as i64).collect());
        if expected == found {
            matches.push(Match { name, variable, stored });
        } else {
            report.misshapen.push(Misshapen { name: name.clone(), expected, found });
        }
    }
    report.filled = matches.len();
    report.unexpected.extend(tensors.into_keys());
    Ok((report, matches))
}

/// `3 missing: a, b, c`.
fn complaint(what: &str, names: &[String]) -> String {
    let shown = names.iter().take(NAMES_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_SHOWN);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} {what}: {shown}{tail}", names.len())
}
