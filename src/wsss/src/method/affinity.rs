//! Affinities of positions that lie near each other, and the labels they learn from (Ahn and Kwak 2018; METHOD.md,
//! section 6).

use tch::{Kind, Tensor};

use crate::ranks;

/// "Ignore" in maps of labels.
pub const IGNORED: i64 = 255;
/// Keeps logarithms and empty means finite.
const EPS: f64 = 1e-5;

/// The displacement of a pair's second position from its first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// Rows down, never negative.
    pub dy: usize,
    /// Columns to the right, negative to the left.
    pub dx: isize,
}

/// The radius that fits a grid: `radius`, or less where the grid is small.
pub fn fitting_radius(grid: [usize; 2], radius: usize) -> usize {
    radius.min((grid[0].min(grid[1]).max(1) - 1) / 2)
}

/// Every displacement nearer than `radius`, each pair of positions once: 34 for radius 5.
pub fn offsets(radius: usize) -> Vec<Offset> {
    let reach = radius.saturating_sub(1) as isize;
    let mut found: Vec<Offset> = (1..=reach).map(|dx| Offset { dy: 0, dx }).collect();
    for dy in 1..=reach {
        let near = (-reach..=reach).filter(|dx| dx * dx + dy * dy < (radius * radius) as isize);
        found.extend(near.map(|dx| Offset { dy: dy as usize, dx }));
    }
    found
}

/// a = exp(-mean over channels of |`f_i` - `f_j`|) for every origin i and offset to j.
///
/// # Shapes
/// `features [B, C, h, w]` to `[B, offsets, h - r, w - 2r]`, r = radius - 1: an origin has all its partners.
pub fn affinities(features: &Tensor, radius: usize) -> Tensor {
    let grid = Origins::new(features, radius);
    let origins = grid.at(features, Offset { dy: 0, dx: 0 }); // [B, C, h', w']
    let none = origins.narrow(1, 0, 0); // [B, 0, h', w']: all there is on a grid too small for pairs
    let distances = offsets(radius)
        .into_iter()
        .map(|o| (grid.at(features, o) - &origins).abs().mean_dim([1].as_slice(), true, Kind::Float)); // [B, 1, h', w']
    let distances: Vec<Tensor> = std::iter::once(none).chain(distances).collect();
    (-Tensor::cat(&distances, 1)).exp()
}

/// The classes that two readings of the CAMs agree on: where the generous one (low alpha means much background) says
/// background: unknown, unless the strict one says background too.
///
/// # Shapes
/// `low, high [B, h, w]`: the class of the largest score after the CRF; to the same with 255 for unknown.
pub fn affinity_labels(low: &Tensor, high: &Tensor) -> Tensor {
    low.masked_fill(&low.eq(0), IGNORED).masked_fill(&high.eq(0), 0)
}

/// [`affinity_labels`] of a crop's cells: scores average-pooled by 8, the largest each. Cells wholly in the padding are
/// unknown.
///
/// # Shapes
/// `low, high [1, C, H, W]` scores of `classes [C]`, `valid [1, 1, H, W]` of 0 (padding) and 1; to `[1, H/8, W/8]`.
pub fn cell_labels(low: &Tensor, high: &Tensor, classes: &Tensor, valid: &Tensor) -> Tensor {
    let pool = |x: &Tensor| x.avg_pool2d([8, 8], [8, 8], [0, 0], false, true, None);
    let class = |scores: &Tensor| classes.take(&pool(&(scores * valid)).argmax(1, false)); // [1, H/8, W/8]
    let unknown = pool(valid).squeeze_dim(1).lt(EPS);
    affinity_labels(&class(low), &class(high)).masked_fill(&unknown, IGNORED)
}

/// Which pairs of known labels are of each kind, bool `[B, offsets, h', w']`.
#[derive(Debug)]
pub struct Pairs {
    /// Both background.
    pub background: Tensor,
    /// The same foreground class.
    pub foreground: Tensor,
    /// Two classes.
    pub negative: Tensor,
}

/// The pairs of [`affinities`].
///
/// # Shapes
/// `labels [B, h, w]` of class ids with 255 unknown.
pub fn pairs(labels: &Tensor, radius: usize) -> Pairs {
    let grid = Origins::new(labels, radius);
    let origins = grid.at(labels, Offset { dy: 0, dx: 0 }).unsqueeze(1); // [B, 1, h', w']
    let none = origins.narrow(1, 0, 0); // [B, 0, h', w']
    let partners = offsets(radius).into_iter().map(|o| grid.at(labels, o).unsqueeze(1));
    let partners = Tensor::cat(&std::iter::once(none).chain(partners).collect::<Vec<_>>(), 1); // [B, offsets, h', w']
    let known = origins.ne(IGNORED).logical_and(&partners.ne(IGNORED));
    let same = partners.eq_tensor(&origins).logical_and(&known);
    let background = origins.eq(0);
    Pairs {
        background: same.logical_and(&background),
        foreground: same.logical_and(&background.logical_not()),
        negative: known.logical_and(&partners.ne_tensor(&origins)),
    }
}

/// 1/4 `L_bg` + 1/4 `L_fg` + 1/2 `L_neg`, each a mean over its pairs of -ln a or -ln (1 - a).
///
/// # Shapes
/// `affinities [B, offsets, h', w']`; to a scalar.
pub fn affinity_loss(affinities: &Tensor, pairs: &Pairs) -> Tensor {
    let mean = |losses: &Tensor, mask: &Tensor| {
        (losses * mask).sum(Kind::Float) / ranks::divisor(&mask.sum(Kind::Float), |pairs| pairs + EPS)
    };
    let positive = -(affinities + EPS).log();
    let negative = -((1.0 + EPS) - affinities).log();
    (mean(&positive, &pairs.background) + mean(&positive, &pairs.foreground)) * 0.25
        + mean(&negative, &pairs.negative) * 0.5
}

/// The positions that have every partner.
struct Origins {
    reach: i64,
    height: i64,
    width: i64,
}

impl Origins {
    fn new(map: &Tensor, radius: usize) -> Self {
        let size = map.size();
        let [.., h, w] = size[..] else { panic!("a map is [.., h, w]") };
        let reach = radius.saturating_sub(1) as i64;
        Self { reach, height: h - reach, width: w - 2 * reach }
    }

    /// The map displaced by `offset`, `[.., h', w']`.
    fn at(&self, map: &Tensor, offset: Offset) -> Tensor {
        map.narrow(-2, offset.dy as i64, self.height).narrow(-1, self.reach + offset.dx as i64, self.width)
    }
}
