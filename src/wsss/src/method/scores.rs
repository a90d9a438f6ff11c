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
