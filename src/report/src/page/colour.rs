//! Colours of heat, and colours as CSS writes them. Classes have the colours of the codec's palette, which is VOC's.

/// Nine colours of the inferno map, evenly spaced; what lies between is mixed.
pub(super) const HEAT: [[u8; 3]; 9] = [
    [0, 0, 4],
    [31, 12, 72],
    [85, 15, 109],
    [136, 34, 106],
    [186, 54, 85],
    [227, 89, 51],
    [249, 140, 10],
    [249, 201, 50],
    [252, 255, 164],
];

/// The heat colour of a value in \[0, 1\].
pub(super) fn heat(value: f32) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (HEAT.len() - 1) as f32;
    let low = (place as usize).min(HEAT.len() - 2);
    let part = place - low as f32;
    std::array::from_fn(|c| mix(HEAT[low][c], HEAT[low + 1][c], part))
}

/// `part` of `b` in `a`.
pub(super) fn mix(a: u8, b: u8, part: f32) -> u8 {
    (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8
}

/// The luminance of a colour (Rec. 709).
pub(super) fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue)) / 10_000) as u8
}

/// A colour as CSS writes it.
pub(super) fn css([red, green, blue]: [u8; 3]) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_rises_from_dark_to_light() {
        assert_eq!((heat(-1.0), heat(0.5), heat(1.0)), (HEAT[0], HEAT[4], HEAT[8]));
        assert_eq!((grey([255; 3]), grey([0; 3])), (255, 0));
    }
}
