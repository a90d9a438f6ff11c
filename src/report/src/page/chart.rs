//! A line chart as inline SVG. Its colours are classes, so that the page's style serves light and dark.

use std::fmt::Write as _;

use super::html::{escape, number};

/// Number of line colours in the style sheet.
pub(crate) const COLOURS: usize = 8;

const WIDTH: f64 = 400.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// The points of a line, from left to right.
pub(crate) type Points = Vec<(f64, f64)>;

/// One line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
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
pub(crate) struct Whisker {
    /// Where on the horizontal axis.
    pub at: f64,
    /// Its lower end.
    pub from: f64,
    /// Its upper end.
    pub to: f64,
}

/// A chart with its axes.
#[derive(Clone, Debug)]
pub(crate) struct Chart<'a> {
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
pub(crate) struct Axis {
    from: f64,
    to: f64,
    /// Where numbers stand.
    pub ticks: Vec<f64>,
}

impl Axis {
    /// An axis over the values, its ends on ticks of 1, 2 or 5 times a power of ten.
    pub fn over(values: impl Iterator<Item = f64>, wanted: f64, tight: bool) -> Self {
        let (low, high) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let pad = if high - low <= 0.0 { low.abs().max(1.0) * 0.5 } else { 0.0 };
        let (low, high) = (low - pad, high + pad);
        let rough = (high - low) / wanted;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|step| *step >= rough * 0.999);
        let step = step.unwrap_or(power * 10.0);
        let (first, last) = ((low / step).floor(), (high / step - 1e-9).ceil());
        let ticks: Vec<f64> = (0..=(last - first) as usize).map(|n| (first + n as f64) * step).collect();
        if tight {
            let span = (high - low) * 1e-6;
            let ticks = ticks.into_iter().filter(|tick| (low - span..=high + span).contains(tick)).collect();
            return Self { from: low, to: high, ticks };
        }
        Self { from: first * step, to: last * step, ticks }
    }

    /// Where between `start` and `end` a value stands.
    pub fn place(&self, value: f64, start: f64, end: f64) -> f64 {
        start + (value - self.from) / (self.to - self.from) * (end - start)
    }
}

impl Chart<'_> {
    /// The chart as an SVG element. `id` is unique on the page.
    pub fn svg(&self, id: &str) -> String {
        let all = || self.series.iter().flat_map(|series| series.points.iter().chain(&series.mark).copied());
        let raw = self.series.iter().flat_map(|series| &series.raw).map(|point| point.0);
        let x = Axis::over(all().map(|point| point.0).chain(raw), 5.0, true);
        let whiskers = self.series.iter().flat_map(|series| &series.whiskers).flat_map(|range| [range.from, range.to]);
        let y = Axis::over(all().map(|point| point.1).chain(self.raw_range()).chain(whiskers), 5.0, false);
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let at = |(a, b): (f64, f64)| (x.place(a, LEFT, right), y.place(b, bottom, TOP));
        let title = escape(self.title);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t\">\
             <title id=\"{id}-t\">{title}</title>\n<clipPath id=\"{id}-c\"><rect x=\"{LEFT}\" y=\"{}\" width=\"{}\" \
             height=\"{}\"/></clipPath>\n",
            TOP - 4.0,
            right - LEFT,
            bottom - TOP + 8.0
        );
        for tick in &y.ticks {
            let row = y.place(*tick, bottom, TOP);
            let label = if self.percent { format!("{:.0}", tick * 100.0) } else { number(tidy(*tick)) };
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{row:.1}\" y2=\"{row:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
                LEFT - 7.0,
                row + 3.5
            );
        }
        for tick in &x.ticks {
            let column = x.place(*tick, LEFT, right);
            let _ = writeln!(
                svg,
                "<line class=\"axis\" x1=\"{column:.1}\" x2=\"{column:.1}\" y1=\"{bottom}\" y2=\"{}\"/>\
                 <text class=\"tick\" x=\"{column:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 4.0,
                bottom + 16.0,
                number(tidy(*tick))
            );
        }
        let _ = writeln!(
            svg,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n<g clip-path=\"url(#{id}-c)\">",
            f64::midpoint(LEFT, right),
            HEIGHT - 6.0,
            escape(self.x_label)
        );
        for series in self.series {
            let colour = series.colour % COLOURS;
            svg += &polyline(&format!("raw s{colour}"), series.raw.iter().map(|point| at(*point)));
            svg += &polyline(&format!("line s{colour}"), series.points.iter().map(|point| at(*point)));
            for Whisker { at: x, from, to } in &series.whiskers {
                svg += &polyline(&format!("line s{colour}"), [*from, *to].into_iter().map(|y| at((*x, y))));
            }
        }
        svg.push_str("</g>\n");
        for series in self.series {
            let Some((column, row)) = series.mark.map(at) else { continue };
            let _ = writeln!(
                svg,
                "<line class=\"drop s{0}\" x1=\"{column:.1}\" x2=\"{column:.1}\" y1=\"{row:.1}\" y2=\"{bottom}\"/>\
                 <circle class=\"mark s{0}\" cx=\"{column:.1}\" cy=\"{row:.1}\" r=\"4.5\"/>",
                series.colour % COLOURS
            );
        }
        svg + "</svg>"
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
}

/// Takes the rounding errors off a tick.
pub(crate) fn tidy(tick: f64) -> f64 {
    let rounded = (tick * 1e9).round() / 1e9;
    if tick.abs() > 1e-6 { rounded } else { tick }
}

fn polyline(class: &str, points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut list = String::new();
    for (x, y) in points.filter(|(x, y)| x.is_finite() && y.is_finite()) {
        let _ = write!(list, "{}{x:.1},{y:.1}", if list.is_empty() { "" } else { " " });
    }
    if list.is_empty() { list } else { format!("<polyline class=\"{class}\" points=\"{list}\"/>\n") }
}

/// Names of the lines with their colours.
pub(crate) fn legend(names: &[(usize, String)]) -> String {
    let mut text = String::from("<ul class=\"legend\">");
    for (colour, name) in names {
        let _ = write!(text, "<li><span class=\"key s{}\"></span>{}</li>", colour % COLOURS, escape(name));
    }
    text + "</ul>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_on_round_ticks() {
        let axis = Axis::over([0.13, 0.58].into_iter(), 4.0, false);
        assert!(axis.from.abs() < 1e-9 && (axis.to - 0.6).abs() < 1e-9 && axis.ticks.len() == 4);
        let flat = Axis::over([3.0, 3.0].into_iter(), 4.0, false);
        assert!(flat.from < 3.0 && flat.to > 3.0);
        assert!(Axis::over(std::iter::empty(), 4.0, true).to > 0.0);
    }
}
