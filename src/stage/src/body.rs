//! The part of a call that the stage's own type decides. Everything around it is compiled once for all stages.

use std::marker::PhantomData;

use artifact::store::{LOG_FILE, Record};
use artifact::{ExperimentPlan, Result, StagePlan, Work};

use crate::inputs::Inputs;
use crate::ranks::Join;
use crate::{Context, Description, Log, Outcome, Party, Shard, Stage, Stop};

/// A stage without its type.
pub(crate) trait Body {
    /// Looks whether the device is there, if the stage computes on one.
    fn open_device(&self, device: &str) -> Result<()>;

    /// Checks the parameters.
    fn check(&self, plan: &StagePlan, experiment: &ExperimentPlan) -> Result<()>;

    /// Checks the inputs that are known.
    fn check_inputs(&self, plan: &StagePlan, inputs: &[&Record]) -> Result<()>;

    /// How the processes of the stage find each other, if several can run it together.
    fn join(&self) -> Option<Join>;

    /// Computes.
    fn run(&self, site: Site) -> Result<Done>;
}

/// What a stage computes from and where.
pub(crate) struct Site {
    pub description: Description,
    pub plan: StagePlan,
    pub experiment: ExperimentPlan,
    pub shard: Shard,
    pub inputs: Inputs,
    pub work: Work,
    pub party: Party,
}

/// What a stage leaves.
pub(crate) struct Done {
    pub outcome: Result<Outcome>,
    pub work: Work,
    pub log: Log,
}

/// The body of the stage `S`.
pub(crate) struct Of<S>(PhantomData<S>);

impl<S> Default for Of<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<S: Stage> Body for Of<S> {
    fn open_device(&self, device: &str) -> Result<()> {
        S::TENSORS.map_or(Ok(()), |open| open(device))
    }

    fn check(&self, plan: &StagePlan, experiment: &ExperimentPlan) -> Result<()> {
        let params = plan.parse()?;
        S::check(&params).and_then(|()| S::check_plan(&params, experiment))
    }

    fn check_inputs(&self, plan: &StagePlan, inputs: &[&Record]) -> Result<()> {
        S::check_inputs(&plan.parse()?, inputs)
    }

    fn join(&self) -> Option<Join> {
        S::JOIN
    }

    fn run(&self, site: Site) -> Result<Done> {
        let Site { description, plan, experiment, shard, inputs, work, party } = site;
        let mut context = Context::<S::Params> {
            params: plan.parse()?,
            seed: plan.seed,
            device: party.device(&plan.device)?,
            numerics: plan.numerics,
            plan: experiment,
            shard,
            log: if party.is_first() { Log::open(&work.file(LOG_FILE))? } else { Log::silent() },
            work,
            party,
            stop: Stop::on_signals()?,
            name: description.name,
            reads: description.reads,
            inputs,
        };
        let outcome = S::run(&mut context);
        let Context { work, log, .. } = context;
        Ok(Done { outcome, work, log })
    }
}
