//! CAMs with their background through the CRF: what train-affinity and evaluate share.

use artifact::table::DatasetRow;
use artifact::{ClassId, Result};
use data::cams::Cams;
use data::dataset::photograph;
use tch::Tensor;

use crate::method::cam::background;
use crate::method::crf::{CrfParams, DenseCrf};

/// Scores of the background and the classes of an image's label.
#[derive(Debug)]
pub struct CamScores {
    /// The background, then the label's classes, ascending.
    pub classes: Vec<ClassId>,
    /// `[C, H, W]`, row-major, of 0..1.
    pub scores: Vec<f32>,
}

impl CamScores {
    /// The CAMs of an image, after a background of (1 - max CAM)^alpha. An image without any class is background all
    /// over.
    pub fn new(cams: &Cams, image: &DatasetRow, alpha: f64) -> Self {
        let set = cams.of(image);
        let maps: Vec<f32> = set.maps.iter().flat_map(|(_, encoded)| cams.encoding.decode(encoded)).collect();
        let mut scores = if set.maps.is_empty() {
            vec![1.0; set.height * set.width]
        } else {
            let maps = Tensor::from_slice(&maps).view([1, -1, set.height as i64, set.width as i64]);
            Vec::try_from(&background(&maps, alpha).view(-1)).expect("a vector of f32")
        };
        scores.extend(maps);
        let classes = std::iter::once(ClassId::BACKGROUND).chain(set.maps.iter().map(|(class, _)| *class)).collect();
        Self { classes, scores }
    }
}

/// [`CamScores`] for each of `alphas` through one image's CRF, whose kernels are computed once. No iterations: the
/// scores as they are, and the photograph is not even decoded.
pub fn cam_crf<const N: usize>(
    cams: &Cams,
    image: &DatasetRow,
    alphas: [f64; N],
    params: &CrfParams,
) -> Result<[CamScores; N]> {
    let raw = alphas.map(|alpha| CamScores::new(cams, image, alpha));
    if params.iterations == 0 {
        return Ok(raw);
    }
    let crf = DenseCrf::new(&photograph(image)?, params);
    Ok(raw.map(|raw| CamScores { scores: crf.infer(&raw.scores, params.iterations), ..raw }))
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
