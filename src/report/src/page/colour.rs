//! Colours of classes and of heat.

/// Void in a mask or label: light, as the VOC figures show it.
pub(crate) const VOID: [u8; 3] = [224, 224, 192];

/// The VOC colour of a class: the bits of its number, spread over the high bits of red, green and blue.
pub(crate) fn class(class: u8) -> [u8; 3] {
    if class == 255 {
        return VOID;
    }
    let channel = |channel: u32| {
        (0..3).fold(0, |value, digit| {
            let bit = u32::from(class) >> (digit * 3 + channel) & 1;
            value | (bit << (7 - digit)) as u8
        })
    };
    [channel(0), channel(1), channel(2)]
}

/// Nine colours of the inferno map, evenly spaced; what lies between is mixed.
pub(crate) const HEAT: [[u8; 3]; 9] = [
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
pub(crate) fn heat(value: f32) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (HEAT.len() - 1) as f32;
    let low = (place as usize).min(HEAT.len() - 2);
    let part = place - low as f32;
    std::array::from_fn(|c| mix(HEAT[low][c], HEAT[low + 1][c], part))
}

/// `part` of `b` in `a`.
pub(crate) fn mix(a: u8, b: u8, part: f32) -> u8 {
    (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8
}

/// A colour as CSS writes it.
pub(crate) fn css([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_have_the_colours_of_voc() {
        let expected = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128]];
        assert_eq!([0, 1, 2, 3, 4].map(class), expected);
        assert_eq!((class(20), class(255)), ([0, 64, 128], VOID));
    }

    #[test]
    fn heat_rises_from_dark_to_light() {
        assert_eq!((heat(-1.0), heat(0.5), heat(1.0)), (HEAT[0], HEAT[4], HEAT[8]));
    }
}
