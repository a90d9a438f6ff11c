//! What others have computed: `camflow-remote`, a program of its own, is asked for it. So nothing here links an HTTP
//! client.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use artifact::error::exit;
use artifact::{Error, Key, Manifest, Result, Store};

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;

/// The program.
const PROGRAM: &str = "camflow-remote";

/// Names that one process is asked about: a command line holds so many.
const NAMES: usize = 1000;

/// Which remote is meant.
#[derive(Clone, Debug, Default)]
pub struct RemoteSource {
    /// Wins over the manifest's `pipeline.remote`.
    pub url: Option<String>,
}

/// A store that is shared.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    program: PathBuf,
    url: String,
}

impl Remote {
    /// The remote of a command. Fails if none is named, or the program that asks it is not there.
    pub fn find(asked: &RemoteSource, manifest: &Manifest) -> Result<Self> {
        let url = asked.url.clone().map_or_else(|| manifest.remote(), |url| Ok(Some(url)))?;
        let url = url.ok_or_else(|| {
            let file = manifest.path().display();
            Error::Config(format!(
                "there is no remote: name it with --remote, or in {file}: [pipeline] remote = \"s3://bucket/prefix\""
            ))
        })?;
        let program = find_program(OsStr::new(PROGRAM)).ok_or_else(|| {
            Error::Config(format!(
                "no program {PROGRAM} beside camflow or on the PATH; build it, or leave the remote out"
            ))
        })?;
        Ok(Self { program, url })
    }

    /// The remote that a source's manifest names.
    pub fn of(asked: &RemoteSource, source: &PipelineSource) -> Result<Self> {
        Self::find(asked, &Manifest::load(&source.manifest, &source.all_sets())?)
    }

    fn command(&self, word: &str, store: &Store) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(word).args(["--remote", &self.url]).arg("--store").arg(store.root());
        command
    }

    /// What fetches the artifact of a key into a store, if the remote holds it. It ends with
    /// [`exit::NOT_COMMITTED`] if that is damaged there.
    pub fn pull(&self, store: &Store, stage: &str, key: &Key) -> Command {
        let mut command = self.command("pull", store);
        command.args(["--without-inputs", "--if-there"]).arg(name(stage, key));
        command
    }

    /// Which of some keys it holds; with `read` only those of which it has read every file.
    pub fn held(&self, store: &Store, keys: &[(String, Key)], read: bool) -> Result<BTreeSet<(String, Key)>> {
        let mut held = BTreeSet::new();
        for keys in keys.chunks(NAMES) {
            let mut command = self.command("held", store);
            command.args(read.then_some("--read")).args(keys.iter().map(|(stage, key)| name(stage, key)));
            let output = command.stderr(Stdio::inherit()).output().map_err(Error::io("start", &self.program))?;
            if !output.status.success() {
                let url = &self.url;
                return Err(Error::from_exit_code(output.status.code(), format!("{url} could not be asked")));
            }
            let answers: BTreeMap<String, bool> = serde_json::from_slice(&output.stdout)
                .map_err(|error| Error::Failed(format!("{}: {error}", self.program.display())))?;
            let is_held = |(stage, key): &&(String, Key)| answers.get(&name(stage, key)) == Some(&true);
            held.extend(keys.iter().filter(is_held).cloned());
        }
        Ok(held)
    }
}

/// Fetches what the remote holds of all that is to run, before it is handed to a cluster. Each artifact that comes may
/// make the keys of others known, so it looks again until nothing new is there to be asked for.
pub fn pull_ahead(source: &PipelineSource, selection: &Selection, asked: Option<&RemoteSource>) -> Result<()> {
    let Some(asked) = asked else { return Ok(()) };
    let pipeline = Pipeline::open(source)?;
    let remote = Remote::find(asked, &pipeline.manifest)?;
    let mut looked_for = BTreeSet::new();
    loop {
        let plan = pipeline.plan(selection)?;
        let ready = plan.to_run().filter(|step| !step.forced);
        let ready = ready.filter_map(|step| Some((step.stage.clone(), step.key.clone()?)));
        let new: Vec<_> = ready.filter(|name| looked_for.insert(name.clone())).collect();
        if new.is_empty() {
            return Ok(());
        }
        for (stage, key) in &new {
            let mut command = remote.pull(&pipeline.store, stage, key);
            let status = command.stdout(std::io::stderr()).status().map_err(Error::io("start", &remote.program))?;
            if !status.success() && status.code() != Some(exit::NOT_COMMITTED.into()) {
                let what = format!("{stage}:{key}: the remote could not be asked ({status}); nothing was handed over");
                return Err(Error::from_exit_code(status.code(), what));
            }
        }
    }
}

fn name(stage: &str, key: &Key) -> String {
    format!("{stage}:{}", key.as_str())
}

/// Where a program is: beside this one, else on the PATH.
pub fn find_program(program: &OsStr) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.to_owned()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = beside.into_iter().chain(std::env::split_paths(&path));
    dirs.map(|dir| dir.join(program)).find(|file| file.is_file())
}
