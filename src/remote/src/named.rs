//! Which artifacts a command means, and in which store, manifest and remote.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

use artifact::{Artifact, Error, Manifest, Result, Store};
use command_line::PlaceArgs;

use crate::remote::Remote;

/// What both commands are given.
#[derive(Debug, clap::Args)]
pub struct Source {
    /// The artifacts; without any, all that the experiments of the manifest last resolved to
    #[arg(value_name = "ARTIFACT")]
    pub names: Vec<String>,
    /// URL of the remote, instead of the manifest's `pipeline.remote`: file://, s3://, gs://, az://, or a directory
    #[arg(long, value_name = "URL")]
    remote: Option<String>,
    /// Leave out what the artifacts were computed from
    #[arg(long)]
    pub without_inputs: bool,
    #[command(flatten)]
    place: PlaceArgs,
    /// The experiment that is meant: all if not given, the main one where a stage is named (may be repeated)
    #[arg(long, value_name = "NAME", add = command_line::experiments())]
    experiment: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A name of an artifact on a remote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    pub stage: String,
    pub which: Which,
}

/// Which artifact of a stage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// That of a key, by its first 16 digits or more.
    Key(String),
    /// What an experiment last resolved to.
    Latest(String),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.which {
            Which::Key(digits) => write!(f, "{}:{digits}", self.stage),
            Which::Latest(experiment) => write!(f, "{}@{experiment}", self.stage),
        }
    }
}

impl Source {
    /// The remote.
    pub fn remote(&self) -> Result<Remote> {
        if let Some(url) = &self.remote {
            return Remote::open(url);
        }
        let named = self.manifest()?.and_then(|manifest| manifest.remote().transpose()).transpose()?;
        let file = self.place.manifest.display();
        let lacking = || {
            Error::Config(format!(
                "there is no remote: name it with --remote, or in {file}: [pipeline] remote = \"s3://bucket/prefix\""
            ))
        };
        Remote::open(&named.ok_or_else(lacking)?)
    }

    /// The manifest; `None` where there is none and none was named.
    fn manifest(&self) -> Result<Option<Manifest>> {
        let PlaceArgs { manifest, set, .. } = &self.place;
        if !manifest.exists() && *manifest == *Path::new(Manifest::DEFAULT_FILE) {
            return Ok(None);
        }
        Manifest::load(manifest, set).map(Some)
    }

    fn manifest_for(&self, what: &str) -> Result<Manifest> {
        let lacking = || Error::Config(format!("{what} needs a manifest; name one with --manifest"));
        self.manifest()?.ok_or_else(lacking)
    }

    /// The store; made if it is not there, for what is pulled.
    pub fn store(&self) -> Result<Store> {
        match &self.place.store {
            Some(root) => Store::open(root),
            None => Store::open(&self.manifest_for("the place of the store")?.store()?),
        }
    }

    /// Name of the main experiment, where a manifest says it.
    pub fn main(&self) -> Result<Option<String>> {
        self.manifest()?.map(|manifest| manifest.main()).transpose()
    }

    /// The stages of the experiments in question, each with the experiment to which it belongs.
    fn stages(&self, manifest: &Manifest) -> Result<BTreeSet<(String, String)>> {
        let names = match self.experiment.as_slice() {
            [] => manifest.experiments()?,
            asked => asked.iter().map(|name| manifest.select(name)).collect::<Result<Vec<_>>>()?.concat(),
        };
        let plans = names.iter().map(|name| manifest.experiment(name)).collect::<Result<Vec<_>>>()?;
        let stages = plans.into_iter().flat_map(|plan| plan.stages);
        Ok(stages.map(|plan| (plan.stage, plan.experiment)).collect())
    }

    /// The artifacts of this store that the names mean, or all that the manifest's experiments last resolved to.
    pub fn here(&self) -> Result<Vec<Artifact>> {
        if !self.names.is_empty() {
            let place = self.place.place(&self.experiment);
            return self.names.iter().map(|name| place.find(name)).collect();
        }
        let manifest = self.manifest_for("a command without names")?;
        let (store, main) = (self.store()?, manifest.main()?);
        let mut found = Vec::new();
        for (stage, experiment) in self.stages(&manifest)? {
            let link = Some(experiment).filter(|experiment| *experiment != main);
            found.extend(store.latest(&stage, link.as_deref())?);
        }
        if found.is_empty() {
            let root = store.root().display();
            return Err(Error::NotCommitted(format!("{root}: nothing of this manifest is committed; `camflow run`")));
        }
        Ok(found)
    }

    /// The artifacts of a remote that the names mean, or all that the manifest's experiments may have there.
    pub fn there(&self) -> Result<Vec<Wanted>> {
        if !self.names.is_empty() {
            return self.names.iter().map(|name| self.wanted(name)).collect::<Result<Vec<_>>>().map(|all| all.concat());
        }
        let manifest = self.manifest_for("a command without names")?;
        let wanted = |(stage, experiment)| Wanted { stage, which: Which::Latest(experiment) };
        Ok(self.stages(&manifest)?.into_iter().map(wanted).collect())
    }

    fn wanted(&self, name: &str) -> Result<Vec<Wanted>> {
        if let Some((stage, digits)) = name.split_once(':') {
            let is_key = (16..=64).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !is_key || !is_name(stage) {
                return Err(Error::Config(format!(
                    "{name}: STAGE:KEY needs the 16 digits that name an artifact's directory, or more"
                )));
            }
            return Ok(vec![Wanted { stage: stage.to_owned(), which: Which::Key(digits.to_owned()) }]);
        }
        let experiments = match (name.split_once('@'), self.experiment.as_slice()) {
            (Some((_, experiment)), _) => vec![experiment.to_owned()],
            (None, []) => vec![self.manifest_for(name)?.main()?],
            (None, asked) => {
                let manifest = self.manifest_for(name)?;
                asked.iter().map(|name| manifest.select(name)).collect::<Result<Vec<_>>>()?.concat()
            }
        };
        let stage = name.split('@').next().unwrap_or(name);
        if !is_name(stage) || experiments.iter().any(|experiment| !is_name(experiment)) {
            return Err(Error::Config(format!(
                "{name}: no name of an artifact; `camflow pull --help` shows the forms"
            )));
        }
        let latest = |experiment| Wanted { stage: stage.to_owned(), which: Which::Latest(experiment) };
        Ok(experiments.into_iter().map(latest).collect())
    }
}

/// Can it be the name of a directory?
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}
