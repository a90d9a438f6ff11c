//! Operations on maps as they are defined, in loops and f64: what the fast ones are compared with.

use data::codec::Rgb;
use tch::Tensor;

use crate::golden::noise;

/// A map, row-major.
#[derive(Clone, Debug)]
pub struct Map {
    pub height: usize,
    pub width: usize,
    pub values: Vec<f64>,
}

impl Map {
    /// The map with `value(row, column)` everywhere.
    pub fn from_fn([height, width]: [usize; 2], value: impl Fn(usize, usize) -> f64) -> Self {
        let values = (0..height * width).map(|at| value(at / width, at % width)).collect();
        Self { height, width, values }
    }

    /// The channels of `[1, C, H, W]`.
    pub fn channels(tensor: &Tensor) -> Vec<Self> {
        let (_, channels, h, w) = tensor.size4().expect("[1, C, H, W]");
        let channel =
            |c: i64| Self::from_fn([h as usize, w as usize], |y, x| tensor.double_value(&[0, c, y as i64, x as i64]));
        (0..channels).map(channel).collect()
    }

    pub fn at(&self, y: usize, x: usize) -> f64 {
        self.values[y * self.width + x]
    }

    /// Bilinear interpolation at the centres of a finer grid's cells; the border continues outwards.
    pub fn upsampled(&self, size: [usize; 2]) -> Self {
        let place = |i: usize, from: usize, to: usize| {
            let centre = ((i as f64 + 0.5) * from as f64 / to as f64 - 0.5).max(0.0);
            let low = (centre as usize).min(from - 1);
            (low, (low + 1).min(from - 1), centre - low as f64)
        };
        Self::from_fn(size, |y, x| {
            let (top, bottom, down) = place(y, self.height, size[0]);
            let (left, right, across) = place(x, self.width, size[1]);
            let row = |y: usize| self.at(y, left) * (1.0 - across) + self.at(y, right) * across;
            row(top) * (1.0 - down) + row(bottom) * down
        })
    }

    pub fn mirrored(&self) -> Self {
        Self::from_fn([self.height, self.width], |y, x| self.at(y, self.width - 1 - x))
    }

    pub fn max(&self) -> f64 {
        self.values.iter().copied().fold(f64::MIN, f64::max)
    }
}

/// For every pixel the index of the largest map; ties go to the first.
pub fn largest(maps: &[Map]) -> Vec<usize> {
    let of_pixel = |pixel: usize| {
        (1..maps.len()).fold(0, |best, map| if maps[map].values[pixel] > maps[best].values[pixel] { map } else { best })
    };
    (0..maps[0].values.len()).map(of_pixel).collect()
}

/// Asserts that two maps differ by at most `tolerance` anywhere.
pub fn assert_near(what: &str, found: &[f32], expected: &Map, tolerance: f64) {
    assert_eq!(found.len(), expected.values.len(), "{what}");
    let differences = found.iter().zip(&expected.values).map(|(a, b)| (f64::from(*a) - b).abs());
    let largest = differences.fold(0.0, f64::max);
    assert!(largest <= tolerance, "{what}: differs by {largest:.2e}, over {tolerance:.0e}");
}

/// A picture whose pixels depend on the name alone: a slope and some noise.
pub fn picture(name: &str, height: usize, width: usize) -> Rgb {
    let speckle = noise(name, &[(height * width * 3) as i64]);
    let value = |i: usize| {
        let (x, y, channel) = (i / 3 % width, i / 3 / width, i % 3);
        let slope = 60.0 + (2 * x + y) as f64 + if 2 * x > width { 60.0 * channel as f64 } else { 0.0 };
        (slope + 25.0 * speckle.double_value(&[i as i64])).clamp(0.0, 255.0) as u8
    };
    Rgb { height, width, pixels: (0..height * width * 3).map(value).collect() }
}

/// The picture seen in a mirror.
pub fn mirrored(picture: &Rgb) -> Rgb {
    let Rgb { height, width, pixels } = picture;
    let at = |i: usize| pixels[(i / 3 / width * width + width - 1 - i / 3 % width) * 3 + i % 3];
    Rgb { height: *height, width: *width, pixels: (0..pixels.len()).map(at).collect() }
}
