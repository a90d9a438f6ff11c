//! Scores of the background and of an image's classes, and the class that wins a pixel.

use artifact::ClassId;
use tch::Tensor;

use super::cam::background;
use crate::tensor::floats;

/// Scores of the background and of the classes of an image's label.
#[derive(Clone, Debug, PartialEq)]
pub struct CamScores {
    /// The background, then the label's classes, ascending.
    pub classes: Vec<ClassId>,
    /// `[C, H, W]`, row-major, of 0..1.
    pub scores: Vec<f32>,
}

impl CamScores {
    /// The CAMs of an image after a background of (1 - max CAM)^alpha (METHOD.md, section 5). An image without any
    /// class is background all over.
    ///
    /// # Shapes
    /// `cams`: a class and its `[H, W]` each, ascending by class; `pixels` is H W.
    pub fn new(cams: &[(ClassId, Vec<f32>)], pixels: usize, alpha: f64) -> Self {
        let maps: Vec<f32> = cams.iter().flat_map(|(_, map)| map.iter().copied()).collect();
        let mut scores = if cams.is_empty() {
            vec![1.0; pixels]
        } else {
            let maps = Tensor::from_slice(&maps).view([1, cams.len() as i64, 1, pixels as i64]); // [1, K, 1, H W]
            floats(&background(&maps, alpha))
        };
        scores.extend(maps);
        let classes = std::iter::once(ClassId::BACKGROUND).chain(cams.iter().map(|(class, _)| *class)).collect();
        Self { classes, scores }
    }
}

/// For every pixel the class of its largest score; ties go to the class that comes first.
///
/// # Shapes
/// `scores [C, H, W]`, row-major, of `classes [C]`; to `[H, W]`.
pub fn winners(classes: &[ClassId], scores: &[f32]) -> Vec<u8> {
    let pixels = scores.len() / classes.len();
    let (mut labels, mut best) = (vec![classes[0].0; pixels], scores[..pixels].to_vec());
    for (class, map) in classes.iter().zip(scores.chunks_exact(pixels)).skip(1) {
        for ((label, best), score) in labels.iter_mut().zip(&mut best).zip(map) {
            if score > best {
                (*label, *best) = (class.0, *score);
            }
        }
    }
    labels
}

/// [`winners`] of scores interpolated to a larger size, as [`super::cam::upsample`] does it, row by row: the scores
/// themselves would take hundreds of megabytes for a picture of a telephone.
///
/// # Shapes
/// `scores [C, h, w]`, row-major, of `classes [C]` and `from` = [h, w]; to `[H, W]`.
pub fn winners_at(classes: &[ClassId], scores: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    if from == to {
        return winners(classes, scores);
    }
    let [rows, columns] = [0, 1].map(|axis| parents(from[axis], to[axis]));
    let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
    let (mut labels, mut row) = (Vec::with_capacity(to[0] * to[1]), vec![0.0; from[1]]);
    for upper in rows {
        let start = labels.len();
        labels.resize(start + to[1], classes[0].0);
        let mut best = vec![f32::NEG_INFINITY; to[1]];
        for (class, map) in classes.iter().zip(scores.chunks_exact(from[0] * from[1])) {
            let line = |index: usize| &map[index * from[1]..][..from[1]];
            for ((value, a), b) in row.iter_mut().zip(line(upper.first)).zip(line(upper.second)) {
                *value = mix(*a, *b, upper.part);
            }
            for ((label, best), left) in labels[start..].iter_mut().zip(&mut best).zip(&columns) {
                let score = mix(row[left.first], row[left.second], left.part);
                if score > *best {
                    (*label, *best) = (class.0, score);
                }
            }
        }
    }
    labels
}

/// The two cells that a position lies between, and how near it is to the second.
struct Parents {
    first: usize,
    second: usize,
    part: f32,
}

/// For each of `to` positions, corners not aligned.
fn parents(from: usize, to: usize) -> Vec<Parents> {
    let position = |index: usize| (((index as f32 + 0.5) * (from as f32 / to as f32)) - 0.5).max(0.0);
    let between = |index: usize| {
        let first = (position(index) as usize).min(from - 1);
        Parents { first, second: (first + 1).min(from - 1), part: position(index) - first as f32 }
    };
    (0..to).map(between).collect()
}

#[cfg(test)]
mod tests {
    use tch::{Kind, Tensor};

    use super::*;
    use crate::method::cam::upsample;

    #[test]
    fn a_larger_size_has_the_winners_of_the_interpolated_scores() {
        tch::manual_seed(1);
        let classes = [0, 1, 2, 3].map(ClassId);
        for (from, to) in [([5, 7], [33, 20]), ([9, 4], [9, 40]), ([1, 1], [3, 2]), ([8, 8], [8, 8])] {
            let scores = Tensor::rand([1, 4, from[0], from[1]], (Kind::Float, tch::Device::Cpu));
            let large = upsample(&scores, to);
            let expected = winners(&classes, &floats(&large));
            let found =
                winners_at(&classes, &floats(&scores), from.map(|side| side as usize), to.map(|side| side as usize));
            let (best, _) = large.squeeze_dim(0).topk(2, 0, true, true); // [2, H, W]
            let clear = floats(&(best.get(0) - best.get(1)));
            assert_eq!(found.len(), expected.len());
            for ((found, expected), clear) in found.iter().zip(&expected).zip(clear) {
                assert!(found == expected || clear < 1e-5, "{from:?} to {to:?}: {found}, not {expected}, by {clear}");
            }
        }
    }
}
