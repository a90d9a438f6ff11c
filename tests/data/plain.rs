//! Augmentation written out plainly: every step on the whole picture, one pixel after another. What `data::augment`
//! gives is compared with it, bit for bit.

use artifact::ClassId;
use data::augment::{Augmentation, MEAN, STD, Sample};
use data::codec::{Mask, Rgb};
use data::jitter::{Change, Jitter};
use data::random::Rng;
use data::resize::{resize_bicubic, resize_nearest};

/// Augments a picture and its maps by the same geometry; maps may be of any size and are read as covering the picture.
///
/// Every draw comes from `rng`, always in the same order: scale, flip, jitter, offset.
pub fn augment(image: &Rgb, maps: &[&Mask], how: &Augmentation, rng: &mut Rng) -> Sample {
    let factor = rng.uniform(how.scale[0], how.scale[1]);
    let scaled = |side: usize| ((side as f64 * factor).round() as usize).max(1);
    let (h, w) = (scaled(image.height), scaled(image.width));
    let mut image = resize_bicubic(image, h, w);
    let mut maps: Vec<Mask> = maps.iter().map(|map| resize_nearest(map, h, w)).collect();

    if rng.chance(how.flip) {
        image.pixels.chunks_exact_mut(w * 3).for_each(flip_pixels);
        for map in &mut maps {
            map.classes.chunks_exact_mut(w).for_each(<[u8]>::reverse);
        }
    }
    jitter(&how.jitter, &mut image, rng);

    let rows = Window::draw(h, how.crop, rng);
    let columns = Window::draw(w, how.crop, rng);
    let place = Placement { rows, columns, width: w, crop: how.crop };
    let pixels = normalize(&image);
    let mut out = vec![0.0; 3 * how.crop * how.crop];
    for (from, to) in pixels.chunks_exact(h * w).zip(out.chunks_exact_mut(how.crop * how.crop)) {
        place.copy(from, to);
    }
    let mut valid = vec![false; how.crop * how.crop];
    place.copy(&vec![true; h * w], &mut valid);
    let maps = maps.iter().map(|map| {
        let mut out = vec![ClassId::VOID.0; how.crop * how.crop];
        place.copy(&map.classes, &mut out);
        out
    });
    Sample { crop: how.crop, image: out, valid, maps: maps.collect() }
}

/// The picture as networks take it: (value / 255 - mean) / std, [3, height, width].
fn normalize(image: &Rgb) -> Vec<f32> {
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

/// Where the picture lies in the crop.
struct Placement {
    rows: Window,
    columns: Window,
    width: usize,
    crop: usize,
}

impl Placement {
    fn copy<T: Copy>(&self, from: &[T], to: &mut [T]) {
        let n = self.columns.length;
        for row in 0..self.rows.length {
            let source = (self.rows.from + row) * self.width + self.columns.from;
            let target = (self.rows.to + row) * self.crop + self.columns.to;
            to[target..target + n].copy_from_slice(&from[source..source + n]);
        }
    }
}

fn flip_pixels(row: &mut [u8]) {
    let (pixels, _) = row.as_chunks_mut::<3>();
    pixels.reverse();
}

/// Draws whether, in which order and how much, and changes the picture.
fn jitter(how: &Jitter, image: &mut Rgb, rng: &mut Rng) {
    if !rng.chance(how.probability) {
        return;
    }
    let mut factor = |strength: f64| rng.uniform((1.0 - strength).max(0.0), 1.0 + strength) as f32;
    let mut changes = vec![
        (how.brightness, Change::Brightness(factor(how.brightness))),
        (how.contrast, Change::Contrast(factor(how.contrast))),
        (how.saturation, Change::Saturation(factor(how.saturation))),
        (how.hue, Change::Hue(rng.uniform(-how.hue, how.hue) as f32)),
    ];
    rng.shuffle(&mut changes);
    let changes: Vec<Change> = changes.into_iter().filter(|(s, _)| *s > 0.0).map(|(_, c)| c).collect();
    change_colours(image, &changes);
}

/// Applies the changes one after another, rounding to 8 bits once at the end.
///
/// # Deviations
/// torchvision rounds after each change when it works on 8-bit pictures; this is its arithmetic on floats.
pub fn change_colours(image: &mut Rgb, changes: &[Change]) {
    if changes.is_empty() {
        return;
    }
    let (bytes, _) = image.pixels.as_chunks_mut::<3>();
    let mut pixels: Vec<[f32; 3]> = bytes.iter().map(|p| p.map(|v| f32::from(v) / 255.0)).collect();
    for &change in changes {
        match change {
            Change::Brightness(factor) => blend(&mut pixels, factor, |_| 0.0),
            Change::Contrast(factor) => {
                let mean = pixels.iter().map(|p| f64::from(luma(*p))).sum::<f64>() / pixels.len() as f64;
                blend(&mut pixels, factor, |_| mean as f32);
            }
            Change::Saturation(factor) => blend(&mut pixels, factor, luma),
            Change::Hue(turn) => pixels.iter_mut().for_each(|p| *p = turn_hue(*p, turn)),
        }
    }
    for (byte, pixel) in bytes.iter_mut().zip(pixels) {
        *byte = pixel.map(|v| (v * 255.0).round() as u8);
    }
}

/// clamp(factor * rgb + (1 - factor) * other)
fn blend(pixels: &mut [[f32; 3]], factor: f32, other: impl Fn([f32; 3]) -> f32) {
    for pixel in pixels {
        let other = (1.0 - factor) * other(*pixel);
        *pixel = pixel.map(|v| (factor * v + other).clamp(0.0, 1.0));
    }
}

/// Brightness as the eye sees it (ITU-R 601-2).
fn luma([r, g, b]: [f32; 3]) -> f32 {
    0.299 * r + 0.587 * g + 0.114 * b
}

/// Through HSV and back; value and saturation stay.
fn turn_hue(rgb: [f32; 3], turn: f32) -> [f32; 3] {
    let [r, g, b] = rgb;
    let value = r.max(g).max(b);
    let chroma = value - r.min(g).min(b);
    if chroma <= 0.0 {
        return rgb;
    }
    // Position on the hexagon of hues, 0..6 from red.
    let hue = if value <= r {
        (g - b) / chroma
    } else if value <= g {
        2.0 + (b - r) / chroma
    } else {
        4.0 + (r - g) / chroma
    };
    let hue = (hue + 6.0 * turn).rem_euclid(6.0);
    let channel = |n: f32| {
        let k = (n + hue) % 6.0;
        value - chroma * k.min(4.0 - k).clamp(0.0, 1.0)
    };
    [channel(5.0), channel(3.0), channel(1.0)]
}
