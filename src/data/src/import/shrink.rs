//! Pictures longer than training and inference can use are made smaller as they come in, with their masks.

use rayon::prelude::*;

use crate::codec::{decode_image, decode_mask, encode_jpeg, encode_mask};
use crate::resize::{resize_bicubic, resize_nearest};

use super::Record;

/// JPEG quality of a picture that was made smaller.
const QUALITY: u8 = 95;

/// Makes every picture longer than `max_side` pixels that long, and says how many; 0 is no limit.
pub(super) fn apply(records: &mut [Record], max_side: u32) -> Option<String> {
    let long = |record: &Record| max_side > 0 && record.width.max(record.height) > max_side;
    let count = records.iter().filter(|record| long(record)).count();
    records.par_iter_mut().filter(|record| long(record)).for_each(|record| shrink(record, max_side));
    (count > 0).then(|| {
        format!("{count} pictures are made {max_side} pixels long (max_side); CAMs, labels and scores are of that size")
    })
}

fn shrink(record: &mut Record, max_side: u32) {
    let long = record.width.max(record.height);
    let side = |side: u32| ((f64::from(side) * f64::from(max_side) / f64::from(long)).round() as usize).max(1);
    let (height, width) = (side(record.height), side(record.width));
    // Both were decoded before.
    if let Ok(picture) = decode_image(&record.image) {
        record.image = encode_jpeg(&resize_bicubic(&picture, height, width), QUALITY);
        (record.height, record.width) = (height as u32, width as u32);
    }
    if let Some(mask) = record.mask.as_ref().and_then(|mask| decode_mask(mask).ok()) {
        record.mask = Some(encode_mask(&resize_nearest(&mask, height, width)));
    }
}
