//! One picture: a ground, up to three figures on it (one in a close-up), and the mask that says whose each pixel is.

use artifact::ClassId;

use crate::{
    codec::{Mask, Rgb},
    random::Rng,
};

use super::{
    CLASSES,
    figure::{Figure, coat, coverage},
    stored,
    texture::{Background, Ground, mix, scale, smooth},
};

/// Rays a pixel along each axis.
const RAYS: usize = 2;
/// Placements tried for a figure before it is left out.
const TRIES: usize = 30;

/// A finished picture.
pub(super) struct Scene {
    pub(super) picture: Rgb,
    pub(super) mask: Mask,
    pub(super) objects: Vec<Object>,
}

/// What an annotation says about one figure.
pub(super) struct Object {
    /// Number in [`CLASSES`].
    pub(super) class: usize,
    /// Visible pixels: first and last column and row, as x0, y0, x1, y1.
    pub(super) bounds: [usize; 4],
}

impl Scene {
    /// Up to three figures. Everything from `rng`.
    ///
    /// Two classes that share a coat keep apart, as cat and dog do in photographs.
    pub(super) fn draw(h: usize, w: usize, rng: &mut Rng) -> Self {
        let count = [0, 1, 1, 2, 2, 3][rng.below(6)];
        let mut classes: Vec<usize> = vec![];
        while classes.len() < count {
            let class = rng.below(CLASSES.len());
            if classes.iter().all(|&other| other == class || coat(other) != coat(class)) {
                classes.push(class);
            }
        }
        Self::of(&classes, [h, w], h.min(w) as f64, 0.15, rng)
    }

    /// One figure, or none, in the middle of a square of `side` pixels, as large as in a picture whose shorter side is
    /// `scale`.
    pub(super) fn draw_close_up(side: usize, scale: f64, rng: &mut Rng) -> Self {
        let count = [0, 1, 1, 1, 1, 1][rng.below(6)];
        let classes: Vec<usize> = (0..count).map(|_| rng.below(CLASSES.len())).collect();
        Self::of(&classes, [side, side], scale, 0.35, rng)
    }

    /// Figures of these classes, their centres at least `margin` of either side away from the border.
    fn of(classes: &[usize], [h, w]: [usize; 2], scale: f64, margin: f64, rng: &mut Rng) -> Self {
        let background = Background::draw(habitat(classes.first().copied(), rng), h, rng);
        let figures = place(classes, [h, w], scale, margin, rng);
        Self {
            picture: render(&background, &figures, h, w),
            mask: mask(&figures, h, w),
            objects: objects(&figures, &owners(&figures, h, w), w),
        }
    }
}

/// A class is seen on its own ground more often than elsewhere: context that a classifier is tempted to use.
fn habitat(class: Option<usize>, rng: &mut Rng) -> Ground {
    const GROUNDS: [Ground; 4] = [Ground::Meadow, Ground::Sand, Ground::Water, Ground::Stone];
    let own = class.map(|class| [0, 1, 2, 3, 1, 0][class]).filter(|_| rng.chance(0.5));
    GROUNDS[own.unwrap_or_else(|| rng.below(GROUNDS.len()))]
}

/// Figures from back to front. Heads stay visible, and half of every figure does.
fn place(classes: &[usize], [h, w]: [usize; 2], scale: f64, margin: f64, rng: &mut Rng) -> Vec<Figure> {
    let mut figures: Vec<Figure> = vec![];
    for &class in classes {
        for _ in 0..TRIES {
            let centre = [w, h].map(|side| rng.uniform(margin, 1.0 - margin) * side as f64);
            figures.push(Figure::draw(class, centre, scale, rng));
            if is_readable(&figures, h, w) {
                break;
            }
            figures.pop();
        }
    }
    figures
}

fn is_readable(figures: &[Figure], h: usize, w: usize) -> bool {
    let owners = owners(figures, h, w);
    figures.iter().enumerate().all(|(index, figure)| {
        let (mut whole, mut seen, mut head_whole, mut head_seen) = (0, 0, 0, 0);
        let reach = (h.max(w) / 2) as i64;
        let [cx, cy] = figure.centre.map(|v| v as i64);
        for y in cy - reach..cy + reach {
            for x in cx - reach..cx + reach {
                let (px, py) = (x as f64 + 0.5, y as f64 + 0.5);
                if !figure.is_near(px, py) || figure.distance(px, py) >= 0.0 {
                    continue;
                }
                let head = usize::from(figure.head_distance(px, py) < 0.0);
                whole += 1;
                head_whole += head;
                let inside = (0..h as i64).contains(&y) && (0..w as i64).contains(&x);
                if inside && owners[y as usize * w + x as usize] == Some(index) {
                    seen += 1;
                    head_seen += head;
                }
            }
        }
        2 * seen >= whole && 5 * head_seen >= 4 * head_whole
    })
}

/// The front-most figure at each pixel's centre.
fn owners(figures: &[Figure], h: usize, w: usize) -> Vec<Option<usize>> {
    let at = |x: usize, y: usize| {
        let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
        figures.iter().rposition(|figure| figure.is_near(x, y) && figure.distance(x, y) < 0.0)
    };
    (0..h * w).map(|i| at(i % w, i / w)).collect()
}

/// Classes inside, void on both sides of every outline.
fn mask(figures: &[Figure], h: usize, w: usize) -> Mask {
    let owners = owners(figures, h, w);
    let class = |x: usize, y: usize| {
        let owner = owners[y * w + x];
        let (left, right, up, down) =
            (x.saturating_sub(1), (x + 1).min(w - 1), y.saturating_sub(1), (y + 1).min(h - 1));
        let neighbours = [(left, y), (right, y), (x, up), (x, down)];
        match owner {
            _ if neighbours.iter().any(|&(x, y)| owners[y * w + x] != owner) => ClassId::VOID.0,
            Some(index) => stored(figures[index].class),
            None => ClassId::BACKGROUND.0,
        }
    };
    Mask { height: h, width: w, classes: (0..h * w).map(|i| class(i % w, i / w)).collect() }
}

fn objects(figures: &[Figure], owners: &[Option<usize>], w: usize) -> Vec<Object> {
    let bounds = |index: usize| {
        let seen = owners.iter().enumerate().filter(|(_, owner)| **owner == Some(index));
        seen.fold([usize::MAX, usize::MAX, 0, 0], |[x0, y0, x1, y1], (i, _)| {
            let (x, y) = (i % w, i / w);
            [x0.min(x), y0.min(y), x1.max(x), y1.max(y)]
        })
    };
    figures.iter().enumerate().map(|(index, f)| Object { class: f.class, bounds: bounds(index) }).collect()
}

fn render(background: &Background, figures: &[Figure], h: usize, w: usize) -> Rgb {
    let mut pixels = Vec::with_capacity(h * w * 3);
    for i in 0..h * w {
        let ground = background.at((i % w) as f64 + 0.5, (i / w) as f64 + 0.5);
        let mut sum = [0.0; 3];
        for ray in 0..RAYS * RAYS {
            let x = (i % w) as f64 + ((ray % RAYS) as f64 + 0.5) / RAYS as f64;
            let y = (i / w) as f64 + ((ray / RAYS) as f64 + 0.5) / RAYS as f64;
            let mut colour = ground;
            for figure in figures.iter().filter(|figure| figure.is_near(x, y)) {
                // A soft shadow to the lower right, then the figure itself.
                let shadow = smooth((2.5 - figure.distance(x - 2.2, y - 3.0)) / 5.0);
                colour = scale(colour, 1.0 - 0.42 * shadow * (1.0 - coverage(figure.distance(x, y))));
                let touch = figure.touch(x, y);
                colour = mix(colour, touch.colour, touch.cover);
            }
            sum = std::array::from_fn(|c| sum[c] + colour[c].clamp(0.0, 1.0));
        }
        pixels.extend(sum.map(|v| (v / (RAYS * RAYS) as f64 * 255.0).round() as u8));
    }
    Rgb { height: h, width: w, pixels }
}
