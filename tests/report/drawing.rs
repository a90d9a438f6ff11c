//! Made-up images of three shapes, with their masks, CAMs and predictions.

use artifact::ClassId;
use data::codec::{Mask, Rgb, encode_jpeg, encode_mask};

/// The foreground classes; one has a name that HTML has to escape.
pub const CLASSES: [&str; 3] = ["disc", "cat & <dog>", "bar"];
pub const WIDTH: u32 = 120;
pub const HEIGHT: u32 = 90;

/// Image number `n`: one or two shapes on a textured background.
pub struct Drawing {
    pub n: u32,
}

impl Drawing {
    /// Foreground classes in it, ascending.
    pub fn labels(&self) -> Vec<ClassId> {
        let first = self.n % 3;
        let mut classes = vec![first];
        if self.n.is_multiple_of(4) {
            classes.push((first + 1) % 3);
        }
        classes.sort_unstable();
        classes.into_iter().map(|class| ClassId::from_foreground(class as usize)).collect()
    }

    fn centre(&self, class: ClassId) -> (f64, f64) {
        let place = f64::from((self.n * 37 + u32::from(class.0) * 53) % 60);
        (30.0 + place, 30.0 + place * 0.5)
    }

    /// Below 0 inside the shape of a class, in pixels from its edge.
    fn distance(&self, class: ClassId, x: u32, y: u32) -> f64 {
        let (cx, cy) = self.centre(class);
        let (dx, dy) = (f64::from(x) - cx, f64::from(y) - cy);
        match class.0 {
            1 => dx.hypot(dy) - 20.0,
            2 => dx.abs().max(dy.abs()) - 17.0,
            _ => (dx + dy).abs().max((dx - dy).abs() * 0.4) - 14.0,
        }
    }

    /// The class of every pixel, its shape grown by `grow` pixels, void on the edge if asked for.
    pub fn classes(&self, grow: f64, void: bool) -> Vec<u8> {
        Self::each(|x, y| {
            self.labels().into_iter().fold(0, |below, class| match self.distance(class, x, y) - grow {
                d if void && d.abs() < 1.2 => 255,
                d if d < 0.0 => class.0,
                _ => below,
            })
        })
    }

    /// The CAM of a class in u8: `spread` pixels wide around a corner of the shape.
    pub fn cam(&self, class: ClassId, spread: f64) -> Vec<u8> {
        let (cx, cy) = self.centre(class);
        Self::each(|x, y| {
            let near = (f64::from(x) - cx + 4.0).hypot(f64::from(y) - cy + 4.0) / spread;
            ((-near * near).exp() * 255.0).round() as u8
        })
    }

    fn each<T>(mut value: impl FnMut(u32, u32) -> T) -> Vec<T> {
        (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| (x, y))).map(|(x, y)| value(x, y)).collect()
    }

    /// The photograph as JPEG.
    pub fn jpeg(&self) -> Vec<u8> {
        let classes = self.classes(0.0, false);
        let pixels = Self::each(|x, y| {
            let wave = ((f64::from(x) * 0.3 + f64::from(self.n)).sin() + (f64::from(y) * 0.41).cos()) * 16.0;
            let base = match classes[(y * WIDTH + x) as usize] {
                0 => [96.0, 122.0, 104.0],
                1 => [214.0, 120.0, 60.0],
                2 => [92.0, 110.0, 200.0],
                _ => [220.0, 196.0, 90.0],
            };
            base.map(|channel: f64| (channel + wave).clamp(0.0, 255.0) as u8)
        });
        encode_jpeg(&Rgb { height: HEIGHT as usize, width: WIDTH as usize, pixels: pixels.concat() }, 75)
    }

    /// The ground truth as palette PNG.
    pub fn mask(&self) -> Vec<u8> {
        encode_mask(&Mask { height: HEIGHT as usize, width: WIDTH as usize, classes: self.classes(0.0, true) })
    }
}
