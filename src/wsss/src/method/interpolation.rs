//! Bilinear interpolation as two matrices, so that sums over pixels and norms at pixels are computed at stride 8.
//!
//! With X the map at stride 8 and R the interpolation, a pixel's feature is x = R X. Three facts make the [B, D, H, W]
//! tensor unnecessary: (R X) · p = R (X · p); the sum of x over a mask M is (R^T M) · X; and |x|^2 is a quadratic form
//! of the products of X with its right, lower and two diagonal neighbours, because a pixel has at most four parents.

use tch::{Device, Kind, Tensor};

/// From a small grid to a larger one, corners not aligned, as [`super::cam::upsample`].
#[derive(Debug)]
pub struct Interpolation {
    rows: Axis,
    columns: Axis,
}

/// One axis: the weights of the parents of each position, and of pairs of neighbouring parents.
#[derive(Debug)]
struct Axis {
    /// `[to, from]`.
    weights: Tensor,
    /// `[to, 2 from - 1]`: squares of the weights, then twice the product of each weight and the next.
    pairs: Tensor,
}

impl Axis {
    fn new(from: i64, to: i64, device: Device) -> Self {
        let unit = Tensor::eye(from, (Kind::Float, device)).unsqueeze(0); // [1, from, from]
        let weights = unit.upsample_linear1d([to], false, None).squeeze_dim(0).tr().contiguous(); // [to, from]
        let products = weights.narrow(1, 0, from - 1) * weights.narrow(1, 1, from - 1) * 2.0;
        let pairs = Tensor::cat(&[weights.square(), products], 1); // [to, 2 from - 1]
        Self { weights, pairs }
    }
}

impl Interpolation {
    /// From `[h, w]` to `[H, W]`.
    pub fn new(from: [i64; 2], to: [i64; 2], device: Device) -> Self {
        Self { rows: Axis::new(from[0], to[0], device), columns: Axis::new(from[1], to[1], device) }
    }

    /// R X.
    ///
    /// # Shapes
    /// `x [B, C, h, w]` to `[B, C, H, W]`.
    pub fn up(&self, x: &Tensor) -> Tensor {
        sandwich(&self.rows.weights, x, &self.columns.weights)
    }

    /// R^T M, the adjoint of [`Interpolation::up`].
    ///
    /// # Shapes
    /// `m [B, C, H, W]` to `[B, C, h, w]`.
    pub fn down(&self, m: &Tensor) -> Tensor {
        sandwich(&self.rows.weights.tr(), m, &self.columns.weights.tr())
    }

    /// |R X|^2 at each pixel.
    ///
    /// # Shapes
    /// `x [B, D, h, w]` to `[B, 1, H, W]`.
    pub fn squared_norm(&self, x: &Tensor) -> Tensor {
        let (_, _, h, w) = x.size4().expect("features are [B, D, h, w]");
        let dot = |a: &Tensor, b: &Tensor| (a * b).sum_dim_intlist([1].as_slice(), true, Kind::Float);
        let (upper, lower) = (x.narrow(2, 0, h - 1), x.narrow(2, 1, h - 1)); // [B, D, h - 1, w]
        let (left, right) = (x.narrow(3, 0, w - 1), x.narrow(3, 1, w - 1)); // [B, D, h, w - 1]
        let diagonal = dot(&upper.narrow(3, 0, w - 1), &lower.narrow(3, 1, w - 1)); // [B, 1, h - 1, w - 1]
        let antidiagonal = dot(&upper.narrow(3, 1, w - 1), &lower.narrow(3, 0, w - 1));
        let crossed = (diagonal + antidiagonal) * 0.5;
        let top = Tensor::cat(&[dot(x, x), dot(&left, &right)], 3); // [B, 1, h, 2w - 1]
        let bottom = Tensor::cat(&[dot(&upper, &lower), crossed], 3); // [B, 1, h - 1, 2w - 1]
        let gram = Tensor::cat(&[top, bottom], 2); // [B, 1, 2h - 1, 2w - 1]
        sandwich(&self.rows.pairs, &gram, &self.columns.pairs)
    }
}

/// left · x · right^T for every map of `x`.
///
/// # Shapes
/// `left [P, p]`, `x [B, C, p, q]`, `right [Q, q]` to `[B, C, P, Q]`.
fn sandwich(left: &Tensor, x: &Tensor, right: &Tensor) -> Tensor {
    let (b, c, p, q) = x.size4().expect("maps are [B, C, p, q]");
    let (to, _) = left.size2().expect("a matrix");
    let wide = x.reshape([b * c * p, q]).matmul(&right.tr()).reshape([b * c, p, -1]); // [BC, p, Q]
    left.unsqueeze(0).expand([b * c, to, p], false).bmm(&wide).reshape([b, c, to, -1])
}
