//! Pictures in rows, each with a title above it and a score below.

use data::codec::Rgb;
use data::resize::resize_bicubic;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::panels::Panel;

/// The longer side of a picture in the figure.
const LONGEST: usize = 280;
/// Between pictures, and around them.
const GAP: usize = 10;
const FONT: FontWeight = FontWeight::Regular;
const FONT_SIZE: RasterHeight = RasterHeight::Size16;
const LINE: usize = 20;
const PAPER: u8 = 255;
const INK: u8 = 20;

/// The rows below one another on white.
pub fn draw(rows: &[Vec<Panel>]) -> Rgb {
    let rows: Vec<Vec<Cell>> = rows.iter().map(|row| row.iter().map(Cell::of).collect()).collect();
    let heights: Vec<usize> = rows.iter().map(|row| row.iter().map(Cell::height).max().unwrap_or(0)).collect();
    let width = |row: &Vec<Cell>| row.iter().map(|cell| cell.width() + GAP).sum::<usize>();
    let width = rows.iter().map(width).max().unwrap_or(0) + GAP;
    let height = heights.iter().map(|height| height + GAP).sum::<usize>() + GAP;
    let mut figure = Rgb { height, width, pixels: vec![PAPER; height * width * 3] };
    let mut top = GAP;
    for (row, height) in rows.iter().zip(heights) {
        let mut left = GAP;
        for cell in row {
            write(&mut figure, &cell.title, top, left);
            paste(&mut figure, &cell.picture, top + LINE, left);
            write(&mut figure, &cell.score, top + LINE + cell.picture.height + 4, left);
            left += cell.width() + GAP;
        }
        top += height + GAP;
    }
    figure
}

/// A panel in the size of the figure.
struct Cell {
    title: String,
    picture: Rgb,
    score: String,
}

impl Cell {
    fn of(panel: &Panel) -> Self {
        let Panel { title, picture, iou } = panel;
        let longest = picture.height.max(picture.width);
        let side = |side: usize| (side * LONGEST / longest).max(1);
        let picture = resize_bicubic(picture, side(picture.height), side(picture.width));
        let score = iou.map(|iou| format!("IoU {:.1}", iou * 100.0)).unwrap_or_default();
        Self { title: title.clone(), picture, score }
    }

    fn width(&self) -> usize {
        let longest = self.title.chars().count().max(self.score.chars().count());
        self.picture.width.max(longest * get_raster_width(FONT, FONT_SIZE))
    }

    fn height(&self) -> usize {
        LINE + self.picture.height + LINE
    }
}

fn paste(figure: &mut Rgb, picture: &Rgb, top: usize, left: usize) {
    for (row, line) in picture.pixels.chunks_exact(picture.width * 3).enumerate() {
        figure.pixels[((top + row) * figure.width + left) * 3..][..line.len()].copy_from_slice(line);
    }
}

/// Text in one line; what the font lacks is a question mark.
fn write(figure: &mut Rgb, text: &str, top: usize, left: usize) {
    for (place, sign) in text.chars().enumerate() {
        let raster = get_raster(sign, FONT, FONT_SIZE).or_else(|| get_raster('?', FONT, FONT_SIZE));
        for (row, line) in raster.iter().flat_map(|raster| raster.rows().enumerate()) {
            let from = left + place * get_raster_width(FONT, FONT_SIZE);
            for (column, strength) in line.iter().enumerate() {
                let pixel = ((top + row) * figure.width + from + column) * 3;
                let shade = PAPER - (u16::from(*strength) * u16::from(PAPER - INK) / 255) as u8;
                figure.pixels[pixel..pixel + 3].fill(shade);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_its_place_and_its_text_and_no_two_overlap() {
        let panel = |title: &str, shade: u8, [height, width]: [usize; 2], iou: Option<f64>| Panel {
            title: title.to_owned(),
            // No grey, which text has at its edges.
            picture: Rgb { height, width, pixels: [shade, 0, 0].repeat(height * width) },
            iou,
        };
        let longest = panel("a title that is longer than its picture is wide", 100, [100, 20], Some(0.5));
        let figure =
            draw(&[vec![longest, panel("b", 150, [50, 100], None)], vec![panel("\u{4e00}", 200, [70, 70], None)]]);
        let count =
            |shade: u8| figure.pixels.as_chunks::<3>().0.iter().filter(|pixel| **pixel == [shade, 0, 0]).count();
        assert_eq!([count(100), count(150), count(200)], [280 * 56, 140 * 280, 280 * 280]);
        let inked = |rows: std::ops::Range<usize>| {
            let row = |row: usize| figure.pixels[row * figure.width * 3..][..figure.width * 3].as_chunks::<3>().0;
            rows.flat_map(row).filter(|[r, g, b]| r == g && g == b && *r < 90).count()
        };
        assert!(inked(GAP..GAP + LINE) > 200, "the titles of the first row");
        assert!(inked(GAP + LINE + LONGEST..GAP + LINE + LONGEST + LINE) > 20, "its score");
        assert_eq!(inked(GAP + LINE..GAP + LINE + LONGEST), 0);
    }
}
