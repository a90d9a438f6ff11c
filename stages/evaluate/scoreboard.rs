//! The tables of evaluate as they grow: one line a scored thing, its classes, its images.

use std::collections::BTreeMap;

use artifact::table::{ClassScoreRow, ConfusionRow, DatasetRow, ScoreRow};
use artifact::{Artifact, ClassId, Result};
use data::confusion::ConfusionMatrix;
use data::dataset::{Dataset, Masks};
use rayon::prelude::*;
use serde_json::{Value, json};

/// One line of the score table.
pub struct Line<'a> {
    /// What is scored.
    pub stage: &'a str,
    /// On which split.
    pub split: &'a str,
    /// What it came from.
    pub artifact: &'a Artifact,
    /// At which threshold.
    pub threshold: Option<f64>,
    /// What of it was chosen on ground truth.
    pub chosen: &'a str,
}

/// The tables as they grow.
pub struct Scoreboard<'a> {
    experiment: &'a str,
    seed: u64,
    dataset: &'a Dataset,
    masks: &'a Masks,
    /// The table `score`.
    pub scores: Vec<ScoreRow>,
    /// The table `class_score`.
    pub class_scores: Vec<ClassScoreRow>,
    /// The table `confusion`.
    pub confusions: Vec<ConfusionRow>,
    /// How many images of a split have no mask, where any has none.
    pub not_scored: BTreeMap<String, usize>,
    /// The scores by name, and what was not scored.
    pub metrics: BTreeMap<String, Value>,
}

impl<'a> Scoreboard<'a> {
    /// Empty tables of an experiment.
    pub fn new(experiment: &'a str, seed: u64, dataset: &'a Dataset, masks: &'a Masks) -> Self {
        let (scores, class_scores, confusions) = (Vec::new(), Vec::new(), Vec::new());
        let (not_scored, metrics) = (BTreeMap::new(), BTreeMap::new());
        Self { experiment, seed, dataset, masks, scores, class_scores, confusions, not_scored, metrics }
    }

    /// Number of classes, the background included.
    pub fn classes(&self) -> usize {
        self.dataset.classes.len() + 1
    }

    /// Scores every image of a split that has a mask, and counts the others; `matrix` compares one image with its
    /// ground truth.
    pub fn score(
        &mut self,
        line: &Line<'_>,
        matrix: impl Fn(&DatasetRow, &[u8]) -> Result<ConfusionMatrix> + Sync,
    ) -> Result<()> {
        let all = self.dataset.split(line.split)?;
        let images = self.masks.scorable(&all);
        if images.len() < all.len() {
            let count = all.len() - images.len();
            self.not_scored.insert(line.split.to_owned(), count);
            self.metrics.insert(format!("not_scored.{}", line.split), json!(count));
        }
        if images.is_empty() {
            return Ok(());
        }
        let matrices: Vec<_> = images
            .par_iter()
            .map(|image| {
                let truth = self.masks.truth(&image.image_id)?;
                matrix(image, &truth.classes)
            })
            .collect::<Result<_>>()?;
        let mut total = ConfusionMatrix::new(self.classes());
        for (image, matrix) in images.iter().zip(&matrices) {
            total.merge(matrix);
            self.add_image(line, image, matrix);
        }
        self.add_total(line, images.len(), &total);
        Ok(())
    }

    fn add_image(&mut self, line: &Line<'_>, image: &DatasetRow, matrix: &ConfusionMatrix) {
        for class in 0..self.classes() {
            let (tp, fp, r#fn) = (matrix.tp(class), matrix.fp(class), matrix.fn_(class));
            if tp + fp + r#fn > 0 {
                self.confusions.push(ConfusionRow {
                    experiment: self.experiment.to_owned(),
                    stage: line.stage.to_owned(),
                    split: line.split.to_owned(),
                    image_id: image.image_id.clone(),
                    class_id: ClassId(class as u8),
                    class: self.dataset.class_name(ClassId(class as u8)).to_owned(),
                    tp,
                    fp,
                    r#fn,
                });
            }
        }
    }

    fn add_total(&mut self, line: &Line<'_>, images: usize, total: &ConfusionMatrix) {
        for class in 0..self.classes() {
            self.class_scores.push(ClassScoreRow {
                experiment: self.experiment.to_owned(),
                stage: line.stage.to_owned(),
                split: line.split.to_owned(),
                class_id: ClassId(class as u8),
                class: self.dataset.class_name(ClassId(class as u8)).to_owned(),
                iou: total.iou(class),
                precision: total.precision(class),
                recall: total.recall(class),
            });
        }
        let score = ScoreRow {
            experiment: self.experiment.to_owned(),
            stage: line.stage.to_owned(),
            split: line.split.to_owned(),
            images: images as u64,
            miou: total.miou(),
            precision: total.mean_precision(),
            recall: total.mean_recall(),
            threshold: line.threshold,
            chosen_on_ground_truth: !line.chosen.is_empty(),
            chosen: line.chosen.to_owned(),
            seed: self.seed,
            key: line.artifact.record().key.as_str().to_owned(),
        };
        let name = format!("{}.{}", line.stage, line.split);
        for (metric, value) in [("miou", score.miou), ("precision", score.precision), ("recall", score.recall)] {
            self.metrics.insert(format!("{name}.{metric}"), json!(value));
        }
        self.scores.push(score);
    }
}
