//! Probabilities of one pixel from its energies, a row of channels at a time.

/// Differences below this have no probability: what is left of them would only be slow to add (denormal numbers).
const NOTHING: f32 = -60.0;

/// x <- exp x / sum of exp x.
#[inline]
pub(super) fn softmax<const C: usize>(x: &mut [f32; C]) {
    let largest = x.iter().fold(f32::NEG_INFINITY, |largest, &x| if x > largest { x } else { largest });
    let mut sums = [0.0_f32; 4];
    let (blocks, _) = x.as_chunks_mut::<4>();
    for block in blocks {
        for (x, sum) in block.iter_mut().zip(&mut sums) {
            *x = exp(*x - largest);
            *sum += *x;
        }
    }
    let scale = 1.0 / sums.iter().sum::<f32>();
    for x in x {
        *x *= scale;
    }
}

/// exp x for x <= 0 within two units of the last place; 0 below [`NOTHING`]. No call, no branch: rows of it vectorise.
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
    if x > NOTHING { (p * r * r + r + 1.0) * power } else { 0.0 }
}
