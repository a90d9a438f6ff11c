//! Which jobs are asked for, and what each waits for. What runs or waits already is not asked for again; of a stage
//! that works by shards, only those that have parts to do.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use artifact::{Error, Result, StageId};
use serde::Serialize;

use super::attempt::{Attempt, Job, Tasks, jobs_of};
use super::queue::{self, Queue, QueuedTask, Request};
use super::settings::Settings;
use crate::options::{PipelineSource, Selection};
use crate::pipeline::Pipeline;
use crate::plan::{Plan, State, Step};
use crate::run::check_on_cpu;
use crate::text::{self, Table};
use crate::units::Unit;

/// A job that was handed over, or one that was there.
#[derive(Clone, Debug, Serialize)]
pub struct Submitted {
    /// Name of the stage.
    pub stage: String,
    /// Name of the experiment.
    pub experiment: String,
    /// The scheduler's numbers of the jobs that compute it.
    pub jobs: Vec<String>,
    /// Was any of them handed over now?
    pub new: bool,
}

/// `camflow run --executor slurm`: hands over every stage that is stale and not in hand already.
pub fn submit(source: &PipelineSource, selection: &Selection, json: bool, out: &mut dyn Write) -> Result<()> {
    let pipeline = Pipeline::open(source)?;
    let settings = Settings::of(&pipeline.manifest)?;
    let plan = pipeline.plan(selection)?;
    plan.check_inputs()?;
    // A login node has no GPU: whether a device is there is found out by the job.
    check_on_cpu(&pipeline, &plan)?;
    for step in plan.steps.iter().filter(|step| step.is_cached()) {
        let key = step.key.as_ref().expect("what is committed has a key");
        pipeline.store.point_latest(&step.stage, step.plan.link(), key)?;
    }
    let _turn = pipeline.store.submission_turn()?;
    let known = Attempt::all(&pipeline.store);
    let queue = Queue::look(&known)?;
    queue::cancel(&queue.addresses(&known, QueuedTask::is_doomed))?;
    let mut submission = Submission {
        pipeline: &pipeline,
        settings,
        known: &known,
        queue: &queue,
        attempt: None,
        largest_array: None,
        waits: BTreeMap::new(),
        submitted: Vec::new(),
    };
    let handed_over = plan.to_run().try_for_each(|step| submission.step(&plan, step));
    let submitted = submission.submitted;
    if json {
        text::emit_json(out, &submitted)?;
    } else {
        show(&submitted, out)?;
    }
    // What was handed over before the scheduler refused stays, and the same command goes on from there.
    handed_over
}

fn show(submitted: &[Submitted], out: &mut dyn Write) -> Result<()> {
    if submitted.is_empty() {
        return text::emit(out, "nothing to run: every stage is committed\n");
    }
    let mut table = Table::new(&["experiment", "stage", "jobs", ""]);
    for Submitted { stage, experiment, jobs, new } in submitted {
        let state = if *new { "handed over" } else { "in hand already" };
        table.row([experiment.as_str(), stage, &jobs.join(" "), state]);
    }
    let new = submitted.iter().filter(|stage| stage.new).count();
    text::emit(
        out,
        &format!("{table}\n{new} stages handed over; how far they are: camflow status; end them: camflow cancel\n"),
    )
}

/// What a step that is in hand is waited for by: `afterok:` these jobs.
#[derive(Clone, Debug, Default)]
struct Wait {
    jobs: Vec<String>,
    /// Was any of them handed over by this command?
    new: bool,
}

/// A step that is handed over.
struct Order<'a> {
    step: &'a Step,
    /// The stage's command.
    command: Vec<String>,
    settings: Settings,
    /// What its first jobs wait for.
    after: Vec<String>,
}

struct Submission<'a> {
    pipeline: &'a Pipeline,
    settings: Settings,
    known: &'a [Attempt],
    queue: &'a Queue,
    /// This command's, once it hands over something.
    attempt: Option<Attempt>,
    largest_array: Option<usize>,
    /// What others wait for, by the step.
    waits: BTreeMap<StageId, Wait>,
    submitted: Vec<Submitted>,
}

/// The tasks of a step that have not ended.
struct Live<'q> {
    tasks: Vec<(&'q Job, &'q QueuedTask)>,
}

/// The tasks of a step that the scheduler knows.
fn tasks<'q>(known: &'q [Attempt], queue: &'q Queue, step: &Step) -> impl Iterator<Item = (&'q Job, &'q QueuedTask)> {
    jobs_of(known, step).flat_map(|(attempt, job)| queue.of(attempt, job).map(move |task| (job, task)))
}

impl<'q> Live<'q> {
    fn of(known: &'q [Attempt], queue: &'q Queue, step: &Step) -> Self {
        Self { tasks: tasks(known, queue, step).filter(|(_, task)| task.is_live()).collect() }
    }

    /// The shards that are in hand, if they are of `count`.
    fn shards(&self, count: usize) -> impl Iterator<Item = (usize, String)> {
        self.tasks.iter().filter_map(move |(job, task)| match &job.tasks {
            Tasks::Shards { indices, count: of } if *of == count => Some((*indices.get(task.task)?, task.address(job))),
            _ => None,
        })
    }

    /// The jobs that are no shards: others wait for these.
    fn whole(&self) -> Vec<String> {
        let whole = self.tasks.iter().filter(|(job, _)| !matches!(job.tasks, Tasks::Shards { .. }));
        let mut numbers: Vec<_> = whole.map(|(_, task)| task.number.clone()).collect();
        numbers.dedup();
        numbers
    }

    fn addresses(&self) -> Vec<String> {
        self.tasks.iter().map(|(job, task)| task.address(job)).collect()
    }

    /// Those that wait for other jobs; of a stage with shards, not the one that waits for these.
    fn waiting(&self, sharded: bool) -> Vec<String> {
        let waits = |job: &Job, task: &QueuedTask| {
            task.waits_for_others() && (!sharded || matches!(job.tasks, Tasks::Shards { .. }))
        };
        self.tasks.iter().filter(|(job, task)| waits(job, task)).map(|(job, task)| task.address(job)).collect()
    }

    /// Is the job that publishes after the shards at work, or about to be?
    fn publishes(&self) -> bool {
        self.tasks.iter().any(|(job, task)| !matches!(job.tasks, Tasks::Shards { .. }) && !task.waits_for_others())
    }

    fn forget(&mut self, addresses: &[String]) {
        self.tasks.retain(|(job, task)| !addresses.contains(&task.address(job)));
    }

    fn has_begun(&self) -> bool {
        self.tasks.iter().any(|(_, task)| task.is_running())
    }
}

impl Submission<'_> {
    /// Hands a step over, as far as it is not in hand.
    fn step(&mut self, plan: &Plan, step: &Step) -> Result<()> {
        let (needs_new, after) = self.needs(plan, step);
        let (known, queue) = (self.known, self.queue);
        let mut live = Live::of(known, queue, step);
        let sharded = self.pipeline.program(&step.stage)?.description.sharded && !step.forced;
        // What they wait for will not be, or is there: then a job that never ended would keep them waiting.
        let stale = match &step.state {
            State::Ready | State::Damaged { .. } => live.waiting(sharded),
            _ if needs_new && !live.has_begun() => live.addresses(),
            _ => Vec::new(),
        };
        queue::cancel(&stale)?;
        live.forget(&stale);
        let order = Order {
            step,
            command: Unit::of(self.pipeline, plan, step)?.command,
            settings: self.settings.for_stage(&step.stage),
            after,
        };
        let wait = if sharded && order.settings.shards() > 1 {
            self.shards(&order, &live)?
        } else if live.tasks.is_empty() {
            let tasks = match order.settings.links() {
                1 => Tasks::Whole,
                count => Tasks::Links { count },
            };
            let number = self.hand_over(&order, "", tasks, &order.after)?;
            Wait { jobs: vec![number], new: true }
        } else {
            Wait { jobs: live.whole(), new: false }
        };
        let Wait { jobs, new } = wait.clone();
        self.submitted.push(Submitted { stage: step.stage.clone(), experiment: step.experiment.clone(), jobs, new });
        self.waits.insert(step.plan.id(), wait);
        Ok(())
    }

    /// What a step waits for, and whether any of it was handed over now.
    fn needs(&self, plan: &Plan, step: &Step) -> (bool, Vec<String>) {
        let waits = step.plan.needs.iter().filter_map(|need| {
            let computed_by = plan.step(need).and_then(|step| step.shared_with.clone());
            let experiment = computed_by.unwrap_or_else(|| need.experiment.clone());
            self.waits.get(&StageId { stage: need.stage.clone(), experiment })
        });
        let waits: Vec<_> = waits.collect();
        let jobs = waits.iter().flat_map(|wait| &wait.jobs).map(|job| format!("afterok:{job}"));
        (waits.iter().any(|wait| wait.new), jobs.collect())
    }

    /// Hands over the shards that have parts to do and are not in hand, and a job after all of them that publishes what
    /// none of them has published.
    fn shards(&mut self, order: &Order<'_>, live: &Live<'_>) -> Result<Wait> {
        let (step, count) = (order.step, order.settings.shards());
        let in_hand: BTreeMap<_, _> = live.shards(count).collect();
        let others =
            live.tasks.iter().any(|(job, _)| matches!(&job.tasks, Tasks::Shards { count: of, .. } if *of != count));
        let last = live.whole();
        if others || live.publishes() {
            // Divided otherwise, or all shards have ended: whatever it is, it is in hand.
            return Ok(Wait { jobs: if last.is_empty() { live.addresses() } else { last }, new: false });
        }
        let left = match &step.key {
            Some(key) => self.pipeline.store.shards_left(&step.stage, key, count),
            None => (0..count).collect(),
        };
        let missing: Vec<_> = left.into_iter().filter(|shard| !in_hand.contains_key(shard)).collect();
        if missing.is_empty() && !last.is_empty() && !in_hand.is_empty() {
            return Ok(Wait { jobs: last, new: false });
        }
        let mut all: Vec<_> = in_hand.values().map(|address| format!("afterany:{address}")).collect();
        let largest = self.largest_array()?;
        for (chunk, indices) in missing.chunks(largest).enumerate() {
            let tasks = Tasks::Shards { indices: indices.to_vec(), count };
            let number = self.hand_over(order, &format!(".shards{chunk}"), tasks, &order.after)?;
            all.push(format!("afterok:{number}"));
        }
        // The last job of before waits for shards that failed.
        queue::cancel(&last)?;
        let number = self.hand_over(order, "", Tasks::Whole, &all)?;
        Ok(Wait { jobs: vec![number], new: true })
    }

    fn largest_array(&mut self) -> Result<usize> {
        if self.largest_array.is_none() {
            self.largest_array = Some(queue::max_array_size()?.max(1));
        }
        Ok(self.largest_array.unwrap_or(1))
    }

    /// `--array` of a job.
    fn array(&mut self, tasks: &Tasks, settings: &Settings) -> Result<Option<String>> {
        let last = tasks.count() - 1;
        Ok(match tasks {
            Tasks::Whole => None,
            Tasks::Links { count } if *count > self.largest_array()? => {
                return Err(Error::Config(format!(
                    "{}: slurm.links: {count} are more than an array of this cluster may have ({})",
                    self.pipeline.manifest.place("slurm"),
                    self.largest_array()?
                )));
            }
            Tasks::Links { .. } => Some(format!("0-{last}%1")),
            Tasks::Shards { .. } => Some(format!("0-{last}{}", settings.throttle())),
        })
    }

    /// Hands over one job; returns its number.
    fn hand_over(&mut self, order: &Order<'_>, suffix: &str, tasks: Tasks, after: &[String]) -> Result<String> {
        let Order { step, settings, .. } = order;
        let array = self.array(&tasks, settings)?;
        let attempt = match self.attempt.take() {
            Some(attempt) => attempt,
            None => Attempt::begin(&self.pipeline.store, &self.pipeline.manifest.to_toml())?,
        };
        let attempt = self.attempt.insert(attempt);
        let manifest = self.pipeline.manifest.path().to_string_lossy();
        let frozen = attempt.manifest().to_string_lossy().into_owned();
        let words = order.command.iter();
        let command = words.map(|word| if *word == manifest { frozen.clone() } else { word.clone() }).collect();
        let job = Job {
            name: format!("{}-{}{suffix}", step.stage, step.intent.short()),
            stage: step.stage.clone(),
            experiment: step.experiment.clone(),
            intent: step.intent.clone(),
            command,
            tasks,
            number: None,
        };
        let script = script(settings.setup(), attempt.dir(), &job.name)?;
        let output = attempt.output(&job).to_string_lossy().into_owned();
        let (title, name) = (attempt.title(), job.name.clone());
        attempt.announce(job)?;
        let number = queue::submit(&Request {
            script: &script,
            title: &title,
            name: &name,
            output: &output,
            array,
            dependency: (!after.is_empty()).then(|| after.join(",")),
            options: &settings.options(),
        })?;
        attempt.numbered(&number)?;
        Ok(number)
    }
}

/// The script of a job: it becomes the process that runs the task, so that signals for the script reach it.
fn script(setup: &[String], attempt: &Path, name: &str) -> Result<String> {
    let program = std::env::current_exe().map_err(Error::io("find", Path::new("the running program")))?;
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let setup: String = setup.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    let (program, attempt) = (program.to_string_lossy(), attempt.to_string_lossy());
    Ok(format!("#!/bin/sh\n{setup}exec {} slurm-task {} {}\n", quoted(&program), quoted(&attempt), quoted(name)))
}
