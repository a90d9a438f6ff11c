//! CAMs as stored, counted against ground truth: what threshold-sweep and evaluate share.

use artifact::encoding::CamEncoding;
use artifact::table::DatasetRow;

use crate::data::dataset::Cams;
use crate::method::confusion::SweepHistogram;

/// Counts an image as stored: its encoded maps against its ground truth with 255 for void.
pub fn count_cams(histogram: &mut SweepHistogram, cams: &Cams, image: &DatasetRow, ground_truth: &[u8]) {
    let maps = cams.of(image).maps;
    match cams.encoding {
        CamEncoding::U8 => {
            let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, map.as_slice())).collect();
            histogram.add_u8(&maps, ground_truth);
        }
        CamEncoding::F16 => {
            let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, cams.encoding.decode(map))).collect();
            let maps: Vec<_> = maps.iter().map(|(class, map)| (*class, map.as_slice())).collect();
            histogram.add(&maps, ground_truth);
        }
    }
}
