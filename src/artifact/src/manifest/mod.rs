//! The manifest: the DAG and every parameter, in TOML.
//!
//! ```text
//! tree     TOML as a tree in which every value knows its file and line
//! matrix   which experiments there are
//! plan     one experiment with every value in place, its stages in an order in which they can run
//! paths    paths with `~` and environment variables
//! ```
//!
//! ```toml
//! extends = "../pipeline.toml"      # optional: this file is laid over that one
//! [pipeline]                        # name, seed, store, remote, device, numerics, main
//! [data]                            # parameters of prepare-data
//! [stage.train-cam]                 # needs = [stages], and every parameter of the stage
//! [experiment."rcm+mam"]            # optional `targets`, `seed`; other entries are laid over [stage.*]
//! train-cam.rcm.weight = 1.0
//! [matrix]                          # each variant at each seed is an experiment: `mam~1`, `mam~2`
//! seeds = [1, 2]                    # optional `targets`, of every variant that has none itself
//! [matrix.variant.mam]              # as [experiment.*]; of the same name as one: laid over it, and in its place
//! train-cam.variant = "mam"
//! [slurm]                           # how `camflow run --executor slurm` asks for machines; in no key
//! ```
//!
//! A need may be another experiment's: `needs = ["prepare-data", "train-cam@rcm"]`; among variants, `@rcm` is `rcm` at
//! the same seed. `"${experiment}"` and `"${seed}"` stand for the experiment's name (of a variant without the seed) and
//! seed. In a path `~`, `$NAME` and `${NAME}` are the home directory and environment variables; relative paths are
//! relative to where the program runs. `--set` wins over everything:
//! `--set train-cam.epochs=3`, `--set data.root=DIR`, `--set pipeline.seed=2`.

mod matrix;
mod paths;
mod plan;
mod tree;

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use matrix::{at_seed, variant_of};
pub use plan::{ExperimentPlan, StageId, StagePlan};
pub use tree::{Node, Origin};

use crate::error::printable;
use crate::{Error, Result};

const TOP_LEVEL: [&str; 7] = ["extends", "pipeline", "data", "stage", "experiment", "matrix", "slurm"];
/// A manifest is written by people: whatever is larger is something else.
const MAX_BYTES: u64 = 4 << 20;
/// Parameters lie a few tables deep.
const MAX_DEPTH: usize = 32;
const PIPELINE: [&str; 7] = ["name", "seed", "store", "remote", "device", "numerics", "main"];

/// A manifest with its bases and `--set` values laid over one another.
#[derive(Clone, Debug)]
pub struct Manifest {
    path: PathBuf,
    root: Node,
    stage_sets: Vec<(String, Node)>,
}

impl Manifest {
    /// The manifest that programs read where none is named.
    pub const DEFAULT_FILE: &str = "pipeline.toml";

    /// Reads a manifest and what it extends, and lays the `--set` assignments over it.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        let root = read(path, &mut Vec::new())?;
        let mut manifest = Self { path: path.to_owned(), root, stage_sets: Vec::new() };
        for assignment in sets {
            manifest.set(assignment)?;
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn set(&mut self, assignment: &str) -> Result<()> {
        let malformed = || Error::Config(format!("--set {assignment}: expected NAME=VALUE, as in train-cam.epochs=3"));
        let (name, value) = assignment.split_once('=').ok_or_else(malformed)?;
        let node = Node::from_set(assignment, value.trim())?;
        let mut path: Vec<&str> = name.trim().split('.').collect();
        if path.len() < 2 || path.len() > MAX_DEPTH || path.contains(&"") {
            return Err(malformed());
        }
        if path[0] == "stage" {
            path.remove(0);
        }
        if matches!(path[0], "pipeline" | "data" | "experiment" | "matrix" | "slurm") {
            self.root.set(&path, node);
            return Ok(());
        }
        if self.root.get("stage").and_then(|stages| stages.get(path[0])).is_none() {
            let known = self.stages().join(", ");
            return Err(Error::Config(format!("--set {assignment}: no stage '{}'; the manifest has {known}", path[0])));
        }
        let mut tree = Node::empty();
        tree.set(&path[1..], node);
        self.stage_sets.push((path[0].to_owned(), tree));
        Ok(())
    }

    fn check(&self) -> Result<()> {
        known_entries(&self.root, &TOP_LEVEL)?;
        self.root.get("pipeline").map_or(Ok(()), |pipeline| known_entries(pipeline, &PIPELINE))?;
        self.check_experiments()
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Name of the pipeline.
    pub fn name(&self) -> Result<String> {
        self.value("pipeline.name")
    }

    /// Directory of the artifact store.
    pub fn store(&self) -> Result<PathBuf> {
        let name = "pipeline.store";
        paths::expand(&self.value::<String>(name)?, &self.place(name)).map(PathBuf::from)
    }

    /// URL of the store that is shared with others; `None` where the manifest names none. It is in no key.
    pub fn remote(&self) -> Result<Option<String>> {
        let name = "pipeline.remote";
        let Some(node) = self.root.get(name) else { return Ok(None) };
        let url = paths::expand(&typed::<String>(node, name)?, &self.place(name))?;
        Ok((!url.is_empty()).then_some(url))
    }

    /// Names of the stages.
    pub fn stages(&self) -> Vec<String> {
        self.root.get("stage").into_iter().flat_map(Node::entries).map(|(name, _)| name.clone()).collect()
    }

    /// A table outside the stages as its own type; `None` where the manifest has none. An error names file and line.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let Some(node) = self.root.get(name) else { return Ok(None) };
        serde_path_to_error::deserialize(node.to_json()).map(Some).map_err(|error| {
            let path = error.path().to_string();
            let nearest = self.root.get(&format!("{name}.{path}")).unwrap_or(node);
            Error::Config(format!("{}: {name}.{path}: {}", nearest.origin(), error.inner()))
        })
    }

    /// The manifest with all that it extends, as one file: what is edited later does not change it. `--set` values of
    /// stages are not in it, as they are laid over the experiments.
    pub fn to_toml(&self) -> String {
        self.root.to_toml()
    }

    fn value<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let node = self.root.get(name);
        typed(node.ok_or_else(|| Error::Config(format!("{}: '{name}' is missing", self.path.display())))?, name)
    }

    /// File and line of a value outside the stages, such as `pipeline.device`; the file alone where it has none.
    pub fn place(&self, name: &str) -> String {
        self.root.get(name).map_or_else(|| self.path.display().to_string(), |node| node.origin().to_string())
    }
}

fn read(path: &Path, above: &mut Vec<PathBuf>) -> Result<Node> {
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
    let bytes = file.map_err(|error| {
        Error::Config(format!("cannot read the manifest {}: {error}; name one with --manifest", path.display()))
    })?;
    if bytes as u64 == MAX_BYTES {
        let (path, most) = (path.display(), MAX_BYTES >> 20);
        return Err(Error::Config(format!("{path} is no manifest: it has more than {most} MiB")));
    }
    let mut tree = Node::parse(&text, path)?;
    let Some(extends) = tree.remove("extends") else { return Ok(tree) };
    let base: PathBuf = path.parent().unwrap_or(Path::new("")).join(typed::<PathBuf>(&extends, "extends")?);
    above.push(path.to_owned());
    if above.contains(&base) || above.len() > 16 {
        return Err(Error::Config(format!("{}: '{}' extends itself", extends.origin(), base.display())));
    }
    let mut merged = read(&base, above)?;
    merged.merge(&tree);
    Ok(merged)
}

fn typed<T: DeserializeOwned>(node: &Node, name: &str) -> Result<T> {
    serde_json::from_value(node.to_json()).map_err(|error| Error::Config(format!("{}: {name}: {error}", node.origin())))
}

/// Refuses a table with an entry that is not among `known`.
fn known_entries(table: &Node, known: &[&str]) -> Result<()> {
    match table.entries().find(|(name, _)| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some((name, node)) => {
            let known = known.join(", ");
            let name = printable(name, 80);
            Err(Error::Config(format!("{}: unknown entry '{name}'; known are {known}", node.origin())))
        }
    }
}
