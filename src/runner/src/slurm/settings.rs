//! `[slurm]` of the manifest: what the jobs of each stage ask for. None of it is in a key.

use std::collections::BTreeMap;

use artifact::{Error, Manifest, Result};
use serde::{Deserialize, Serialize};

/// `[slurm]`, or `[slurm.stage.NAME]`, which is laid over it for one stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Settings {
    /// `--partition`
    partition: Option<String>,
    /// `--qos`
    qos: Option<String>,
    /// `--account`
    account: Option<String>,
    /// `--reservation`
    reservation: Option<String>,
    /// `--time`: the limit of a job, such as "4:00:00".
    time: Option<String>,
    /// `--cpus-per-task`
    cpus: Option<u32>,
    /// `--mem`: of a node, such as "16G".
    mem: Option<String>,
    /// `--gres`, such as "gpu:1".
    gpus: Option<String>,
    /// `--constraint`
    constraint: Option<String>,
    /// `--exclude`
    exclude: Option<String>,
    /// `--nodelist`
    nodelist: Option<String>,
    /// The signal that comes before a job's time is up: USR1 (the default), USR2 or TERM.
    signal: Option<String>,
    /// How many seconds before; 120 if not given.
    lead: Option<u32>,
    /// Lines of shell before the stage starts, such as "module load cuda".
    setup: Option<Vec<String>>,
    /// Options that sbatch gets as they are.
    extra: Option<Vec<String>>,
    /// Into how many jobs a stage is divided that works image by image; 1 if not given.
    shards: Option<usize>,
    /// How many of them run at a time; all if not given.
    at_a_time: Option<usize>,
    /// How many jobs follow one another where one does not suffice, each going on from the last one's checkpoint; 1 if
    /// not given.
    links: Option<usize>,
    /// What is laid over it for single stages.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    stage: BTreeMap<String, Settings>,
}

impl Settings {
    /// The manifest's; everything is left to the cluster where it has no `[slurm]`.
    pub fn of(manifest: &Manifest) -> Result<Self> {
        let settings: Self = manifest.section("slurm")?.unwrap_or_default();
        let known = manifest.stages();
        for (stage, over) in &settings.stage {
            let place = manifest.place(&format!("slurm.stage.{stage}"));
            if !known.contains(stage) {
                let known = known.join(", ");
                return Err(Error::Config(format!("{place}: slurm.stage: no stage '{stage}'; there are {known}")));
            }
            if !over.stage.is_empty() {
                return Err(Error::Config(format!("{place}: slurm.stage.{stage}: a stage has no stages")));
            }
        }
        let place = manifest.place("slurm");
        std::iter::once(&settings).chain(settings.stage.values()).try_for_each(|part| part.check(&place))?;
        Ok(settings)
    }

    fn check(&self, place: &str) -> Result<()> {
        let zero = [("shards", self.shards), ("at_a_time", self.at_a_time), ("links", self.links)];
        if let Some((name, _)) = zero.iter().find(|(_, value)| *value == Some(0)) {
            return Err(Error::Config(format!("{place}: slurm.{name}: 0 is none; give 1 or more")));
        }
        match self.signal.as_deref() {
            None | Some("USR1" | "USR2" | "TERM") => Ok(()),
            Some(other) => Err(Error::Config(format!(
                "{place}: slurm.signal: a stage does not stop at '{other}'; give USR1, USR2 or TERM"
            ))),
        }
    }

    /// What holds for a stage.
    pub fn for_stage(&self, stage: &str) -> Self {
        let json = |settings: &Self| serde_json::to_value(settings).expect("settings are JSON");
        let mut merged = json(self);
        let over = self.stage.get(stage).map(json).unwrap_or_default();
        let merged_entries = merged.as_object_mut().expect("settings are a table");
        merged_entries.remove("stage");
        for (name, value) in over.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null()) {
            merged_entries.insert(name.clone(), value.clone());
        }
        serde_json::from_value(merged).expect("both are settings")
    }

    /// How many jobs divide a stage that works image by image.
    pub fn shards(&self) -> usize {
        self.shards.unwrap_or(1)
    }

    /// How many jobs follow one another.
    pub fn links(&self) -> usize {
        self.links.unwrap_or(1)
    }

    /// `%M` of an array, where so many run at a time.
    pub fn throttle(&self) -> String {
        self.at_a_time.map(|most| format!("%{most}")).unwrap_or_default()
    }

    /// The lines of shell before the stage starts.
    pub fn setup(&self) -> &[String] {
        self.setup.as_deref().unwrap_or_default()
    }

    /// The options of sbatch.
    pub fn options(&self) -> Vec<String> {
        let text = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
        let signal = self.signal.as_deref().unwrap_or("USR1");
        let named = [
            text("partition", &self.partition),
            text("qos", &self.qos),
            text("account", &self.account),
            text("reservation", &self.reservation),
            text("time", &self.time),
            self.cpus.map(|cpus| format!("--cpus-per-task={cpus}")),
            text("mem", &self.mem),
            text("gres", &self.gpus),
            text("constraint", &self.constraint),
            text("exclude", &self.exclude),
            text("nodelist", &self.nodelist),
            // B: to the script's process alone, which passes it on.
            Some(format!("--signal=B:{signal}@{}", self.lead.unwrap_or(120))),
        ];
        named.into_iter().flatten().chain(self.extra.iter().flatten().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_has_what_is_laid_over_for_it() {
        let text = serde_json::json!({
            "partition": "gpu", "time": "1:00:00", "shards": 8, "extra": ["--nice"],
            "stage": { "train-cam": { "time": "8:00:00", "gpus": "gpu:1", "links": 3 } },
        });
        let settings: Settings = serde_json::from_value(text).unwrap();
        let training = settings.for_stage("train-cam");
        assert_eq!((training.links(), training.shards()), (3, 8));
        assert_eq!(
            training.options(),
            ["--partition=gpu", "--time=8:00:00", "--gres=gpu:1", "--signal=B:USR1@120", "--nice"]
        );
        assert_eq!(settings.for_stage("evaluate").options()[1], "--time=1:00:00");
        assert_eq!(settings.for_stage("evaluate").links(), 1);
    }
}
