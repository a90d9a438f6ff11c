//! Pictures that are too large for a network are looked at smaller, and what is seen is mapped back to their size.

use artifact::table::DatasetRow;
use artifact::{ParamError, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stage::Log;

/// What a limit may be at least: a picture of 32 x 32 pixels.
const LEAST: u64 = 1024;

/// `max_pixels` of a manifest: how many pixels a picture has at most at the largest scale at which a network sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MaxPixels(u64);

impl MaxPixels {
    /// Enough for 4,000 x 4,000 pixels, as in the manifests.
    pub const DEFAULT: Self = Self(16_000_000);

    /// Checks the range.
    pub fn check(self) -> Result<(), ParamError> {
        if self.0 >= LEAST {
            return Ok(());
        }
        Err(ParamError::new("max_pixels", format!("{} is too few; at least {LEAST}, such as 16000000", self.0)))
    }

    /// The factor by which a picture of a `[height, width]` is shrunk for every scale, so that the largest of `scales`
    /// keeps to the limit but for rounding: exactly 1 if it does anyhow.
    pub fn factor(self, [height, width]: [usize; 2], scales: &[f64]) -> f64 {
        let largest = scales.iter().copied().fold(0.0, f64::max);
        let pixels = height as f64 * width as f64 * largest * largest;
        if pixels > self.0 as f64 { (self.0 as f64 / pixels).sqrt() } else { 1.0 }
    }
}

/// Says in the log how many of `images` are shrunk; the same as a metric, if there are any.
pub fn log_shrunk<'a>(
    log: &mut Log,
    limit: MaxPixels,
    scales: &[f64],
    images: impl IntoIterator<Item = &'a DatasetRow>,
) -> Result<Option<(String, Value)>> {
    let size = |image: &DatasetRow| [image.height as usize, image.width as usize];
    let shrunk = images.into_iter().filter(|image| limit.factor(size(image), scales) < 1.0).count();
    if shrunk == 0 {
        return Ok(None);
    }
    log.event("shrunk", &json!({ "images": shrunk, "max_pixels": limit }))?;
    Ok(Some(("shrunk".to_owned(), json!(shrunk))))
}
