//! A line chart as inline SVG. Its colours are classes, so that the page's style serves light and dark.

use maud::{Markup, html};

use crate::text::number;

/// Number of line colours in the style sheet.
pub(super) const COLOURS: usize = 8;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = WIDTH - 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = HEIGHT - 40.0;

/// The points of a line, from left to right.
pub(super) type Points = Vec<(f64, f64)>;

/// One line.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Index of its colour.
    pub colour: usize,
    /// The line.
    pub points: Points,
    /// What the line smooths or is compared with, drawn faintly behind it.
    pub raw: Points,
    /// A point to mark.
    pub mark: Option<(f64, f64)>,
    /// Ranges around points.
    pub whiskers: Vec<Whisker>,
}

/// A vertical range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whisker {
    /// Where on the horizontal axis.
    pub at: f64,
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
}

/// A chart with its axes.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// Name of the horizontal axis.
    pub x_label: &'a str,
    /// Are the values shares, to be labelled in percent?
    pub percent: bool,
    /// The lines.
    pub series: &'a [Series],
}

/// The range of an axis, which the values leave room for.
pub(super) struct Axis {
    from: f64,
    to: f64,
    /// Where numbers stand.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis over the values, its ends on ticks of 1, 2 or 5 times a power of ten.
    pub fn over(values: impl Iterator<Item = f64>, wanted: f64) -> Self {
        let (low, high) = range(values);
        let (step, first, last) = steps(low, high, wanted);
        let ticks = (0..=(last - first) as usize).map(|n| (first + n as f64) * step).collect();
        Self { from: first * step, to: last * step, ticks }
    }

    /// The same, but its ends are the lowest and the highest value.
    pub fn tight(values: impl Iterator<Item = f64>, wanted: f64) -> Self {
        let (low, high) = range(values);
        let (step, first, last) = steps(low, high, wanted);
        let span = (high - low) * 1e-6;
        let ticks = (0..=(last - first) as usize).map(|n| (first + n as f64) * step);
        let ticks = ticks.filter(|tick| (low - span..=high + span).contains(tick)).collect();
        Self { from: low, to: high, ticks }
    }

    /// Where between `start` and `end` a value stands.
    pub fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        start + (value - self.from) / (self.to - self.from) * (end - start)
    }
}

/// The lowest and the highest of the values, with room around a single one.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
    let pad = if high - low <= 0.0 { low.abs().max(1.0) * 0.5 } else { 0.0 };
    (low - pad, high + pad)
}

/// The step from tick to tick, and how many steps from 0 the outermost ticks are.
fn steps(low: f64, high: f64, wanted: f64) -> (f64, f64, f64) {
    let rough = (high - low) / wanted;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power * 10.0);
    (step, (low / step).floor(), (high / step - 1e-9).ceil())
}

/// The two axes of a chart.
struct Plane {
    x: Axis,
    y: Axis,
}

impl Plane {
    fn column(&self, x: f64) -> f64 {
        self.x.place(x, LEFT, RIGHT)
    }

    fn row(&self, y: f64) -> f64 {
        self.y.place(y, BOTTOM, TOP)
    }
}

impl Chart<'_> {
    /// The chart as an SVG element. `id` is unique on the page.
    pub fn svg(&self, id: &str) -> Markup {
        let plane = self.plane();
        let (title, clip) = (format!("{id}-t"), format!("{id}-c"));
        html! {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby=(title) {
                title id=(title) { (self.title) }
                clipPath id=(clip) {
                    rect x=(LEFT) y=(TOP - 4.0) width=(RIGHT - LEFT) height=(BOTTOM - TOP + 8.0) {}
                }
                @for tick in &plane.y.ticks { (self.row_tick(&plane, *tick)) }
                @for tick in &plane.x.ticks { (column_tick(&plane, *tick)) }
                line.axis x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
                text.label x=(tenths(f64::midpoint(LEFT, RIGHT))) y=(HEIGHT - 6.0) text-anchor="middle" {
                    (self.x_label)
                }
                g clip-path={ "url(#" (clip) ")" } { @for series in self.series { (lines(&plane, series)) } }
                @for series in self.series { (mark(&plane, series)) }
            }
        }
    }

    fn plane(&self) -> Plane {
        let points = || self.series.iter().flat_map(|series| series.points.iter().chain(&series.mark).copied());
        let raw = self.series.iter().flat_map(|series| &series.raw).map(|point| point.0);
        let whiskers = self.series.iter().flat_map(|series| &series.whiskers).flat_map(|range| [range.from, range.to]);
        Plane {
            x: Axis::tight(points().map(|point| point.0).chain(raw), 5.0),
            y: Axis::over(points().map(|point| point.1).chain(self.raw_range()).chain(whiskers), 5.0),
        }
    }

    /// The range of the raw values without their outermost fiftieth, which would flatten all else.
    fn raw_range(&self) -> impl Iterator<Item = f64> {
        let mut values: Vec<f64> = self.series.iter().flat_map(|series| &series.raw).map(|point| point.1).collect();
        values.retain(|value| value.is_finite());
        values.sort_by(f64::total_cmp);
        let outer = values.len() / 50;
        let ends = [values.get(outer).copied(), values.len().checked_sub(outer + 1).map(|last| values[last])];
        ends.into_iter().flatten()
    }

    /// A horizontal line of the grid with its number.
    fn row_tick(&self, plane: &Plane, tick: f64) -> Markup {
        let row = plane.row(tick);
        let label = if self.percent { format!("{:.0}", tick * 100.0) } else { number(tidy(tick)) };
        html! {
            line.grid x1=(LEFT) x2=(RIGHT) y1=(tenths(row)) y2=(tenths(row)) {}
            text.tick x=(LEFT - 7.0) y=(tenths(row + 3.5)) text-anchor="end" { (label) }
        }
    }
}

/// A notch of the horizontal axis with its number.
fn column_tick(plane: &Plane, tick: f64) -> Markup {
    let column = tenths(plane.column(tick));
    html! {
        line.axis x1=(column) x2=(column) y1=(BOTTOM) y2=(BOTTOM + 4.0) {}
        text.tick x=(column) y=(BOTTOM + 16.0) text-anchor="middle" { (number(tidy(tick))) }
    }
}

fn lines(plane: &Plane, series: &Series) -> Markup {
    let colour = series.colour % COLOURS;
    let line = format!("line s{colour}");
    html! {
        (polyline(plane, &format!("raw s{colour}"), &series.raw))
        (polyline(plane, &line, &series.points))
        @for Whisker { at, from, to } in &series.whiskers { (polyline(plane, &line, &[(*at, *from), (*at, *to)])) }
    }
}

fn polyline(plane: &Plane, class: &str, points: &[(f64, f64)]) -> Markup {
    let placed = points.iter().map(|(x, y)| (plane.column(*x), plane.row(*y)));
    let finite = placed.filter(|(x, y)| x.is_finite() && y.is_finite());
    let list = finite.map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ");
    html! { @if !list.is_empty() { polyline class=(class) points=(list) {} } }
}

/// The marked point, with a line down to the axis.
fn mark(plane: &Plane, series: &Series) -> Markup {
    let at = series.mark.map(|(x, y)| (tenths(plane.column(x)), tenths(plane.row(y))));
    let colour = series.colour % COLOURS;
    html! {
        @if let Some((column, row)) = at {
            line class={ "drop s" (colour) } x1=(column) x2=(column) y1=(row) y2=(BOTTOM) {}
            circle class={ "mark s" (colour) } cx=(column) cy=(row) r="4.5" {}
        }
    }
}

/// A coordinate to a tenth of a unit.
pub(super) fn tenths(coordinate: f64) -> String {
    format!("{coordinate:.1}")
}

/// Takes the rounding errors off a tick.
pub(super) fn tidy(tick: f64) -> f64 {
    let rounded = (tick * 1e9).round() / 1e9;
    if tick.abs() > 1e-6 { rounded } else { tick }
}

/// A small square in a line's colour.
pub(super) fn key(colour: usize) -> Markup {
    html! { span class={ "key s" (colour % COLOURS) } {} }
}

/// Names of the lines with their colours.
pub(super) fn legend(names: &[(usize, String)]) -> Markup {
    html! { ul.legend { @for (colour, name) in names { li { (key(*colour)) (name) } } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_on_round_ticks() {
        let axis = Axis::over([0.13, 0.58].into_iter(), 4.0);
        assert!(axis.from.abs() < 1e-9 && (axis.to - 0.6).abs() < 1e-9 && axis.ticks.len() == 4);
        let flat = Axis::over([3.0, 3.0].into_iter(), 4.0);
        assert!(flat.from < 3.0 && flat.to > 3.0);
        assert!(Axis::tight(std::iter::empty(), 4.0).to > 0.0);
    }
}
