//! Every scored experiment with what made its CAMs, reached from the scores through the inputs of each artifact.

use std::collections::BTreeSet;

use artifact::manifest::variant_of;
use artifact::table::ScoreRow;
use artifact::{Artifact, Result, Row as _};
use serde_json::{Value, json};

use crate::holdings::Holdings;
use crate::tables::rows_of;

/// The split on which the paper scores CAMs.
const SPLIT: &str = "train";
/// The stages that the paper's tables are about.
const TRAIN: &str = "train-cam";
const EXTRACT: &str = "extract-msinf-cam";

/// One scored experiment.
pub(super) struct Run {
    /// Name of the experiment, without a seed.
    pub experiment: String,
    /// Is it the main one?
    pub main: bool,
    /// Seed of the training.
    pub seed: u64,
    /// Parameters of train-cam that have an effect.
    pub train: Value,
    /// Its images, and where its network came from, as [`origin`] tells it.
    pub origin: Value,
    /// Parameters of extract-msinf-cam.
    pub extract: Value,
    /// What of it was scored on the training images.
    pub scores: Vec<ScoreRow>,
}

impl Run {
    /// Threshold of the region masks in training, where there are any.
    pub fn threshold(&self) -> Option<f64> {
        self.train.pointer("/rcm/threshold")?.as_f64()
    }

    /// Scales of the CAMs.
    pub fn scales(&self) -> Vec<f64> {
        let scales = self.extract.get("scales").and_then(Value::as_array);
        scales.into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    /// The score of `cam` or `cam+crf`.
    pub fn score(&self, stage: &str) -> Option<&ScoreRow> {
        self.scores.iter().find(|score| score.stage == stage)
    }
}

/// The runs of a store, each set of CAMs once, in the order of the experiments.
pub(super) fn of(holdings: &Holdings) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut seen = BTreeSet::new();
    let order = holdings.experiments();
    let mut scored: Vec<_> = holdings.of_table(ScoreRow::TABLE).map(|(held, _)| held).collect();
    scored.sort_by_key(|held| order.iter().position(|name| *name == held.experiment));
    for held in scored {
        let input = |of: &Artifact, stage| holdings.input(of.record(), stage, &held.experiment);
        let Some(cams) = input(&held.artifact, EXTRACT)? else { continue };
        let Some(trained) = input(&cams, TRAIN)? else { continue };
        let (cams, made) = (cams.record(), trained.record());
        if seen.insert(cams.key.clone()) {
            runs.push(Run {
                experiment: variant_of(&held.experiment).0.to_owned(),
                main: held.main,
                seed: made.preimage.seed.unwrap_or_default(),
                train: made.preimage.params.clone(),
                origin: origin(&trained)?,
                extract: cams.preimage.params.clone(),
                scores: rows_of::<ScoreRow>(held)?.into_iter().filter(|row| row.split == SPLIT).collect(),
            });
        }
    }
    Ok(runs)
}

/// The images of a training and of those from whose networks it went on, and the parameters of these: equal for the
/// seeds of an experiment.
fn origin(trained: &Artifact) -> Result<Value> {
    let (ancestors, gone) = trained.ancestors()?;
    let images = |artifact: &Artifact| artifact.record().preimage.inputs.get("prepare-data").cloned();
    let start = |artifact: &Artifact| json!({"train": artifact.record().preimage.params, "images": images(artifact)});
    Ok(json!({"images": images(trained), "from": ancestors.iter().map(start).collect::<Vec<_>>(), "gone": gone}))
}
