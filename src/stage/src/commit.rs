//! The way from a checked command to a committed artifact:
//! resolve inputs -> compute the key -> already committed? done : resume the work directory -> publish.

use std::collections::BTreeMap;

use artifact::store::{Claim, LOG_FILE, Lease, Stamp};
use artifact::{Error, Fingerprints, Preimage, Result, Store, Work};
use serde_json::{Value, json};

use crate::body::{Body, Done, Site};
use crate::command::Call;
use crate::inputs::Inputs;
use crate::ranks::Rank;
use crate::reads::Around;
use crate::{Log, Outcome, Party, say};

/// Computes what a call asks for and commits it, unless it is committed already.
pub(crate) fn commit(call: &Call<'_>, body: &dyn Body) -> Result<()> {
    let job = Job::new(call)?;
    let (join, size) = (body.join(), call.description.processes(&call.plan.params));
    let rank = join.map(|_| Rank::of_environment()).transpose()?.flatten();
    match (join, rank) {
        (Some(join), Some(rank)) if rank.size > 1 => {
            call.refuse_shard(rank.size)?;
            let party = Party::join(rank, join)?;
            if !party.is_first() {
                return job.follow(body, &party);
            }
            let prepared = job.prepare(body)?;
            party.tell(VERDICT, if prepared.is_some() { COMPUTE } else { COMMITTED })?;
            job.lead(body, prepared, || Ok(party))
        }
        (Some(join), None) if size > 1 && !call.shard.is_share() => job.lead(body, job.prepare(body)?, || {
            let party = Party::start(size, join)?;
            party.tell(VERDICT, COMPUTE).map(|()| party)
        }),
        _ => job.lead(body, job.prepare(body)?, || Ok(Party::alone())),
    }
}

/// Under this name rank 0 tells the others whether there is something to do.
const VERDICT: &str = "verdict";
const COMPUTE: &str = "compute";
const COMMITTED: &str = "committed";

/// What is ready to be computed.
struct Prepared {
    work: Work,
    /// What the inputs were like before they were used.
    stamps: Vec<Vec<Stamp>>,
}

/// An artifact that is wanted.
struct Job<'a> {
    call: &'a Call<'a>,
    store: Store,
    fingerprints: Fingerprints,
    inputs: Inputs,
    preimage: Preimage,
}

impl<'a> Job<'a> {
    fn new(call: &'a Call<'a>) -> Result<Self> {
        let store = Store::open(&call.store)?;
        let fingerprints = Fingerprints::open(store.root());
        let inputs = inputs(call, &store, &fingerprints)?;
        let readings = inputs.readings(call.description, &call.plan.params);
        let preimage = call.description.preimage(&call.plan, readings, &fingerprints)?;
        let expected = call.options.expect_key.as_ref();
        if expected.is_some_and(|expected| *expected != preimage.key().as_str()) {
            return Err(changed_since_planned(call));
        }
        Ok(Self { call, store, fingerprints, inputs, preimage })
    }

    /// Computes and commits, alone or as the first of several processes, which are met once there is something to do.
    fn lead(&self, body: &dyn Body, prepared: Option<Prepared>, meet: impl FnOnce() -> Result<Party>) -> Result<()> {
        let Some(Prepared { work, stamps }) = prepared else { return self.point_latest() };
        let party = meet()?;
        let done = body.run(self.site(work, party.clone()))?;
        let outcome = done.outcome.and_then(|outcome| party.leave().map(|()| outcome));
        self.end(Done { outcome: outcome.map_err(|error| party.explained(error)), ..done }, &stamps)
    }

    /// Computes beside rank 0, and writes nothing.
    fn follow(&self, body: &dyn Body, party: &Party) -> Result<()> {
        if party.hear(VERDICT)? == COMMITTED {
            return Ok(());
        }
        let work = self.store.beside(&self.preimage, &self.call.description.writes);
        let done = body.run(self.site(work, party.clone()))?;
        self.call.located(done.outcome)?;
        party.leave()
    }

    /// Takes the right to compute; `None` if all is committed.
    fn prepare(&self, body: &dyn Body) -> Result<Option<Prepared>> {
        if self.is_committed()? {
            return Ok(None);
        }
        self.call.located(body.check_inputs(&self.call.plan, &self.inputs.records()))?;
        // Before they are read whole, so that no change falls in between.
        let stamps = self.inputs.stamps()?;
        self.inputs.verify(&self.store)?;
        Ok(self.begin()?.map(|work| Prepared { work, stamps }))
    }

    fn site(&self, work: Work, party: Party) -> Site {
        Site {
            description: self.call.description.clone(),
            plan: self.call.plan.clone(),
            experiment: self.call.experiment.clone(),
            shard: self.call.shard,
            inputs: self.inputs.clone(),
            work,
            party,
        }
    }

    fn stage(&self) -> &str {
        &self.call.description.name
    }

    /// Is it committed, and not asked for all the same? A damaged one is set aside.
    fn is_committed(&self) -> Result<bool> {
        let (artifact, damage) = self.store.find_whole(self.stage(), &self.preimage.key())?;
        if let Some(damage) = damage {
            say(self.stage(), format_args!("{damage}; it is computed anew"));
        }
        Ok(artifact.is_some() && !self.call.options.force)
    }

    fn point_latest(&self) -> Result<()> {
        self.store.point_latest(self.stage(), self.call.plan.link(), &self.preimage.key())
    }

    /// Waits for the right to work on the key; `None` if another process has committed it meanwhile.
    fn begin(&self) -> Result<Option<Work>> {
        // Shards share a work directory, so they share the right to it.
        let claim = if self.call.shard.is_share() { Claim::Shared } else { Claim::Alone };
        let lease = self.store.lease(&self.preimage, claim, || {
            let key = self.preimage.key();
            say(self.stage(), format_args!("another process works on {key}; waiting for it"));
        })?;
        // Another shard may be publishing what it saw done: then there is nothing to do here.
        let turn = lease.turn()?;
        if lease.resume_publication(&turn)?.is_some() || self.is_committed()? {
            return Ok(None);
        }
        if self.call.options.force {
            lease.clear()?;
        }
        self.open(lease).map(Some)
    }

    fn open(&self, lease: Lease) -> Result<Work> {
        let mut work = lease.open(&self.call.description.writes)?;
        work.computed_from(self.inputs.keys());
        let (key, experiment) = (self.preimage.key(), &self.call.experiment.name);
        let begin = json!({ "stage": self.stage(), "key": key.as_str(), "experiment": experiment });
        let mut log = Log::open(&work.file(LOG_FILE))?;
        log.event("start", &begin)?;
        if let Some(said) = self.store.copies(self.stage())? {
            say(self.stage(), &said);
            log.event("copies", &json!({ "message": said }))?;
        }
        Ok(work)
    }

    /// Publishes what a stage leaves, or says what is still to be done.
    fn end(&self, done: Done, stamps: &[Vec<Stamp>]) -> Result<()> {
        let Done { outcome, work, mut log } = done;
        match self.call.located(outcome) {
            Ok(Outcome::Complete { files, metrics }) => {
                if let Err(error) = self.check_unchanged(stamps) {
                    work.discard()?;
                    return Err(error);
                }
                log.event("complete", &json!({ "metrics": metrics }))?;
                self.publish(work, &files, metrics)
            }
            Ok(Outcome::Partial { missing }) => {
                say(self.stage(), what_is_left(missing));
                Ok(())
            }
            Err(_) if self.another_shard_published()? => self.point_latest(),
            Err(error) => {
                log.event("error", &json!({ "message": error.to_string() }))?;
                Err(error)
            }
        }
    }

    fn publish(&self, work: Work, files: &[String], metrics: BTreeMap<String, Value>) -> Result<()> {
        let files: Vec<_> = files.iter().map(String::as_str).collect();
        match work.publish(&files, metrics, &self.call.experiment.name) {
            Err(_) if self.another_shard_published()? => {}
            published => drop(published?),
        }
        self.point_latest()
    }

    /// Another shard may see the last part done at the same time; its publication takes this one's ground away.
    fn another_shard_published(&self) -> Result<bool> {
        if !self.call.shard.is_share() {
            return Ok(false);
        }
        let _turn = self.store.turn(self.stage(), &self.preimage.key())?;
        self.is_committed()
    }

    /// Refuses to commit what was computed from something that is no longer what the key says: an input artifact, or
    /// the content of a file from outside.
    fn check_unchanged(&self, stamps: &[Vec<Stamp>]) -> Result<()> {
        self.inputs.verify_changed(&self.store, stamps)?;
        let Call { description, plan, .. } = self.call;
        let then = &self.preimage;
        let now = description.preimage(plan, then.inputs.clone(), &self.fingerprints)?;
        let Some(name) = now.files.keys().find(|name| now.files.get(*name) != then.files.get(*name)) else {
            return Ok(());
        };
        Err(Error::Data(format!(
            "{}: the content of {}.{name} changed while it was in use; nothing was committed; let it be, and run the \
             same command again",
            plan.place(name),
            plan.stage,
        )))
    }
}

/// The inputs that the runner names, or those that the manifest describes. They hold what the stage reads.
fn inputs(call: &Call<'_>, store: &Store, fingerprints: &Fingerprints) -> Result<Inputs> {
    let Call { plan, experiment, options, .. } = call;
    let inputs = if options.input.is_empty() {
        Inputs::resolve(plan, experiment, store, fingerprints)?
    } else {
        Inputs::named(&options.input, store)?
    };
    if !inputs.are_needs_of(plan) {
        return Err(changed_since_planned(call));
    }
    call.description.check_needs(plan, &Around { needs: inputs.contents(), manifest: BTreeMap::new() })?;
    Ok(inputs.limited_to(&call.description.items(&plan.params)))
}

fn changed_since_planned(call: &Call<'_>) -> Error {
    Error::Config(format!(
        "{}: a parameter or a file that it names has changed since the run was planned; run the same command again to \
         go on with the new value",
        call.options.place.manifest.display()
    ))
}

/// What a shard tells of the parts that are left.
fn what_is_left(missing: usize) -> String {
    match missing {
        0 => "every part is done; run it once without --shard for the rest".to_owned(),
        missing => format!("this shard is done; {missing} parts are left to other shards"),
    }
}
