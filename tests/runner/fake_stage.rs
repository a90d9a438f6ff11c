//! A stage without tensors that keeps the whole contract: description, keys, lease, checkpoint, publication, exit
//! codes. Its name is the name it is called by; what it is told to do stands in its parameters. It writes what
//! happens to it into `events` beside itself: `run train-cam full 1234`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use artifact::store::{Claim, LOG_FILE};
use artifact::table::CurveRow;
use artifact::{Artifact, Error, ExperimentPlan, Fingerprints, Manifest, Part, Preimage, Result, StagePlan, Store};
use clap::Parser;
use serde::Deserialize;
use serde_json::{Value, json};
use stage::{Description, runner_link};

#[derive(Parser)]
struct Options {
    #[arg(long, default_value = "pipeline.toml")]
    manifest: PathBuf,
    #[arg(long)]
    set: Vec<String>,
    #[arg(long, default_value = "store")]
    store: PathBuf,
    #[arg(long, default_value = "full")]
    experiment: String,
    #[arg(long)]
    force: bool,
    #[arg(long)]
    describe: bool,
    #[arg(long)]
    check: bool,
    #[arg(long)]
    expect_key: Option<String>,
    #[arg(long)]
    shard: Option<String>,
    #[arg(long)]
    device: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Params {
    /// Decides the rows.
    value: u64,
    /// The rows are those of `value / round`: a change within it changes the key, not the rows.
    #[serde(default = "one")]
    round: u64,
    /// A file from outside.
    #[serde(default)]
    file: String,
    /// How many steps of 10 ms it takes.
    #[serde(default)]
    steps: u64,
    /// Fails with this exit code instead.
    #[serde(default)]
    fail: u8,
    /// Reads its inputs whole first, as real stages do.
    #[serde(default)]
    verify: bool,
    /// Writes a line of its log at every step.
    #[serde(default)]
    chatty: bool,
    /// In how many parts its rows lie.
    #[serde(default = "one")]
    parts: u64,
    /// How many rows it writes; all but the first add nothing to the value.
    #[serde(default = "one")]
    images: u64,
}

/// The stage that works by shards, in four parts at least.
const SHARDED: &str = "extract-msinf-cam";
const PARTS: u64 = 4;

fn one() -> u64 {
    1
}

fn description(stage: &str) -> Description {
    let inputs: &[&str] = match stage {
        "train-cam" => &["prepare-data"],
        "extract-msinf-cam" => &["prepare-data", "train-cam"],
        "threshold-sweep" | "train-affinity" => &["prepare-data", "extract-msinf-cam"],
        "random-walk" => &["prepare-data", "extract-msinf-cam", "threshold-sweep", "train-affinity"],
        "train-deeplab" => &["prepare-data", "random-walk"],
        "evaluate" => &["prepare-data", "threshold-sweep", "random-walk", "train-deeplab"],
        _ => &[],
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    Description {
        name: stage.to_owned(),
        version: version(stage),
        inputs: names(inputs),
        optional_inputs: if stage == "train-cam" { names(&["train-cam"]) } else { Vec::new() },
        inputs_by_param: Vec::new(),
        outputs: names(&["curve"]),
        seeded: stage.starts_with("train"),
        tensors: false,
        sharded: stage == SHARDED,
        execution_params: names(&["steps", "fail", "verify", "chatty", "parts", "images"]),
        path_params: names(&["file"]),
        unused_params: Vec::new(),
    }
}

/// 1, or what the file `<stage>.version` beside the binary says.
fn version(stage: &str) -> u32 {
    let called = PathBuf::from(std::env::args().next().unwrap_or_default());
    let text = fs::read_to_string(called.with_file_name(format!("{stage}.version"))).unwrap_or_default();
    text.parse().unwrap_or(1)
}

fn main() -> ExitCode {
    let called = PathBuf::from(std::env::args().next().unwrap_or_default());
    let stage = called.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Err(error) = runner_link::follow() {
        eprintln!("{stage}: {error}");
        return ExitCode::from(error.exit_code());
    }
    match start(&stage, called.parent().unwrap_or(Path::new(".")), &Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{stage}: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Appends a line to `events`.
fn note(bin: &Path, line: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(bin.join("events")).expect("events opens");
    file.write_all(line.as_bytes()).expect("events can be written");
}

fn start(stage: &str, bin: &Path, options: &Options) -> Result<ExitCode> {
    let event = |what: &str| note(bin, &format!("{what} {stage} {} {}\n", options.experiment, std::process::id()));
    if options.describe {
        event("describe");
        println!("{}", serde_json::to_string(&description(stage)).expect("a description is JSON"));
        return Ok(ExitCode::SUCCESS);
    }
    let experiment = Manifest::load(&options.manifest, &options.set)?.experiment(&options.experiment)?;
    let plan = experiment.stage(stage)?;
    let params: Params = plan.parse()?;
    if options.check {
        event("check");
        return Ok(ExitCode::SUCCESS);
    }
    let store = Store::open(&options.store)?;
    let fingerprints = Fingerprints::open(store.root());
    let (preimage, inputs) = resolve(plan, &experiment, &store, &fingerprints)?;
    if options.expect_key.as_ref().is_some_and(|expected| *expected != preimage.key().as_str()) {
        return Err(Error::Config("a parameter has changed since the run was planned".into()));
    }
    if let Some(device) = &options.device {
        event(&format!("device {device}"));
    }
    let committed = || store.find_whole(stage, &preimage.key()).map(|(found, _)| found.is_some() && !options.force);
    if committed()? {
        return Ok(ExitCode::SUCCESS);
    }
    for (name, input) in inputs.iter().filter(|_| params.verify) {
        if let Err(error) = input.verify() {
            store.set_aside(name, &input.record().key)?;
            return Err(error);
        }
    }
    let claim = if options.shard.is_some() { Claim::Shared } else { Claim::Alone };
    let lease = store.lease(&preimage, claim, || event("wait"))?;
    if committed()? || lease.resume_publication()?.is_some() {
        return Ok(ExitCode::SUCCESS);
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT, signal_hook::consts::SIGUSR1] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).expect("the signal can be handled");
    }
    event("run");
    let mut work = lease.open()?;
    let checkpoint = work.file("checkpoint");
    let mut step: u64 = fs::read_to_string(&checkpoint).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut log = OpenOptions::new().create(true).append(true).open(work.file(LOG_FILE)).expect("the log opens");
    let line = json!({"time": 1.0, "event": "start", "from": step});
    writeln!(log, "{line}").expect("the log can be written");
    if params.fail != 0 {
        eprintln!("{stage}: told to fail");
        return Ok(ExitCode::from(params.fail));
    }
    while step < params.steps {
        std::thread::sleep(Duration::from_millis(10));
        step += 1;
        artifact::store::write_atomically(&checkpoint, step.to_string().as_bytes())?;
        if params.chatty {
            writeln!(log, "{}", json!({"time": 1.0, "event": "step", "step": step})).expect("the log can be written");
        }
        if stop.load(Ordering::SeqCst) {
            event("stopped");
            return Err(Error::Stopped("stopped with a checkpoint".into()));
        }
    }
    let mut value = (params.value / params.round) as f64;
    for input in inputs.values() {
        for row in input.rows::<CurveRow>(&[])? {
            value += 7.0 * row?.value;
        }
    }
    if !params.file.is_empty() {
        value += fs::read_to_string(&params.file).map_or(0.0, |text| text.len() as f64);
    }
    let count = if stage == SHARDED { params.parts.max(PARTS) } else { params.parts } as usize;
    work.declare::<CurveRow>(count, BTreeMap::new());
    let (shard, shards) = options.shard.as_deref().and_then(|shard| shard.split_once('/')).unwrap_or(("0", "1"));
    let share = Part { index: shard.parse().expect("a shard"), count: shards.parse().expect("shards") }.range(count);
    for part in share.map(|index| Part { index, count }) {
        if work.is_whole::<CurveRow>(part) {
            continue;
        }
        let mut writer = work.writer::<CurveRow>(part)?;
        for image in part.range(params.images as usize) {
            let value = if image == 0 { value } else { 0.0 };
            writer.push(CurveRow { step: image as u64 + 1, epoch: 1, name: "loss".into(), value })?;
        }
        writer.finish()?;
    }
    event("done");
    if (0..count).any(|index| !work.is_done::<CurveRow>(Part { index, count })) {
        return Ok(ExitCode::SUCCESS);
    }
    let metrics = BTreeMap::from([("cam.train.miou".to_owned(), Value::from(value / 1000.0))]);
    match work.publish(&[], metrics, &options.experiment) {
        Err(_) if options.shard.is_some() && store.turn(stage, &preimage.key()).and_then(|_turn| committed())? => {}
        published => drop(published?),
    }
    Ok(ExitCode::SUCCESS)
}

/// The preimage of a stage and its committed inputs.
fn resolve(
    plan: &StagePlan,
    experiment: &ExperimentPlan,
    store: &Store,
    fingerprints: &Fingerprints,
) -> Result<(Preimage, BTreeMap<String, Artifact>)> {
    let mut inputs = BTreeMap::new();
    for need in &plan.needs {
        let (preimage, _) = resolve(experiment.need(need), experiment, store, fingerprints)?;
        let found = store.find(&need.stage, &preimage.key())?;
        let missing = || Error::NotCommitted(format!("the input '{}' is not committed", need.stage));
        inputs.insert(need.stage.clone(), found.ok_or_else(missing)?);
    }
    let digests = inputs.iter().map(|(name, input)| (name.clone(), input.record().digest.clone())).collect();
    Ok((description(&plan.stage).preimage(plan, digests, fingerprints)?, inputs))
}
