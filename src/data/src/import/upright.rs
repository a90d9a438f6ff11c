//! Masks of pictures with an orientation tag: are they as a viewer shows the picture, or as its pixels are stored?
//!
//! Where the tag makes columns of rows, the size of the mask tells. Where it does not (mirrored, or turned by half),
//! the other masks of the data set do; without any, a mask is as a viewer shows the picture, in which people draw it.

use crate::codec::Orientation;

use super::fault::Fault;
use super::picture::{Fits, Opened};

/// Decides for the masks that fit both ways, and says what was done.
pub(super) fn decide(images: &mut [Opened], faults: &mut Vec<Fault>) -> Option<String> {
    let tagged = images.iter().filter(|opened| opened.orientation != Orientation::UPRIGHT).count();
    if tagged == 0 {
        return None;
    }
    let of_tagged = images.iter_mut().filter(|opened| opened.orientation != Orientation::UPRIGHT);
    let mut masks: Vec<_> = of_tagged.filter_map(|opened| opened.mask.as_mut()).collect();
    let count = |fits: Fits| masks.iter().filter(|mask| mask.fits == fits).count();
    let (upright, stored, both) = (count(Fits::Upright), count(Fits::Stored), count(Fits::Both));
    let turned = format!("{tagged} pictures carry an orientation tag (EXIF) and are turned as it says");
    if both > 0 && upright > 0 && stored > 0 {
        faults.push(Fault::new(
            "orientation",
            format!(
                "{turned}, but the masks of {upright} fit them as a viewer shows them and those of {stored} as their \
                 pixels are stored, so nothing tells which is meant for {both} more; turn the pictures themselves and \
                 remove their tags"
            ),
        ));
    }
    let as_stored = stored > 0;
    for mask in masks.iter_mut().filter(|mask| mask.fits == Fits::Both) {
        mask.fits = if as_stored { Fits::Stored } else { Fits::Upright };
    }
    let of_masks = match (upright, stored, both) {
        (0, 0, 0) => String::new(),
        (_, 0, 0) => "; their masks are as a viewer shows them".to_owned(),
        (0, 0, _) => format!(
            "; {both} masks are taken to be as a viewer shows the picture, which nothing confirms: with orientation = \
             \"stored\" neither is turned"
        ),
        (_, 0, _) => format!("; their masks are as a viewer shows them, as {upright} of them tell by their size"),
        (0, ..) => format!("; their masks are as stored, as {stored} tell by their size, and are turned too"),
        _ => format!("; {stored} masks are as stored, as they tell by their size, and are turned too"),
    };
    Some(turned + &of_masks)
}
