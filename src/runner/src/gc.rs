//! `camflow gc`, `pin` and `unpin`: what nobody needs any more, what it would cost to compute again, and its removal.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::thread;
use std::time::{Duration, SystemTime};

use artifact::store::{Inventory, Remains, RemainsKind, Stored, Usage};
use artifact::{Error, Key, Result, Store, units};
use serde::Serialize;

use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::remote::{Remote, RemoteSource};
use crate::slurm;
use crate::text::{self, Table};

/// Unfinished work and what was set aside stay for so long, unless the command says otherwise: a stopped run goes on
/// from the one, and the other tells what went wrong.
const WORK_STAYS: Duration = Duration::from_hours(24);

/// A stage or runner sets the link of what it has committed well within this time.
const LINKED_WITHIN: Duration = Duration::from_secs(1);

/// What a removal is asked for.
#[derive(Clone, Debug, Default)]
pub struct GcOptions {
    /// Only say what would go.
    pub dry_run: bool,
    /// Remove, the oldest first, until the store is no larger than this.
    pub max_size: Option<u64>,
    /// Remove only what was written longer ago than this.
    pub older: Option<Duration>,
    /// Remove only those artifacts that this remote holds, every file of them read.
    pub pushed: Option<RemoteSource>,
}

/// What a removal did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Gc {
    /// Was it only a question?
    pub dry_run: bool,
    /// What went, or would.
    pub removed: Vec<Gone>,
    /// Bytes of that.
    pub bytes: u64,
    /// Seconds that the processes took which published its artifacts.
    pub seconds: f64,
    /// Artifacts that stay.
    pub kept: usize,
    /// Of these, needed by a `latest` link, a pin, or work in progress.
    pub needed: usize,
    /// Of these, pinned.
    pub pinned: usize,
    /// Size of the store afterwards.
    pub bytes_left: u64,
    /// The size that was asked for, if what is left is larger.
    pub above_max_size: Option<u64>,
}

/// One thing that goes.
#[derive(Clone, Debug, Serialize)]
pub struct Gone {
    /// `artifact`, `work`, `set aside` or `left`.
    pub what: &'static str,
    /// Stage and key, or the name in `work/`.
    pub name: String,
    /// The experiment for which an artifact was computed.
    pub experiment: String,
    /// Its size.
    pub bytes: u64,
    /// Seconds since it was written.
    pub age: f64,
    /// Seconds that the process took which published it.
    pub seconds: Option<f64>,
}

/// Something that may go.
enum Removable {
    Artifact(Box<Stored>),
    Remains(Remains),
}

impl Removable {
    fn usage(&self) -> Usage {
        match self {
            Self::Artifact(stored) => stored.usage,
            Self::Remains(remains) => remains.usage,
        }
    }

    fn gone(&self) -> Gone {
        let Usage { bytes, .. } = self.usage();
        let age = age(self.usage()).as_secs_f64();
        match self {
            Self::Artifact(stored) => {
                let record = stored.artifact.record();
                let name = format!("{}:{}", record.preimage.stage, record.key);
                let (experiment, seconds) = (record.provenance.experiment.clone(), record.provenance.seconds);
                Gone { what: "artifact", name, experiment, bytes, age, seconds: Some(seconds) }
            }
            Self::Remains(remains) => {
                let what = match remains.kind {
                    RemainsKind::Work => "work",
                    RemainsKind::SetAside => "set aside",
                    RemainsKind::Left => "left",
                    RemainsKind::Attempt => "submission",
                };
                Gone { what, name: remains.name.clone(), experiment: String::new(), bytes, age, seconds: None }
            }
        }
    }
}

fn age(usage: Usage) -> Duration {
    SystemTime::now().duration_since(usage.written).unwrap_or_default()
}

/// Every artifact of a store and what keeps it. Fails if that cannot be known.
///
/// The manifest describes what it resolves to, by key, so that this is needed even where no link names it. All
/// experiments count, whichever the command names.
fn inventory(source: &PipelineSource) -> Result<(Store, Vec<Stored>)> {
    let source = PipelineSource { experiments: Vec::new(), ..source.clone() };
    let plan = Pipeline::open(&source).and_then(|pipeline| Ok((pipeline.plan(&Selection::default())?, pipeline)));
    let (plan, pipeline) =
        plan.map_err(|error| error.within("nothing was removed, as the manifest cannot be planned"))?;
    let described: BTreeSet<_> =
        plan.steps.iter().filter_map(|step| Some((step.stage.clone(), step.key.clone()?))).collect();
    let store = pipeline.store;
    let mut found = store.inventory(&described)?;
    let may_be_linked_soon = |one: &Stored| {
        let in_question = !one.needed || found.unlinked.contains(&one.artifact.record().preimage.stage);
        in_question && age(one.usage) < LINKED_WITHIN
    };
    if found.artifacts.iter().any(may_be_linked_soon) {
        thread::sleep(LINKED_WITHIN);
        found = store.inventory(&described)?;
    }
    let Inventory { artifacts, unlinked } = found;
    if unlinked.is_empty() {
        return Ok((store, artifacts));
    }
    let foreign = unlinked.iter().filter(|stage| plan.steps.iter().all(|step| step.stage != **stage));
    let foreign: Vec<_> = foreign.cloned().collect();
    Err(unlinked_error(&source, &store, &unlinked, &foreign))
}

/// Removes what nobody needs.
pub fn gc(source: &PipelineSource, options: &GcOptions, json: bool, out: &mut dyn Write) -> Result<Gc> {
    let (store, mut artifacts) = inventory(source)?;
    if !options.dry_run {
        store.empty_trash()?;
    }
    let remains = store.remains();
    let all = artifacts.iter().map(|one| one.usage.bytes).chain(remains.iter().map(|one| one.usage.bytes));
    let mut found = Gc {
        dry_run: options.dry_run,
        bytes_left: all.sum(),
        kept: artifacts.len(),
        needed: artifacts.iter().filter(|one| one.needed).count(),
        pinned: artifacts.iter().filter(|one| one.pin.is_some()).count(),
        ..Default::default()
    };
    artifacts.retain(|one| !one.needed && age(one.usage) >= options.older.unwrap_or_default());
    if let Some(remote) = &options.pushed {
        keep_only_copies(&Remote::of(remote, source)?, &store, &mut artifacts)?;
    }
    let in_hand = slurm::in_hand(&store);
    let is_idle = |one: &Remains| !one.leased && !in_hand.contains(&one.path);
    let idle = remains.into_iter().filter(|one| is_idle(one) && age(one.usage) >= options.older.unwrap_or(WORK_STAYS));
    let artifacts = artifacts.into_iter().map(|stored| Removable::Artifact(Box::new(stored)));
    let mut removable: Vec<_> = artifacts.chain(idle.map(Removable::Remains)).collect();
    removable.sort_by_key(|one| Reverse(age(one.usage())));
    for one in removable {
        if options.max_size.is_some_and(|most| found.bytes_left <= most) {
            break;
        }
        let gone = options.dry_run
            || match &one {
                Removable::Artifact(stored) => store.remove(&stored.artifact)?,
                Removable::Remains(remains) => store.clear_away(remains)?,
            };
        if gone {
            found.add(one.gone());
        }
    }
    found.above_max_size = options.max_size.filter(|most| found.bytes_left > *most);
    if json {
        text::emit_json(out, &found)?;
    } else {
        text::emit(out, &found.to_string())?;
    }
    Ok(found)
}

/// Leaves of the artifacts that may go only those that a remote holds.
fn keep_only_copies(remote: &Remote, store: &Store, artifacts: &mut Vec<Stored>) -> Result<()> {
    let name = |one: &Stored| (one.artifact.record().preimage.stage.clone(), one.artifact.record().key.clone());
    let held = remote.held(store, &artifacts.iter().map(name).collect::<Vec<_>>(), true)?;
    artifacts.retain(|one| held.contains(&name(one)));
    Ok(())
}

/// Refuses a store with stages of which no link says what is needed, and says how the links come back. `foreign` are
/// those that the manifest does not have.
fn unlinked_error(source: &PipelineSource, store: &Store, unlinked: &[String], foreign: &[String]) -> Error {
    let (root, manifest) = (store.root().display(), source.manifest.display());
    let sets = source.all_sets().iter().map(|set| format!(" --set '{set}'")).collect::<Vec<_>>().concat();
    let elsewhere = match foreign {
        [] => String::new(),
        [first, ..] => format!(
            "; {manifest} has no stage {}: run a manifest that has it, or move {root}/{first} away if nobody needs it",
            foreign.join(", ")
        ),
    };
    Error::NotCommitted(format!(
        "nothing was removed: {root} has artifacts of {} and no `latest` link that says which of them are needed, as \
         in a copy without its links; `camflow run --manifest {manifest} --store {root}{sets}` sets the links of what \
         is committed and computes only what `camflow plan` lists{elsewhere}",
        unlinked.join(", ")
    ))
}

impl Gc {
    fn add(&mut self, gone: Gone) {
        self.bytes += gone.bytes;
        self.bytes_left = self.bytes_left.saturating_sub(gone.bytes);
        self.kept -= usize::from(gone.seconds.is_some());
        self.seconds += gone.seconds.unwrap_or_default();
        self.removed.push(gone);
    }
}

impl fmt::Display for Gc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.removed.is_empty() {
            let mut table = Table::new(&["what", "name", "experiment", "size", "age", "took"]);
            for Gone { what, name, experiment, bytes, age, seconds } in &self.removed {
                let took = seconds.map(units::duration).unwrap_or_default();
                table.row([*what, name, experiment, &units::bytes(*bytes), &units::duration(*age), &took]);
            }
            writeln!(f, "{table}")?;
        }
        let would = if self.dry_run { "would be removed" } else { "removed" };
        let (count, bytes, seconds) = (self.removed.len(), units::bytes(self.bytes), units::duration(self.seconds));
        writeln!(
            f,
            "{would}: {count}, {bytes}; to compute the artifacts among them again would take at least {seconds}"
        )?;
        let (kept, left) = (self.kept, units::bytes(self.bytes_left));
        writeln!(f, "kept: {kept} artifacts ({} needed, {} pinned), {left} in all", self.needed, self.pinned)?;
        match self.above_max_size {
            Some(most) => writeln!(
                f,
                "that is more than {}: the rest is needed, or younger than --older; `camflow gc --help`",
                units::bytes(most)
            ),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct Mark {
    stage: String,
    key: Key,
    pinned: bool,
    reason: Option<String>,
}

/// `camflow pin`: gc leaves this artifact and all that it was computed from.
pub fn pin(source: &PipelineSource, name: &str, reason: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    mark(source, name, Some(reason), json, out)
}

/// `camflow unpin`.
pub fn unpin(source: &PipelineSource, name: &str, json: bool, out: &mut dyn Write) -> Result<()> {
    mark(source, name, None, json, out)
}

fn mark(source: &PipelineSource, name: &str, reason: Option<&str>, json: bool, out: &mut dyn Write) -> Result<()> {
    let place = source.place();
    let (found, store) = (place.find(name)?, place.store()?);
    let (stage, key) = (found.record().preimage.stage.clone(), found.record().key.clone());
    if store.find(&stage, &key)?.is_none() {
        let (dir, root) = (found.dir().display(), store.root().display());
        return Err(Error::Config(format!("{dir} is not in the store {root}; name its store with --store")));
    }
    let said = match reason {
        Some(reason) => {
            store.pin(&stage, &key, reason, &text::user())?;
            format!("{stage}:{key} is pinned: gc leaves it and all that it was computed from\n")
        }
        None if store.unpin(&stage, &key)? => format!("{stage}:{key} is pinned no longer\n"),
        None => format!("{stage}:{key} was not pinned\n"),
    };
    let mark = Mark { stage, key, pinned: reason.is_some(), reason: reason.map(str::to_owned) };
    if json { text::emit_json(out, &mark) } else { text::emit(out, &said) }
}
