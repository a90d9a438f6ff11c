//! The contract that every stage binary fulfils, run by hand, by the runner or on a cluster. No torch here.
//!
//! resolve inputs -> compute the key -> already committed? exit 0 : resume the work directory -> publish.
//! Exit codes: see [`artifact::Error::exit_code`].
//!
//! ```text
//! contract     what a stage says of itself, and how that and the manifest give its key
//! command      the command line, and the way from it to a committed artifact
//! resolve      the input artifacts that the manifest describes
//! parts        work that divides by image: shards, parts, workers
//! progress     one live line a stage
//! log          log.jsonl, kept with the artifact
//! stop         signals that ask for a checkpoint
//! runner_link  a stage does not outlive the runner that started it
//! ```

mod command;
mod contract;
mod log;
mod parts;
mod progress;
mod resolve;
pub mod runner_link;
mod stop;

use std::collections::BTreeMap;

use artifact::{Artifact, ExperimentPlan, Result, Work};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use command::main;
pub use contract::{Description, InputByParam, Unused};
pub use log::Log;
pub use parts::{Parts, Shard, cores, for_each_part};
pub use progress::Progress;
pub use stop::Stop;

/// Looks whether a device is there, such as `cuda:0`, and makes it ready.
pub type OpenDevice = fn(&str) -> Result<()>;

/// A stage: what it is called, what it reads and writes, and what it does.
pub trait Stage {
    /// Its table in the manifest: every value stands there, none has a hidden default.
    type Params: DeserializeOwned + Serialize;

    /// How the device is opened on which it computes with tensors (device class and type are then in its key); `None`
    /// for a stage without tensors.
    const TENSORS: Option<OpenDevice> = None;

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
    /// Where tensors live: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
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
