//! A stage without tensors, built on the contract of all stages. Its name is the name it is called by; what it is told
//! to do stands in its parameters. It writes what happens to it into `events` beside itself: `run train-cam full 1234`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use artifact::table::CurveRow;
use artifact::{Error, ExperimentPlan, Result, Row as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::{Contents, Context, Description, Outcome, Read, Shard, Stage};

struct Fake;

#[derive(Serialize, Deserialize)]
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
    /// Decides what prepare-data writes besides, as a data set has masks: threshold-sweep and evaluate read that alone.
    #[serde(default)]
    masks: u64,
    /// How many steps of 10 ms it takes.
    #[serde(default)]
    steps: u64,
    /// Fails with this exit code instead.
    #[serde(default)]
    fail: u8,
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

/// How far a run has come; kept when it is killed.
const CHECKPOINT: &str = "checkpoint";

fn one() -> u64 {
    1
}

/// How it was called: its own path in the world's `bin`.
fn called() -> PathBuf {
    PathBuf::from(std::env::args().next().unwrap_or_default())
}

fn name() -> String {
    called().file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The file by which those that read a stage know it, with the value that its rows add up to: all stages write the same
/// table.
fn mark(stage: &str) -> String {
    format!("{stage}.mark")
}

/// The stage that writes a second file, and its name.
const DATA: &str = "prepare-data";
const MASKS: &str = "prepare-data.masks";

/// The stages whose artifacts a stage reads.
fn inputs(stage: &str) -> &'static [&'static str] {
    match stage {
        "train-cam" => &["prepare-data"],
        "extract-msinf-cam" => &["prepare-data", "train-cam"],
        "threshold-sweep" | "train-affinity" => &["prepare-data", "extract-msinf-cam"],
        "random-walk" => &["prepare-data", "extract-msinf-cam", "threshold-sweep", "train-affinity"],
        "train-deeplab" => &["prepare-data", "random-walk"],
        "evaluate" => &["prepare-data", "threshold-sweep", "random-walk", "train-deeplab"],
        _ => &[],
    }
}

/// 1, or what the file `<stage>.version` beside the binary says.
fn version(stage: &str) -> u32 {
    let text = fs::read_to_string(called().with_file_name(format!("{stage}.version"))).unwrap_or_default();
    text.parse().unwrap_or(1)
}

/// Appends a line to `events`.
fn event(what: &str, experiment: &str) {
    let mut file =
        OpenOptions::new().create(true).append(true).open(called().with_file_name("events")).expect("events");
    let line = format!("{what} {} {experiment} {}\n", name(), std::process::id());
    file.write_all(line.as_bytes()).expect("events can be written");
}

fn is_asked_for(option: &str) -> bool {
    std::env::args().any(|argument| argument == option)
}

impl Stage for Fake {
    type Params = Params;

    fn description() -> Description {
        if is_asked_for("--describe") {
            event("describe", "-");
        }
        let stage = name();
        let mut reads: Vec<_> = inputs(&stage).iter().map(|input| Read::file(&mark(input))).collect();
        if stage == "train-cam" {
            reads.push(Read::file(&mark(&stage)).optional());
        }
        if ["threshold-sweep", "evaluate"].contains(&stage.as_str()) {
            reads.push(Read::file(MASKS).optional());
        }
        let writes = Contents::tables([CurveRow::TABLE]).with_file(&mark(&stage));
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Description {
            reads,
            writes: if stage == DATA { writes.with_file(MASKS) } else { writes },
            seeded: stage.starts_with("train"),
            sharded: stage == SHARDED,
            execution_params: names(&["steps", "fail", "chatty", "parts", "images"]),
            path_params: names(&["file"]),
            ..Description::new(&stage, version(&stage), "does what its parameters say")
        }
    }

    fn check(_params: &Params) -> Result<()> {
        Ok(())
    }

    fn check_plan(_params: &Params, plan: &ExperimentPlan) -> Result<()> {
        if is_asked_for("--check") {
            event("check", &plan.name);
        }
        Ok(())
    }

    fn run(context: &mut Context<Params>) -> Result<Outcome> {
        let experiment = context.plan.name.clone();
        if context.device != "cpu" {
            event(&format!("device {}", context.device), &experiment);
        }
        event("run", &experiment);
        match context.params.fail {
            0 => {}
            65 => return Err(Error::Data("told to fail".into())),
            75 => return Err(Error::Stopped("told to stop".into())),
            78 => return Err(Error::Config("told to fail".into())),
            _ => return Err(Error::Failed("told to fail".into())),
        }
        take_time(context)?;
        let value = value(context)?;
        let missing = write(context, value)?;
        event("done", &experiment);
        if missing > 0 {
            return Ok(Outcome::Partial { missing });
        }
        let mut files = vec![mark(&context.name)];
        artifact::store::write_atomically(&context.work.file(&files[0]), value.to_string().as_bytes())?;
        if context.name == DATA {
            files.push(MASKS.to_owned());
            artifact::store::write_atomically(&context.work.file(MASKS), &[context.params.masks as u8])?;
        }
        let metrics = BTreeMap::from([("cam.train.miou".to_owned(), Value::from(value / 1000.0))]);
        Ok(Outcome::Complete { files, metrics })
    }
}

/// Takes its steps, from the checkpoint on.
fn take_time(context: &mut Context<Params>) -> Result<()> {
    let checkpoint = context.work.file(CHECKPOINT);
    let mut step: u64 = fs::read_to_string(&checkpoint).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    context.log.event("going on", &json!({ "from": step }))?;
    let progress = context.progress("steps", step as usize, context.params.steps as usize);
    while step < context.params.steps {
        std::thread::sleep(Duration::from_millis(10));
        step += 1;
        progress.advance(1, || format!("loss {:.4}", 1.0 / step as f64));
        artifact::store::write_atomically(&checkpoint, step.to_string().as_bytes())?;
        if context.params.chatty {
            context.log.event("step", &json!({ "step": step }))?;
        }
        if context.stop.requested() {
            event("stopped", &context.plan.name);
            context.stop.check()?;
        }
    }
    progress.finish();
    Ok(())
}

/// What it computes from its parameters, its inputs and a file.
fn value(context: &Context<Params>) -> Result<f64> {
    let Params { value, round, file, .. } = &context.params;
    let mut sum = (value / round) as f64;
    for input in context.inputs() {
        let mark = input.file(&mark(&input.record().preimage.stage));
        let text = fs::read_to_string(&mark).map_err(Error::io("read", &mark))?;
        sum += 7.0 * text.parse::<f64>().expect("a mark holds a number");
    }
    Ok(sum + fs::read_to_string(file).map_or(0.0, |text| text.len() as f64))
}

/// Writes the parts of its shard; returns how many are left to others.
fn write(context: &mut Context<Params>, value: f64) -> Result<usize> {
    let Params { parts, images, .. } = context.params;
    let count = if context.name == SHARDED { parts.max(PARTS) } else { parts } as usize;
    context.work.declare::<CurveRow>(count, BTreeMap::new())?;
    for part in context.shard.parts(count) {
        if context.work.is_whole::<CurveRow>(part) {
            continue;
        }
        let mut writer = context.work.writer::<CurveRow>(part)?;
        for image in part.range(images as usize) {
            let value = if image == 0 { value } else { 0.0 };
            writer.push(CurveRow { step: image as u64 + 1, epoch: 1, name: "loss".into(), value })?;
        }
        writer.finish()?;
    }
    Ok(Shard::ALL.parts(count).filter(|part| !context.work.is_done::<CurveRow>(*part)).count())
}

fn main() -> ExitCode {
    stage::main::<Fake>()
}
