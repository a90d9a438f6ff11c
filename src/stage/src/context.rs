//! What a stage works with.

use std::collections::BTreeSet;

use artifact::{Artifact, Error, ExperimentPlan, Item, Numerics, Result, Row, Work};

use crate::inputs::Inputs;
use crate::reached::ReachedFile;
use crate::{Log, Party, Progress, Read, Shard, Stop};

/// What a stage works with.
pub struct Context<P> {
    /// Name of the stage.
    pub name: String,
    /// The stage's table of the manifest.
    pub params: P,
    /// The experiment, with all its stages.
    pub plan: ExperimentPlan,
    /// Seed of the experiment.
    pub seed: u64,
    /// Where tensors live: `cpu`, `cuda` or `cuda:N`.
    pub device: String,
    /// In which numbers they are computed.
    pub numerics: Numerics,
    /// Which share of the parts to compute.
    pub shard: Shard,
    /// Where the results go, with all that an earlier run left there.
    pub work: Work,
    /// This process among those that run the stage together. All but the first write nothing.
    pub party: Party,
    /// The stage's log.
    pub log: Log,
    /// Has somebody asked the process to stop?
    pub stop: Stop,
    pub(crate) inputs: Inputs,
    pub(crate) reads: Vec<Read>,
}

impl<P> Context<P> {
    /// Shows that `done` of `total` units of work, such as `images`, are done already, and from now on what is done
    /// besides.
    pub fn progress(&self, unit: &'static str, done: usize, total: usize) -> Progress {
        if !self.party.is_first() {
            return Progress::unseen(&self.name, unit, done, total);
        }
        Progress::new(&self.name, unit, done, total).kept(ReachedFile::new(self.work.dir(), self.shard))
    }

    /// The input that holds the table of `R`.
    pub fn table<R: Row>(&self) -> Result<&Artifact> {
        self.one(&Item::table::<R>())
    }

    /// The input that holds the table of `R`, if there is one.
    pub fn optional_table<R: Row>(&self) -> Result<Option<&Artifact>> {
        self.optional(&Item::table::<R>())
    }

    /// Every input that holds the table of `R`, by the names of their stages.
    pub fn tables<R: Row>(&self) -> Result<Vec<&Artifact>> {
        self.inputs.holding(&self.name, &self.reads, &Item::table::<R>())
    }

    /// The input that holds a file, such as `cam_net.safetensors`.
    pub fn holder_of(&self, file: &str) -> Result<&Artifact> {
        self.one(&Item::File(file.to_owned()))
    }

    /// The input that holds a file, if there is one.
    pub fn optional_holder_of(&self, file: &str) -> Result<Option<&Artifact>> {
        self.optional(&Item::File(file.to_owned()))
    }

    /// Every input, with nothing but what the stage says that it reads.
    pub fn inputs(&self) -> impl Iterator<Item = &Artifact> {
        self.inputs.all().map(|(_, artifact)| artifact)
    }

    /// Names of the stage that made an input, and of all stages that it is computed from.
    pub fn upstream(&self, input: &Artifact) -> Result<BTreeSet<String>> {
        let needs = &self.plan.stage(&self.name)?.needs;
        let own = needs.iter().filter(|need| need.stage == input.record().preimage.stage);
        Ok(own.flat_map(|need| self.plan.upstream(need)).map(|id| id.stage).collect())
    }

    fn one(&self, what: &Item) -> Result<&Artifact> {
        let missing = || Error::Config(format!("'{}' needs an input that holds {what}; add one", self.name));
        self.optional(what)?.ok_or_else(missing)
    }

    fn optional(&self, what: &Item) -> Result<Option<&Artifact>> {
        match self.inputs.holding(&self.name, &self.reads, what)?.as_slice() {
            [] => Ok(None),
            [input] => Ok(Some(input)),
            several => {
                let names: Vec<_> = several.iter().map(|input| input.record().preimage.stage.as_str()).collect();
                let (name, names) = (&self.name, names.join(", "));
                Err(Error::Config(format!("'{name}' reads {what} of one input, but {names} all hold it")))
            }
        }
    }
}
