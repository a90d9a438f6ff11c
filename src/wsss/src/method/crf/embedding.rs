//! The way from features to the coordinates of the permutohedral lattice, for several pixels side by side: each loop
//! over lanes is one instruction or two.

use super::filter::LANES;

/// Lanes of numbers that belong to the pixels of one group.
type Floats = [f32; LANES];
type Integers = [i32; LANES];

/// The simplex of a point: its vertex of remainder 0, and the order of the coordinates' distances from it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simplex<const V: usize> {
    pub(super) origin: [i32; V],
    pub(super) rank: [i32; V],
}

impl<const V: usize> Simplex<V> {
    /// Bits that are rarely the same for two simplices that lie near each other.
    #[inline(always)]
    pub(super) fn hash(&self) -> u32 {
        let mixed = (0..V).fold(0_u32, |sum, i| {
            let coordinate = (self.origin[i] + self.rank[i]) as u32;
            sum.wrapping_add(coordinate.wrapping_mul(0x9E37_79B1_u32.rotate_left(5 * i as u32)))
        });
        mixed ^ (mixed >> 16)
    }
}

/// The simplices of a group of pixels, and the pixels' barycentric coordinates in them.
pub(super) struct Located<const V: usize> {
    origin: [Integers; V],
    rank: [Integers; V],
    barycentric: [Floats; V],
}

impl<const V: usize> Located<V> {
    #[inline(always)]
    pub(super) fn simplex(&self, lane: usize) -> Simplex<V> {
        Simplex { origin: self.origin.map(|i| i[lane]), rank: self.rank.map(|i| i[lane]) }
    }

    #[inline(always)]
    pub(super) fn barycentric(&self, lane: usize) -> [f32; V] {
        self.barycentric.map(|share| share[lane])
    }
}

/// The way from features to lattice coordinates.
///
/// A lattice point is `V` integers that sum to zero, so `D` of them name it. Its key is those in one number, coordinate
/// i at bit i * BITS: sums of keys are keys of sums, since no feature comes near the limit of a field.
pub(super) struct Embedding<const D: usize, const V: usize> {
    scale: [f32; D],
}

impl<const D: usize, const V: usize> Embedding<D, V> {
    const BITS: usize = 128 / D;

    /// Scales such that the blur's standard deviation is one feature unit.
    pub(super) fn new() -> Self {
        const { assert!(V == D + 1, "a simplex has one vertex more than dimensions") };
        let deviation = (2.0_f64 / 3.0).sqrt() * V as f64;
        Self { scale: std::array::from_fn(|i| (deviation / (((i + 1) * (i + 2)) as f64).sqrt()) as f32) }
    }

    /// The simplices around feature vectors, and the vectors' barycentric coordinates in them.
    #[inline(always)]
    pub(super) fn locate(&self, features: &[Floats; D]) -> Located<V> {
        let elevated = self.elevate(features);
        let (mut origin, beside) = Self::nearest(&elevated);
        let rank = Self::rank(&elevated, &mut origin, beside);

        // Coordinates' distances from the origin, in units of V, sorted by rank.
        let mut shares = [[0.0; LANES]; V];
        for (r, shares) in shares.iter_mut().enumerate() {
            for i in 0..V {
                for lane in 0..LANES {
                    let share = (elevated[i][lane] - origin[i][lane] as f32) * (1.0 / V as f32);
                    shares[lane] = if rank[i][lane] == r as i32 { share } else { shares[lane] };
                }
            }
        }
        let mut barycentric = [[0.0; LANES]; V];
        for lane in 0..LANES {
            barycentric[0][lane] = shares[D][lane] - shares[0][lane] + 1.0;
            for k in 1..V {
                barycentric[k][lane] = shares[D - k][lane] - shares[V - k][lane];
            }
        }
        Located { origin, rank, barycentric }
    }

    /// y = E f: onto the plane of coordinates that sum to zero.
    #[inline(always)]
    fn elevate(&self, features: &[Floats; D]) -> [Floats; V] {
        let mut elevated = [[0.0; LANES]; V];
        let mut sum = [0.0; LANES];
        for j in (1..V).rev() {
            for lane in 0..LANES {
                let scaled = features[j - 1][lane] * self.scale[j - 1];
                elevated[j][lane] = sum[lane] - j as f32 * scaled;
                sum[lane] += scaled;
            }
        }
        elevated[0] = sum;
        elevated
    }

    /// The nearest point whose coordinates are multiples of V, and how many times V it lies beside the plane.
    #[inline(always)]
    fn nearest(elevated: &[Floats; V]) -> ([Integers; V], Integers) {
        let (up, down) = (V as f32, 1.0 / V as f32);
        let mut origin = [[0; LANES]; V];
        let mut beside = [0; LANES];
        for i in 0..V {
            for lane in 0..LANES {
                let y = elevated[i][lane];
                let (floor, ceil) = ((y * down).floor(), (y * down).ceil());
                let multiple = if ceil * up - y < y - floor * up { ceil as i32 } else { floor as i32 };
                beside[lane] += multiple;
                origin[i][lane] = multiple * V as i32;
            }
        }
        (origin, beside)
    }

    /// The rank of a coordinate: how many others are farther from the origin; then back onto the plane.
    #[inline(always)]
    fn rank(elevated: &[Floats; V], origin: &mut [Integers; V], beside: Integers) -> [Integers; V] {
        let mut rank = [beside; V];
        let mut difference = *elevated;
        for i in 0..V {
            for lane in 0..LANES {
                difference[i][lane] -= origin[i][lane] as f32;
            }
        }
        for i in 0..D {
            for j in i + 1..V {
                for lane in 0..LANES {
                    let less = i32::from(difference[i][lane] < difference[j][lane]);
                    rank[i][lane] += less;
                    rank[j][lane] += 1 - less;
                }
            }
        }
        for i in 0..V {
            for lane in 0..LANES {
                let turn = i32::from(rank[i][lane] < 0) - i32::from(rank[i][lane] > D as i32);
                rank[i][lane] += turn * V as i32;
                origin[i][lane] += turn * V as i32;
            }
        }
        rank
    }

    /// The keys of a simplex's vertices, by remainder. From remainder r to r + 1 every coordinate rises by one, and
    /// that of rank D - r falls by V.
    pub(super) fn keys(simplex: &Simplex<V>) -> [i128; V] {
        let mut key: i128 = (0..D).map(|i| i128::from(simplex.origin[i]) << (i * Self::BITS)).sum();
        std::array::from_fn(|remainder| {
            let here = key;
            let falling = simplex.rank.iter().position(|&rank| rank as usize == D - remainder);
            key += Self::step(falling.expect("ranks are a permutation"));
            here
        })
    }

    /// The key of one step along an axis: every coordinate rises by one, the axis' own falls by V.
    pub(super) fn step(axis: usize) -> i128 {
        let ones: i128 = (0..D).map(|i| 1 << (i * Self::BITS)).sum();
        let own = if axis < D { (V as i128) << (axis * Self::BITS) } else { 0 };
        ones - own
    }
}
