//! How a command names an artifact: `STAGE`, `STAGE@EXPERIMENT`, `STAGE:KEY` (its first digits), or its directory.

use std::path::Path;

use artifact::store::RECORD_FILE;
use artifact::{Artifact, Error, Manifest, Result, Store};

use crate::options::PipelineSource;

/// The store of a manifest, or the one that the command names.
pub(crate) fn store(source: &PipelineSource, manifest: &Manifest) -> Result<Store> {
    Store::open(&source.store.clone().map_or_else(|| manifest.store(), Ok)?)
}

/// Finds an artifact. A directory needs no manifest; a stage alone is that of the experiment which the source names, or
/// of the main one.
pub(crate) fn find(source: &PipelineSource, name: &str) -> Result<Artifact> {
    let missing = |what: &str| Error::NotCommitted(format!("{name}: {what}; `camflow status` shows what there is"));
    let dir = Path::new(name);
    if name.contains('/') || dir.join(RECORD_FILE).is_file() {
        return Artifact::open(dir)?.ok_or_else(|| missing("there is no artifact in this directory"));
    }
    let manifest = Manifest::load(&source.manifest, &source.all_sets())?;
    let store = store(source, &manifest)?;
    if let Some((stage, digits)) = name.split_once(':') {
        let artifacts = store.artifacts(stage)?;
        let mut found = artifacts.into_iter().filter(|artifact| artifact.record().key.as_str().starts_with(digits));
        let first = found.next().ok_or_else(|| missing("no key of this stage begins so"))?;
        return match found.next() {
            None => Ok(first),
            Some(_) => Err(Error::Config(format!("{name}: several keys begin so; give more digits"))),
        };
    }
    let (stage, experiment) = match (name.split_once('@'), source.experiments.as_slice()) {
        (Some((stage, experiment)), _) => (stage, Some(experiment.to_owned())),
        (None, []) => (name, None),
        (None, [experiment]) => (name, Some(manifest.select_one(experiment)?)),
        (None, _) => return Err(Error::Config("this command answers for one --experiment at a time".into())),
    };
    let main = manifest.main()?;
    let link = experiment.filter(|experiment| *experiment != main);
    store.latest(stage, link.as_deref())?.ok_or_else(|| missing("nothing is committed for it"))
}
