//! Masks and maps drawn over photographs.

use crate::codec::{Mask, Rgb};

/// Nine colours of the inferno map, evenly spaced; what lies between is mixed.
pub const HEAT: [[u8; 3]; 9] = [
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

/// Share of the heat colour in an overlay where the map is 0, and what is added to it where it is 1.
const HEAT_SHARE: [f32; 2] = [0.3, 0.45];
/// Share of a class's colour over the photograph.
const MASK_SHARE: f32 = 0.55;

/// A map of one value a pixel, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Map<T> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Its values, `[height, width]`.
    pub values: Vec<T>,
}

impl<T> Map<T> {
    /// `None` if the values do not fill the map, or there are none.
    pub fn new(height: u32, width: u32, values: Vec<T>) -> Option<Self> {
        let (height, width) = (height as usize, width as usize);
        let full = height > 0 && width > 0 && values.len() == height * width;
        full.then_some(Self { height, width, values })
    }
}

/// The heat colour of a value in \[0, 1\].
pub fn heat(value: f32) -> [u8; 3] {
    let place = value.clamp(0.0, 1.0) * (HEAT.len() - 1) as f32;
    let low = (place as usize).min(HEAT.len() - 2);
    let part = place - low as f32;
    std::array::from_fn(|c| mix(HEAT[low][c], HEAT[low + 1][c], part))
}

/// `part` of `b` in `a`.
fn mix(a: u8, b: u8, part: f32) -> u8 {
    (f32::from(a) + (f32::from(b) - f32::from(a)) * part).round() as u8
}

/// The luminance of a colour (Rec. 709).
fn grey([red, green, blue]: [u8; 3]) -> u8 {
    ((2126 * u32::from(red) + 7152 * u32::from(green) + 722 * u32::from(blue)) / 10_000) as u8
}

/// Heat over the photograph in grey; a map of another size is stretched over it.
pub fn heat_over(photo: &Rgb, activation: &Map<f32>) -> Rgb {
    let (pixels, _) = photo.pixels.as_chunks::<3>();
    let heated = pixels.iter().enumerate().flat_map(|(place, pixel)| {
        let row = place / photo.width * activation.height / photo.height;
        let column = place % photo.width * activation.width / photo.width;
        let value = activation.values[row * activation.width + column].clamp(0.0, 1.0);
        let share = HEAT_SHARE[0] + HEAT_SHARE[1] * value;
        heat(value).map(|heat| mix(grey(*pixel), heat, share))
    });
    Rgb { height: photo.height, width: photo.width, pixels: heated.collect() }
}

/// The mask's classes in their colours over the photograph of the same size. The background shows the photograph, a
/// class's edge its colour alone.
pub fn mask_over(photo: &Rgb, mask: &Mask, palette: &[[u8; 3]]) -> Rgb {
    let Mask { height, width, ref classes } = *mask;
    let is_edge = |place: usize, class: u8| {
        let (row, column) = (place / width, place % width);
        (column + 1 < width && classes[place + 1] != class)
            || (column > 0 && classes[place - 1] != class)
            || (row + 1 < height && classes[place + width] != class)
            || (row > 0 && classes[place - width] != class)
    };
    let (pixels, _) = photo.pixels.as_chunks::<3>();
    let drawn = pixels.iter().zip(classes).enumerate().flat_map(|(place, (pixel, class))| {
        let Some(colour) = palette.get(usize::from(*class)).filter(|_| *class != 0) else { return *pixel };
        let share = if is_edge(place, *class) { 1.0 } else { MASK_SHARE };
        std::array::from_fn(|c| mix(pixel[c], colour[c], share))
    });
    Rgb { height, width, pixels: drawn.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heat_rises_from_dark_to_light() {
        assert_eq!((heat(-1.0), heat(0.5), heat(1.0)), (HEAT[0], HEAT[4], HEAT[8]));
        assert_eq!((grey([255; 3]), grey([0; 3])), (255, 0));
    }

    #[test]
    fn a_map_must_be_full() {
        assert!(Map::new(2, 2, vec![0u8; 3]).is_none() && Map::new(0, 2, Vec::<u8>::new()).is_none());
    }

    #[test]
    fn heat_lies_where_the_map_is_high() {
        let photo = Rgb { height: 2, width: 4, pixels: vec![128; 24] };
        let map = Map::new(1, 2, vec![0.0, 1.0]).unwrap();
        let heated = heat_over(&photo, &map).pixels;
        let (left, right) = (&heated[..3], &heated[9..12]);
        assert!(left[0] < 128 && right[0] > left[0], "dark on the left, light on the right: {left:?}, {right:?}");
        assert_eq!((&heated[12..15], &heated[21..]), (left, right), "both rows are of the map's one row");
    }

    #[test]
    fn a_class_has_its_colour_at_its_edge_a_mixture_inside_and_the_background_shows_the_photograph() {
        let photo = Rgb { height: 5, width: 5, pixels: vec![100; 75] };
        let classes = (0..25).map(|place| u8::from(place % 5 > 1)).collect();
        let palette = [[0, 0, 0], [200, 0, 0]];
        let drawn = mask_over(&photo, &Mask { height: 5, width: 5, classes }, &palette).pixels;
        let row: Vec<[u8; 3]> = drawn[30..45].as_chunks::<3>().0.to_vec();
        assert_eq!(row, [[100; 3], [100; 3], [200, 0, 0], [155, 45, 45], [155, 45, 45]]);
    }
}
