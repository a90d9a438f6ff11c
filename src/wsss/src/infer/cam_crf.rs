//! Scores of an image's classes from the CAMs in memory, as they are or after the CRF: what random-walk,
//! train-affinity and evaluate share.

use artifact::Result;
use artifact::table::DatasetRow;
use data::dataset::Photographs;
use data::score_maps::ScoreMaps;

use super::CrfParams;
use crate::method::crf::DenseCrf;
use crate::method::scores::CamScores;

/// The CAMs of an image after a background for each of `alphas`.
pub fn cam_scores<const N: usize>(cams: &ScoreMaps, image: &DatasetRow, alphas: [f64; N]) -> Result<[CamScores; N]> {
    let maps = cams.values(image)?;
    let pixels = image.height as usize * image.width as usize;
    Ok(alphas.map(|alpha| CamScores::new(&maps, pixels, alpha)))
}

/// [`cam_scores`] through one image's CRF, whose kernels are computed once. Without iterations these are the scores as
/// they are, and the photograph is not even decoded.
pub fn cam_crf<const N: usize>(
    cams: &ScoreMaps,
    photographs: &Photographs,
    image: &DatasetRow,
    alphas: [f64; N],
    params: &CrfParams,
) -> Result<[CamScores; N]> {
    let raw = cam_scores(cams, image, alphas)?;
    let Some(options) = params.options() else { return Ok(raw) };
    let crf = DenseCrf::new(&photographs.of(image)?, &options);
    Ok(raw.map(|raw| CamScores { scores: crf.infer(&raw.scores, options.iterations), ..raw }))
}
