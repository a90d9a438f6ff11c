//! One object: a large body in a coat that two classes share, warm in one and cold in the other, a tail, and the small
//! head with the badge that tells its class, unless it looks away.

use crate::random::Rng;

use super::texture::{Coat, Colour, Fur, mix, scale, smooth};

/// An object in the picture's coordinates, in pixels.
pub(super) struct Figure {
    pub(super) class: usize,
    pub(super) centre: [f64; 2],
    fur: Fur,
    /// Unit vector from the tail to the head.
    axis: [f64; 2],
    /// Half the length and half the width of the body.
    half: [f64; 2],
    /// How far the body narrows towards the tail.
    taper: f64,
    tail: f64,
    head: f64,
    /// Looks away: the head shows the coat and no badge.
    turned: bool,
}

/// What a figure shows at a point.
pub(super) struct Touch {
    /// 0 = outside, 1 = inside, between on the rim.
    pub(super) cover: f64,
    pub(super) colour: Colour,
}

impl Figure {
    /// A figure of `class` at `centre`, sized for a picture whose shorter side is `side`.
    pub(super) fn draw(class: usize, centre: [f64; 2], side: f64, rng: &mut Rng) -> Self {
        let warmth = [0.14, -0.14][class % 2] + rng.uniform(-0.10, 0.10);
        let long = side * rng.uniform(0.25, 0.40);
        let wide = long * rng.uniform(0.62, 0.82);
        Self {
            class,
            centre,
            fur: Fur::draw(coat(class), warmth, side * 0.2, rng),
            axis: direction(rng),
            half: [long, wide],
            taper: rng.uniform(0.0, 0.3),
            tail: long * rng.uniform(0.35, 0.6),
            head: side * rng.uniform(0.105, 0.130),
            turned: rng.chance(0.3),
        }
    }

    /// The middle of the head.
    pub(super) fn head(&self) -> [f64; 2] {
        let along = self.half[0] + 0.15 * self.head;
        [self.centre[0] + along * self.axis[0], self.centre[1] + along * self.axis[1]]
    }

    /// Whether the figure or its shadow can be seen at a point; cheap.
    pub(super) fn is_near(&self, x: f64, y: f64) -> bool {
        const SHADOW: f64 = 8.0;
        let reach = self.half[0] + 1.2 * self.tail.max(self.head) + 0.3 * self.half[1] + SHADOW;
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        dx * dx + dy * dy < reach * reach
    }

    /// Signed distance to the outline in pixels, about right near it; negative inside.
    pub(super) fn distance(&self, x: f64, y: f64) -> f64 {
        let [along, across] = self.own(x, y);
        self.body(along, across).min(self.tail_distance(along, across)).min(self.head_distance(x, y))
    }

    pub(super) fn touch(&self, x: f64, y: f64) -> Touch {
        let [along, across] = self.own(x, y);
        let body = self.body(along, across).min(self.tail_distance(along, across));
        let head = self.head_distance(x, y);
        let cover = coverage(body.min(head));
        if cover <= 0.0 {
            return Touch { cover, colour: [0.0; 3] };
        }
        // Light from the upper left: bright where the rounded surface leans that way, dark towards the rim.
        let lean = |dx: f64, dy: f64| 1.0 - 0.20 * (dx + 1.3 * dy).clamp(-1.2, 1.2);
        let [cx, cy] = self.centre;
        let rim = |distance: f64| 0.62 + 0.38 * smooth(-distance / 2.6);
        let coat = self.fur.at(along, across);
        let trunk = scale(coat, lean((x - cx) / self.half[0], (y - cy) / self.half[0]) * rim(body));
        let [hx, hy] = self.head();
        let (dx, dy) = ((x - hx) / self.head, (y - hy) / self.head);
        let face = scale(if self.turned { coat } else { self.badge(dx, dy) }, lean(dx, dy) * rim(head));
        Touch { cover, colour: mix(trunk, face, coverage(head)) }
    }

    fn own(&self, x: f64, y: f64) -> [f64; 2] {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let [ax, ay] = self.axis;
        [dx * ax + dy * ay, dy * ax - dx * ay]
    }

    /// A tapered ellipse.
    fn body(&self, along: f64, across: f64) -> f64 {
        let [long, wide] = self.half;
        let wide = wide * (1.0 + self.taper * (along / long).clamp(-1.0, 1.0) * 0.6);
        let (u, v) = (along / long, across / wide);
        let r = length(u, v).max(1e-9);
        // First-order distance: (r - 1) / |gradient of r|.
        (r - 1.0) * r / length(u / long, v / wide).max(1e-9)
    }

    /// A capsule that leaves the body at its end, bent to one side.
    fn tail_distance(&self, along: f64, across: f64) -> f64 {
        let from = -0.85 * self.half[0];
        let (px, py) = (along - from, across);
        let (bx, by) = (-self.tail, 0.45 * self.tail);
        let t = ((px * bx + py * by) / (bx * bx + by * by)).clamp(0.0, 1.0);
        length(px - t * bx, py - t * by) - self.half[1] * (0.24 - 0.10 * t)
    }

    /// As [`Figure::distance`], for the head alone.
    pub(super) fn head_distance(&self, x: f64, y: f64) -> f64 {
        let [hx, hy] = self.head();
        length(x - hx, y - hy) - self.head
    }

    /// Disc colour and badge of the class, in units of the head's radius.
    fn badge(&self, x: f64, y: f64) -> Colour {
        let (disc, mark, distance) = match self.class {
            0 => ([0.82, 0.12, 0.14], [1.0, 0.90, 0.25], star(x, y)),
            1 => ([0.12, 0.26, 0.80], [0.97, 0.97, 1.0], (length(x, y) - 0.50).abs() - 0.17),
            2 => ([0.96, 0.96, 0.94], [0.10, 0.60, 0.28], cross(x, y)),
            3 => ([0.16, 0.10, 0.30], [1.0, 0.86, 0.35], moon(x, y)),
            4 => ([0.98, 0.62, 0.10], [0.12, 0.12, 0.14], (x.abs() + y.abs()) * 0.7 - 0.42),
            _ => ([0.20, 0.80, 0.82], [0.75, 0.10, 0.50], drop(x, y)),
        };
        mix(disc, mark, coverage(distance * self.head))
    }
}

/// What covers the body of a class; two classes share it.
pub(super) fn coat(class: usize) -> Coat {
    [Coat::Striped, Coat::Spotted, Coat::Chequered][class / 2]
}

/// Five points, as the part of a disc inside a folded wedge.
fn star(x: f64, y: f64) -> f64 {
    // Reflections across the star's axes; cosines and sines of 36 and 72 degrees.
    const C36: f64 = 0.809_016_994_374_947_5;
    const S36: f64 = 0.587_785_252_292_473_1;
    let (mut x, mut y) = (x.abs(), -y);
    for (nx, ny) in [(C36, -S36), (-C36, -S36)] {
        let over = 2.0 * (nx * x + ny * y).max(0.0);
        (x, y) = (x - over * nx, y - over * ny);
    }
    x = x.abs();
    y -= 0.82;
    // The edge from the tip to the inner corner.
    let (bx, by) = (0.45 * S36, 0.45 * C36 - 0.82);
    let t = ((x * bx + y * by) / (bx * bx + by * by)).clamp(0.0, 1.0);
    let side = if y * bx < x * by { 1.0 } else { -1.0 };
    -side * length(x - t * bx, y - t * by)
}

fn cross(x: f64, y: f64) -> f64 {
    let (a, b) = (x.abs().max(y.abs()), x.abs().min(y.abs()));
    (a - 0.70).max(b - 0.22)
}

fn moon(x: f64, y: f64) -> f64 {
    (length(x + 0.08, y) - 0.68).max(0.56 - length(x - 0.30, y + 0.10))
}

fn drop(x: f64, y: f64) -> f64 {
    let round = length(x, y - 0.22) - 0.42;
    let tip = (x.abs() * 0.86 + (-y - 0.74) * 0.5).max(y - 0.10);
    round.min(tip)
}

/// Anti-aliasing over one pixel around distance 0.
pub(super) fn coverage(distance: f64) -> f64 {
    (0.5 - distance).clamp(0.0, 1.0)
}

/// A uniformly distributed unit vector, by rejection from the square.
fn direction(rng: &mut Rng) -> [f64; 2] {
    loop {
        let (x, y) = (rng.uniform(-1.0, 1.0), rng.uniform(-1.0, 1.0));
        let r = length(x, y);
        if (0.1..=1.0).contains(&r) {
            return [x / r, y / r];
        }
    }
}

fn length(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}
