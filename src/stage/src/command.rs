//! The command line of a stage, and the way from it to a committed artifact.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::error::exit;
use artifact::store::{Claim, LOG_FILE, Stamp};
use artifact::{Artifact, Error, ExperimentPlan, Fingerprints, Manifest, ParamError, Result, StagePlan, Store, Work};
use clap::Parser;
use serde_json::json;

use crate::{Context, Description, Log, OpenDevice, Outcome, Shard, Stage, Stop, resolve, runner_link};

/// Options of every stage binary.
#[derive(Debug, Parser)]
#[command(version, after_help = exit::HELP)]
struct Options {
    /// The manifest with every parameter
    #[arg(long, default_value = Manifest::DEFAULT_FILE)]
    manifest: PathBuf,
    /// Lay a value over the manifest, as in --set train-cam.epochs=3 (may be repeated)
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
    /// The artifact store, instead of the manifest's
    #[arg(long)]
    store: Option<PathBuf>,
    /// The experiment, instead of the manifest's main one
    #[arg(long)]
    experiment: Option<String>,
    /// cpu, cuda or cuda:N, instead of the manifest's
    #[arg(long)]
    device: Option<String>,
    /// Compute only the I-th (from 0) of N shares of the images
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Compute even if the result is committed
    #[arg(long)]
    force: bool,
    /// Print what this stage is as JSON
    #[arg(long)]
    describe: bool,
    /// Parse and check everything, compute nothing
    #[arg(long)]
    check: bool,
    /// The key that the runner has planned
    #[arg(long, hide = true)]
    expect_key: Option<String>,
}

/// The whole `main` of a stage binary.
pub fn main<S: Stage>() -> ExitCode {
    let description = Description { tensors: S::TENSORS.is_some(), ..S::description() };
    let run = |mut site: Site| {
        let params = site.params::<S>()?;
        let Some(work) = site.work.take() else { return Ok(None) };
        let mut context = Context::<S::Params> {
            params,
            experiment: site.experiment.name,
            seed: site.plan.seed,
            device: site.plan.device.clone(),
            shard: site.shard,
            log: Log::open(&work.file(LOG_FILE))?,
            work,
            stop: Stop::on_signals()?,
            inputs: site.inputs,
        };
        let outcome = S::run(&mut context).map_err(|error| locate(error, &site.plan));
        let Context { work, log, experiment, .. } = context;
        Ok(Some(Done { outcome, work, log, experiment }))
    };
    let name = description.name.clone();
    let options = match options() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match runner_link::follow().and_then(|()| start(&options, &description, S::TENSORS, &run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Parses the command line, or says what is wrong with it. (Not inlined into the generic [`main`]: clap's code is compiled
/// here once.)
#[inline(never)]
fn options() -> Result<Options, ExitCode> {
    Options::try_parse().map_err(|error| {
        let _ = error.print();
        if error.use_stderr() { ExitCode::from(exit::CONFIG) } else { ExitCode::SUCCESS }
    })
}

/// Everything that surrounds the one generic step of a stage.
struct Site {
    plan: StagePlan,
    experiment: ExperimentPlan,
    shard: Shard,
    inputs: BTreeMap<String, Artifact>,
    /// `None`: only check.
    work: Option<Work>,
}

/// What the generic step leaves.
struct Done {
    outcome: Result<Outcome>,
    work: Work,
    log: Log,
    experiment: String,
}

impl Site {
    fn params<S: Stage>(&self) -> Result<S::Params> {
        let params = self.plan.parse()?;
        let checked = S::check(&params).and_then(|()| S::check_plan(&params, &self.experiment));
        checked.map_err(|error| locate(error, &self.plan))?;
        Ok(params)
    }
}

fn start(
    options: &Options,
    description: &Description,
    open_device: Option<OpenDevice>,
    run: &dyn Fn(Site) -> Result<Option<Done>>,
) -> Result<()> {
    if options.describe {
        println!("{}", serde_json::to_string_pretty(description).expect("a description is JSON"));
        return Ok(());
    }
    let mut sets = options.set.clone();
    sets.extend(options.device.iter().map(|device| format!("pipeline.device={device}")));
    let manifest = Manifest::load(&options.manifest, &sets)?;
    let experiment = manifest.experiment(&options.experiment.clone().map_or_else(|| manifest.main(), Ok)?)?;
    let plan = experiment.stage(&description.name)?.clone();
    description.check_needs(&plan)?;
    let shard = options.shard.as_deref().map_or(Ok(Shard::ALL), str::parse)?;
    open_device.map_or(Ok(()), |open| open(&plan.device)).map_err(|error| match error {
        Error::Config(reason) => Error::Config(format!("{}: {reason}", manifest.place("pipeline.device"))),
        other => other,
    })?;
    let site = |inputs, work| Site { plan: plan.clone(), experiment: experiment.clone(), shard, inputs, work };
    run(site(BTreeMap::new(), None))?;
    if options.check {
        return Ok(());
    }

    let store = Store::open(&options.store.clone().map_or_else(|| manifest.store(), Ok)?)?;
    let fingerprints = Fingerprints::open(store.root());
    let inputs = resolve::inputs(&plan, &experiment, &store, &fingerprints)?;
    let digests = inputs.iter().map(|(stage, input)| (stage.clone(), input.record().digest.clone())).collect();
    let preimage = description.preimage(&plan, digests, &fingerprints)?;
    let key = preimage.key();
    if options.expect_key.as_ref().is_some_and(|expected| *expected != key.as_str()) {
        return Err(Error::Config(format!(
            "{}: a parameter or a file that it names has changed since the run was planned; run the same command again \
             to go on with the new value",
            options.manifest.display()
        )));
    }
    let (stage, latest) = (description.name.as_str(), plan.link());
    let committed = || -> Result<bool> {
        let (artifact, damage) = store.find_whole(stage, &key)?;
        if let Some(damage) = damage {
            eprintln!("{stage}: {damage}; it is computed anew");
        }
        Ok(artifact.is_some() && !options.force)
    };
    if committed()? {
        return store.point_latest(stage, latest, &key);
    }
    // Before they are read whole, so that no change falls in between.
    let stamps = inputs.values().map(Artifact::stamps).collect::<Result<Vec<_>>>()?;
    for (input, artifact) in &inputs {
        verify(&store, input, artifact)?;
    }
    // Shards share a work directory, so they share the right to it.
    let claim = if shard.is_share() { Claim::Shared } else { Claim::Alone };
    let lease = store.lease(&preimage, claim, || {
        eprintln!("{stage}: another process works on {key}; waiting for it");
    })?;
    if committed()? || lease.resume_publication()?.is_some() {
        return store.point_latest(stage, latest, &key);
    }
    if options.force {
        lease.clear()?;
    }
    let work = lease.open()?;
    let begin = json!({ "stage": stage, "key": key.as_str(), "experiment": experiment.name });
    Log::open(&work.file(LOG_FILE))?.event("start", &begin)?;
    let files_now = || description.preimage(&plan, preimage.inputs.clone(), &fingerprints).map(|now| now.files);
    let done = run(site(inputs.clone(), Some(work)))?;
    let Done { outcome, work, mut log, experiment } = done.expect("a site with work is worked on");
    // Another shard may see the last part done at the same time; its publication takes this one's ground away.
    let another_published = || store.turn(stage, &key).and_then(|_turn| committed());
    match outcome {
        Ok(Outcome::Complete { files, metrics }) => {
            let same = inputs_unchanged(&store, &inputs, &stamps);
            if let Err(error) = same.and_then(|()| files_unchanged(&plan, &preimage.files, &files_now()?)) {
                work.discard()?;
                return Err(error);
            }
            log.event("complete", &json!({ "metrics": metrics }))?;
            match work.publish(&files, metrics, &experiment) {
                Err(_) if shard.is_share() && another_published()? => {}
                published => drop(published?),
            }
            store.point_latest(stage, latest, &key)
        }
        Ok(Outcome::Partial { missing: 0 }) => {
            eprintln!("{stage}: every part is done; run it once without --shard for the rest");
            Ok(())
        }
        Ok(Outcome::Partial { missing }) => {
            eprintln!("{stage}: this shard is done; {missing} parts are left to other shards");
            Ok(())
        }
        Err(_) if shard.is_share() && another_published()? => store.point_latest(stage, latest, &key),
        Err(error) => {
            log.event("error", &json!({ "message": error.to_string() }))?;
            Err(error)
        }
    }
}

/// Refuses to commit what was computed from an artifact that is no longer what it was.
fn inputs_unchanged(store: &Store, inputs: &BTreeMap<String, Artifact>, stamps: &[Vec<Stamp>]) -> Result<()> {
    for ((stage, input), stamps) in inputs.iter().zip(stamps) {
        if input.stamps().ok().as_ref() != Some(stamps) {
            verify(store, stage, input)?;
        }
    }
    Ok(())
}

/// Refuses to commit what was computed from a file from outside whose content is no longer what the key says.
fn files_unchanged(plan: &StagePlan, then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Result<()> {
    let Some(name) = now.keys().find(|name| now.get(*name) != then.get(*name)) else { return Ok(()) };
    Err(Error::Data(format!(
        "{}: the content of {}.{name} changed while it was in use; nothing was committed; let it be, and run the same \
         command again",
        plan.place(name),
        plan.stage,
    )))
}

/// Puts the line of the manifest before an error of a parameter.
fn locate(error: Error, plan: &StagePlan) -> Error {
    match error {
        Error::Param(ParamError { name, reason }) => {
            Error::Config(format!("{}: {}.{name}: {reason}", plan.place(&name), plan.stage))
        }
        other => other,
    }
}

/// Reads an input whole before it is believed; a damaged one is set aside.
fn verify(store: &Store, stage: &str, artifact: &Artifact) -> Result<()> {
    artifact.verify().or_else(|error| {
        let aside = store.set_aside(stage, &artifact.record().key)?;
        Err(Error::NotCommitted(format!(
            "input '{stage}': {error}; set aside in {aside}; run `camflow run` to make it anew"
        )))
    })
}
