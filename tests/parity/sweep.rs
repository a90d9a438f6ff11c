//! The threshold sweep in one pass, against a matrix for every threshold.

use artifact::ClassId;
use data::confusion::{ConfusionMatrix, SweepHistogram, best};

use crate::golden::Golden;

const CLASSES: usize = 6;
const IMAGES: usize = 6;

struct Image {
    labels: Vec<f32>,
    cams: Vec<Vec<f32>>,
    ground_truth: Vec<u8>,
}

impl Image {
    fn read(golden: &Golden, index: usize) -> Self {
        let cam = golden.get(&format!("cam.{index}"));
        let map = |class: i64| Vec::try_from(cam.get(class).contiguous().view(-1)).unwrap();
        Self {
            labels: Vec::try_from(golden.get(&format!("labels.{index}"))).unwrap(),
            cams: (0..CLASSES as i64 - 1).map(map).collect(),
            ground_truth: Vec::try_from(golden.get(&format!("gt.{index}")).contiguous().view(-1)).unwrap(),
        }
    }

    /// The maps of the classes that the image shows; the others are zero.
    fn present(&self) -> Vec<(ClassId, &[f32])> {
        let shown = self.cams.iter().enumerate().filter(|(class, _)| self.labels[*class] > 0.0);
        shown.map(|(class, map)| (ClassId::from_foreground(class), map.as_slice())).collect()
    }
}

fn thresholds() -> Vec<f32> {
    (0..60).map(|i| (f64::from(i) / 100.0) as f32).collect()
}

fn histogram(images: &[Image]) -> SweepHistogram {
    let mut histogram = SweepHistogram::new(CLASSES, &thresholds());
    for image in images {
        histogram.add(&image.present(), &image.ground_truth);
    }
    histogram
}

fn images(golden: &Golden) -> Vec<Image> {
    (0..IMAGES).map(|i| Image::read(golden, i)).collect()
}

#[test]
fn every_thresholds_matrix_is_exact() {
    let golden = Golden::open("threshold_sweep.safetensors");
    let histogram = histogram(&images(&golden));
    let close = |found: f64, name: &str, at: &[i64]| {
        let expected = golden.get(name).double_value(at);
        assert!((found - expected).abs() < 1e-9, "{name} at {at:?}: {found}, expected {expected}");
    };
    for t in 0..60 {
        let matrix = histogram.confusion(t);
        let expected: Vec<i64> = Vec::try_from(golden.get("confusion").get(t as i64).contiguous().view(-1)).unwrap();
        assert_eq!(matrix.counts.iter().map(|&n| n as i64).collect::<Vec<_>>(), expected, "threshold {t}");
        close(matrix.miou(), "miou", &[t as i64]);
        for class in 0..CLASSES {
            let at = [t as i64, class as i64];
            close(matrix.iou(class), "iou", &at);
            close(matrix.precision(class), "precision", &at);
            close(matrix.recall(class), "recall", &at);
        }
    }
}

#[test]
fn the_best_threshold_has_the_largest_miou_and_is_the_lowest_of_equals() {
    let golden = Golden::open("threshold_sweep.safetensors");
    let matrices = histogram(&images(&golden)).matrices();
    assert_eq!(matrices.len(), 60);
    let expected = golden.get("miou").argmax(0, false).int64_value(&[]);
    assert_eq!(best(&matrices) as i64, expected);
    let of = |hits: usize| ConfusionMatrix::of(2, &[0, 1, 1, 0], &[[0, 0, 0, 0], [0, 1, 1, 0]][hits]);
    assert_eq!(best(&[of(0), of(1), of(1), of(0)]), 1);
    assert_eq!(best(&[of(1), of(1)]), 0);
}

#[test]
fn parts_merge_to_the_whole() {
    let images = images(&Golden::open("threshold_sweep.safetensors"));
    let whole = histogram(&images);
    let mut merged = histogram(&images[..2]);
    merged.merge(&histogram(&images[2..]));
    assert_eq!(merged, whole);
    let mut stored = SweepHistogram::new(CLASSES, &thresholds());
    whole.cells().for_each(|cell| stored.add_cell(cell));
    assert_eq!(stored, whole);
}

#[test]
fn stored_maps_are_compared_as_their_values() {
    let golden = Golden::open("threshold_sweep.safetensors");
    let mut from_bytes = SweepHistogram::new(CLASSES, &thresholds());
    let mut from_floats = from_bytes.clone();
    for image in images(&golden) {
        let bytes: Vec<(ClassId, Vec<u8>)> = image
            .present()
            .iter()
            .map(|(class, map)| (*class, map.iter().map(|v| (v * 255.0).round() as u8).collect()))
            .collect();
        let floats: Vec<(ClassId, Vec<f32>)> =
            bytes.iter().map(|(class, map)| (*class, map.iter().map(|&v| f32::from(v) / 255.0).collect())).collect();
        let bytes: Vec<_> = bytes.iter().map(|(class, map)| (*class, map.as_slice())).collect();
        let floats: Vec<_> = floats.iter().map(|(class, map)| (*class, map.as_slice())).collect();
        from_bytes.add_u8(&bytes, &image.ground_truth);
        from_floats.add(&floats, &image.ground_truth);
    }
    assert_eq!(from_bytes, from_floats);
}

#[test]
fn ties_go_to_the_lowest_class_and_thresholds_are_exceeded() {
    let mut histogram = SweepHistogram::new(3, &[0.2, 0.5]);
    let (two, one) = ([0.5, 0.2, 0.9_f32], [0.5, 0.1, 0.9_f32]);
    histogram.add(&[(ClassId(2), &two), (ClassId(1), &one)], &[1, 2, 255]);
    assert_eq!(histogram.confusion(0).counts, [0, 0, 0, 0, 1, 0, 1, 0, 0], "0.5 of class 1 exceeds 0.2, 0.2 does not");
    assert_eq!(histogram.confusion(1).counts, [0, 0, 0, 1, 0, 0, 1, 0, 0], "0.5 does not exceed 0.5");
}

#[test]
fn a_matrix_counts_what_it_says() {
    let mut matrix = ConfusionMatrix::new(2);
    matrix.add(&[0, 0, 1, 1, 1, 255], &[0, 1, 1, 1, 0, 1]);
    assert_eq!((matrix.tp(1), matrix.fp(1), matrix.fn_(1)), (2, 1, 1));
    assert!((matrix.iou(1) - 0.5).abs() < 1e-9);
    assert!((matrix.mean_recall() - f64::midpoint(0.5, 2.0 / 3.0)).abs() < 1e-9);
    assert!((matrix.mean_precision() - f64::midpoint(0.5, 2.0 / 3.0)).abs() < 1e-9);
    let doubled = {
        let mut sum = matrix.clone();
        sum.merge(&matrix);
        sum
    };
    assert_eq!(doubled.tp(0), 2 * matrix.tp(0));
}
