//! Artifacts of this store to the remote: files, then the record, then the pointer of the key, then what experiments
//! last resolved to.
//!
//! What a pointer names is whole before the pointer is there, so a push may end at any instant. What it has sent by
//! then is not sent again.

use std::collections::BTreeSet;
use std::path::PathBuf;

use artifact::store::{FileRecord, LOG_FILE, RECORD_FILE};
use artifact::{Artifact, Error, Key, Result, Store, failpoint, units};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use serde::Serialize;

use crate::conditions::{self, Pushers};
use crate::copy::{self, Copy};
use crate::layout::{self, Latest, Pointer};
use crate::named::Source;
use crate::progress::Progress;
use crate::remote::Remote;
use crate::transfer::{self, FILES};

/// Send artifacts to the remote, so that others need not compute them
///
/// What is there already is not sent again: run the same command again when it was interrupted. An artifact that the
/// remote holds is never replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = artifact::address::HELP)]
pub struct Push {
    #[command(flatten)]
    source: Source,
    /// What is pinned, instead of what the experiments resolved to
    #[arg(long, conflicts_with = "names")]
    pinned: bool,
    /// Read back what the remote holds of these artifacts, and send again what is damaged there
    #[arg(long)]
    repair: bool,
    /// Push to a remote that ignores conditions: nobody else pushes at this time
    #[arg(long)]
    alone: bool,
}

/// What became of an artifact.
#[derive(Debug, Serialize)]
pub struct Pushed {
    stage: String,
    key: Key,
    state: State,
    /// Size of its files.
    bytes: u64,
    /// Where its copy lies.
    place: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was sent, all of it or what was lacking.
    Sent,
    /// The remote held it, or the same rows and files computed elsewhere.
    There,
    /// The remote holds other rows or files under this key, as another kind of machine computes them. They stay.
    Differs,
}

impl Push {
    /// Pushes; `out` gets a line for each artifact.
    pub async fn run(&self, out: &mut dyn FnMut(&[Pushed], bool)) -> Result<()> {
        let (remote, store, main) = (self.source.remote()?, self.source.store()?, self.source.main()?);
        let artifacts = if self.pinned { pinned(&store)? } else { self.source.here()? };
        let artifacts = if self.source.without_inputs { artifacts } else { with_inputs(artifacts)? };
        let pushers = if self.alone { Pushers::Alone } else { Pushers::Any };
        conditions::begin(&remote, pushers, self.repair).await?;
        let bytes = artifacts.iter().flat_map(|artifact| artifact.record().files()).map(|file| file.content.bytes);
        let pushing = Pushing { remote: &remote, repair: self.repair, progress: Progress::new("push", bytes.sum()) };
        let mut pushed = Vec::new();
        for artifact in &artifacts {
            let one = pushing.artifact(artifact).await?;
            pushing.experiments(artifact, one.state, main.as_deref()).await?;
            pushed.push(one);
            pushing.progress.above(|| out(&pushed[pushed.len() - 1..], false));
        }
        pushing.progress.end();
        out(&pushed, true);
        Ok(())
    }

    /// Print JSON?
    pub fn json(&self) -> bool {
        self.source.json
    }
}

impl Pushed {
    /// The line of people.
    pub fn line(&self) -> String {
        let Self { stage, key, state, bytes, place } = self;
        let bytes = units::bytes(*bytes);
        match state {
            State::Sent => format!("{stage}:{key} sent to {place} ({bytes})"),
            State::There => format!("{stage}:{key} is at {place} ({bytes})"),
            State::Differs => format!(
                "{stage}:{key} stays here: the remote holds another result of this key at {place}, as another kind of \
                 machine computes it"
            ),
        }
    }
}

fn pinned(store: &Store) -> Result<Vec<Artifact>> {
    let mut found = Vec::new();
    for stage in store.stages()? {
        let artifacts = store.artifacts(&stage)?.into_iter();
        found.extend(artifacts.filter(|artifact| store.pinned(&stage, &artifact.record().key).is_some()));
    }
    if found.is_empty() {
        let root = store.root().display();
        return Err(Error::NotCommitted(format!("{root}: nothing is pinned; `camflow pin` does")));
    }
    Ok(found)
}

/// Artifacts and all that they were computed from, as far as their stores hold it: inputs before those that need them.
fn with_inputs(artifacts: Vec<Artifact>) -> Result<Vec<Artifact>> {
    fn add(artifact: Artifact, seen: &mut BTreeSet<PathBuf>, all: &mut Vec<Artifact>) -> Result<()> {
        if !seen.insert(artifact.dir().to_owned()) {
            return Ok(());
        }
        let Some(store) = artifact.store()? else {
            all.push(artifact);
            return Ok(());
        };
        for (stage, key) in &artifact.record().provenance.inputs {
            if let Some(input) = store.find(stage, key)? {
                add(input, seen, all)?;
            } else {
                let named = format!("{}:{}", artifact.record().preimage.stage, artifact.record().key);
                eprintln!("camflow push: {named} was computed from {stage}:{key}, which this store does not hold");
            }
        }
        all.push(artifact);
        Ok(())
    }
    let (mut seen, mut all) = (BTreeSet::new(), Vec::new());
    artifacts.into_iter().try_for_each(|artifact| add(artifact, &mut seen, &mut all))?;
    Ok(all)
}

struct Pushing<'a> {
    remote: &'a Remote,
    repair: bool,
    progress: Progress,
}

impl Pushing<'_> {
    async fn artifact(&self, artifact: &Artifact) -> Result<Pushed> {
        let (record, remote) = (artifact.record(), self.remote);
        let (stage, key) = (&record.preimage.stage, &record.key);
        self.progress.at(&format!("{stage}:{key}"));
        let log = artifact.file(LOG_FILE);
        let log = if log.is_file() { Some(FileRecord::read(&log)?) } else { None };
        let own = Pointer::of(record, log);
        let bytes = copy::files(record, &own).iter().map(|file| file.content.bytes).sum();
        let told = |state: State, pointer: &Pointer| Pushed {
            stage: stage.clone(),
            key: key.clone(),
            state,
            bytes,
            place: remote.place(&layout::copy(&remote.root, stage, key, &pointer.copy)),
        };
        let there = match copy::pointer(remote, stage, key.as_str()).await {
            Err(Error::NotCommitted(_)) if self.repair => {
                self.forget_pointer(stage, key).await?;
                None
            }
            there => there?,
        };
        match there {
            None => {}
            Some(there) if there.copy == own.copy => {
                // The log is not in the record: what was sent of it is what the pointer names.
                let sent = if self.repair { self.files(artifact, &there).await? } else { false };
                return Ok(told(if sent { State::Sent } else { State::There }, &there));
            }
            Some(there) => {
                let is_whole = !self.repair || self.is_whole(stage, &there).await?;
                if is_whole {
                    let same = there.digest == own.digest;
                    return Ok(told(if same { State::There } else { State::Differs }, &there));
                }
                self.forget_pointer(stage, key).await?;
            }
        }
        self.files(artifact, &own).await?;
        let path = layout::pointer(&remote.root, stage, key.short());
        failpoint::pass("push.pointer", artifact.dir()).map_err(Error::io("read", artifact.dir()))?;
        if remote.create(&path, layout::write(&own).into()).await? {
            return Ok(told(State::Sent, &own));
        }
        // Another push was first.
        let there = copy::pointer(remote, stage, key.as_str()).await?.ok_or_else(|| {
            Error::Failed(format!("{}: is neither there nor can it be created; try again", remote.place(&path)))
        })?;
        let state = if there.copy == own.copy {
            State::Sent
        } else if there.digest == own.digest {
            State::There
        } else {
            State::Differs
        };
        Ok(told(state, &there))
    }

    /// Sends the files and the record of a copy, as far as they are not there; was anything sent?
    async fn files(&self, artifact: &Artifact, pointer: &Pointer) -> Result<bool> {
        let (record, remote) = (artifact.record(), self.remote);
        let copy = layout::copy(&remote.root, &record.preimage.stage, &record.key, &pointer.copy);
        let files = stream::iter(copy::files(record, pointer).into_iter().map(Ok::<_, Error>));
        let sent = files.map_ok(|file| {
            let to = layout::file(&copy, &file.name);
            async move {
                let is_there = if self.repair {
                    transfer::is_whole(remote, &to, &file.content).await?
                } else {
                    remote.size(&to).await? == Some(file.content.bytes)
                };
                if is_there {
                    self.progress.advance(file.content.bytes);
                } else {
                    transfer::send(remote, &artifact.file(&file.name), &to, &file.content, &self.progress).await?;
                }
                Ok(!is_there)
            }
        });
        let sent: Vec<bool> = sent.try_buffer_unordered(FILES).try_collect().await?;
        let to = layout::file(&copy, RECORD_FILE);
        let text: Bytes =
            std::fs::read(artifact.file(RECORD_FILE)).map_err(Error::io("read", &artifact.file(RECORD_FILE)))?.into();
        if self.repair && remote.read(&to).await?.as_ref() == Some(&text) {
            return Ok(sent.contains(&true));
        }
        failpoint::pass("push.record", artifact.dir()).map_err(Error::io("read", artifact.dir()))?;
        remote.write(&to, text).await.map(|()| true)
    }

    /// Is a copy that another store pushed what its pointer says? Reads it.
    async fn is_whole(&self, stage: &str, pointer: &Pointer) -> Result<bool> {
        let read = async { Copy::open(self.remote, stage, pointer.clone()).await?.read_back(self.remote).await };
        match read.await {
            Ok(()) => Ok(true),
            Err(Error::NotCommitted(what)) => {
                self.progress.say(&format!("camflow push: {what}; this store's takes its place"));
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn forget_pointer(&self, stage: &str, key: &Key) -> Result<()> {
        self.remote.remove(&layout::pointer(&self.remote.root, stage, key.short())).await
    }

    /// Says of the experiments that last resolved to an artifact here that they do.
    async fn experiments(&self, artifact: &Artifact, state: State, main: Option<&str>) -> Result<()> {
        let Some(store) = artifact.store()?.filter(|_| state != State::Differs) else { return Ok(()) };
        let (stage, key) = (&artifact.record().preimage.stage, &artifact.record().key);
        for link in store.latest_experiments(stage) {
            let Some(experiment) = link.as_deref().or(main) else { continue };
            if store.latest_key(stage, link.as_deref()).as_deref() != Some(key.short()) {
                continue;
            }
            failpoint::pass("push.latest", artifact.dir()).map_err(Error::io("read", artifact.dir()))?;
            let path = layout::latest(&self.remote.root, stage, experiment);
            self.remote.write(&path, layout::write(Latest { key: key.clone() }).into()).await?;
        }
        Ok(())
    }
}
