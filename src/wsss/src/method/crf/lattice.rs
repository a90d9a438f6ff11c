//! The permutohedral lattice (Adams et al. 2010): a Gaussian filter in D dimensions, in time linear in the pixels.
//!
//! Every pixel's feature vector lies in a simplex of the lattice. Its value is given to the simplex's vertices
//! (splat), each axis of the lattice is blurred by (1, 2, 1) / 2, and the pixel takes its value back (slice). All that
//! depends on the picture alone (vertices, weights, neighbours) is computed here, once; `filter` does the rest.

use multiversion::multiversion;

use super::embedding::{Embedding, Simplex};
use super::filter::{LANES, TILE};

/// A lattice over the features of the pixels of one picture, `V` = `D` + 1 vertices a simplex.
#[derive(Debug)]
pub(super) struct Lattice<const D: usize, const V: usize> {
    /// Where a pixel's value goes and comes from: rows of the lattice's values. Row 0 is no vertex and always zero.
    vertices: Vec<[u32; V]>,
    /// How much of it: the barycentric coordinates, times what [`Lattice::weigh`] was told.
    weights: Vec<[f32; V]>,
    /// The two rows beside each row along each axis of the lattice; row 0 where there is no vertex.
    neighbours: [Vec<[u32; 2]>; V],
    /// How far apart neighbours are at most, in rows.
    reach: usize,
    /// For each tile of pixels a row below which no later pixel has a vertex.
    complete: Vec<usize>,
}

impl<const D: usize, const V: usize> Lattice<D, V> {
    /// What the filter gains over a Gaussian of sum one: a constant of the blur.
    pub(super) const GAIN: f32 = 1.0 / (1.0 + 1.0 / (1 << D) as f32);

    /// From one feature vector a pixel, each already divided by its standard deviation.
    pub(super) fn new(pixels: usize, feature: impl Fn(usize) -> [f32; D]) -> Self {
        let mut lattice = Self {
            vertices: Vec::with_capacity(pixels),
            weights: Vec::with_capacity(pixels),
            neighbours: std::array::from_fn(|_| Vec::new()),
            reach: 0,
            complete: vec![0; pixels.div_ceil(TILE)],
        };
        let points = locate(&mut lattice, pixels, feature);
        lattice.neighbours = std::array::from_fn(|axis| points.neighbours(Embedding::<D, V>::step(axis)));
        let beside = lattice.neighbours.iter().flat_map(|axis| axis.iter().enumerate());
        // Neighbours are each other's: those before are enough.
        let distances =
            beside.filter(|(_, beside)| beside[0] != 0).map(|(row, beside)| row.abs_diff(beside[0] as usize));
        lattice.reach = distances.max().unwrap_or(0);
        let mut least = lattice.rows();
        for (complete, vertices) in lattice.complete.iter_mut().zip(lattice.vertices.chunks(TILE)).rev() {
            *complete = least;
            least = vertices.as_flattened().iter().fold(least, |least, row| least.min(*row as usize));
        }
        lattice
    }

    /// Pixels of the picture.
    pub(super) fn pixels(&self) -> usize {
        self.vertices.len()
    }

    /// Rows of the lattice's values, row 0 included.
    pub(super) fn rows(&self) -> usize {
        self.neighbours[0].len()
    }

    /// Scales what pixel i gives and takes by `scale[i]`.
    pub(super) fn weigh(&mut self, scale: &[f32]) {
        for (weights, scale) in self.weights.iter_mut().zip(scale) {
            for weight in weights {
                *weight *= scale;
            }
        }
    }

    /// The rows of a pixel's vertices, with their weights.
    #[inline(always)]
    pub(super) fn vertices(&self, pixel: usize) -> impl Iterator<Item = (usize, f32)> {
        self.vertices[pixel].iter().zip(&self.weights[pixel]).map(|(row, weight)| (*row as usize, *weight))
    }

    /// The two rows beside each row along an axis of the lattice; row 0 where there is no vertex.
    #[inline(always)]
    pub(super) fn neighbours(&self, axis: usize) -> &[[u32; 2]] {
        &self.neighbours[axis]
    }

    /// How far apart neighbours are at most, in rows.
    #[inline(always)]
    pub(super) fn reach(&self) -> usize {
        self.reach
    }

    /// No pixel after a tile has a vertex below this row.
    #[inline(always)]
    pub(super) fn complete(&self, tile: usize) -> usize {
        self.complete[tile]
    }
}

/// Finds the vertices and weights of every pixel, some pixels at a time.
#[multiversion(targets("x86_64+avx2"))]
fn locate<const D: usize, const V: usize, F: Fn(usize) -> [f32; D]>(
    lattice: &mut Lattice<D, V>,
    pixels: usize,
    feature: F,
) -> Points {
    let embedding = Embedding::<D, V>::new();
    let mut points = Points::new();
    let mut recent = Recent::new();
    for first in (0..pixels).step_by(LANES) {
        let mut features = [[0.0; LANES]; D];
        for lane in 0..LANES {
            let feature = feature((first + lane).min(pixels - 1));
            for (features, feature) in features.iter_mut().zip(feature) {
                features[lane] = feature;
            }
        }
        let located = embedding.locate(&features);
        for lane in 0..LANES.min(pixels - first) {
            let rows = recent
                .rows(located.simplex(lane), |simplex| Embedding::<D, V>::keys(simplex).map(|key| points.insert(key)));
            lattice.vertices.push(rows);
            lattice.weights.push(located.barycentric(lane));
        }
    }
    points
}

/// Simplices that were met of late, with the rows of their vertices: most pixels lie where a pixel near them lies.
struct Recent<const V: usize> {
    slots: Vec<(Simplex<V>, [u32; V])>,
}

impl<const V: usize> Recent<V> {
    /// A power of two; they fit the cache.
    const SLOTS: usize = 1 << 12;

    fn new() -> Self {
        // The ranks of a simplex are never all the same: this one is none.
        let none = Simplex { origin: [0; V], rank: [0; V] };
        Self { slots: vec![(none, [0; V]); Self::SLOTS] }
    }

    /// The rows of a simplex, found where it was not met of late.
    #[inline(always)]
    fn rows(&mut self, simplex: Simplex<V>, find: impl FnOnce(&Simplex<V>) -> [u32; V]) -> [u32; V] {
        let (met, rows) = &mut self.slots[simplex.hash() as usize % Self::SLOTS];
        if *met != simplex {
            (*rows, *met) = (find(&simplex), simplex);
        }
        *rows
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

    /// For each number the two beside it along a step, 0 for none. Number 0 has none.
    fn neighbours(&self, step: i128) -> Vec<[u32; 2]> {
        let mut beside = vec![[0; 2]; self.keys.len() + 1];
        for (index, key) in self.keys.iter().enumerate() {
            let next = self.slots[self.slot(key + step)];
            if next != 0 {
                beside[index + 1][1] = next;
                beside[next as usize][0] = index as u32 + 1;
            }
        }
        beside
    }
}
