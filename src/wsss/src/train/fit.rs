//! The training loop of all three networks. Randomness is stateless (order from seed and epoch, augmentation from
//! seed, epoch and image, dropout from seed and step), so a run that goes on from a checkpoint equals one that was
//! never interrupted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use artifact::table::{CurveRow, LOSS_HASH};
use artifact::{Error, ParamError, Result};
use data::loader::{Batches, Make, Plan, Tail};
use data::random::{Rng, epoch_order};
use serde::{Deserialize, Serialize};
use serde_json::json;
use stage::{Context, Outcome, Progress};
use tch::{Tensor, nn};

use super::loss_hash::LossHash;
use super::{OptimizerParams, Sgd, checkpoint};

/// The loop's part of a training stage's parameters.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoopParams {
    /// Passes over the images.
    pub epochs: u32,
    /// Images in a step; what is left of an epoch is dropped.
    pub batch_size: usize,
    /// Threads of one tensor operation on the CPU. They share sums, whose order shows in the last bits, so this is
    /// part of the result and not left to the machine.
    pub threads: i32,
    /// Threads that decode and augment. Changes no result.
    pub workers: usize,
    /// Minutes between checkpoints within an epoch. Changes no result.
    pub checkpoint_minutes: f64,
}

impl LoopParams {
    /// Names of the parameters, below `name`, that change no result.
    pub fn execution_params(name: &str) -> Vec<String> {
        ["workers", "checkpoint_minutes"].map(|param| format!("{name}.{param}")).into()
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
    /// Names of what [`Learner::loss`] returns; the first is the loss itself.
    const TERMS: &'static [&'static str];

    /// Loss and its terms for a batch in an epoch (from 1); a term that does not apply yet is `None`.
    fn loss(&mut self, batch: &[Self::Item], epoch: u32) -> Result<Vec<Option<Tensor>>>;

    /// After the optimiser's step.
    fn after_step(&mut self) {}

    /// Every tensor that changes during training, except the optimiser's.
    fn state(&self) -> Vec<(String, Tensor)>;
}

/// What [`fit`] needs besides the learner.
pub struct Fit<'a, P> {
    /// Name on the progress line.
    pub name: &'a str,
    /// The loop's parameters.
    pub settings: LoopParams,
    /// The optimiser's parameters.
    pub optimizer: OptimizerParams,
    /// Number of training images.
    pub images: usize,
    /// The stage.
    pub context: &'a mut Context<P>,
}

/// What a training leaves besides its networks.
pub struct Curve {
    rows: Vec<CurveRow>,
    hash: LossHash,
}

/// Trains to the end and returns the curve, or stops with a checkpoint on a signal. `make` gives item `index` as
/// augmented in an epoch.
pub fn fit<P, L: Learner>(
    run: Fit<'_, P>,
    learner: &mut L,
    sgd: &mut Sgd,
    make: impl Fn(u64, usize) -> Result<L::Item> + Send + Sync + 'static,
) -> Result<Curve> {
    let Fit { context, name, settings, optimizer, images } = run;
    tch::set_num_threads(settings.threads);
    let per_epoch = (images / settings.batch_size) as u64;
    if per_epoch == 0 {
        let batch = settings.batch_size;
        return Err(Error::Config(format!(
            "{images} training images do not fill one batch of {batch}; lower batch_size"
        )));
    }
    let steps = per_epoch * u64::from(settings.epochs);
    let dir = context.work.dir().to_owned();
    let state = |learner: &L, sgd: &Sgd| learner.state().into_iter().chain(sgd.state()).collect::<Vec<_>>();
    let (restored, damaged) = checkpoint::restore(&dir, &state(learner, sgd));
    for reason in damaged {
        eprintln!("{name}: checkpoint {reason}; falling back to the one before");
        context.log.event("damaged checkpoint", &json!({ "reason": reason }))?;
    }
    let mut at = restored.unwrap_or(checkpoint::Progress { step: 0, curve: Vec::new(), hash: LossHash::default() });
    if at.step > 0 {
        eprintln!("{name}: going on from step {} of {steps}", at.step);
    }
    let progress = Progress::new(name, "steps", at.step as usize, steps as usize);
    let interval = Duration::from_secs_f64((settings.checkpoint_minutes * 60.0).min(1e9));
    let mut saved = Instant::now();
    let make = Arc::new(make);
    while at.step < steps {
        let epoch = at.step / per_epoch + 1;
        let item = Arc::clone(&make);
        let plan = Plan {
            order: epoch_order(context.seed, epoch, images),
            batch_size: settings.batch_size,
            tail: Tail::Drop,
            skip: (at.step % per_epoch) as usize,
            workers: settings.workers,
        };
        let make_batch: Make<L::Item> = Arc::new(move |index| item(epoch, index));
        for batch in Batches::new(plan, &make_batch) {
            tch::manual_seed(Rng::new(context.seed, at.step, "dropout").bits() as i64);
            let lr = optimizer.lr_at(at.step, steps);
            let values = train_step::<L>(learner, sgd, &batch?, epoch as u32, lr, at.step + 1)?;
            at.step += 1;
            let named = || -> serde_json::Map<_, _> {
                L::TERMS.iter().zip(&values).map(|(term, value)| ((*term).to_owned(), json!(value))).collect()
            };
            context.log.event("step", &json!({ "step": at.step, "epoch": epoch, "lr": lr, "terms": named() }))?;
            progress.advance(1, || format!("epoch {epoch} loss {:.4}", values[0]));
            let values: Vec<f64> = values.into_iter().chain([lr]).collect();
            at.hash.add(&values);
            at.curve.push(values);
            let ended = at.step.is_multiple_of(per_epoch);
            if context.stop.requested() || ended || saved.elapsed() >= interval {
                checkpoint::save(&dir, &state(learner, sgd), &at)?;
                saved = Instant::now();
                if at.step < steps {
                    context.stop.check()?;
                }
            }
        }
    }
    progress.finish();
    Ok(Curve { rows: curve_rows::<L>(&at.curve, per_epoch), hash: at.hash })
}

fn train_step<L: Learner>(
    learner: &mut L,
    sgd: &mut Sgd,
    batch: &[L::Item],
    epoch: u32,
    lr: f64,
    step: u64,
) -> Result<Vec<f64>> {
    let terms = learner.loss(batch, epoch)?;
    let values: Vec<f64> = terms.iter().map(|term| term.as_ref().map_or(f64::NAN, |t| t.double_value(&[]))).collect();
    let bad = terms.iter().zip(&values).any(|(term, value)| term.is_some() && !value.is_finite());
    if bad {
        let all: Vec<_> = L::TERMS.iter().zip(&values).map(|(name, value)| format!("{name} {value}")).collect();
        return Err(Error::Failed(format!(
            "step {step}: the loss is not finite ({}); a lower optimizer.lr is the usual cure",
            all.join(", ")
        )));
    }
    let total = terms.into_iter().next().flatten().expect("a learner's first term is its loss");
    sgd.step(&total, lr);
    learner.after_step();
    Ok(values)
}

fn curve_rows<L: Learner>(curve: &[Vec<f64>], per_epoch: u64) -> Vec<CurveRow> {
    let mut rows = Vec::new();
    for (index, values) in curve.iter().enumerate() {
        let epoch = (index as u64 / per_epoch + 1) as u32;
        for (name, value) in L::TERMS.iter().chain(&["lr"]).zip(values) {
            if !value.is_nan() {
                rows.push(CurveRow { step: index as u64 + 1, epoch, name: (*name).to_owned(), value: *value });
            }
        }
    }
    rows
}

/// What a training stage commits: the curve, and the weights of its networks under their file names.
pub fn commit<P>(
    context: &mut Context<P>,
    networks: &[(&'static str, &nn::VarStore)],
    curve: Curve,
) -> Result<Outcome> {
    let Curve { rows, hash } = curve;
    for (file, vs) in networks {
        let tensors: Vec<_> = vs.variables().into_iter().collect();
        checkpoint::write(&tensors, &context.work.file(file))?;
    }
    // One step's loss says little of a run: the mean of the last twenty does.
    let last: Vec<f64> = rows.iter().rev().filter(|row| row.name == "loss").take(20).map(|row| row.value).collect();
    let mean = last.iter().sum::<f64>() / last.len().max(1) as f64;
    context.work.declare::<CurveRow>(1, [(LOSS_HASH.to_owned(), hash.to_string())].into());
    context.work.write_all(rows)?;
    let files = networks.iter().map(|(file, _)| *file).collect();
    Ok(Outcome::Complete { files, metrics: [("final_loss".to_owned(), json!(mean))].into() })
}
