//! The state of every stage of every experiment: what is committed, what has to run, and why.

use std::collections::{BTreeMap, BTreeSet};

use artifact::{Artifact, Error, ExperimentPlan, Fingerprints, Key, Preimage, Reading, Result, StageId, StagePlan};
use serde::Serialize;

use crate::options::Selection;
use crate::pipeline::Pipeline;
use crate::reason::{self, PENDING, Reason};

/// Every stage of the experiments in question, in the order in which they would run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The steps, experiment after experiment, the main one last; a stage that another experiment needs comes before
    /// that one.
    pub steps: Vec<Step>,
}

/// One stage of one experiment.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Name of the experiment.
    pub experiment: String,
    /// Is it the experiment that `latest` means?
    pub main: bool,
    /// Name of the stage.
    pub stage: String,
    /// May it run, by `--from`, `--until` and `--only`?
    pub selected: bool,
    /// Does it run although it is committed, by `--force`?
    #[serde(skip)]
    pub forced: bool,
    /// Whether it is committed.
    #[serde(flatten)]
    pub state: State,
    /// Its key, where all its inputs are known.
    pub key: Option<Key>,
    /// Why it has to run; empty if it is committed.
    pub reasons: Vec<Reason>,
    /// An experiment before this one that computes the very same.
    pub shared_with: Option<String>,
    /// What it cost last time, or what the artifact of this stage with the fewest differences cost.
    pub last_seconds: Option<f64>,
    /// The artifact, if it is committed.
    #[serde(skip)]
    pub artifact: Option<Artifact>,
    /// The stage with its parameters.
    #[serde(skip)]
    pub plan: StagePlan,
    /// What decides its bytes; inputs not committed yet have a stand-in.
    #[serde(skip)]
    pub preimage: Preimage,
    /// The key that it would have if none of its inputs were committed: the same as long as the manifest asks for the
    /// same, however far the store has come.
    #[serde(skip)]
    pub intent: Key,
}

/// Whether a stage is committed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum State {
    /// Committed and whole.
    Cached,
    /// Committed, but not whole: it is set aside and computed anew.
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// Its inputs are there, it is not.
    Ready,
    /// Stages that come first; its key is not known until then.
    Waiting {
        /// Those stages.
        on: Vec<String>,
    },
}

impl Step {
    /// Is the artifact there, and is it not to be computed anew?
    pub fn is_cached(&self) -> bool {
        self.state == State::Cached
    }

    /// Will this stage run?
    pub fn will_run(&self) -> bool {
        self.selected && !self.is_cached()
    }

    /// Which stage of which experiment it is.
    pub fn is(&self, id: &StageId) -> bool {
        self.stage == id.stage && self.experiment == id.experiment
    }
}

impl Plan {
    /// The step of a stage of an experiment.
    pub fn step(&self, id: &StageId) -> Option<&Step> {
        self.steps.iter().find(|step| step.is(id))
    }

    /// The steps that will run, each computation once.
    pub fn to_run(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.will_run() && step.shared_with.is_none())
    }

    /// Refuses a selection in which a stage would run without an input that is neither there nor selected.
    pub fn check_inputs(&self) -> Result<()> {
        for step in self.steps.iter().filter(|step| step.will_run()) {
            for need in &step.plan.needs {
                if let Some(input) = self.step(need).filter(|input| !input.is_cached() && !input.selected) {
                    let (stage, experiment, need) = (&step.stage, &step.experiment, need.seen_from(&step.experiment));
                    return Err(Error::NotCommitted(format!(
                        "{stage} ({experiment}) needs {need}, which is not committed ({}) and not selected; \
                         leave out --from / --only, or run `camflow run --until {need}` first",
                        reason::sentence(&input.reasons)
                    )));
                }
            }
        }
        Ok(())
    }
}

impl Pipeline {
    /// Finds the state of every stage. Reads the store and changes nothing in it.
    pub fn plan(&self, selection: &Selection) -> Result<Plan> {
        let named = [&selection.from, &selection.until, &selection.only];
        for stage in named.into_iter().flatten().chain(&selection.force) {
            self.check_stage(stage)?;
        }
        let asked = Asked::of(&self.experiments, selection);
        let mut steps: Vec<Step> = Vec::new();
        let mut places: BTreeMap<StageId, usize> = BTreeMap::new();
        let mut computed: BTreeMap<(String, Key), String> = BTreeMap::new();
        let glance = self.glance();
        for plan in self.experiments.iter().flat_map(|experiment| &experiment.stages) {
            let id = plan.id();
            if places.contains_key(&id) {
                continue;
            }
            let needs: Vec<_> = plan.needs.iter().map(|need| &steps[places[need]]).collect();
            let mut step = self.step(plan, &asked, &needs, &glance)?;
            places.insert(id, steps.len());
            if step.will_run() {
                let identity = (plan.stage.clone(), step.preimage.key());
                let first = computed.entry(identity).or_insert(plan.experiment.clone());
                step.shared_with = (*first != plan.experiment).then(|| first.clone());
            }
            steps.push(step);
        }
        Ok(Plan { steps })
    }

    fn step(&self, plan: &StagePlan, asked: &Asked, needs: &[&Step], glance: &Fingerprints) -> Result<Step> {
        let (selected, forced) = (asked.selected.contains(&plan.id()), asked.forced.contains(&plan.id()));
        let reading = |need: &&Step| Ok((need.stage.clone(), self.reading_of(plan, need)?));
        let inputs = needs.iter().map(reading).collect::<Result<_>>()?;
        let preimage = self.preimage_at(plan, inputs, glance)?;
        let intended = |need: &&Step| Ok((need.stage.clone(), self.stand_in(plan, &need.stage, need.intent.as_str())?));
        let intended = needs.iter().map(intended).collect::<Result<_>>()?;
        let intent = self.preimage_at(plan, intended, glance)?.key();
        let pending = needs.iter().filter(|need| !need.is_cached());
        let on: Vec<_> = pending.map(|need| need.plan.id().seen_from(&plan.experiment)).collect();
        let key = on.is_empty().then(|| preimage.key());
        let (artifact, damage) = match &key {
            Some(key) => self.look(&plan.stage, key)?,
            None => (None, None),
        };
        let mut reasons: Vec<_> = on.iter().map(|stage| Reason::Upstream { stage: stage.clone() }).collect();
        let state = match (&artifact, damage) {
            _ if !on.is_empty() => State::Waiting { on },
            (_, Some(what)) => State::Damaged { what },
            (Some(_), None) if !forced => State::Cached,
            _ => State::Ready,
        };
        match &state {
            State::Cached => {}
            State::Damaged { what } => reasons.push(Reason::Damaged { what: what.clone() }),
            _ if forced => reasons.push(Reason::Forced),
            _ => {}
        }
        if artifact.is_none() && !matches!(state, State::Damaged { .. }) {
            reasons.extend(reason::of_absence(self, plan, &preimage));
        }
        let last_seconds = match &artifact {
            Some(artifact) => Some(artifact.record().provenance.seconds),
            None => reason::nearest(self, plan, &preimage).map(|near| near.record().provenance.seconds),
        };
        Ok(Step {
            experiment: plan.experiment.clone(),
            main: plan.main,
            stage: plan.stage.clone(),
            selected,
            forced,
            state,
            key,
            reasons,
            shared_with: None,
            last_seconds,
            artifact,
            plan: plan.clone(),
            preimage,
            intent,
        })
    }

    /// What a stage reads of a step before it; a stand-in where that is still to run.
    fn reading_of(&self, plan: &StagePlan, input: &Step) -> Result<Reading> {
        match &input.artifact {
            Some(artifact) if input.is_cached() => self.reading(plan, artifact.record()),
            _ => self.stand_in(plan, &input.stage, input.preimage.key().as_str()),
        }
    }

    /// What stands for the reading of an input by the key that it would have.
    fn stand_in(&self, plan: &StagePlan, input: &str, key: &str) -> Result<Reading> {
        self.pending_reading(plan, input, &format!("{PENDING}{key}"))
    }

    /// The artifact of a key, and what is wrong with it.
    fn look(&self, stage: &str, key: &Key) -> Result<(Option<Artifact>, Option<String>)> {
        match self.store.find(stage, key) {
            Ok(Some(artifact)) => match artifact.check_sizes() {
                Ok(()) => Ok((Some(artifact), None)),
                Err(error) => Ok((None, Some(error.to_string()))),
            },
            Ok(None) => Ok((None, None)),
            Err(Error::NotCommitted(reason)) => Ok((None, Some(reason))),
            Err(error) => Err(error),
        }
    }
}

/// The stages that a command lets run, and those that it makes run.
#[derive(Default)]
struct Asked {
    selected: BTreeSet<StageId>,
    forced: BTreeSet<StageId>,
}

impl Asked {
    /// A selection names stages as each experiment sees them: `train-cam` is its own, `train-cam@rcm` that of another.
    fn of(experiments: &[ExperimentPlan], selection: &Selection) -> Self {
        let mut asked = Self::default();
        for experiment in experiments {
            let selected = selected(experiment, selection);
            let forced = experiment.stages.iter().map(StagePlan::id).filter(|id| selected.contains(id));
            asked.forced.extend(forced.filter(|id| selection.force.contains(&id.seen_from(&experiment.name))));
            asked.selected.extend(selected);
        }
        asked
    }
}

fn selected(experiment: &ExperimentPlan, selection: &Selection) -> BTreeSet<StageId> {
    let mut selected: BTreeSet<_> = experiment.stages.iter().map(StagePlan::id).collect();
    if let Some(only) = &selection.only {
        selected.retain(|id| id.seen_from(&experiment.name) == *only);
    }
    if let Some(from) = &selection.from {
        let below = with_dependents(experiment, from);
        selected.retain(|id| below.contains(id));
    }
    if let Some(until) = &selection.until {
        let above = with_inputs(experiment, until);
        selected.retain(|id| above.contains(id));
    }
    selected
}

/// A stage and all that depend on it.
fn with_dependents(experiment: &ExperimentPlan, stage: &str) -> BTreeSet<StageId> {
    let mut found = BTreeSet::new();
    for plan in &experiment.stages {
        let id = plan.id();
        if id.seen_from(&experiment.name) == stage || plan.needs.iter().any(|need| found.contains(need)) {
            found.insert(id);
        }
    }
    found
}

/// A stage and all that it depends on.
pub(crate) fn with_inputs(experiment: &ExperimentPlan, stage: &str) -> BTreeSet<StageId> {
    let mut found = BTreeSet::new();
    for plan in experiment.stages.iter().rev() {
        let id = plan.id();
        if found.contains(&id) || id.seen_from(&experiment.name) == stage {
            found.insert(id);
            found.extend(plan.needs.iter().cloned());
        }
    }
    found
}
