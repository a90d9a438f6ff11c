//! The contract that every stage binary fulfils, run by hand, by the runner or on a cluster. No torch here.
//!
//! resolve inputs -> compute the key -> already committed? exit 0 : resume the work directory -> publish.
//! Exit codes: see [`artifact::Error::exit_code`].
//!
//! ```text
//! contract     what a stage says of itself, and how that and the manifest give its key
//! reads        the tables and files that it reads, and whether its needs hold them
//! context      what it works with while it runs
//! ranks        the processes that run one stage together
//! command      the command line, and `main`
//! help         the end of its help
//! body         the part of a call that the stage's own type decides
//! commit       the way from a checked command to a committed artifact
//! inputs       the input artifacts: those that the runner names …
//! resolve      … or those that the manifest describes
//! parts        work that divides by image: shards, parts, workers
//! progress     one live line a stage …
//! reached      … and a file that says the same to a runner
//! say          lines for people
//! log          log.jsonl, kept with the artifact
//! stop         signals that ask for a checkpoint
//! runner_link  a stage does not outlive the runner that started it
//! ```

mod body;
mod command;
mod commit;
mod context;
mod contract;
mod help;
mod inputs;
mod log;
mod parts;
mod progress;
pub mod ranks;
mod reached;
mod reads;
mod resolve;
pub mod runner_link;
mod say;
mod stop;

use std::collections::BTreeMap;

use artifact::store::Record;
use artifact::{ExperimentPlan, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use artifact::Item;
pub use artifact::store::Contents;
pub use command::main;
pub use context::Context;
pub use contract::{Description, Unused};
pub use log::Log;
pub use parts::{Shard, cores};
pub use progress::{Progress, is_live};
pub use ranks::Party;
pub use reached::Reached;
pub use reads::{Around, Holders, Only, Read};
pub use say::say;
pub use stop::{Stop, stop_signals};

/// Looks whether a device is there, such as `cuda:0`, and makes it ready.
pub type OpenDevice = fn(&str) -> Result<()>;

/// A stage: what it is called, what it reads and writes, and what it does.
pub trait Stage {
    /// Its table in the manifest: every value stands there, none has a hidden default.
    type Params: DeserializeOwned + Serialize;

    /// How the device is opened on which it computes with tensors (device class and type are then in its key); `None`
    /// for a stage without tensors.
    const TENSORS: Option<OpenDevice> = None;

    /// How its processes find each other, for a stage that several of them run together; `None` for one that divides
    /// into shards at most.
    const JOIN: Option<ranks::Join> = None;

    /// What the stage says of itself.
    fn description() -> Description;

    /// Checks that go beyond types: ranges, combinations. Reads nothing.
    fn check(params: &Self::Params) -> Result<()>;

    /// Checks against what the manifest says of the experiment's other stages. Reads nothing.
    fn check_plan(_params: &Self::Params, _plan: &ExperimentPlan) -> Result<()> {
        Ok(())
    }

    /// Checks against those of its inputs that are committed, by their records alone, for a stage whose description
    /// says in `checks` what it looks at. The runner asks as soon as an input is known: what cannot be should not come
    /// after an hour of training.
    fn check_inputs(_params: &Self::Params, _inputs: &[&Record]) -> Result<()> {
        Ok(())
    }

    /// Computes. Everything it leaves in `context.work` is published after it returns.
    fn run(context: &mut Context<Self::Params>) -> Result<Outcome>;
}

/// What a stage has done.
pub enum Outcome {
    /// All of it.
    Complete {
        /// Files beside the tables that belong to the content.
        files: Vec<String>,
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
