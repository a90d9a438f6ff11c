//! Colour at a point: the four grounds, and the three coats that two classes each share.

use crate::random::Rng;

/// Linear-ish RGB in 0..1.
pub(super) type Colour = [f64; 3];

/// What the objects stand on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ground {
    Meadow,
    Sand,
    Water,
    Stone,
}

/// What covers a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coat {
    Striped,
    Spotted,
    Chequered,
}

/// A ground with its accidental tints and offsets.
pub(super) struct Background {
    ground: Ground,
    noise: Noise,
    tint: f64,
    /// Height of the picture, for the light that falls off towards the top.
    height: f64,
}

impl Background {
    pub(super) fn draw(ground: Ground, height: usize, rng: &mut Rng) -> Self {
        Self { ground, noise: Noise(rng.bits()), tint: rng.uniform(-0.06, 0.06), height: height as f64 }
    }

    pub(super) fn at(&self, x: f64, y: f64) -> Colour {
        let n = &self.noise;
        let large = n.cloud(x / 26.0, y / 26.0);
        let colour = match self.ground {
            Ground::Meadow => {
                let blades = n.at(x / 1.6, y / 5.5);
                let base = mix([0.24, 0.42, 0.14], [0.47, 0.62, 0.25], large);
                scale(base, 0.82 + 0.36 * blades)
            }
            Ground::Sand => {
                let ripple = wave((y + 9.0 * large + 0.25 * x) / 8.5);
                let grain = n.at(x * 1.1, y * 1.1);
                let base = mix([0.72, 0.60, 0.42], [0.87, 0.77, 0.58], large);
                scale(base, 0.84 + 0.14 * ripple + 0.12 * grain)
            }
            Ground::Water => {
                let crest = n.cloud(x / 13.0, y / 3.4);
                let base = mix([0.12, 0.31, 0.45], [0.29, 0.52, 0.62], large);
                mix(base, [0.72, 0.85, 0.88], smooth((crest - 0.56) / 0.2) * 0.75)
            }
            Ground::Stone => {
                let fine = n.cloud(x / 3.2, y / 3.2);
                let crack = smooth((0.045 - (n.cloud(x / 17.0 + 31.0, y / 17.0) - 0.5).abs()) / 0.035);
                let base = mix([0.42, 0.42, 0.44], [0.62, 0.61, 0.60], large);
                scale(base, (0.80 + 0.40 * fine) * (1.0 - 0.45 * crack))
            }
        };
        let light = 0.9 + 0.16 * y / self.height + self.tint;
        scale(colour, light)
    }
}

/// A coat with its accidental tint and phase, in the body's own coordinates (pixels along and across it).
pub(super) struct Fur {
    coat: Coat,
    /// By which share there is more red and less blue.
    warmth: f64,
    noise: Noise,
    tint: f64,
    phase: f64,
    grain: f64,
}

impl Fur {
    pub(super) fn draw(coat: Coat, warmth: f64, body: f64, rng: &mut Rng) -> Self {
        Self {
            coat,
            warmth,
            noise: Noise(rng.bits()),
            tint: rng.uniform(0.9, 1.1),
            phase: rng.uniform(0.0, 1.0),
            grain: body / 17.0,
        }
    }

    pub(super) fn at(&self, along: f64, across: f64) -> Colour {
        let (u, v) = (along / self.grain, across / self.grain);
        let wobble = self.noise.at(u / 6.0, v / 6.0) - 0.5;
        let colour = match self.coat {
            Coat::Striped => {
                let t = wave((u + 4.0 * wobble) / 7.5 + self.phase);
                mix([0.33, 0.20, 0.14], [0.83, 0.72, 0.60], smooth((t - 0.32) / 0.36))
            }
            Coat::Spotted => {
                let spot = lattice_distance(u / 6.0 + self.phase + 0.2 * wobble, v / 6.0);
                mix([0.86, 0.80, 0.93], [0.40, 0.29, 0.52], smooth((spot - 0.23) / 0.12))
            }
            Coat::Chequered => {
                let (a, b) = ((u + v) / 8.5 + self.phase, (u - v) / 8.5);
                let t = (wave(a) - 0.5) * (wave(b) - 0.5);
                mix([0.80, 0.55, 0.42], [0.50, 0.18, 0.20], smooth((t + 0.035) / 0.07))
            }
        };
        let [red, green, blue] = scale(colour, self.tint * (0.92 + 0.16 * self.noise.at(u * 0.9, v * 0.9)));
        [red * (1.0 + self.warmth), green, blue * (1.0 - self.warmth)]
    }
}

/// Value noise on the integer lattice, 0..1.
#[derive(Clone, Copy, Debug)]
struct Noise(u64);

impl Noise {
    fn at(self, x: f64, y: f64) -> f64 {
        let (x0, y0) = (x.floor(), y.floor());
        let (tx, ty) = (smooth(x - x0), smooth(y - y0));
        let row = |y: f64| lerp(self.knot(x0, y), self.knot(x0 + 1.0, y), tx);
        lerp(row(y0), row(y0 + 1.0), ty)
    }

    /// Three octaves.
    fn cloud(self, x: f64, y: f64) -> f64 {
        (self.at(x, y) + 0.5 * self.at(2.0 * x + 17.0, 2.0 * y) + 0.25 * self.at(4.0 * x, 4.0 * y + 29.0)) / 1.75
    }

    fn knot(self, x: f64, y: f64) -> f64 {
        let key = (x as i64 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
            ^ (y as i64 as u64).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        let mixed = (self.0 ^ key ^ (key >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A wave of period 1 between 0 and 1.
fn wave(t: f64) -> f64 {
    smooth(2.0 * (t - t.floor() - 0.5).abs())
}

/// Distance to the nearest point of a brick lattice of spacing 1.
fn lattice_distance(u: f64, v: f64) -> f64 {
    let row = v.floor();
    let shifted = u + 0.5 * (row - 2.0 * (row / 2.0).floor());
    let (du, dv) = (shifted - shifted.floor() - 0.5, v - row - 0.5);
    (du * du + dv * dv).sqrt()
}

/// 0 below 0, 1 above 1, and smooth between.
pub(super) fn smooth(t: f64) -> f64 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

pub(super) fn mix(a: Colour, b: Colour, t: f64) -> Colour {
    std::array::from_fn(|c| lerp(a[c], b[c], t))
}

pub(super) fn scale(colour: Colour, by: f64) -> Colour {
    colour.map(|v| v * by)
}

fn lerp(a: f64, b: f64, t: f64) -> f64 {
    a + (b - a) * t
}
