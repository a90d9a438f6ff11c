//! Every scored experiment with what made its CAMs, reached from the scores through the inputs of each artifact.

use std::collections::BTreeSet;

use artifact::table::ScoreRow;
use artifact::{Artifact, Result};
use serde_json::{Value, json};

use crate::catalog::{Catalog, Source, title_of};

/// The split on which the paper scores CAMs.
const SPLIT: &str = "train";

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
    /// What was scored on the training images.
    pub scores: Vec<ScoreRow>,
}

impl Run {
    /// Row of Table 1.
    pub fn variant(&self) -> &str {
        self.train.get("variant").and_then(Value::as_str).unwrap_or_default()
    }

    /// `rcm.supervision` and `support.update`, where they have an effect.
    pub fn is(&self, table: &str, param: &str, value: &str) -> bool {
        self.train.get(table).and_then(|table| table.get(param)).and_then(Value::as_str) == Some(value)
    }

    /// Threshold of the region masks in training, where there are any.
    pub fn threshold(&self) -> Option<f64> {
        self.train.get("rcm")?.get("threshold")?.as_f64()
    }

    /// Scales of the CAMs.
    pub fn scales(&self) -> Vec<f64> {
        let scales = self.extract.get("scales").and_then(Value::as_array);
        scales.into_iter().flatten().filter_map(Value::as_f64).collect()
    }

    /// The scores of `cam` or `cam+crf`.
    pub fn score(&self, stage: &str) -> Option<&ScoreRow> {
        self.scores.iter().find(|score| score.stage == stage)
    }
}

/// The runs of a store, each set of CAMs once, in the order of the experiments.
pub(super) fn of(catalog: &Catalog) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut seen = BTreeSet::new();
    let order = catalog.experiments();
    let mut sources: Vec<_> = catalog.sources_of("score").map(|(source, _)| source).collect();
    sources.sort_by_key(|source| order.iter().position(|name| *name == source.experiment));
    for source in sources {
        let Some(cams) = input(catalog, source, &source.artifact, "extract-msinf-cam")? else { continue };
        let Some(trained) = input(catalog, source, &cams, "train-cam")? else { continue };
        let (cams, made) = (cams.record(), trained.record());
        if seen.insert(cams.key.clone()) {
            runs.push(Run {
                experiment: title_of(&source.experiment).to_owned(),
                main: source.main,
                seed: made.preimage.seed.unwrap_or_default(),
                train: made.preimage.params.clone(),
                origin: origin(&trained)?,
                extract: cams.preimage.params.clone(),
                scores: scores(source)?,
            });
        }
    }
    Ok(runs)
}

/// The images of a training and of those from whose networks it went on, and the parameters of these: equal for the seeds
/// of an experiment.
fn origin(trained: &Artifact) -> Result<Value> {
    let (ancestors, gone) = trained.ancestors()?;
    let images = |artifact: &Artifact| artifact.record().preimage.inputs.get("prepare-data").cloned();
    let start = |artifact: &Artifact| json!({"train": artifact.record().preimage.params, "images": images(artifact)});
    Ok(json!({"images": images(trained), "from": ancestors.iter().map(start).collect::<Vec<_>>(), "gone": gone}))
}

/// The artifact that `artifact` has read of a stage.
fn input(catalog: &Catalog, of: &Source, artifact: &Artifact, stage: &str) -> Result<Option<Artifact>> {
    match artifact.record().preimage.inputs.get(stage) {
        Some(digest) => catalog.with_content(stage, digest, &of.experiment),
        None => Ok(None),
    }
}

/// The few rows of an evaluation on the paper's split.
fn scores(source: &Source) -> Result<Vec<ScoreRow>> {
    let rows = source.artifact.rows::<ScoreRow>(&[])?;
    rows.filter(|row| row.as_ref().map_or(true, |row| row.split == SPLIT)).collect()
}
