//! Augmentation of one picture and the maps that belong to it: scale, flip, colour jitter, normalise, padded crop.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use artifact::{ClassId, ParamError};

use crate::{
    codec::{Mask, Rgb},
    jitter::Jitter,
    random::Rng,
    resize::{resize_bicubic, under_centre},
    tones::Tones,
};

/// `ImageNet`'s mean of R, G and B, after division by 255.
pub const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// `ImageNet`'s standard deviation of R, G and B, after division by 255.
pub const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// How training pictures are varied; the parameters of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Augmentation {
    /// Side of the square crop in pixels.
    pub crop: usize,
    /// The picture is resized by a factor drawn uniformly from this range.
    pub scale: [f64; 2],
    /// Probability of a horizontal flip.
    pub flip: f64,
    /// Colour jitter.
    pub jitter: Jitter,
}

impl Augmentation {
    /// Checks ranges.
    pub fn check(&self) -> Result<(), ParamError> {
        let [lo, hi] = self.scale;
        if self.crop == 0 {
            return Err(ParamError::new("crop", "0 pixels; give the side of the crop, such as 192"));
        }
        if !(lo > 0.0 && lo <= hi && hi <= 16.0) {
            let reason = format!("[{lo}, {hi}] is no range of factors; give 0 < low <= high <= 16");
            return Err(ParamError::new("scale", reason));
        }
        if !(0.0..=1.0).contains(&self.flip) {
            return Err(ParamError::new("flip", format!("{} is no probability; give 0 to 1", self.flip)));
        }
        self.jitter.check().map_err(|error| error.below("jitter"))
    }
}

/// One augmented picture, ready for a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Side of the crop.
    pub crop: usize,
    /// Normalised picture, [3, crop, crop]; 0 in the padding.
    pub image: Vec<f32>,
    /// Whether a pixel is of the picture (not of the padding), [crop, crop].
    pub valid: Vec<bool>,
    /// The maps given, in their order, each [crop, crop]; void (255) in the padding.
    pub maps: Vec<Vec<u8>>,
}

/// Augments a picture and its maps by the same geometry; maps may be of any size and are read as covering the picture.
///
/// Every draw comes from `rng`, always in the same order: scale, flip, jitter, offset. Colours are changed and
/// normalised only where the crop lies, with the same result as on the whole picture.
pub fn augment(image: &Rgb, maps: &[&Mask], how: &Augmentation, rng: &mut Rng) -> Sample {
    let factor = rng.uniform(how.scale[0], how.scale[1]);
    let scaled = |side: usize| ((side as f64 * factor).round() as usize).max(1);
    let (h, w) = (scaled(image.height), scaled(image.width));
    let flip = rng.chance(how.flip);
    let changes = how.jitter.draw(rng);
    let rows = Window::draw(h, how.crop, rng);
    let columns = Window::draw(w, how.crop, rng);

    let mut image = resize_bicubic(image, h, w);
    if flip {
        image.pixels.chunks_exact_mut(w * 3).for_each(flip_pixels);
    }
    let tones = Tones::of(&image, &changes);
    let place = Placement { size: [h, w], rows, columns, crop: how.crop, flip };
    let area = how.crop * how.crop;
    let mut out = vec![0.0; 3 * area];
    let (red, rest) = out.split_at_mut(area);
    let (green, blue) = rest.split_at_mut(area);
    let (pixels, _) = image.pixels.as_chunks::<3>();
    for (source, target) in place.runs() {
        let to = [&mut red[target.clone()], &mut green[target.clone()], &mut blue[target]];
        tones.normalized(&pixels[source], to, MEAN, STD);
    }
    let mut valid = vec![false; area];
    place.runs().for_each(|(_, target)| valid[target].fill(true));
    let maps = maps.iter().map(|map| place.map(map)).collect();
    Sample { crop: how.crop, image: out, valid, maps }
}

/// The picture as networks take it: (value / 255 - mean) / std, [3, height, width].
pub fn normalize(image: &Rgb) -> Vec<f32> {
    let mut out = Vec::with_capacity(image.pixels.len());
    for channel in 0..3 {
        // 256 possible values: a table gives the same numbers as the formula.
        let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - MEAN[channel]) / STD[channel]);
        out.extend(image.pixels.iter().skip(channel).step_by(3).map(|&v| table[v as usize]));
    }
    out
}

/// One axis of the crop: `length` pixels go from `from` in the picture to `to` in the crop.
struct Window {
    from: usize,
    to: usize,
    length: usize,
}

impl Window {
    /// A longer side is cut at a random offset; a shorter one is put at a random offset.
    fn draw(side: usize, crop: usize, rng: &mut Rng) -> Self {
        let offset = rng.below(side.abs_diff(crop) + 1);
        if side > crop {
            Self { from: offset, to: 0, length: crop }
        } else {
            Self { from: 0, to: offset, length: side }
        }
    }
}

/// Where the scaled and flipped picture lies in the crop.
struct Placement {
    /// Height and width of the picture.
    size: [usize; 2],
    rows: Window,
    columns: Window,
    crop: usize,
    flip: bool,
}

impl Placement {
    /// The pixels of each row: where they are in the picture, and where in the crop.
    fn runs(&self) -> impl Iterator<Item = (Range<usize>, Range<usize>)> {
        let run = |from: usize| from..from + self.columns.length;
        (0..self.rows.length).map(move |row| {
            let source = (self.rows.from + row) * self.size[1] + self.columns.from;
            let target = (self.rows.to + row) * self.crop + self.columns.to;
            (run(source), run(target))
        })
    }

    /// The part of a map of any size that the crop keeps, [crop, crop]; void (255) in the padding.
    fn map(&self, map: &Mask) -> Vec<u8> {
        let [h, w] = self.size;
        let column = |x: usize| under_centre(if self.flip { w - 1 - x } else { x }, map.width, w);
        let columns: Vec<usize> = (self.columns.from..).take(self.columns.length).map(column).collect();
        let mut out = vec![ClassId::VOID.0; self.crop * self.crop];
        for (row, (_, target)) in self.runs().enumerate() {
            let from = &map.classes[under_centre(self.rows.from + row, map.height, h) * map.width..][..map.width];
            for (class, &x) in out[target].iter_mut().zip(&columns) {
                *class = from[x];
            }
        }
        out
    }
}

fn flip_pixels(row: &mut [u8]) {
    let (pixels, _) = row.as_chunks_mut::<3>();
    pixels.reverse();
}
