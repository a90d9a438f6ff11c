//! What the evaluations of a store tell: each scored thing with its interval, and what was found in every image.
//!
//! Reads the tables `score` and `confusion`. An interval is given only where the confusions of the images add up to the
//! score that stands in the store.

use std::collections::BTreeMap;

use artifact::table::{ClassScoreRow, ConfusionRow, ScoreRow, declarations};
use artifact::{Result, Row as _};

use super::experiments::Experiments;
use super::order::Order;
use crate::bootstrap::{Counts, Interval, Tally, mean};
use crate::holdings::{Holding, Holdings};
use crate::paper::Sample;
use crate::tables::rows_of;

/// How far a score may be from the sum of its images, which is a rounding error.
pub(super) const ROUNDING: f64 = 1e-6;

/// What was found in one image, by class.
pub(super) type ByClass = BTreeMap<u8, Counts>;

/// One line of the score table.
pub(super) struct Line {
    /// The line.
    pub score: ScoreRow,
    /// The experiment, with its seed, under whose name the evaluation was found.
    pub found_under: String,
    /// Its images.
    tally: Tally,
    /// The mIoU of every resample of the images; none if the images do not add up to the score.
    resamples: Vec<f64>,
}

impl Line {
    /// Where the mIoU lies, as far as the images tell.
    pub fn interval(&self) -> Option<Interval> {
        Interval::of(self.resamples.clone())
    }

    /// The images that were scored.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.tally.images.keys().map(String::as_str)
    }

    /// What was found in an image.
    pub fn image(&self, id: &str) -> Option<&ByClass> {
        self.tally.images.get(id)
    }
}

/// The lines, by what was scored, on which split, and of which experiment.
pub(super) struct Scored {
    lines: Vec<Line>,
}

impl Scored {
    pub fn of(holdings: &Holdings, order: &Order, experiments: &Experiments) -> Result<Self> {
        let mut lines = Vec::new();
        for table in declarations().iter().filter(|table| table.name == ScoreRow::TABLE) {
            for (held, _) in holdings.making_up(table) {
                let mut tallies = tallies(held)?;
                lines.extend(rows_of::<ScoreRow>(held)?.into_iter().map(|score| {
                    let tally = tallies.remove(&(score.stage.clone(), score.split.clone())).unwrap_or_default();
                    let agrees = (tally.miou() - score.miou).abs() < ROUNDING;
                    let resamples = if agrees { tally.resampled() } else { Vec::new() };
                    Line { score, found_under: held.experiment.clone(), tally, resamples }
                }));
            }
        }
        lines.sort_by_cached_key(|line| {
            let score = &line.score;
            let experiment = experiments.rank(&score.experiment);
            (order.scored(&score.stage), score.stage.clone(), score.split.clone(), experiment, score.seed)
        });
        Ok(Self { lines })
    }

    /// The lines of each thing scored on a split.
    pub fn blocks(&self) -> impl DoubleEndedIterator<Item = Block<'_>> {
        let same = |a: &Line, b: &Line| a.score.stage == b.score.stage && a.score.split == b.score.split;
        self.lines.chunk_by(same).map(|lines| Block { lines })
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// The mean IoU of an image over the classes that it has or is said to have, of the last thing that an experiment
    /// made of it.
    pub fn quality(&self, experiment: &str, id: &str) -> Option<f64> {
        let mut blocks = self.blocks().rev();
        let image = blocks.find_map(|block| block.of(experiment).first()?.image(id))?;
        let ious: Vec<f64> = image.values().filter_map(|counts| counts.iou()).collect();
        (!ious.is_empty()).then(|| ious.iter().sum::<f64>() / ious.len() as f64)
    }

    /// What was found in an image of what an experiment, named with its seed, made.
    pub fn image(&self, found_under: &str, stage: &str, id: &str) -> Option<&ByClass> {
        let mut lines = self.lines.iter().filter(|line| line.found_under == found_under && line.score.stage == stage);
        lines.find_map(|line| line.image(id))
    }
}

/// The images of everything that an evaluation scored, by stage and split.
fn tallies(held: &Holding) -> Result<BTreeMap<(String, String), Tally>> {
    let mut tallies: BTreeMap<(String, String), Tally> = BTreeMap::new();
    for ClassScoreRow { stage, split, class_id, .. } in rows_of(held)? {
        let tally = tallies.entry((stage, split)).or_default();
        tally.classes = tally.classes.max(class_id.0 as usize + 1);
    }
    for row in rows_of::<ConfusionRow>(held)? {
        let tally = tallies.entry((row.stage.clone(), row.split.clone())).or_default();
        tally.classes = tally.classes.max(row.class_id.0 as usize + 1);
        let image = tally.images.entry(row.image_id.as_str().to_owned()).or_default();
        image.insert(row.class_id.0, Counts::of(&row));
    }
    Ok(tallies)
}

/// The lines of one thing on one split, those of an experiment side by side.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    pub lines: &'a [Line],
}

/// The mIoU of an experiment, over its seeds.
pub(super) struct Miou {
    pub mean: f64,
    /// The deviation of one seed from another (with n - 1), where there are several.
    pub deviation: Option<f64>,
    /// Number of seeds.
    pub seeds: usize,
    /// Over the images.
    pub interval: Option<Interval>,
}

/// How much larger the mIoU of one experiment is than that of another, on the same images.
pub(super) struct Gain {
    pub by: f64,
    pub interval: Option<Interval>,
}

impl<'a> Block<'a> {
    pub fn stage(&self) -> &'a str {
        &self.lines[0].score.stage
    }

    pub fn split(&self) -> &'a str {
        &self.lines[0].score.split
    }

    /// The lines of an experiment, one a seed.
    pub fn of(&self, experiment: &str) -> Vec<&'a Line> {
        self.lines.iter().filter(|line| line.score.experiment == experiment).collect()
    }

    /// The mIoU of an experiment; `None` where it was not scored.
    pub fn miou(&self, experiment: &str) -> Option<Miou> {
        let lines = self.of(experiment);
        let sample = Sample { values: lines.iter().map(|line| line.score.miou).collect(), ..Sample::default() };
        (!lines.is_empty()).then(|| Miou {
            mean: sample.mean(),
            deviation: sample.deviation(),
            seeds: lines.len(),
            interval: Interval::of(resamples(&lines)),
        })
    }

    /// The experiment with the largest mIoU, the last of equals.
    pub fn best(&self) -> &'a str {
        let miou = |name: &str| self.miou(name).map_or(f64::NEG_INFINITY, |miou| miou.mean);
        let names = self.lines.iter().map(|line| line.score.experiment.as_str());
        names.max_by(|a, b| miou(a).total_cmp(&miou(b))).unwrap_or_default()
    }

    /// How many experiments there are.
    pub fn experiments(&self) -> usize {
        self.lines.chunk_by(|a, b| a.score.experiment == b.score.experiment).count()
    }

    /// What an experiment gains over another one; `None` where one of them was not scored, or both share the artifact
    /// that was.
    pub fn gain(&self, experiment: &str, over: &str) -> Option<Gain> {
        let (own, others) = (self.of(experiment), self.of(over));
        if own.iter().any(|line| others.iter().any(|other| other.score.key == line.score.key)) {
            return None;
        }
        let by = self.miou(experiment)?.mean - self.miou(over)?.mean;
        let first = own.first()?;
        let paired = own.iter().chain(&others).all(|line| line.tally.same_images(&first.tally));
        let differences = resamples(&own).into_iter().zip(resamples(&others)).map(|(own, other)| own - other);
        Some(Gain { by, interval: Interval::of(differences.collect()).filter(|_| paired) })
    }
}

/// The mean over the seeds in each resample; none if a seed has none, or other images.
fn resamples(lines: &[&Line]) -> Vec<f64> {
    let alike = |line: &&Line| !line.resamples.is_empty() && line.tally.same_images(&lines[0].tally);
    if !lines.iter().all(alike) {
        return Vec::new();
    }
    mean(&lines.iter().map(|line| line.resamples.clone()).collect::<Vec<_>>())
}
