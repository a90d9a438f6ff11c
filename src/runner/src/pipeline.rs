//! Manifest, store and stage binaries, opened together and checked against one another.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use artifact::store::Record;
use artifact::{
    Artifact, Error, ExperimentPlan, Fingerprints, Item, Manifest, Preimage, Reading, Result, StagePlan, Store,
};
use stage::Around;

use crate::history::History;
use crate::options::PipelineSource;
use crate::programs::{Program, Programs};

/// An opened pipeline: all that a question or a run needs.
pub struct Pipeline {
    pub(crate) manifest: Manifest,
    pub(crate) sets: Vec<String>,
    pub(crate) store: Store,
    pub(crate) experiments: Vec<ExperimentPlan>,
    programs: Programs,
    fingerprints: Fingerprints,
    history: History,
}

impl Pipeline {
    /// Opens a pipeline. Every stage of the manifest has a binary, and its needs hold what it reads.
    pub fn open(source: &PipelineSource) -> Result<Self> {
        let sets = source.all_sets();
        let manifest = Manifest::load(&source.manifest, &sets)?;
        let mut names = manifest.experiments()?;
        if !source.experiments.is_empty() {
            let asked =
                source.experiments.iter().map(|name| manifest.select(name)).collect::<Result<Vec<_>>>()?.concat();
            names.retain(|name| asked.contains(name));
        }
        let mut experiments = names.iter().map(|name| manifest.experiment(name)).collect::<Result<Vec<_>>>()?;
        let root: PathBuf = source.store.clone().map_or_else(|| manifest.store(), Ok)?;
        let store = Store::open(&root)?;
        let stages: BTreeSet<_> = experiments.iter().flat_map(|e| &e.stages).map(|plan| plan.stage.clone()).collect();
        let programs = Programs::load(&stages, source.bin_dir.as_deref(), &store)?;
        check_needs(&programs, &experiments, None).or_else(|error| {
            // What is lacking may be written by a stage that no experiment in question uses.
            let all = manifest.stages().into_iter().collect();
            let all = Programs::load(&all, source.bin_dir.as_deref(), &store).map_err(|_| error)?;
            check_needs(&programs, &experiments, Some(&all))
        })?;
        for plan in experiments.iter_mut().flat_map(|experiment| &mut experiment.stages) {
            plan.expand_paths(&programs.of(&plan.stage)?.description.path_params)?;
        }
        let fingerprints = Fingerprints::open(&root);
        let history = History::default();
        Ok(Self { manifest, sets, store, experiments, programs, fingerprints, history })
    }

    /// The store in use.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The binary of a stage and what it says of itself.
    pub(crate) fn program(&self, stage: &str) -> Result<&Program> {
        self.programs.of(stage)
    }

    /// Everything that decides the bytes of a stage, with `inputs` what it reads of each input.
    pub(crate) fn preimage(&self, plan: &StagePlan, inputs: BTreeMap<String, Reading>) -> Result<Preimage> {
        self.preimage_at(plan, inputs, &self.fingerprints)
    }

    /// For a glance at many stages: files from outside are looked at once.
    pub(crate) fn glance(&self) -> Fingerprints {
        self.fingerprints.glance()
    }

    /// The same as [`Pipeline::preimage`], at one glance.
    pub(crate) fn preimage_at(
        &self,
        plan: &StagePlan,
        inputs: BTreeMap<String, Reading>,
        glance: &Fingerprints,
    ) -> Result<Preimage> {
        self.program(&plan.stage)?.description.preimage(plan, inputs, glance)
    }

    /// What a stage reads of an input that is committed.
    pub(crate) fn reading(&self, plan: &StagePlan, input: &Record) -> Result<Reading> {
        Ok(self.program(&plan.stage)?.description.reading(&plan.params, |item| input.digest_of(item)))
    }

    /// What a stage will read of an input that is not committed yet; `stand_in` stands for each digest.
    pub(crate) fn pending_reading(&self, plan: &StagePlan, input: &str, stand_in: &str) -> Result<Reading> {
        let writes = &self.program(input)?.description.writes;
        let digest = |item: &Item| item.is_in(writes).then(|| stand_in.to_owned());
        Ok(self.program(&plan.stage)?.description.reading(&plan.params, digest))
    }

    /// Every committed artifact of a stage, newest first.
    pub(crate) fn history(&self, stage: &str) -> Vec<Arc<Artifact>> {
        self.history.of(&self.store, stage)
    }

    /// File and line of the value behind a field of a preimage; `None` where no value of the manifest is behind it.
    pub(crate) fn place(&self, plan: &StagePlan, field: &str) -> Option<String> {
        match field.split_once('.') {
            Some(("params" | "files", name)) => Some(plan.place(name)),
            None if field == "seed" => Some(self.manifest.seed_place(&plan.experiment)),
            None if field == "device" || field == "numerics" => Some(self.manifest.place(&format!("pipeline.{field}"))),
            _ => None,
        }
    }

    /// Refuses a stage that none of the experiments in question has.
    pub(crate) fn check_stage(&self, name: &str) -> Result<()> {
        let seen = |e: &ExperimentPlan| e.stages.iter().map(|plan| plan.id().seen_from(&e.name)).collect::<Vec<_>>();
        let known: BTreeSet<_> = self.experiments.iter().flat_map(seen).collect();
        if known.contains(name) {
            return Ok(());
        }
        let known: Vec<_> = known.into_iter().collect();
        let manifest = self.manifest.path().display();
        Err(Error::Config(format!("no stage '{name}' in {manifest}; there are {}", known.join(", "))))
    }
}

/// Checks by what the stages say of themselves that the needs of each hold what it reads. An error names the stages
/// among `candidates` that hold what is lacking and are not themselves computed from the stage that lacks it.
fn check_needs(programs: &Programs, experiments: &[ExperimentPlan], candidates: Option<&Programs>) -> Result<()> {
    let written: BTreeMap<_, _> = programs.written().collect();
    for (experiment, plan) in experiments.iter().flat_map(|e| e.stages.iter().map(move |plan| (e, plan))) {
        let needs = plan.needs.iter().map(|need| need.stage.as_str());
        let needs = needs.map(|need| (need, written[need].clone())).collect();
        let uses_it = |other: &&StagePlan| experiment.upstream(&other.id()).contains(&plan.id());
        let below = experiment.stages.iter().filter(uses_it).map(|other| other.stage.as_str());
        let below: BTreeSet<_> = below.filter(|stage| *stage != plan.stage).collect();
        let candidates = candidates.into_iter().flat_map(Programs::written);
        let manifest = candidates.filter(|(stage, _)| !below.contains(stage)).collect();
        programs.of(&plan.stage)?.description.check_needs(plan, &Around { needs, manifest })?;
    }
    Ok(())
}
