//! How a command names an artifact: `STAGE`, `STAGE@EXPERIMENT`, `STAGE:KEY` (its first digits), or its directory.

use std::path::{Path, PathBuf};

use crate::store::RECORD_FILE;
use crate::{Artifact, Error, Manifest, Result, Store};

/// Ends the help of the commands that take an artifact.
pub const HELP: &str = "\
An artifact is named by
  STAGE             what the main experiment (or --experiment) last resolved to
  STAGE@EXPERIMENT  what that experiment last resolved to
  STAGE:KEY         any artifact of the store, by the first digits of its key
  DIR               its directory, in whatever store";

/// Where names of artifacts are looked up.
#[derive(Clone, Debug)]
pub struct Place {
    /// The manifest, which says where the store is and which experiment is the main one.
    pub manifest: PathBuf,
    /// Assignments laid over it, as in `train-cam.epochs=3`.
    pub sets: Vec<String>,
    /// Wins over the manifest's store.
    pub store: Option<PathBuf>,
    /// Whose artifact a stage alone names; the main experiment's if empty.
    pub experiments: Vec<String>,
}

impl Place {
    /// The store.
    pub fn store(&self) -> Result<Store> {
        self.store_of(&Manifest::load(&self.manifest, &self.sets)?)
    }

    fn store_of(&self, manifest: &Manifest) -> Result<Store> {
        let root = self.store.clone().map_or_else(|| manifest.store(), Ok)?;
        if !root.is_dir() {
            let root = root.display();
            return Err(Error::NotCommitted(format!(
                "{root}: there is no store; name another with --store or --manifest"
            )));
        }
        Store::open(&root)
    }

    /// The `latest` link of the experiment that a name means; none for the main one, and where there is no manifest.
    pub fn link(&self, name: &str) -> Result<Option<String>> {
        if !self.manifest.exists() {
            return Ok(None);
        }
        let manifest = Manifest::load(&self.manifest, &self.sets)?;
        let experiment = match (name.split_once('@'), self.experiments.first()) {
            (Some((_, experiment)), _) if !name.contains('/') => Some(experiment.to_owned()),
            (_, Some(experiment)) => Some(manifest.select_one(experiment)?),
            (_, None) => None,
        };
        let main = manifest.main()?;
        Ok(experiment.filter(|experiment| *experiment != main))
    }

    /// Finds an artifact. A directory needs no manifest.
    pub fn find(&self, name: &str) -> Result<Artifact> {
        let missing = |what: &str| Error::NotCommitted(format!("{name}: {what}; `camflow status` shows what there is"));
        let dir = Path::new(name);
        if name.contains('/') || dir.join(RECORD_FILE).is_file() {
            return Artifact::open(dir)?.ok_or_else(|| missing("there is no artifact in this directory"));
        }
        let manifest = Manifest::load(&self.manifest, &self.sets)?;
        let store = self.store_of(&manifest)?;
        if let Some((stage, digits)) = name.split_once(':') {
            let artifacts = store.artifacts(stage)?;
            let mut found = artifacts.into_iter().filter(|artifact| artifact.record().key.as_str().starts_with(digits));
            let first = found.next().ok_or_else(|| missing("no key of this stage begins so"))?;
            return match found.next() {
                None => Ok(first),
                Some(_) => Err(Error::Config(format!("{name}: several keys begin so; give more digits"))),
            };
        }
        let (stage, experiment) = match (name.split_once('@'), self.experiments.as_slice()) {
            (Some((stage, experiment)), _) => (stage, Some(experiment.to_owned())),
            (None, []) => (name, None),
            (None, [experiment]) => (name, Some(manifest.select_one(experiment)?)),
            (None, _) => return Err(Error::Config("this command answers for one --experiment at a time".into())),
        };
        let main = manifest.main()?;
        let link = experiment.filter(|experiment| *experiment != main);
        store.latest(stage, link.as_deref())?.ok_or_else(|| missing("nothing is committed for it"))
    }
}
