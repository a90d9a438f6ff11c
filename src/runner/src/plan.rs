//! The state of every stage of every experiment: what is committed, what has to run, and why.

use std::collections::{BTreeMap, BTreeSet};

use artifact::{Artifact, Error, ExperimentPlan, Key, Preimage, Result, StagePlan};
use serde::Serialize;

use crate::options::Selection;
use crate::pipeline::Pipeline;
use crate::reason::{self, PENDING, Reason};

/// Every stage of the experiments in question, in the order in which they would run.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The steps, experiment after experiment, the main one last.
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
    /// Whether it is committed.
    #[serde(flatten)]
    pub state: State,
    /// Its key, where all its inputs are known.
    pub key: Option<Key>,
    /// Why it has to run; empty if it is committed.
    pub reasons: Vec<Reason>,
    /// An experiment before this one that computes the very same.
    pub shared_with: Option<String>,
    /// What it cost last time.
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

    /// The name of `latest` links: `None` for the main experiment.
    pub fn link(&self) -> Option<&str> {
        (!self.main).then_some(self.experiment.as_str())
    }
}

impl Plan {
    /// The step of a stage of an experiment.
    pub fn step(&self, experiment: &str, stage: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.experiment == experiment && step.stage == stage)
    }

    /// The steps that will run, each computation once.
    pub fn to_run(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.will_run() && step.shared_with.is_none())
    }

    /// Refuses a selection in which a stage would run without an input that is neither there nor selected.
    pub fn check_inputs(&self) -> Result<()> {
        for step in self.steps.iter().filter(|step| step.will_run()) {
            for need in &step.plan.needs {
                let input = self.step(&step.experiment, need);
                if let Some(input) = input.filter(|input| !input.is_cached() && !input.selected) {
                    let (stage, experiment) = (&step.stage, &step.experiment);
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
        let mut steps: Vec<Step> = Vec::new();
        let mut computed: BTreeMap<(String, Key), String> = BTreeMap::new();
        for experiment in &self.experiments {
            let selected = selected(experiment, selection);
            let mut resolved: BTreeMap<String, String> = BTreeMap::new();
            for plan in &experiment.stages {
                let asked = Asked {
                    main: experiment.main,
                    selected: selected.contains(&plan.stage),
                    forced: selection.force.contains(&plan.stage) && selected.contains(&plan.stage),
                };
                let mut step = self.step(plan, &asked, &resolved)?;
                let identity = step.preimage.key();
                resolved.insert(
                    plan.stage.clone(),
                    match &step.artifact {
                        Some(artifact) if step.is_cached() => artifact.record().digest.clone(),
                        _ => format!("{PENDING}{}", identity.as_str()),
                    },
                );
                if step.will_run() {
                    let first = computed.entry((plan.stage.clone(), identity)).or_insert(plan.experiment.clone());
                    step.shared_with = (*first != plan.experiment).then(|| first.clone());
                }
                steps.push(step);
            }
        }
        Ok(Plan { steps })
    }

    fn step(&self, plan: &StagePlan, asked: &Asked, resolved: &BTreeMap<String, String>) -> Result<Step> {
        let digest = |need: &String| (need.clone(), resolved.get(need).cloned().unwrap_or_default());
        let preimage = self.preimage(plan, plan.needs.iter().map(digest).collect())?;
        let pending = preimage.inputs.iter().filter(|(_, digest)| digest.starts_with(PENDING));
        let on: Vec<_> = pending.map(|(stage, _)| stage.clone()).collect();
        let key = on.is_empty().then(|| preimage.key());
        let (artifact, damage) = match &key {
            Some(key) => self.look(&plan.stage, key)?,
            None => (None, None),
        };
        let mut reasons: Vec<_> = on.iter().map(|stage| Reason::Upstream { stage: stage.clone() }).collect();
        let state = match (&artifact, damage) {
            _ if !on.is_empty() => State::Waiting { on },
            (_, Some(what)) => State::Damaged { what },
            (Some(_), None) if !asked.forced => State::Cached,
            _ => State::Ready,
        };
        let mut last_seconds = artifact.as_ref().map(|artifact| artifact.record().provenance.seconds);
        match &state {
            State::Cached => {}
            State::Damaged { what } => reasons.push(Reason::Damaged { what: what.clone() }),
            _ if asked.forced => reasons.push(Reason::Forced),
            _ => {}
        }
        if artifact.is_none() && !matches!(state, State::Damaged { .. }) {
            let (because, previous) = reason::of_absence(self, plan, &preimage)?;
            last_seconds = previous.map(|old| old.record().provenance.seconds);
            reasons.extend(because);
        }
        Ok(Step {
            experiment: plan.experiment.clone(),
            main: asked.main,
            stage: plan.stage.clone(),
            selected: asked.selected,
            state,
            key,
            reasons,
            shared_with: None,
            last_seconds,
            artifact,
            plan: plan.clone(),
            preimage,
        })
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

/// What the command asks of a step.
struct Asked {
    main: bool,
    selected: bool,
    forced: bool,
}

fn selected(experiment: &ExperimentPlan, selection: &Selection) -> BTreeSet<String> {
    let mut selected: BTreeSet<_> = experiment.stages.iter().map(|plan| plan.stage.clone()).collect();
    if let Some(only) = &selection.only {
        selected.retain(|stage| stage == only);
    }
    if let Some(from) = &selection.from {
        let below = with_dependents(experiment, from);
        selected.retain(|stage| below.contains(stage));
    }
    if let Some(until) = &selection.until {
        let above = with_inputs(experiment, until);
        selected.retain(|stage| above.contains(stage));
    }
    selected
}

/// A stage and all that depend on it.
fn with_dependents(experiment: &ExperimentPlan, stage: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for plan in &experiment.stages {
        if plan.stage == stage || plan.needs.iter().any(|need| found.contains(need)) {
            found.insert(plan.stage.clone());
        }
    }
    found
}

/// A stage and all that it depends on.
pub(crate) fn with_inputs(experiment: &ExperimentPlan, stage: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::from([stage.to_owned()]);
    for plan in experiment.stages.iter().rev() {
        if found.contains(&plan.stage) {
            found.extend(plan.needs.iter().cloned());
        }
    }
    // An experiment without the stage has nothing to select.
    found.retain(|name| experiment.stages.iter().any(|plan| plan.stage == *name));
    found
}
