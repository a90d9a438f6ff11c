//! Probabilities of one pixel from its energies, a row of channels at a time. Each loop is over lanes that do not
//! depend on one another, so that it vectorises.

use super::filter::{LANES, Row, TILE};

/// Differences below this have no probability: what is left of them would only be slow to add (denormal numbers).
const NOTHING: f32 = -60.0;
/// Partial sums.
const SUMS: usize = 4;

/// x <- exp x / sum of exp x, in each row of a tile.
///
/// exp x = 2^n exp r is made in two loops: what depends on what in each is short enough for several rows at once.
#[inline(always)]
pub(super) fn softmax<const C: usize>(rows: &mut [Row<C>]) {
    let mut powers = [Row::<C>::ZERO; TILE];
    for (row, powers) in rows.iter_mut().zip(&mut powers) {
        let largest = largest(row);
        for (x, power) in row.0.iter_mut().zip(&mut powers.0) {
            (*x, *power) = reduced(*x - largest);
        }
    }
    for row in rows.iter_mut() {
        for r in &mut row.0 {
            *r = exp(*r);
        }
    }
    for (row, powers) in rows.iter_mut().zip(&powers) {
        for (e, power) in row.0.iter_mut().zip(powers.0) {
            *e *= power;
        }
        let mut sums = [0.0; SUMS];
        for x in row.0.as_chunks::<SUMS>().0 {
            for lane in 0..SUMS {
                sums[lane] += x[lane];
            }
        }
        let scale = 1.0 / sums.iter().sum::<f32>();
        for x in &mut row.0 {
            *x *= scale;
        }
    }
}

#[inline(always)]
fn largest<const C: usize>(row: &Row<C>) -> f32 {
    let mut eight = [f32::MIN; LANES];
    for x in row.0.as_chunks::<LANES>().0 {
        eight = std::array::from_fn(|lane| larger(x[lane], eight[lane]));
    }
    let four: [f32; 4] = std::array::from_fn(|lane| larger(eight[lane], eight[lane + 4]));
    larger(larger(four[0], four[2]), larger(four[1], four[3]))
}

/// The larger of two numbers, as one instruction has it.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// r and 2^n of x = n ln 2 + r for x <= 0, |r| <= ln 2 / 2; below [`NOTHING`] zero takes the place of 2^n.
#[inline(always)]
fn reduced(x: f32) -> (f32, f32) {
    /// 1.5 * 2^23: added, it leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with so few digits that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let clamped = larger(x, NOTHING);
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN_2[0] - n * LN_2[1];
    let power = (rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits());
    let something = u32::from(x > NOTHING).wrapping_neg(); // all bits or none
    (r, f32::from_bits(power & something))
}

/// exp r for |r| <= ln 2 / 2 within two units of the last place.
#[inline(always)]
fn exp(r: f32) -> f32 {
    /// exp r = 1 + r + r^2 p(r), largest power first (Cephes).
    const P: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let p = P[1..].iter().fold(P[0], |sum, coefficient| sum * r + coefficient);
    p * r * r + r + 1.0
}
