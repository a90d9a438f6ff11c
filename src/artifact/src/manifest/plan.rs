//! One experiment with every value in place, and the order in which its stages can run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::matrix::Setup;
use super::{Manifest, Node, typed};
use crate::{Error, Numerics, Result};

/// The stage that reads files from outside; `[data]` holds its parameters.
const DATA_STAGE: &str = "prepare-data";

/// A stage of an experiment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageId {
    /// Name of the stage: as an input, its name too.
    pub stage: String,
    /// The experiment that it belongs to.
    pub experiment: String,
}

/// One stage of one experiment, every value in place.
#[derive(Clone, Debug)]
pub struct StagePlan {
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment that it belongs to.
    pub experiment: String,
    /// Is that the experiment that `latest` means?
    pub main: bool,
    /// The stages whose artifacts it reads, each name of a stage once.
    pub needs: Vec<StageId>,
    /// Its parameters.
    pub params: Value,
    /// Seed of the experiment.
    pub seed: u64,
    /// `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// In which numbers tensors are computed.
    pub numerics: Numerics,
    tree: Node,
}

/// The stages of one experiment and those of others that they need, inputs before those that need them.
#[derive(Clone, Debug)]
pub struct ExperimentPlan {
    /// Name of the experiment.
    pub name: String,
    /// Is it the one that `latest` means?
    pub main: bool,
    /// The stages in an order in which they can run.
    pub stages: Vec<StagePlan>,
    manifest: PathBuf,
    known: Vec<String>,
}

impl StageId {
    /// Its name in the plan of an experiment: `train-cam`, or `train-cam@rcm` if it belongs to another.
    pub fn seen_from(&self, experiment: &str) -> String {
        if self.experiment == experiment { self.stage.clone() } else { format!("{}@{}", self.stage, self.experiment) }
    }
}

impl Manifest {
    /// One experiment with every value in place.
    pub fn experiment(&self, name: &str) -> Result<ExperimentPlan> {
        let own = self.setup(name)?;
        let name = own.name.clone();
        let (targets, asked_by): (Vec<String>, _) = match own.targets {
            Some(node) => (typed(node, "targets")?, node.origin().to_string()),
            None => (self.stages(), self.path.display().to_string()),
        };
        let setups = BTreeMap::from([(name.clone(), own)]);
        let mut growth =
            Growth { manifest: self, name: &name, setups, path: Vec::new(), done: BTreeSet::new(), stages: Vec::new() };
        for target in targets {
            growth.add(&StageId { stage: target, experiment: name.clone() }, &asked_by)?;
        }
        let stages = growth.stages;
        let (manifest, known) = (self.path.clone(), self.stages());
        Ok(ExperimentPlan { main: self.main()? == name, name, stages, manifest, known })
    }

    fn stage(&self, stage: &str, setup: &Setup<'_>) -> Result<StagePlan> {
        let mut tree = Node::empty();
        if stage == DATA_STAGE {
            self.root.get("data").into_iter().for_each(|data| tree.merge(data));
        }
        let stages = self.root.get("stage").into_iter().flat_map(Node::entries);
        stages.filter(|(name, _)| *name == stage).for_each(|(_, node)| tree.merge(node));
        setup.layers.iter().filter_map(|layer| layer.get(stage)).for_each(|node| tree.merge(node));
        self.stage_sets.iter().filter(|(name, _)| name == stage).for_each(|(_, node)| tree.merge(node));
        tree.substitute("experiment", &Value::String(setup.title.clone()));
        tree.substitute("seed", &Value::from(setup.seed));
        let mut params = tree.clone();
        let needs = match params.remove("needs") {
            Some(node) => self.needs(stage, &node, setup)?,
            None => Vec::new(),
        };
        let device: String = self.value("pipeline.device")?;
        let index = device.strip_prefix("cuda:").map(str::parse::<u32>);
        if device != "cpu" && device != "cuda" && !matches!(index, Some(Ok(_))) {
            let place = self.place("pipeline.device");
            return Err(Error::Config(format!("{place}: '{device}' is no device; use cpu, cuda or cuda:N")));
        }
        let numerics = self
            .root
            .get("pipeline.numerics")
            .map_or(Ok(Numerics::default()), |node| typed(node, "pipeline.numerics"))?;
        let (stage, experiment, main) = (stage.to_owned(), setup.name.clone(), self.main()? == setup.name);
        let (params, seed) = (params.to_json(), setup.seed);
        Ok(StagePlan { stage, experiment, main, needs, params, seed, device, numerics, tree })
    }

    fn needs(&self, stage: &str, node: &Node, setup: &Setup<'_>) -> Result<Vec<StageId>> {
        let at = |error| match error {
            Error::Config(reason) => Error::Config(format!("{}: needs: {reason}", node.origin())),
            other => other,
        };
        let mut needs: Vec<StageId> = Vec::new();
        for name in typed::<Vec<String>>(node, "needs")? {
            let (input, experiment) = match name.split_once('@') {
                Some((input, other)) => (input, self.owner(other, setup).map_err(at)?),
                None => (name.as_str(), setup.name.clone()),
            };
            let need = StageId { stage: input.to_owned(), experiment };
            if let Some(twice) = needs.iter().find(|other| other.stage == need.stage) {
                let [one, other] = [twice, &need].map(|need| need.seen_from(&setup.name));
                return Err(at(Error::Config(format!(
                    "'{one}' and '{other}' are the same input of '{stage}'; leave one out"
                ))));
            }
            needs.push(need);
        }
        Ok(needs)
    }
}

/// A plan as it grows, stage by stage, each after what it needs.
struct Growth<'a> {
    manifest: &'a Manifest,
    name: &'a str,
    setups: BTreeMap<String, Setup<'a>>,
    path: Vec<StageId>,
    done: BTreeSet<StageId>,
    stages: Vec<StagePlan>,
}

impl Growth<'_> {
    fn add(&mut self, id: &StageId, asked_by: &str) -> Result<()> {
        if self.done.contains(id) {
            return Ok(());
        }
        let manifest = self.manifest;
        if !manifest.stages().contains(&id.stage) {
            let stage = &id.stage;
            return Err(Error::Config(format!(
                "{asked_by} names stage '{stage}', but the manifest has no [stage.{stage}]"
            )));
        }
        if !self.setups.contains_key(&id.experiment) {
            self.setups.insert(id.experiment.clone(), manifest.setup(&id.experiment)?);
        }
        let plan = manifest.stage(&id.stage, &self.setups[&id.experiment])?;
        if self.path.contains(id) {
            let circle = self.path.iter().skip_while(|above| *above != id).chain([id]);
            let circle: Vec<_> = circle.map(|id| id.seen_from(self.name)).collect();
            let (place, circle) = (plan.place("needs"), circle.join(" -> "));
            return Err(Error::Config(format!("{place}: the stages need each other: {circle}")));
        }
        self.path.push(id.clone());
        for need in &plan.needs {
            self.add(need, &plan.place("needs"))?;
        }
        self.path.pop();
        self.done.insert(id.clone());
        self.stages.push(plan);
        Ok(())
    }
}

impl ExperimentPlan {
    /// The plan of a stage by its name as seen from this experiment.
    pub fn stage(&self, name: &str) -> Result<&StagePlan> {
        let seen = |plan: &StagePlan| plan.id().seen_from(&self.name);
        self.stages.iter().find(|plan| seen(plan) == name).ok_or_else(|| {
            let known: Vec<_> = self.stages.iter().map(seen).collect();
            let (manifest, known) = (self.manifest.display(), known.join(", "));
            Error::Config(format!("{manifest}: experiment '{}' has no stage '{name}'; it has {known}", self.name))
        })
    }

    /// A stage of this experiment or another, and all stages that it is computed from.
    pub fn upstream(&self, id: &StageId) -> BTreeSet<StageId> {
        let mut found = BTreeSet::from([id.clone()]);
        // What a stage needs stands before it.
        for plan in self.stages.iter().rev() {
            if found.contains(&plan.id()) {
                found.extend(plan.needs.iter().cloned());
            }
        }
        found
    }

    /// Has the manifest a stage of this name, whether this experiment uses it or not?
    pub fn is_known(&self, stage: &str) -> bool {
        self.known.iter().any(|known| known == stage)
    }

    /// The plan of what one of its stages needs.
    pub fn need(&self, id: &StageId) -> &StagePlan {
        let plan = self.stages.iter().find(|plan| plan.stage == id.stage && plan.experiment == id.experiment);
        plan.expect("a plan holds everything that its stages need")
    }
}

impl StagePlan {
    /// Which stage of which experiment it is.
    pub fn id(&self) -> StageId {
        StageId { stage: self.stage.clone(), experiment: self.experiment.clone() }
    }

    /// The name of its `latest` link: `None` for the main experiment.
    pub fn link(&self) -> Option<&str> {
        (!self.main).then_some(self.experiment.as_str())
    }

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

    /// What a key says of how tensors are computed: `cpu f32`, the device without its index.
    pub fn arithmetic(&self) -> String {
        format!("{} {}", self.device.split(':').next().unwrap_or("cpu"), self.numerics.name())
    }
}
