//! Rows of channels, and how a lattice filters them: pixels give (splat), the lattice blurs, pixels take (slice).
//!
//! Everything here is inlined into the few functions that are compiled for several instruction sets (`multiversion`).
//! None of them fuses or reorders operations: all give the same bits.

use super::lattice::Lattice;

/// Floats of one AVX register.
pub(super) const LANES: usize = 8;
/// Pixels at a time. Each step is done for a whole tile before the next: no pixel waits for the long chain of another.
pub(super) const TILE: usize = 64;

/// The channels of a pixel or of a lattice point. No eight of them lie across two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Row<const C: usize>(pub(super) [f32; C]);

impl<const C: usize> Row<C> {
    /// Zero in each channel.
    pub(super) const ZERO: Self = {
        assert!(C.is_multiple_of(LANES), "a row is whole registers");
        Self([0.0; C])
    };

    /// Each channel of itself and `weight` times the other's.
    #[inline(always)]
    fn plus(&self, weight: f32, other: &Self) -> Self {
        Self(std::array::from_fn(|c| self.0[c] + weight * other.0[c]))
    }
}

/// A lattice with the values of C channels that it filters, again and again.
///
/// Pixels take from one buffer, `blurred`, and give to the other, `given`. Below a row that moves on with the tiles, no
/// later pixel takes or gives anything. There the rows are blurred at once, while they are in the cache: each axis
/// writes from one buffer to the other, far enough behind the axis before that nothing is overwritten too early. What
/// the last axis wrote is what pixels take next time; the other buffer is cleared for what they give.
pub(super) struct Filter<'a, const D: usize, const V: usize, const C: usize> {
    lattice: &'a Lattice<D, V>,
    /// What pixels take; zero before anything was filtered.
    blurred: Vec<Row<C>>,
    /// What pixels gave.
    given: Vec<Row<C>>,
    /// How many rows each axis has blurred.
    progress: [usize; V],
    /// How many rows are zero again for the next filtering.
    cleared: usize,
}

impl<'a, const D: usize, const V: usize, const C: usize> Filter<'a, D, V, C> {
    pub(super) fn new(lattice: &'a Lattice<D, V>) -> Self {
        let zero = vec![Row::ZERO; lattice.rows()];
        Self { lattice, blurred: zero.clone(), given: zero, progress: [0; V], cleared: 0 }
    }

    /// `sum` and `scale` times a pixel's channels of the blurred values.
    #[inline(always)]
    pub(super) fn slice(&self, pixel: usize, scale: f32, mut sum: Row<C>) -> Row<C> {
        for (row, weight) in self.lattice.vertices(pixel) {
            sum = sum.plus(weight * (scale * Lattice::<D, V>::GAIN), &self.blurred[row]);
        }
        sum
    }

    /// Gives the channels of the pixels of a tile to their vertices. Tiles come in order.
    #[inline(always)]
    pub(super) fn splat(&mut self, tile: usize, pixels: &[Row<C>]) {
        for (pixel, channels) in pixels.iter().enumerate() {
            for (row, weight) in self.lattice.vertices(tile * TILE + pixel) {
                self.given[row] = self.given[row].plus(weight, channels);
            }
        }
        self.blur(self.lattice.complete(tile));
    }

    /// Blurs the rows below `complete`, as far as their neighbours are complete too; after the last tile all of them.
    #[inline(always)]
    fn blur(&mut self, complete: usize) {
        let rows = self.lattice.rows();
        // An axis needs its neighbours' values along the axis before, and takes the place of those before that one.
        let behind = |ahead: usize| if ahead == rows { rows } else { ahead.saturating_sub(self.lattice.reach()) };
        let mut ahead = complete;
        for (axis, progress) in self.progress.iter_mut().enumerate() {
            let until = behind(ahead);
            let (from, to) = if axis.is_multiple_of(2) {
                (&self.given, &mut self.blurred)
            } else {
                (&self.blurred, &mut self.given)
            };
            blur_axis(self.lattice.neighbours(axis), from, to, *progress..until);
            (*progress, ahead) = (until, until);
        }
        let until = behind(ahead);
        let ends_in_given = V.is_multiple_of(2);
        let free = if ends_in_given { &mut self.blurred } else { &mut self.given };
        free[self.cleared..until].fill(Row::ZERO);
        self.cleared = until;
        if until == rows {
            (self.progress, self.cleared) = ([0; V], 0);
            if ends_in_given {
                std::mem::swap(&mut self.blurred, &mut self.given);
            }
        }
    }
}

/// (1, 2, 1) / 2 along one axis for some rows.
#[inline(always)]
fn blur_axis<const C: usize>(
    neighbours: &[[u32; 2]],
    from: &[Row<C>],
    to: &mut [Row<C>],
    rows: std::ops::Range<usize>,
) {
    let beside = &neighbours[rows.clone()];
    for ((blurred, value), [before, after]) in to[rows.clone()].iter_mut().zip(&from[rows]).zip(beside) {
        let (before, after) = (&from[*before as usize], &from[*after as usize]);
        *blurred = Row(std::array::from_fn(|c| value.0[c] + 0.5 * (before.0[c] + after.0[c])));
    }
}
