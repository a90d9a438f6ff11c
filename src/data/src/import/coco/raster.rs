//! The pixels of a shape, as pycocotools has them (its `maskApi.c`: `rleFrPoly`, `rleFrString`, `rleDecode`).
//!
//! Pixels are numbered column by column: that at row y and column x is x · height + y.

use std::ops::Range;

use super::document::{Counts, Shape};

/// How finely an outline is followed: in steps of a fifth of a pixel.
const SCALE: f64 = 5.0;
/// A point so many times the sides of the picture away is a mistake, and would take long to go to.
const FAR: f64 = 4.0;

/// The pixels of a shape, as ranges of their numbers: ascending, none overlaps another.
pub(super) fn pixels(shape: &Shape, height: usize, width: usize) -> Result<Vec<Range<usize>>, String> {
    match shape {
        Shape::Polygons(polygons) => {
            let mut all = vec![];
            for polygon in polygons {
                all.extend(inside(&of_polygon(polygon, height, width)?));
            }
            Ok(united(all))
        }
        Shape::Runs { counts, size } => {
            let [rows, columns] = *size;
            if (rows, columns) != (height, width) {
                return Err(format!("run lengths of {columns} x {rows} pixels in an image of {width} x {height}"));
            }
            let runs = match counts {
                Counts::Plain(counts) => counts.clone(),
                Counts::Compressed(text) => of_text(text)?,
            };
            let total = runs.iter().try_fold(0_usize, |total, run| total.checked_add(*run));
            if total != Some(height * width) {
                return Err(format!("its run lengths do not add up to the {} pixels of its image", height * width));
            }
            Ok(inside(&runs))
        }
    }
}

/// Every second run.
fn inside(runs: &[usize]) -> Vec<Range<usize>> {
    let mut at = 0;
    let mut ranges = vec![];
    for (place, run) in runs.iter().enumerate() {
        if place % 2 == 1 && *run > 0 {
            ranges.push(at..at + run);
        }
        at += run;
    }
    ranges
}

/// Ranges that hold what any of these does.
fn united(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut united: Vec<Range<usize>> = vec![];
    for range in ranges {
        match united.last_mut().filter(|last| range.start <= last.end) {
            Some(last) => last.end = last.end.max(range.end),
            None => united.push(range),
        }
    }
    united
}

/// The run lengths of a polygon x, y, x, y, …; with fewer than three points it covers nothing.
fn of_polygon(polygon: &[f64], height: usize, width: usize) -> Result<Vec<usize>, String> {
    let (points, rest) = polygon.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(format!("a polygon of {} numbers; it has two for each point", polygon.len()));
    }
    let far = FAR * (height + width) as f64;
    if let Some([x, y]) = points.iter().find(|[x, y]| x.abs() > far || y.abs() > far) {
        return Err(format!("a point at {x}, {y} of an image of {width} x {height}"));
    }
    if points.len() < 3 {
        return Ok(vec![]);
    }
    let mut ends = ends_of_columns(&outline(points), height, width);
    ends.push(height * width);
    ends.sort_unstable();
    let mut last = 0;
    let steps: Vec<usize> = ends.iter().map(|end| end - std::mem::replace(&mut last, *end)).collect();

    // Two ends at one place cancel each other: the runs before and after them are one.
    let mut runs = vec![steps[0]];
    let mut rest = steps[1..].iter();
    while let Some(step) = rest.next() {
        if *step > 0 {
            runs.push(*step);
        } else if let (Some(next), Some(run)) = (rest.next(), runs.last_mut()) {
            *run += next;
        }
    }
    Ok(runs)
}

/// The points of the outline in fifths of a pixel, each next to the one before.
fn outline(points: &[[f64; 2]]) -> Vec<(i64, i64)> {
    let scaled: Vec<(i64, i64)> =
        points.iter().map(|point| point.map(|value| (SCALE * value + 0.5) as i64).into()).collect();
    let mut outline = vec![];
    for (start, end) in scaled.iter().zip(scaled.iter().cycle().skip(1)) {
        let (dx, dy) = ((end.0 - start.0).abs(), (end.1 - start.1).abs());
        let flat = dx >= dy;
        let backwards = if flat { start.0 > end.0 } else { start.1 > end.1 };
        let ((xs, ys), (xe, ye)) = if backwards { (*end, *start) } else { (*start, *end) };
        let (length, rise) = if flat { (dx, ye - ys) } else { (dy, xe - xs) };
        let slope = if length == 0 { 0.0 } else { rise as f64 / length as f64 };
        for step in 0..=length {
            let t = if backwards { length - step } else { step };
            let across = |from: i64| (from as f64 + slope * t as f64 + 0.5) as i64;
            outline.push(if flat { (t + xs, across(ys)) } else { (across(xs), t + ys) });
        }
    }
    outline
}

/// Where the outline crosses the middle of a column of pixels: the number of the first pixel beyond.
fn ends_of_columns(outline: &[(i64, i64)], height: usize, width: usize) -> Vec<usize> {
    let crossing = |pair: &[(i64, i64)]| {
        let ((u0, v0), (u1, v1)) = (pair[0], pair[1]);
        if u0 == u1 {
            return None;
        }
        let x = ((if u1 < u0 { u1 } else { u1 - 1 }) as f64 + 0.5) / SCALE - 0.5;
        if x.fract() != 0.0 || x < 0.0 || x > width as f64 - 1.0 {
            return None;
        }
        let y = ((v0.min(v1) as f64 + 0.5) / SCALE - 0.5).clamp(0.0, height as f64).ceil();
        Some(x as usize * height + y as usize)
    };
    outline.windows(2).filter_map(crossing).collect()
}

/// The run lengths of a text, as `rleToString` packs them: numbers of 5 bits a character, from the third on the
/// difference to the last but one.
fn of_text(text: &str) -> Result<Vec<usize>, String> {
    let wrong = || "run lengths in no text of pycocotools".to_owned();
    let mut runs: Vec<i64> = vec![];
    let mut characters = text.bytes();
    while let Some(first) = characters.next() {
        let (mut value, mut bits, mut character) = (0_i64, 0, first);
        loop {
            let code = character.checked_sub(48).filter(|code| *code < 64).ok_or_else(wrong)?;
            if bits > 50 {
                return Err(wrong());
            }
            value |= i64::from(code & 0x1f) << bits;
            bits += 5;
            if code & 0x20 == 0 {
                if code & 0x10 != 0 {
                    value |= -1 << bits;
                }
                break;
            }
            character = characters.next().ok_or_else(wrong)?;
        }
        if runs.len() > 2 {
            value += runs[runs.len() - 2];
        }
        runs.push(value);
    }
    runs.into_iter().map(|run| usize::try_from(run).map_err(|_| wrong())).collect()
}
