//! The contract that every stage binary fulfils, run by hand, by the runner or on a cluster.
//!
//! resolve inputs -> compute the key -> already committed? exit 0 : resume the work directory -> publish.
//! Exit codes: see [`artifact::Error::exit_code`].

mod command;
mod crf;
mod device;
mod log;
mod networks;
mod parts;
mod progress;
mod resolve;
mod score;
mod stop;

use std::collections::BTreeMap;

use artifact::{Artifact, Description, ExperimentPlan, Result, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::model::weights::LoadReport;

pub use command::main;
pub use crf::{CamScores, cam_crf, winners};
pub use log::Log;
pub use networks::Networks;
pub use parts::{Parts, Shard, cores, for_each_part};
pub use progress::Progress;
pub use score::count_cams;
pub use stop::Stop;

/// A stage: what it is called, what it reads and writes, and what it does.
pub trait Stage {
    /// Its table in the manifest: every value stands there, none has a hidden default.
    type Params: DeserializeOwned + Serialize;

    /// Name, version, inputs and outputs.
    fn description() -> Description;

    /// Checks that go beyond types: ranges, combinations. Reads nothing.
    fn check(params: &Self::Params) -> Result<()>;

    /// Checks against what the manifest says of the experiment's other stages. Reads nothing.
    fn check_plan(_params: &Self::Params, _plan: &ExperimentPlan) -> Result<()> {
        Ok(())
    }

    /// Computes. Everything it leaves in `context.work` is published after it returns.
    fn run(context: &mut Context<Self::Params>) -> Result<Outcome>;
}

/// What a stage works with.
pub struct Context<P> {
    /// The stage's table of the manifest.
    pub params: P,
    /// Name of the experiment.
    pub experiment: String,
    /// Seed of the experiment.
    pub seed: u64,
    /// Where tensors live.
    pub device: tch::Device,
    /// Which share of the parts to compute.
    pub shard: Shard,
    /// Where the results go, with all that an earlier run left there.
    pub work: Work,
    /// The stage's log.
    pub log: Log,
    /// Has somebody asked the process to stop?
    pub stop: Stop,
    inputs: BTreeMap<String, Artifact>,
}

impl<P> Context<P> {
    /// The artifact of an input that the description lists.
    pub fn input(&self, stage: &str) -> &Artifact {
        self.optional_input(stage).expect("the manifest's needs were checked against the description")
    }

    /// The artifact of an optional input, if the manifest says that it is needed.
    pub fn optional_input(&self, stage: &str) -> Option<&Artifact> {
        self.inputs.get(stage)
    }

    /// Every input.
    pub fn inputs(&self) -> impl Iterator<Item = &Artifact> {
        self.inputs.values()
    }

    /// Logs where a network's first weights came from, if from a file: how many variables the file filled, for which it has no
    /// tensor, and which of its tensors are of no use.
    pub fn log_weights(&mut self, report: Option<&LoadReport>) -> Result<()> {
        let Some(LoadReport { filled, missing, unexpected, misshapen }) = report else { return Ok(()) };
        let misshapen: Vec<_> = misshapen.iter().map(ToString::to_string).collect();
        let fields = json!({"filled": filled, "missing": missing, "unexpected": unexpected, "misshapen": misshapen});
        self.log.event("weights", &fields)
    }
}

/// What a stage has done.
pub enum Outcome {
    /// All of it.
    Complete {
        /// Files beside the tables that belong to the content.
        files: Vec<&'static str>,
        /// Numbers to be seen.
        metrics: BTreeMap<String, Value>,
    },
    /// Its shard; other shards are still to be done.
    Partial {
        /// What is still missing.
        missing: usize,
    },
}

impl Outcome {
    /// A complete result in tables only.
    pub fn tables(metrics: BTreeMap<String, Value>) -> Self {
        Self::Complete { files: Vec::new(), metrics }
    }
}
