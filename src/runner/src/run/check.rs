//! `--check` of every stage that will run, before the first one starts: an error of the last stage must not come
//! after an hour of the first.

use std::process::Output;
use std::sync::Mutex;
use std::thread;

use artifact::store::Record;
use artifact::{Error, Key, Result, StageId};

use super::child::command;
use crate::pipeline::Pipeline;
use crate::plan::{Plan, Step};

/// Where the stages will run, as far as their checks look at it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// On this machine.
    Here,
    /// On another, whose devices are not known here.
    Elsewhere,
}

/// Checks all stages that will run, as many at a time as there are cores, and shows all that they complain of.
pub(super) fn all(pipeline: &Pipeline, plan: &Plan) -> Result<()> {
    check_all(pipeline, plan, Where::Here)
}

/// The same but for the device, which another machine has.
pub(crate) fn on_cpu(pipeline: &Pipeline, plan: &Plan) -> Result<()> {
    check_all(pipeline, plan, Where::Elsewhere)
}

fn check_all(pipeline: &Pipeline, plan: &Plan, place: Where) -> Result<()> {
    let known = |need: &StageId| plan.step(need).filter(|step| step.is_cached())?.key.clone();
    let queue = Mutex::new(plan.to_run().collect::<Vec<_>>().into_iter());
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let results = thread::scope(|scope| {
        let worker = || {
            let mut results = Vec::new();
            loop {
                let step = queue.lock().expect("no panic under this lock").next();
                let Some(step) = step else { return results };
                results.push((step, check(pipeline, step, place, &known)));
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic in this thread")).collect::<Vec<_>>()
    });
    let mut refused = Vec::new();
    let mut code = None;
    for (step, output) in results {
        let output = output?;
        eprint!("{}", String::from_utf8_lossy(&output.stderr));
        if !output.status.success() {
            code = code.or(Some(output.status.code()));
            refused.push(format!("{} ({})", step.stage, step.experiment));
        }
    }
    match code {
        None => Ok(()),
        Some(code) => {
            refused.sort();
            let refused = refused.join(", ");
            Err(Error::from_exit_code(code, format!("nothing was started: the check of {refused} failed")))
        }
    }
}

/// Checks a stage once more if its check looks at an input that has become known.
pub(super) fn again(
    pipeline: &Pipeline,
    step: &Step,
    input: &Record,
    known: impl Fn(&StageId) -> Option<Key>,
    tell: impl Fn(&str),
) -> Result<()> {
    let checks = &pipeline.program(&step.stage)?.description.checks;
    if !checks.iter().any(|item| item.is_in(&input.contents())) {
        return Ok(());
    }
    let output = check(pipeline, step, Where::Here, &known)?;
    String::from_utf8_lossy(&output.stderr).lines().for_each(tell);
    if output.status.success() {
        return Ok(());
    }
    let refused = format!("nothing more was started: the check of {} ({}) failed", step.stage, step.experiment);
    Err(Error::from_exit_code(output.status.code(), refused))
}

fn check(pipeline: &Pipeline, step: &Step, place: Where, known: &impl Fn(&StageId) -> Option<Key>) -> Result<Output> {
    let mut command = command(pipeline, step)?;
    if place == Where::Elsewhere {
        command.args(["--device", "cpu"]);
    }
    let program = pipeline.program(&step.stage)?;
    if !program.description.checks.is_empty() {
        let inputs = step.plan.needs.iter().filter_map(|need| Some((&need.stage, known(need)?)));
        for (stage, key) in inputs {
            command.args(["--input", &format!("{stage}={}", key.as_str())]);
        }
    }
    command.arg("--check").output().map_err(Error::io("start", &program.binary))
}
