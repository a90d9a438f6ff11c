//! The permutohedral lattice (Adams et al. 2010): a Gaussian filter in D dimensions, in time linear in the pixels.
//!
//! Every pixel's feature vector lies in a simplex of the lattice. Its value is given to the simplex's vertices
//! (splat), each axis of the lattice is blurred by (1, 2, 1) / 2, and the pixel takes its value back (slice). All that
//! depends on the picture alone (vertices, weights, neighbours) is computed once.

/// A lattice over the features of the pixels of one picture, `V` = `D` + 1 vertices a simplex.
#[derive(Debug)]
pub(super) struct Lattice<const D: usize, const V: usize> {
    /// Where a pixel's value goes and comes from: rows of the lattice's values. Row 0 is no vertex and always zero.
    vertices: Vec<[u32; V]>,
    /// How much of it: the barycentric coordinates, times what [`Lattice::weigh`] was told.
    weights: Vec<[f32; V]>,
    /// The two rows beside each row along each axis of the lattice; row 0 where there is no vertex.
    neighbours: [Vec<[u32; 2]>; V],
}

impl<const D: usize, const V: usize> Lattice<D, V> {
    /// What the filter gains over a Gaussian of sum one: a constant of the blur.
    const GAIN: f32 = 1.0 / (1.0 + 1.0 / (1 << D) as f32);

    /// From one feature vector a pixel, each already divided by its standard deviation.
    pub(super) fn new(features: impl ExactSizeIterator<Item = [f32; D]>) -> Self {
        const { assert!(V == D + 1, "a simplex has one vertex more than dimensions") };
        let embedding = Embedding::<D, V>::new();
        let pixels = features.len();
        let (mut vertices, mut weights) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels));
        let mut points = Points::new();
        let mut last: Option<(Simplex<V>, [u32; V])> = None;
        for feature in features {
            let (simplex, barycentric) = embedding.locate(feature);
            // Pixels that follow one another are often of one simplex.
            let rows = match &last {
                Some((same, rows)) if *same == simplex => *rows,
                _ => embedding.keys(&simplex).map(|key| points.insert(key)),
            };
            vertices.push(rows);
            weights.push(barycentric);
            last = Some((simplex, rows));
        }
        let neighbours = std::array::from_fn(|axis| points.neighbours(embedding.step(axis)));
        Self { vertices, weights, neighbours }
    }

    /// Pixels of the picture.
    pub(super) fn pixels(&self) -> usize {
        self.vertices.len()
    }

    /// Rows of the lattice's values, row 0 included.
    pub(super) fn rows(&self) -> usize {
        self.neighbours[0].len() + 1
    }

    /// Scales what pixel i gives and takes by `scale[i]`.
    pub(super) fn weigh(&mut self, scale: &[f32]) {
        for (weights, scale) in self.weights.iter_mut().zip(scale) {
            for weight in weights {
                *weight *= scale;
            }
        }
    }

    /// Adds a pixel's channels to its vertices.
    #[inline]
    pub(super) fn splat<const C: usize>(&self, pixel: usize, channels: &[f32; C], values: &mut [[f32; C]]) {
        for (row, weight) in self.vertices[pixel].iter().zip(&self.weights[pixel]) {
            let value = &mut values[*row as usize];
            for c in 0..C {
                value[c] += weight * channels[c];
            }
        }
    }

    /// Filters along every axis. `scratch` is of the same size, its row 0 zero; what it held is lost.
    pub(super) fn blur<const C: usize>(&self, values: &mut Vec<[f32; C]>, scratch: &mut Vec<[f32; C]>) {
        for axis in &self.neighbours {
            for ((blurred, value), [before, after]) in scratch[1..].iter_mut().zip(&values[1..]).zip(axis) {
                let (before, after) = (&values[*before as usize], &values[*after as usize]);
                for c in 0..C {
                    blurred[c] = value[c] + 0.5 * (before[c] + after[c]);
                }
            }
            std::mem::swap(values, scratch);
        }
    }

    /// `sum` and `scale` times a pixel's channels of the blurred values.
    #[inline]
    pub(super) fn slice<const C: usize>(
        &self,
        pixel: usize,
        values: &[[f32; C]],
        scale: f32,
        mut sum: [f32; C],
    ) -> [f32; C] {
        for (row, weight) in self.vertices[pixel].iter().zip(&self.weights[pixel]) {
            let (value, weight) = (&values[*row as usize], weight * (scale * Self::GAIN));
            for c in 0..C {
                sum[c] += weight * value[c];
            }
        }
        sum
    }
}

/// The simplex of a point: its vertex of remainder 0, and the order of the coordinates' distances from it.
#[derive(Clone, Debug, PartialEq)]
struct Simplex<const V: usize> {
    origin: [i32; V],
    rank: [i32; V],
}

/// The way from features to lattice coordinates.
///
/// A lattice point is `V` integers that sum to zero, so `D` of them name it. Its key is those in one number, coordinate
/// i at bit i * BITS: sums of keys are keys of sums, since no feature comes near the limit of a field.
struct Embedding<const D: usize, const V: usize> {
    scale: [f32; D],
}

impl<const D: usize, const V: usize> Embedding<D, V> {
    const BITS: usize = 128 / D;

    /// Scales such that the blur's standard deviation is one feature unit.
    fn new() -> Self {
        let deviation = (2.0_f64 / 3.0).sqrt() * V as f64;
        Self { scale: std::array::from_fn(|i| (deviation / (((i + 1) * (i + 2)) as f64).sqrt()) as f32) }
    }

    /// The simplex around a feature vector, and the vector's barycentric coordinates in it.
    fn locate(&self, feature: [f32; D]) -> (Simplex<V>, [f32; V]) {
        // y = E f: onto the plane of coordinates that sum to zero.
        let mut elevated = [0.0_f32; V];
        let mut sum = 0.0;
        for j in (1..V).rev() {
            let scaled = feature[j - 1] * self.scale[j - 1];
            elevated[j] = sum - j as f32 * scaled;
            sum += scaled;
        }
        elevated[0] = sum;

        // The nearest point whose coordinates are multiples of V, on the plane or beside it.
        let (up, down) = (V as f32, 1.0 / V as f32);
        let multiples = elevated.map(|y| {
            let floor = (y * down).floor();
            let ceil = (y * down).ceil();
            if ceil * up - y < y - floor * up { ceil as i32 } else { floor as i32 }
        });
        let beside: i32 = multiples.iter().sum();
        let mut origin = multiples.map(|multiple| multiple * V as i32);

        // The rank of a coordinate: how many others are farther from the origin; then back onto the plane.
        let difference: [f32; V] = std::array::from_fn(|i| elevated[i] - origin[i] as f32);
        let mut rank = [beside; V];
        for i in 0..D {
            for j in i + 1..V {
                let less = i32::from(difference[i] < difference[j]);
                rank[i] += less;
                rank[j] += 1 - less;
            }
        }
        for (rank, origin) in rank.iter_mut().zip(&mut origin) {
            let turn = i32::from(*rank < 0) - i32::from(*rank > D as i32);
            *rank += turn * V as i32;
            *origin += turn * V as i32;
        }

        let mut barycentric = [0.0_f32; V];
        for i in 0..V {
            let share = (elevated[i] - origin[i] as f32) * down;
            let at = D - rank[i] as usize;
            barycentric[at] += share;
            barycentric[(at + 1) % V] -= share;
        }
        barycentric[0] += 1.0;
        (Simplex { origin, rank }, barycentric)
    }

    /// The keys of a simplex's vertices, by remainder. From remainder r to r + 1 every coordinate rises by one, and
    /// that of rank D - r falls by V.
    fn keys(&self, simplex: &Simplex<V>) -> [i128; V] {
        let mut key: i128 = (0..D).map(|i| i128::from(simplex.origin[i]) << (i * Self::BITS)).sum();
        std::array::from_fn(|remainder| {
            let here = key;
            let falling = simplex.rank.iter().position(|&rank| rank as usize == D - remainder);
            key += self.step(falling.expect("ranks are a permutation"));
            here
        })
    }

    /// The key of one step along an axis: every coordinate rises by one, the axis' own falls by V.
    #[expect(clippy::unused_self, reason = "reads as the embedding's")]
    fn step(&self, axis: usize) -> i128 {
        let ones: i128 = (0..D).map(|i| 1 << (i * Self::BITS)).sum();
        let own = if axis < D { (V as i128) << (axis * Self::BITS) } else { 0 };
        ones - own
    }
}

/// The lattice points in use, numbered from 1 in the order in which they were met; a hash table with open addressing.
struct Points {
    keys: Vec<i128>,
    /// Numbers; 0 is a free slot. At most half are taken; a power of two.
    slots: Vec<u32>,
}

impl Points {
    fn new() -> Self {
        Self { keys: Vec::new(), slots: vec![0; 1 << 12] }
    }

    /// The slot of a key: where it is, or the free one where it belongs.
    fn slot(&self, key: i128) -> usize {
        let mask = self.slots.len() - 1;
        let (low, high) = (key as u64, (key >> 64) as u64);
        let mixed = low.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ high.wrapping_mul(0xC2B2_AE3D_27D4_EB4F).rotate_left(32);
        let mut slot = (mixed ^ (mixed >> 32)).wrapping_mul(0xD6E8_FEB8_6659_FD93) as usize >> 32 & mask;
        while self.slots[slot] != 0 && self.keys[self.slots[slot] as usize - 1] != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn insert(&mut self, key: i128) -> u32 {
        let slot = self.slot(key);
        if self.slots[slot] == 0 {
            self.keys.push(key);
            self.slots[slot] = self.keys.len() as u32;
            if self.keys.len() * 2 > self.slots.len() {
                self.grow();
            }
            return self.keys.len() as u32;
        }
        self.slots[slot]
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for index in 0..self.keys.len() {
            let slot = self.slot(self.keys[index]);
            self.slots[slot] = index as u32 + 1;
        }
    }

    /// For each point the two beside it along a step, 0 for none.
    fn neighbours(&self, step: i128) -> Vec<[u32; 2]> {
        let mut beside = vec![[0; 2]; self.keys.len()];
        for (index, key) in self.keys.iter().enumerate() {
            let next = self.slots[self.slot(key + step)];
            if next != 0 {
                beside[index][1] = next;
                beside[next as usize - 1][0] = index as u32 + 1;
            }
        }
        beside
    }
}
