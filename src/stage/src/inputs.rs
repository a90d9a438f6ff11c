//! The artifacts that a stage reads: those whose keys the runner names, or those that the manifest describes; and which
//! of them holds what.

use std::collections::BTreeMap;

use artifact::store::{Contents, Record, Stamp};
use artifact::{Artifact, Error, ExperimentPlan, Fingerprints, Item, Key, Reading, Result, StagePlan, Store};
use serde_json::Value;

use crate::{Description, Read, resolve};

/// The inputs of a stage, by the name of the stage that made each.
#[derive(Clone, Default)]
pub(crate) struct Inputs(BTreeMap<String, Artifact>);

impl Inputs {
    /// Finds the artifacts that the manifest, as it stands now, describes.
    pub fn resolve(
        plan: &StagePlan,
        experiment: &ExperimentPlan,
        store: &Store,
        fingerprints: &Fingerprints,
    ) -> Result<Self> {
        resolve::inputs(plan, experiment, store, fingerprints).map(Self)
    }

    /// Opens the artifacts whose keys the runner names, as in `train-cam=KEY`.
    pub fn named(names: &[String], store: &Store) -> Result<Self> {
        let open = |name: &String| {
            let malformed = || Error::Config(format!("--input {name}: expected STAGE=KEY"));
            let (stage, key) = name.split_once('=').ok_or_else(malformed)?;
            let key = Key::parse(key)?;
            let missing = || {
                let root = store.root().display();
                Error::NotCommitted(format!("the input '{stage}' with the key {key} is not committed in {root}"))
            };
            Ok((stage.to_owned(), store.find(stage, &key)?.ok_or_else(missing)?))
        };
        names.iter().map(open).collect::<Result<_>>().map(Self)
    }

    /// Are they the inputs that the manifest says a stage needs?
    pub fn are_needs_of(&self, plan: &StagePlan) -> bool {
        self.0.len() == plan.needs.len() && plan.needs.iter().all(|need| self.0.contains_key(&need.stage))
    }

    /// Every input, with its name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Artifact)> {
        self.0.iter().map(|(name, artifact)| (name.as_str(), artifact))
    }

    /// What a stage reads of each, as a key has it.
    pub fn readings(&self, description: &Description, params: &Value) -> BTreeMap<String, Reading> {
        let reading = |input: &Artifact| description.reading(params, |item| input.record().digest_of(item));
        self.0.iter().map(|(stage, input)| (stage.clone(), reading(input))).collect()
    }

    /// Their records.
    pub fn records(&self) -> Vec<&Record> {
        self.0.values().map(Artifact::record).collect()
    }

    /// Their keys.
    pub fn keys(&self) -> BTreeMap<String, Key> {
        self.0.iter().map(|(stage, input)| (stage.clone(), input.record().key.clone())).collect()
    }

    /// The same, each with nothing but what a stage reads: what its description does not name it cannot open.
    pub fn limited_to(self, items: &[Item]) -> Self {
        Self(self.0.into_iter().map(|(stage, input)| (stage, input.limited_to(items))).collect())
    }

    /// What each holds.
    pub fn contents(&self) -> BTreeMap<&str, Contents> {
        self.all().map(|(stage, input)| (stage, input.record().contents())).collect()
    }

    /// The inputs that hold something that the stage reads.
    pub fn holding(&self, stage: &str, reads: &[Read], what: &Item) -> Result<Vec<&Artifact>> {
        if !reads.iter().any(|read| read.what == *what) {
            return Err(Error::Failed(format!("{stage} reads {what}, but its description does not say so")));
        }
        Ok(self.0.values().filter(|input| what.is_in(&input.record().contents())).collect())
    }

    /// Which files they are, and when each last changed.
    pub fn stamps(&self) -> Result<Vec<Vec<Stamp>>> {
        self.0.values().map(Artifact::stamps).collect()
    }

    /// Reads all that is read of them before it is believed; a damaged one is set aside.
    pub fn verify(&self, store: &Store) -> Result<()> {
        self.all().try_for_each(|(stage, artifact)| verify(store, stage, artifact))
    }

    /// Reads again, and refuses if damaged, each that is no longer what it was at these stamps.
    pub fn verify_changed(&self, store: &Store, stamps: &[Vec<Stamp>]) -> Result<()> {
        for ((stage, artifact), stamps) in self.all().zip(stamps) {
            if artifact.stamps().ok().as_ref() != Some(stamps) {
                verify(store, stage, artifact)?;
            }
        }
        Ok(())
    }
}

fn verify(store: &Store, stage: &str, artifact: &Artifact) -> Result<()> {
    artifact.verify().or_else(|error| {
        let aside = store.set_aside(stage, &artifact.record().key)?;
        Err(Error::NotCommitted(format!(
            "input '{stage}': {error}; set aside in {aside}; run `camflow run` to make it anew"
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stage_reads_it_says() {
        let inputs = Inputs::default();
        let what = Item::File("net".into());
        assert!(inputs.holding("walk", &[Read::file("net")], &what).unwrap().is_empty());
        let refused = inputs.holding("walk", &[Read::file("other")], &what).unwrap_err();
        assert_eq!(refused.to_string(), "walk reads the file 'net', but its description does not say so");
        assert_eq!(refused.exit_code(), 1);
    }
}
