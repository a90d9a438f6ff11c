//! The training loop of all three networks. Randomness is stateless (order from seed and epoch, augmentation from
//! seed, epoch and image, dropout from seed and step), so a run that goes on from a checkpoint equals one that was
//! never interrupted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use artifact::table::{CurveRow, LOSS_HASH};
use artifact::{Numerics, ParamError, Result};
use data::loader::{Batches, Make, Plan, Tail};
use data::random::{Rng, epoch_order};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Context, Log, Outcome, say};
use tch::{Cuda, Device, Tensor, nn};

use super::loss_hash::LossHash;
use super::readings::{Readings, Step};
use super::shares::{self, Wish};
use super::{OptimizerParams, Sgd, checkpoint};
use crate::memory;
use crate::method::objective::Losses;
use crate::ranks;

/// The loop's part of a training stage's parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopParams {
    /// Passes over the images.
    pub epochs: u32,
    /// Images in a step; what is left of an epoch is dropped.
    pub batch_size: usize,
    /// Processes that train together on this machine, each on a GPU of its own or with its share of the threads. Sums
    /// over them show in the last bits, and in nothing else. Inside of torchrun or Slurm these say how many there are.
    pub processes: usize,
    /// Threads of one tensor operation on the CPU. They share sums, whose order shows in the last bits, so this is
    /// part of the result and not left to the machine. Processes of one machine share them.
    pub threads: i32,
    /// Threads that decode and augment. Changes no result.
    pub workers: usize,
    /// Minutes between checkpoints within an epoch. Changes no result.
    pub checkpoint_minutes: f64,
}

impl LoopParams {
    /// Names of the parameters, below `name`, that change no result.
    pub fn execution_params(name: &str) -> Vec<String> {
        ["processes", "workers", "checkpoint_minutes"].map(|param| format!("{name}.{param}")).into()
    }

    /// Checks ranges.
    pub fn check(&self) -> Result<(), ParamError> {
        let wrong = |name: &str, reason: &str| Err(ParamError::new(format!("loop.{name}"), reason));
        if self.epochs == 0 {
            return wrong("epochs", "at least 1");
        }
        if self.batch_size == 0 || self.batch_size > 4096 {
            return wrong("batch_size", "from 1 to 4096");
        }
        if !(1..=256).contains(&self.threads) {
            return wrong("threads", "from 1 to 256");
        }
        if self.workers == 0 || self.workers > 256 {
            return wrong("workers", "from 1 to 256");
        }
        if self.processes == 0 || self.processes > 1024 {
            return wrong("processes", "from 1 to 1024");
        }
        shares::check(self.batch_size, self.processes)?;
        if self.checkpoint_minutes <= 0.0 || self.checkpoint_minutes.is_nan() {
            return wrong("checkpoint_minutes", "more than 0");
        }
        Ok(())
    }
}

/// What is trained.
pub trait Learner {
    /// One item of a batch, made by a loader thread.
    type Item: Send + 'static;
    /// Names of the terms of its loss; none where the loss is all there is.
    fn terms(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// The loss for a batch in an epoch (from 1), with its terms, as values. `differentiate` gets its summands, one
    /// after another.
    fn loss(&mut self, batch: &[Self::Item], epoch: u32, differentiate: &mut dyn FnMut(&Tensor)) -> Result<Losses>;

    /// After the optimiser's step.
    fn after_step(&mut self) {}

    /// Every tensor that changes during training, except the optimiser's.
    fn state(&self) -> Vec<(String, Tensor)>;
}

/// What [`fit`] needs besides the learner.
pub struct Training {
    /// The loop's parameters.
    pub settings: LoopParams,
    /// The optimiser's parameters.
    pub optimizer: OptimizerParams,
    /// Number of training images.
    pub images: usize,
    /// Side of their crops in pixels.
    pub crop: usize,
}

/// What a training leaves besides its networks.
pub struct Curve {
    rows: Vec<CurveRow>,
    hash: LossHash,
}

/// How long a training is.
#[derive(Clone, Copy)]
struct Length {
    per_epoch: u64,
    steps: u64,
}

impl Length {
    fn of(settings: &LoopParams, images: usize) -> Result<Self> {
        let per_epoch = (images / settings.batch_size) as u64;
        if per_epoch == 0 {
            let batch = settings.batch_size;
            let reason = format!("{images} training images do not fill one batch of {batch}; lower batch_size");
            return Err(ParamError::new("loop.batch_size", reason).into());
        }
        Ok(Self { per_epoch, steps: per_epoch * u64::from(settings.epochs) })
    }

    /// The epoch, from 1, of a step, from 0.
    fn epoch(self, step: u64) -> u64 {
        step / self.per_epoch + 1
    }
}

/// Trains to the end and returns the curve, or stops with a checkpoint on a signal. `make` gives item `index` as
/// augmented in an epoch.
pub fn fit<P, L: Learner>(
    context: &mut Context<P>,
    training: Training,
    learner: &mut L,
    sgd: &mut Sgd,
    make: impl Fn(u64, usize) -> Result<L::Item> + Send + Sync + 'static,
) -> Result<Curve> {
    let Training { settings, optimizer, images, crop } = training;
    make_ready(&settings, sgd.device(), context);
    let length = Length::of(&settings, images)?;
    let mut at = resume(context, learner, sgd, length)?;
    let mut readings = Readings::new(learner.terms(), sgd.device());
    let progress = context.progress("steps", at.step as usize, length.steps as usize);
    let interval = Duration::from_secs_f64((settings.checkpoint_minutes * 60.0).min(1e9));
    let mut saved = Instant::now();
    let make = Arc::new(make);
    while at.step < length.steps {
        let epoch = length.epoch(at.step);
        let item = Arc::clone(&make);
        let plan = Plan {
            order: shares::of_order(epoch_order(context.seed, epoch, images), settings.batch_size),
            batch_size: settings.batch_size / ranks::size(),
            tail: Tail::Drop,
            skip: (at.step % length.per_epoch) as usize,
            workers: shares::of_machine(settings.workers, context.party.rank().local_size),
        };
        let make_batch: Make<L::Item> = Arc::new(move |index| item(epoch, index));
        for batch in Batches::new(plan, &make_batch) {
            tch::manual_seed(Rng::new(context.seed, at.step, "dropout").bits() as i64);
            let lr = optimizer.lr_at(at.step, length.steps);
            let batch = batch?;
            let losses = memory::within(|| train_step(learner, sgd, &batch, epoch as u32, lr))
                .map_err(|exhausted| exhausted.at_batch(at.step + 1, settings.batch_size, crop))??;
            at.step += 1;
            readings.add(Step { number: at.step, epoch, lr }, &losses);
            let ended = at.step.is_multiple_of(length.per_epoch);
            let wish = Wish { stop: context.stop.requested(), save: saved.elapsed() >= interval }.of_all()?;
            let saves = wish.stop || wish.save || ended;
            if saves || readings.are_due() {
                record(&mut at, &mut readings, &mut context.log)?;
            }
            progress.advance(1, || {
                let loss = at.curve.last().map_or(String::new(), |values| format!(" loss {:.4}", values[0]));
                format!("epoch {epoch}{loss}")
            });
            if saves {
                save(context, &state(learner, sgd), &at)?;
                saved = Instant::now();
                if wish.stop && at.step < length.steps {
                    context.stop.request();
                    context.stop.check()?;
                }
            }
        }
    }
    progress.finish();
    Ok(Curve { rows: curve_rows(&at.curve, readings.names(), length), hash: at.hash })
}

/// Sets what libtorch has for a whole process.
fn make_ready<P>(settings: &LoopParams, device: Device, context: &Context<P>) {
    let threads = shares::of_machine(settings.threads as usize, context.party.rank().local_size);
    tch::set_num_threads(threads as i32);
    if device.is_cuda() && context.numerics != Numerics::F32 {
        // Crops are of one size: the fastest of cuDNN's algorithms, tried out once. They differ in their last bits.
        Cuda::cudnn_set_benchmark(true);
    }
}

/// Saves a checkpoint, once all processes have come to the same.
fn save<P>(context: &Context<P>, state: &[(String, Tensor)], at: &checkpoint::Progress) -> Result<()> {
    shares::compare(state, at.step)?;
    if context.party.is_first() { checkpoint::save(context.work.dir(), state, at) } else { Ok(()) }
}

/// Takes the losses that wait into log, hash and curve.
fn record(at: &mut checkpoint::Progress, readings: &mut Readings, log: &mut Log) -> Result<()> {
    for (step, values) in readings.read()? {
        log_step(log, step, readings.names(), &values)?;
        at.hash.add(&values);
        at.curve.push(values);
    }
    Ok(())
}

/// Every tensor that changes during training.
fn state<L: Learner>(learner: &L, sgd: &Sgd) -> Vec<(String, Tensor)> {
    learner.state().into_iter().chain(sgd.state()).collect()
}

/// Restores the newest whole checkpoint, if there is one.
fn resume<P, L: Learner>(
    context: &mut Context<P>,
    learner: &L,
    sgd: &Sgd,
    length: Length,
) -> Result<checkpoint::Progress> {
    let name = &context.name;
    let (is_first, state) = (context.party.is_first(), state(learner, sgd));
    let (restored, damaged) = checkpoint::restore(context.work.dir(), &state);
    for reason in damaged.iter().filter(|_| is_first) {
        say(name, format_args!("checkpoint {reason}; falling back to the one before"));
        context.log.event("damaged checkpoint", &json!({ "reason": reason }))?;
    }
    let at = restored.unwrap_or(checkpoint::Progress { step: 0, curve: Vec::new(), hash: LossHash::default() });
    shares::compare(&state, at.step)?;
    if ranks::size() > 1 {
        context.log.event("processes", &json!({ "processes": ranks::size(), "from": at.step }))?;
    }
    if at.step > 0 && is_first {
        say(name, format_args!("going on from step {} of {}", at.step, length.steps));
    }
    Ok(at)
}

fn train_step<L: Learner>(learner: &mut L, sgd: &mut Sgd, batch: &[L::Item], epoch: u32, lr: f64) -> Result<Losses> {
    let losses = learner.loss(batch, epoch, &mut |summand| sgd.backward(summand))?;
    sgd.step(lr);
    ranks::check()?;
    learner.after_step();
    Ok(losses)
}

fn log_step(log: &mut Log, step: Step, names: &[&str], values: &[f64]) -> Result<()> {
    let mut terms: serde_json::Map<_, _> =
        names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    let lr = terms.remove("lr");
    log.event("step", &json!({ "step": step.number, "epoch": step.epoch, "lr": lr, "terms": terms }))
}

fn curve_rows(curve: &[Vec<f64>], names: &[&str], length: Length) -> Vec<CurveRow> {
    let mut rows = Vec::new();
    for (step, values) in (0..).zip(curve) {
        let epoch = length.epoch(step) as u32;
        for (name, value) in names.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
            rows.push(CurveRow { step: step + 1, epoch, name: (*name).to_owned(), value: *value });
        }
    }
    rows
}

/// What a training stage commits: the curve, and the weights of its networks under their file names.
pub fn commit<P>(context: &mut Context<P>, networks: &[(&str, &nn::VarStore)], curve: Curve) -> Result<Outcome> {
    let Curve { rows, hash } = curve;
    if !context.party.is_first() {
        return Ok(Outcome::tables([].into()));
    }
    for (file, vs) in networks {
        let tensors: Vec<_> = vs.variables().into_iter().collect();
        checkpoint::write(&tensors, &context.work.file(file))?;
    }
    // One step's loss says little of a run: the mean of the last twenty does.
    let last: Vec<f64> = rows.iter().rev().filter(|row| row.name == "loss").take(20).map(|row| row.value).collect();
    let mean = last.iter().sum::<f64>() / last.len().max(1) as f64;
    context.work.declare::<CurveRow>(1, [(LOSS_HASH.to_owned(), hash.to_string())].into())?;
    context.work.write_all(rows)?;
    let files = networks.iter().map(|(file, _)| (*file).to_owned()).collect();
    Ok(Outcome::Complete { files, metrics: [("final_loss".to_owned(), json!(mean))].into() })
}
