//! The manifest: the DAG and every parameter, in TOML.
//!
//! ```toml
//! extends = "../pipeline.toml"      # optional: this file is laid over that one
//! [pipeline]                        # name, seed, store, device, main
//! [data]                            # parameters of prepare-data
//! [stage.train-cam]                 # needs = [stages], and every parameter of the stage
//! [experiment."rcm+mam"]            # optional `targets`, `seed`; other entries are laid over [stage.*]
//! train-cam.rcm.weight = 1.0
//! ```
//!
//! `"${experiment}"` and `"${seed}"` stand for the experiment's name and seed. Relative paths are relative to where
//! the program runs. `--set` wins over everything: `--set train-cam.epochs=3`, `--set data.root=DIR`,
//! `--set pipeline.seed=2`.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

pub use tree::{Node, Origin};

use crate::{Error, Result};

/// The stage that reads files from outside; `[data]` holds its parameters.
pub const DATA_STAGE: &str = "prepare-data";
const TOP_LEVEL: [&str; 6] = ["extends", "pipeline", "data", "stage", "experiment", "matrix"];
const PIPELINE: [&str; 5] = ["name", "seed", "store", "device", "main"];

/// A manifest with its bases and `--set` values laid over one another.
#[derive(Clone, Debug)]
pub struct Manifest {
    path: PathBuf,
    root: Node,
    stage_sets: Vec<(String, Node)>,
}

/// One stage of one experiment, every value in place.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// The stages whose artifacts it reads.
    pub needs: Vec<String>,
    /// Its parameters.
    pub params: Value,
    /// Seed of the experiment.
    pub seed: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    tree: Node,
}

/// The stages of one experiment, inputs before those that need them.
#[derive(Clone, Debug)]
pub struct ExperimentPlan {
    /// Name of the experiment.
    pub name: String,
    /// Is it the one that `latest` means?
    pub main: bool,
    /// Its stages in an order in which they can run.
    pub stages: Vec<StagePlan>,
}

impl Manifest {
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
        if path.len() < 2 || path.contains(&"") {
            return Err(malformed());
        }
        if path[0] == "stage" {
            path.remove(0);
        }
        if matches!(path[0], "pipeline" | "data" | "experiment" | "matrix") {
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
        let refuse = |node: &Node, name: &str, known: &[&str]| {
            let known = known.join(", ");
            Err(Error::Config(format!("{}: unknown entry '{name}'; known are {known}", node.origin())))
        };
        for (name, node) in self.root.entries() {
            if !TOP_LEVEL.contains(&name.as_str()) {
                return refuse(node, name, &TOP_LEVEL);
            }
        }
        for (name, node) in self.root.get("pipeline").into_iter().flat_map(Node::entries) {
            if !PIPELINE.contains(&name.as_str()) {
                return refuse(node, name, &PIPELINE);
            }
        }
        let stages = self.stages();
        let stages: Vec<_> = stages.iter().map(String::as_str).collect();
        for (_, experiment) in self.root.get("experiment").into_iter().flat_map(Node::entries) {
            for (name, node) in experiment.entries() {
                if !stages.contains(&name.as_str()) && name != "targets" && name != "seed" {
                    return refuse(node, name, &stages);
                }
            }
        }
        let (main, experiments) = (self.main()?, self.experiments()?);
        if !experiments.contains(&main) {
            let known = experiments.join(", ");
            return Err(Error::Config(format!(
                "{}: no experiment '{main}'; there are {known}",
                self.place("pipeline.main")
            )));
        }
        Ok(())
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
        self.value("pipeline.store")
    }

    /// The experiment that `latest` means.
    pub fn main(&self) -> Result<String> {
        match self.root.get("pipeline.main") {
            Some(_) => self.value("pipeline.main"),
            None => Ok("main".to_owned()),
        }
    }

    /// Names of the stages.
    pub fn stages(&self) -> Vec<String> {
        self.root.get("stage").into_iter().flat_map(Node::entries).map(|(name, _)| name.clone()).collect()
    }

    /// Names of the experiments, the main one last.
    pub fn experiments(&self) -> Result<Vec<String>> {
        let main = self.main()?;
        let mut names: Vec<_> =
            self.root.get("experiment").into_iter().flat_map(Node::entries).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            names.push(main.clone());
        }
        names.sort_by_key(|name| *name == main);
        Ok(names)
    }

    /// File and line of the seed of an experiment.
    pub fn seed_place(&self, experiment: &str) -> String {
        let all = self.root.get("experiment").into_iter().flat_map(Node::entries);
        let own = all.filter(|(name, _)| *name == experiment).find_map(|(_, node)| node.get("seed"));
        own.map_or_else(|| self.place("pipeline.seed"), |node| node.origin().to_string())
    }

    /// One experiment with every value in place.
    pub fn experiment(&self, name: &str) -> Result<ExperimentPlan> {
        let experiments = self.experiments()?;
        if !experiments.iter().any(|known| known == name) {
            let known = experiments.join(", ");
            return Err(Error::Config(format!("no experiment '{name}' in {}; there are {known}", self.path.display())));
        }
        let over = self.root.get("experiment").and_then(|all| match all {
            Node::Table(map, _) => map.get(name),
            Node::Leaf(..) => None,
        });
        let seed: u64 = match over.and_then(|over| over.get("seed")) {
            Some(node) => typed(node, "seed")?,
            None => self.value("pipeline.seed")?,
        };
        let mut all = Vec::new();
        for stage in self.stages() {
            all.push(self.stage(&stage, name, over, seed)?);
        }
        let targets: Vec<String> = match over.and_then(|over| over.get("targets")) {
            Some(node) => typed(node, "targets")?,
            None => self.stages(),
        };
        let stages = order(&all, &targets, &self.path)?;
        Ok(ExperimentPlan { name: name.to_owned(), main: self.main()? == name, stages })
    }

    fn stage(&self, stage: &str, experiment: &str, over: Option<&Node>, seed: u64) -> Result<StagePlan> {
        let mut tree = Node::empty();
        if stage == DATA_STAGE {
            self.root.get("data").into_iter().for_each(|data| tree.merge(data));
        }
        let stages = self.root.get("stage").into_iter().flat_map(Node::entries);
        stages.filter(|(name, _)| *name == stage).for_each(|(_, node)| tree.merge(node));
        over.and_then(|over| over.get(stage)).into_iter().for_each(|node| tree.merge(node));
        self.stage_sets.iter().filter(|(name, _)| name == stage).for_each(|(_, node)| tree.merge(node));
        tree.substitute("experiment", &Value::String(experiment.to_owned()));
        tree.substitute("seed", &Value::from(seed));
        let mut params = tree.clone();
        let needs = match params.remove("needs") {
            Some(node) => typed(&node, "needs")?,
            None => Vec::new(),
        };
        let device: String = self.value("pipeline.device")?;
        let index = device.strip_prefix("cuda:").map(str::parse::<u32>);
        if device != "cpu" && device != "cuda" && !matches!(index, Some(Ok(_))) {
            let place = self.place("pipeline.device");
            return Err(Error::Config(format!("{place}: '{device}' is no device; use cpu, cuda or cuda:N")));
        }
        let (stage, experiment) = (stage.to_owned(), experiment.to_owned());
        Ok(StagePlan { stage, experiment, needs, params: params.to_json(), seed, device, tree })
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

impl ExperimentPlan {
    /// The plan of a stage.
    pub fn stage(&self, name: &str) -> Result<&StagePlan> {
        self.stages.iter().find(|plan| plan.stage == name).ok_or_else(|| {
            let known: Vec<_> = self.stages.iter().map(|plan| plan.stage.as_str()).collect();
            Error::Config(format!("experiment '{}' has no stage '{name}'; it has {}", self.name, known.join(", ")))
        })
    }
}

impl StagePlan {
    /// The parameters as the stage's own type; an error names the parameter, its file and line.
    pub fn parse<P: DeserializeOwned>(&self) -> Result<P> {
        serde_path_to_error::deserialize(&self.params).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner();
            let place = if path == "." { self.place("") } else { self.place(&path) };
            let name = if path == "." { self.stage.clone() } else { format!("{}.{path}", self.stage) };
            Error::Config(format!("{place}: {name}: {reason}"))
        })
    }

    /// File and line of a parameter, or of the nearest table above it.
    pub fn place(&self, name: &str) -> String {
        let mut name = name;
        loop {
            if let Some(node) = self.tree.get(name) {
                return node.origin().to_string();
            }
            match name.rsplit_once('.') {
                Some((above, _)) => name = above,
                None => break,
            }
        }
        let first = self.tree.entries().next();
        first.map_or_else(|| format!("[stage.{}]", self.stage), |(_, node)| node.origin().to_string())
    }

    /// `cpu` or `cuda`, without the index.
    pub fn device_class(&self) -> &str {
        self.device.split(':').next().unwrap_or("cpu")
    }
}

fn read(path: &Path, above: &mut Vec<PathBuf>) -> Result<Node> {
    let text = fs::read_to_string(path).map_err(|error| {
        Error::Config(format!("cannot read the manifest {}: {error}; name one with --manifest", path.display()))
    })?;
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

/// The targets and all they need, each after what it needs.
fn order(all: &[StagePlan], targets: &[String], manifest: &Path) -> Result<Vec<StagePlan>> {
    fn visit<'a>(
        name: &str,
        asked_by: &str,
        all: &'a [StagePlan],
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
        out: &mut Vec<&'a StagePlan>,
    ) -> Result<()> {
        if done.contains(name) {
            return Ok(());
        }
        let plan = all.iter().find(|plan| plan.stage == name).ok_or_else(|| {
            Error::Config(format!("{asked_by} names stage '{name}', but the manifest has no [stage.{name}]"))
        })?;
        if path.iter().any(|above| above == name) {
            let circle = path.join(" -> ");
            return Err(Error::Config(format!(
                "{}: the stages need each other: {circle} -> {name}",
                plan.place("needs")
            )));
        }
        path.push(name.to_owned());
        for need in &plan.needs {
            visit(need, &plan.place("needs"), all, path, done, out)?;
        }
        path.pop();
        done.insert(name.to_owned());
        out.push(plan);
        Ok(())
    }
    let (mut done, mut out) = (BTreeSet::new(), Vec::new());
    for target in targets {
        visit(target, &manifest.display().to_string(), all, &mut Vec::new(), &mut done, &mut out)?;
    }
    Ok(out.into_iter().cloned().collect())
}
