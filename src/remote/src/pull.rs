//! Artifacts of the remote to this store. Pointers and records come first and say what is to be fetched; then each
//! artifact arrives, inputs before those that need them, and is committed as one of its stage is.

use std::collections::{BTreeMap, BTreeSet};

use artifact::store::LOG_FILE;
use artifact::{Artifact, Error, Key, Result, Store, units};
use futures::{TryStreamExt as _, stream};
use serde::Serialize;

use crate::conditions;
use crate::copy::{self, Copy};
use crate::layout::{self, Latest};
use crate::named::{Source, Wanted, Which};
use crate::progress::Progress;
use crate::remote::Remote;
use crate::transfer::{self, FILES};

const HELP: &str = "\
An artifact is named by
  STAGE             what the main experiment (or --experiment) last resolved to, of whoever pushed last
  STAGE@EXPERIMENT  what that experiment last resolved to
  STAGE:KEY         by at least the 16 digits that name an artifact's directory";

/// Fetch artifacts from the remote instead of computing them
///
/// Every file is compared with its digest before an artifact is committed. What has arrived stays: run the same command
/// again when it was interrupted. `camflow run --pull` does it for each stage that is to run.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Pull {
    #[command(flatten)]
    source: Source,
    /// That the remote does not hold an artifact is no failure (`camflow run --pull` asks so)
    #[arg(long, hide = true)]
    if_there: bool,
}

/// What became of an artifact.
#[derive(Debug, Serialize)]
pub struct Pulled {
    stage: String,
    key: Key,
    state: State,
    /// Size of its files.
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// It was fetched.
    Fetched,
    /// This store held it.
    There,
}

/// Stage and key.
type Name = (String, Key);

/// An artifact that is wanted, where its record was found.
enum Found {
    Here(Box<Artifact>),
    There(Box<Copy>),
}

impl Found {
    fn record(&self) -> &artifact::store::Record {
        match self {
            Self::Here(artifact) => artifact.record(),
            Self::There(copy) => &copy.record,
        }
    }
}

impl Pulled {
    /// The line of people.
    pub fn line(&self) -> String {
        let Self { stage, key, state, bytes } = self;
        match state {
            State::Fetched => format!("{stage}:{key} fetched ({})", units::bytes(*bytes)),
            State::There => format!("{stage}:{key} is here ({})", units::bytes(*bytes)),
        }
    }
}

impl Pull {
    /// Pulls; `out` gets a line for each artifact.
    pub async fn run(&self, out: &mut dyn FnMut(&[Pulled], bool)) -> Result<()> {
        let (wanted, remote, store) = (self.source.there()?, self.source.remote()?, self.source.store()?);
        if !self.if_there {
            conditions::expect_begun(&remote).await?;
        } else if !conditions::is_begun(&remote).await? {
            return Ok(());
        }
        let named = self.resolve(&remote, &wanted).await?;
        let pulling = Pulling { remote: &remote, store: &store };
        let found = pulling.records(named.values().flatten().cloned().collect(), !self.source.without_inputs).await?;
        let order = in_order(&found);
        let to_come = order.iter().filter_map(|name| match &found[name] {
            Found::There(copy) => Some(copy.files().iter().map(|file| file.content.bytes).sum::<u64>()),
            Found::Here(_) => None,
        });
        let progress = Progress::new("pull", to_come.sum());
        let mut pulled = Vec::new();
        for name in &order {
            pulled.push(pulling.artifact(&found[name], &progress).await?);
            progress.above(|| out(&pulled[pulled.len() - 1..], false));
        }
        progress.end();
        self.link(&pulling, &named, &found).await?;
        out(&pulled, true);
        Ok(())
    }

    /// Print JSON?
    pub fn json(&self) -> bool {
        self.source.json
    }

    /// The keys of what is wanted. What was not named, or may be missing, is none where the remote does not have it.
    async fn resolve(&self, remote: &Remote, wanted: &[Wanted]) -> Result<BTreeMap<Wanted, Option<Name>>> {
        let keys = copy::ask(wanted, |wanted| async move {
            let Wanted { stage, which } = wanted;
            let key = match which {
                Which::Key(digits) => copy::pointer(remote, stage, digits).await?.map(|pointer| pointer.key),
                Which::Latest(experiment) => latest(remote, stage, experiment).await?,
            };
            Ok(key.map(|key| (stage.clone(), key)))
        });
        let keys = keys.await?;
        let missing: Vec<_> = wanted.iter().zip(&keys).filter(|(_, key)| key.is_none()).map(|(one, _)| one).collect();
        let may_lack = self.if_there || self.source.names.is_empty() && missing.len() < wanted.len();
        if !missing.is_empty() && !may_lack {
            let missing: Vec<_> = missing.into_iter().map(Wanted::to_string).collect();
            return Err(Error::NotCommitted(format!("{} does not hold {}", remote.url(), missing.join(", "))));
        }
        Ok(wanted.iter().cloned().zip(keys).collect())
    }

    /// Points the `latest` links of this store at what was pulled by the name of an experiment, and at those of its
    /// inputs that this experiment, or the one for which they were computed, last resolved to. A link that is there
    /// stays: it says what this store's own runs resolved to.
    async fn link(
        &self,
        pulling: &Pulling<'_>,
        named: &BTreeMap<Wanted, Option<Name>>,
        found: &BTreeMap<Name, Found>,
    ) -> Result<()> {
        let (main, store) = (self.source.main()?, pulling.store);
        let link = |experiment: &str| Some(experiment.to_owned()).filter(|one| Some(one) != main.as_ref());
        let mut asked = BTreeSet::new();
        for (wanted, name) in named {
            let (Which::Latest(experiment), Some(name)) = (&wanted.which, name) else { continue };
            match store.latest_key(&name.0, link(experiment).as_deref()) {
                Some(other) if other != name.1.short() => {
                    eprintln!(
                        "camflow pull: {wanted} is {}; here it stays {other}, what runs here resolved to",
                        name.1
                    );
                }
                _ => store.point_latest(&name.0, link(experiment).as_deref(), &name.1)?,
            }
            for input in in_order_from(found, name) {
                let first = found[&input].record().provenance.experiment.clone();
                asked.extend([experiment.clone(), first].map(|experiment| (input.clone(), experiment)));
            }
        }
        for ((stage, key), experiment) in asked {
            let link = link(&experiment);
            let is_free = !experiment.is_empty() && store.latest_key(&stage, link.as_deref()).is_none();
            if is_free && latest(pulling.remote, &stage, &experiment).await?.as_ref() == Some(&key) {
                store.point_latest(&stage, link.as_deref(), &key)?;
            }
        }
        Ok(())
    }
}

/// The key to which an experiment last resolved, of whoever pushed last.
async fn latest(remote: &Remote, stage: &str, experiment: &str) -> Result<Option<Key>> {
    let path = layout::latest(&remote.root, stage, experiment);
    let Some(bytes) = remote.read(&path).await? else { return Ok(None) };
    let Latest { key } = layout::read(&bytes, &remote.place(&path))?;
    Key::parse(key.as_str()).map(Some)
}

/// All that was found, inputs before those that need them.
fn in_order(found: &BTreeMap<Name, Found>) -> Vec<Name> {
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    for name in found.keys() {
        visit(found, name, &mut seen, &mut order);
    }
    order
}

/// One artifact and what it was computed from, in that order.
fn in_order_from(found: &BTreeMap<Name, Found>, name: &Name) -> Vec<Name> {
    let (mut seen, mut order) = (BTreeSet::new(), Vec::new());
    visit(found, name, &mut seen, &mut order);
    order
}

fn visit(found: &BTreeMap<Name, Found>, name: &Name, seen: &mut BTreeSet<Name>, order: &mut Vec<Name>) {
    let Some(one) = found.get(name) else { return };
    if seen.insert(name.clone()) {
        for input in one.record().provenance.inputs.clone() {
            visit(found, &input, seen, order);
        }
        order.push(name.clone());
    }
}

struct Pulling<'a> {
    remote: &'a Remote,
    store: &'a Store,
}

impl Pulling<'_> {
    /// The records of artifacts, and with `inputs` of all that they were computed from.
    async fn records(&self, names: Vec<Name>, inputs: bool) -> Result<BTreeMap<Name, Found>> {
        let mut found: BTreeMap<Name, Found> = BTreeMap::new();
        let mut open: BTreeSet<Name> = names.into_iter().collect();
        while !open.is_empty() {
            let names = std::mem::take(&mut open);
            let asked = copy::ask(&names, |(stage, key)| self.record(stage, key)).await?;
            for (name, record) in names.into_iter().zip(asked) {
                if inputs {
                    open.extend(record.record().provenance.inputs.clone());
                }
                found.insert(name, record);
            }
            open.retain(|name| !found.contains_key(name));
        }
        Ok(found)
    }

    async fn record(&self, stage: &str, key: &Key) -> Result<Found> {
        let (here, damage) = self.store.find_whole(stage, key)?;
        if let Some(damage) = damage {
            eprintln!("camflow pull: {damage}");
        }
        if let Some(artifact) = here {
            return Ok(Found::Here(Box::new(artifact)));
        }
        let url = self.remote.url();
        let pointer = copy::pointer(self.remote, stage, key.as_str()).await?.ok_or_else(|| {
            Error::NotCommitted(format!(
                "{url} does not hold {stage}:{key}; if it is an input of what is wanted, --without-inputs leaves it out"
            ))
        })?;
        Ok(Found::There(Box::new(Copy::open(self.remote, stage, pointer).await?)))
    }

    /// Lets an artifact arrive, and commits it.
    async fn artifact(&self, found: &Found, progress: &Progress) -> Result<Pulled> {
        let record = found.record();
        let (stage, key) = (record.preimage.stage.clone(), record.key.clone());
        let bytes = record.files().iter().map(|file| file.content.bytes).sum();
        let Found::There(copy) = found else { return Ok(Pulled { stage, key, state: State::There, bytes }) };
        progress.at(&format!("{stage}:{key}"));
        let waiting = || progress.say(&format!("camflow pull: another process works on {stage}:{key}; waiting for it"));
        let (record, text) = (copy.record.clone(), copy.text.clone());
        let Some(incoming) = self.store.receive(record, text, copy.pointer.log.clone(), waiting)? else {
            return Ok(Pulled { stage, key, state: State::There, bytes });
        };
        // The log comes last: a log in a work directory is what a stage at work writes.
        let (log, files): (Vec<_>, Vec<_>) = incoming.files().into_iter().partition(|file| file.name == LOG_FILE);
        for some in [files, log] {
            let some = stream::iter(some.into_iter().map(Ok::<_, Error>));
            let fetched = some.map_ok(|file| {
                let (from, incoming) = (layout::file(&copy.path, &file.name), &incoming);
                async move {
                    if incoming.has(&file) {
                        progress.advance(file.content.bytes);
                        return Ok(());
                    }
                    transfer::fetch(self.remote, &from, incoming, &file, progress).await
                }
            });
            fetched.try_buffer_unordered(FILES).try_collect::<Vec<()>>().await?;
        }
        incoming.publish()?;
        Ok(Pulled { stage, key, state: State::Fetched, bytes })
    }
}
