//! Probabilities of one pixel from its energies, a row of channels at a time. Each loop is over lanes that do not
//! depend on one another, so that it vectorises.

/// Differences below this have no probability: what is left of them would only be slow to add (denormal numbers).
const NOTHING: f32 = -60.0;
/// Partial sums and maxima.
const LANES: usize = 4;

/// x <- exp x / sum of exp x. C is a multiple of 4.
#[inline]
pub(super) fn softmax<const C: usize>(x: &mut [f32; C]) {
    const { assert!(C.is_multiple_of(LANES)) };
    let mut largest = [f32::MIN; LANES];
    for c in 0..C {
        let lane = &mut largest[c % LANES];
        *lane = if x[c] > *lane { x[c] } else { *lane };
    }
    let largest = largest.into_iter().fold(f32::MIN, f32::max);
    for x in x.iter_mut() {
        *x = exp(*x - largest);
    }
    let mut sums = [0.0; LANES];
    for c in 0..C {
        sums[c % LANES] += x[c];
    }
    let scale = 1.0 / sums.iter().sum::<f32>();
    for x in x.iter_mut() {
        *x *= scale;
    }
}

/// exp x for x <= 0 within two units of the last place; 0 below [`NOTHING`]. No call, no branch.
#[inline]
fn exp(x: f32) -> f32 {
    /// 1.5 * 2^23: added, it leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts, the first with so few digits that n times it is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    /// exp r = 1 + r + r^2 p(r) for |r| <= ln 2 / 2, largest power first (Cephes).
    const P: [f32; 6] = [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let clamped = if x > NOTHING { x } else { NOTHING };
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = clamped - n * LN_2[0] - n * LN_2[1];
    let p = P[1..].iter().fold(P[0], |sum, coefficient| sum * r + coefficient);
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits())); // 2^n
    let something = u32::from(x > NOTHING).wrapping_neg(); // all bits or none
    f32::from_bits(((p * r * r + r + 1.0) * power).to_bits() & something)
}
