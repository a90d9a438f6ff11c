//! Every table of the store, declared once: a row struct, from which schema, reader, writer and digest come.
//!
//! | table | written by | one row per |
//! |---|---|---|
//! | `dataset` | prepare-data | image |
//! | `mask` | prepare-data | image that has ground truth |
//! | `curve` | train-cam, train-affinity, train-deeplab | step and loss term |
//! | `cam` | extract-msinf-cam | image and class of its label |
//! | `crf` | train-affinity | image, background alpha, and class of its label or background |
//! | `sweep`, `histogram` | threshold-sweep | split, threshold and class; split, ground truth, winner and bin |
//! | `label` | random-walk, evaluate (what it predicts itself) | image and source |
//! | `score`, `class_score`, `confusion` | evaluate | scored thing; and class; and image |
//! | `bench` | `make bench` | thing measured beside a peer |
//! | `growth` | `make bench-growth` | stage and size of its input |

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema, SchemaRef};

use super::{Cells, Row, column_name, sentences};
use crate::cell::Cell;
use crate::{ClassId, ImageId};

table! {
    /// An image with all that training may know of it.
    DatasetRow = "dataset" v 2, 16 rows a group, files in image, by image_id {
        /// Name of the image.
        image_id: ImageId,
        /// The lists it is in, such as `train`, `train_aug`, `val`.
        splits: Vec<String>,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Foreground classes present (image-level label), ascending.
        labels: Vec<ClassId>,
        /// The photograph as found: JPEG or PNG.
        image: Vec<u8>,
    }
}

table! {
    /// The ground truth of an image: threshold-sweep and evaluate read it, training never does.
    MaskRow = "mask" v 1, 16 rows a group, files in mask, by image_id {
        /// Name of the image.
        image_id: ImageId,
        /// Classes as palette PNG of the image's size, 255 = void.
        mask: Vec<u8>,
    }
}

table! {
    /// One value of a training run.
    CurveRow = "curve" v 1, 65536 rows a group, by step name {
        /// Optimiser step, from 1.
        step: u64,
        /// Epoch, from 1.
        epoch: u32,
        /// Loss term (`loss`, `cls`, `rcm`, `mam` …) or `lr`.
        name: String,
        /// Its value.
        value: f64,
    }
}

table! {
    /// The class activation map of one class of an image's label, normalised to \[0, 1\] over the image.
    CamRow = "cam" v 1, 16 rows a group, by image_id class_id {
        /// Name of the image.
        image_id: ImageId,
        /// Class, 1 … K.
        class_id: ClassId,
        /// Name of the class.
        class: String,
        /// Height in pixels, that of the image.
        height: u32,
        /// Width in pixels, that of the image.
        width: u32,
        /// Scales that were summed, as in `0.5,1,1.5,2 x flip`.
        scales: String,
        /// Maximum of the summed map before it was divided by it.
        raw_max: f32,
        /// Mean of the normalised map.
        mean: f32,
        /// Share of the pixels above 0.5.
        area: f32,
        /// The map, row-major: u8 (value / 255), u8 less what lies left and above, or little-endian f16, by the file's
        /// metadata `camflow.encoding`.
        cam: Vec<u8>,
    }
}

table! {
    /// What the CRF makes of a class's score: from these AffinityNet's labels are read.
    CrfRow = "crf" v 1, 16 rows a group, by image_id alpha class_id {
        /// Name of the image.
        image_id: ImageId,
        /// Background score is (1 - max CAM)^alpha: `low` or `high` of train-affinity's alphas.
        alpha: String,
        /// Class, 0 … K.
        class_id: ClassId,
        /// Height in pixels, that of the image.
        height: u32,
        /// Width in pixels, that of the image.
        width: u32,
        /// The score, row-major, u8 (value / 255).
        score: Vec<u8>,
    }
}

table! {
    /// Scores of one class at one threshold.
    SweepRow = "sweep" v 2, 65536 rows a group, by split threshold class_id {
        /// Split whose ground truth the CAMs are compared with.
        split: String,
        /// A foreground class wins a pixel iff its CAM is above this.
        threshold: f64,
        /// Class, 0 … K.
        class_id: ClassId,
        /// Name of the class.
        class: String,
        /// Pixels of the class found.
        tp: u64,
        /// Pixels taken for the class wrongly.
        fp: u64,
        /// Pixels of the class missed.
        r#fn: u64,
        /// tp / (tp + fp + fn).
        iou: f64,
        /// tp / (tp + fp).
        precision: f64,
        /// tp / (tp + fn).
        recall: f64,
        /// Mean intersection over union of all classes at this threshold.
        miou: f64,
        /// The threshold that later stages use.
        chosen: bool,
        /// Was the choice made by looking at ground truth?
        chosen_on_ground_truth: bool,
    }
}

table! {
    /// The counts from which every threshold's confusion is a suffix sum.
    HistogramRow = "histogram" v 2, 65536 rows a group, by split ground_truth winner bin {
        /// Split that is counted.
        split: String,
        /// Class of the ground truth, 0 … K.
        ground_truth: ClassId,
        /// Foreground class with the largest CAM; 0 where no class is above any threshold.
        winner: ClassId,
        /// Number of thresholds below the winning CAM.
        bin: u32,
        /// Pixels.
        pixels: u64,
    }
}

table! {
    /// A class for every pixel of an image.
    LabelRow = "label" v 1, 16 rows a group, by image_id source {
        /// Name of the image.
        image_id: ImageId,
        /// Height in pixels, that of the image.
        height: u32,
        /// Width in pixels, that of the image.
        width: u32,
        /// What made it: the stage, such as random-walk; or evaluate: cam+crf, train-deeplab, train-deeplab+crf.
        source: String,
        /// Classes, row-major, one byte a pixel, 255 = ignore.
        label: Vec<u8>,
    }
}

table! {
    /// What one image adds to one class: any subset's mIoU is a group-by of these.
    ConfusionRow = "confusion" v 1, 65536 rows a group, by stage split image_id class_id {
        /// Experiment of the manifest.
        experiment: String,
        /// What is scored: cam, cam+crf, or the `source` of labels, such as random-walk and train-deeplab+crf.
        stage: String,
        /// Split it is scored on.
        split: String,
        /// Name of the image.
        image_id: ImageId,
        /// Class, 0 … K.
        class_id: ClassId,
        /// Name of the class.
        class: String,
        /// Pixels of the class found.
        tp: u64,
        /// Pixels taken for the class wrongly.
        fp: u64,
        /// Pixels of the class missed.
        r#fn: u64,
    }
}

table! {
    /// One class of one line of the score table.
    ClassScoreRow = "class_score" v 1, 65536 rows a group, by stage split class_id {
        /// Experiment of the manifest.
        experiment: String,
        /// What is scored: cam, cam+crf, or the `source` of labels, such as random-walk and train-deeplab+crf.
        stage: String,
        /// Split it is scored on.
        split: String,
        /// Class, 0 … K.
        class_id: ClassId,
        /// Name of the class.
        class: String,
        /// tp / (tp + fp + fn).
        iou: f64,
        /// tp / (tp + fp).
        precision: f64,
        /// tp / (tp + fn).
        recall: f64,
    }
}

table! {
    /// The numbers that a paper's table shows.
    ScoreRow = "score" v 2, 65536 rows a group, by stage split {
        /// Experiment of the manifest.
        experiment: String,
        /// What is scored: cam, cam+crf, or the `source` of labels, such as random-walk and train-deeplab+crf.
        stage: String,
        /// Split it is scored on.
        split: String,
        /// Images scored.
        images: u64,
        /// Mean intersection over union of the background and all classes.
        miou: f64,
        /// Class-averaged precision.
        precision: f64,
        /// Class-averaged recall.
        recall: f64,
        /// Threshold of the CAMs; null where there is none.
        threshold: Option<f64>,
        /// Was anything of this row chosen by looking at ground truth?
        chosen_on_ground_truth: bool,
        /// What was, as in `threshold (train); random-walk.alpha`; empty if nothing.
        chosen: String,
        /// Seed of the pipeline.
        seed: u64,
        /// Key of the artifact that was scored.
        key: String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> DatasetRow {
        DatasetRow {
            image_id: ImageId::new("2007_000032").unwrap(),
            splits: vec!["train".into(), "train_aug".into()],
            width: 3,
            height: 2,
            labels: vec![ClassId(1), ClassId(15)],
            image: vec![1, 2, 3],
        }
    }

    #[test]
    fn a_row_comes_back_from_its_batch() {
        let rows = [row(), DatasetRow { labels: vec![], image: vec![9], ..row() }];
        let batch = DatasetRow::batch(&rows);
        assert_eq!([0, 1].map(|i| DatasetRow::from_batch(&batch, i)), rows);
    }

    #[test]
    fn every_value_counts_in_the_digest() {
        let changed = [
            DatasetRow { image: vec![], ..row() },
            DatasetRow { width: 4, ..row() },
            DatasetRow { splits: vec!["traintrain_aug".into()], ..row() },
            DatasetRow { labels: vec![ClassId(15)], ..row() },
        ];
        for other in changed {
            assert_ne!(row().digest(), other.digest(), "{other:?}");
        }
    }
}

table! {
    /// What this program takes for something, beside what a peer takes for the same in the same run.
    BenchRow = "bench" v 1, 65536 rows a group, by what setting {
        /// The benchmark that measured it, as `make bench ONLY=…` takes it.
        benchmark: String,
        /// What was measured.
        what: String,
        /// Sizes, and whatever else decides the number.
        setting: String,
        /// Unit of `ours` and `theirs`: s, ms, MB, bytes/pixel, GFLOP/s.
        unit: String,
        /// What this program takes: of times the best of several runs.
        ours: f64,
        /// Who is measured beside it.
        peer: String,
        /// What the peer takes; null where it is not there.
        theirs: Option<f64>,
        /// How many times better this program is; null where the peer is not there.
        ratio: Option<f64>,
        /// The least ratio that is wanted; null where it is only shown.
        wanted: Option<f64>,
        /// Largest difference between the two answers; null where there is nothing to compare.
        difference: Option<f64>,
        /// The largest difference that is allowed: above it `make bench` fails.
        allowed: Option<f64>,
        /// Why there is no number of the peer; empty if there is one.
        missing: String,
        /// Model of the CPU.
        machine: String,
        /// Cores that the machine has.
        cores: u32,
        /// Threads that each side may use.
        threads: u32,
        /// Commit of this program, with a `+` where files had changed since.
        commit: String,
        /// When it was measured, RFC 3339, UTC.
        time: String,
    }
}

table! {
    /// What a stage costs on an input of some size.
    GrowthRow = "growth" v 1, 65536 rows a group, by axis size stage {
        /// What of the input grows: images, classes, or the side of its pictures.
        axis: String,
        /// How many images or classes, or pixels a side.
        size: u64,
        /// The stage; plan and status are questions to the runner.
        stage: String,
        /// Time of the whole process, in seconds.
        seconds: f64,
        /// Its largest resident memory, in units of 10^6 bytes.
        megabytes: f64,
        /// Model of the CPU.
        machine: String,
        /// Commit of this program, with a `+` where files had changed since.
        commit: String,
        /// When it was measured, RFC 3339, UTC.
        time: String,
    }
}
