//! Which class is taken for which: confusion matrices as heat maps, a class of the ground truth a row.
//!
//! CAMs are counted from threshold-sweep's `histogram`, labels by comparing them with the masks once more. A matrix is
//! shown only if its mIoU is that of the `score` table.

use std::collections::{BTreeMap, BTreeSet};

use artifact::store::Filter;
use artifact::table::{HistogramRow, LabelRow, MaskRow, SweepRow};
use artifact::{Result, Row as _};
use data::codec::decode_mask;
use data::confusion::ConfusionMatrix;
use maud::{Markup, html};

use super::Section;
use super::class_names::ClassNames;
use super::order::title;
use super::scored::{Line, ROUNDING, Scored};
use super::verdict::Compared;
use crate::holdings::{Holding, Holdings};
use crate::tables::{rows_of, rows_of_images, whole_parts};
use crate::text::count;

/// What evaluate calls the CAMs at their threshold.
const CAM: &str = "cam";
/// With more classes than these their names stand upright above the columns, and small shares without a number.
const FEW: usize = 8;

/// The section; nothing where nothing was scored.
pub(super) fn section(
    holdings: &Holdings,
    scored: &Scored,
    compared: Option<&Compared>,
    classes: &ClassNames,
) -> Result<Option<Section>> {
    let Some(compared) = compared else { return Ok(None) };
    let lines: Vec<_> = scored.blocks().filter_map(|block| block.of(&compared.method).first().copied()).collect();
    let matrices = matrices(holdings, &lines, classes.count())?;
    let shown: Vec<_> = lines.iter().zip(&matrices).filter(|(line, matrix)| agrees(line, matrix)).collect();
    if shown.is_empty() {
        return Ok(None);
    }
    let body = html! {
        div.matrices.few[classes.count() <= FEW] {
            @for (line, matrix) in shown { (figure(line, matrix, classes)) }
        }
    };
    let lead = format!(
        "Of the pixels of each class (rows, ground truth) the share that is taken for each class (columns), in \
         percent, of {}: found on the diagonal, confused elsewhere. The colour is as strong as the root of the share.",
        compared.method
    );
    Ok(Some(Section { id: "confusion", name: "Confusion", title: "Confusion", lead, body }))
}

fn agrees(line: &Line, matrix: &ConfusionMatrix) -> bool {
    (matrix.miou() - line.score.miou).abs() < ROUNDING
}

/// The matrix of each line; one of zeros where the store has no longer what was counted.
fn matrices(holdings: &Holdings, lines: &[&Line], classes: usize) -> Result<Vec<ConfusionMatrix>> {
    let mut matrices = vec![ConfusionMatrix::new(classes); lines.len()];
    for (line, matrix) in lines.iter().zip(&mut matrices).filter(|(line, _)| line.score.stage == CAM) {
        let held = of(holdings, line, HistogramRow::TABLE);
        held.map_or(Ok(()), |held| count_cams(held, line, matrix))?;
    }
    let ids: Vec<_> = lines.iter().flat_map(|line| line.images()).map(str::to_owned).collect();
    let Some(line) = lines.first() else { return Ok(matrices) };
    let Some(dataset) = of(holdings, line, MaskRow::TABLE) else { return Ok(matrices) };
    let masks: BTreeMap<_, _> = rows_of_images::<MaskRow>(dataset, &ids)?
        .into_iter()
        .map(|row| (row.image_id.as_str().to_owned(), row.mask))
        .collect();
    for (held, _) in holdings.of_table(LabelRow::TABLE).filter(|(held, _)| held.experiment == line.found_under) {
        count_labels(held, lines, &masks, &mut matrices)?;
    }
    Ok(matrices)
}

/// The holding of a line's experiment that has a table.
fn of<'a>(holdings: &'a Holdings, line: &Line, table: &str) -> Option<&'a Holding> {
    holdings.of_table(table).map(|(held, _)| held).find(|held| held.experiment == line.found_under)
}

/// Counts the pixels of CAMs at the threshold at which they were scored.
fn count_cams(held: &Holding, line: &Line, matrix: &mut ConfusionMatrix) -> Result<()> {
    let split = &line.score.split;
    let sweep = rows_of::<SweepRow>(held)?;
    let below: BTreeSet<u64> = sweep
        .iter()
        .filter(|row| row.split == *split && line.score.threshold.is_some_and(|chosen| row.threshold < chosen))
        .map(|row| row.threshold.to_bits())
        .collect();
    for row in rows_of::<HistogramRow>(held)?.into_iter().filter(|row| row.split == *split) {
        // A pixel is of its winner if more thresholds lie below its CAM than below the chosen one.
        let won = row.bin as usize > below.len();
        let predicted = if won { row.winner.0 } else { 0 };
        let (truth, predicted) = (row.ground_truth.0 as usize, predicted as usize);
        if truth.max(predicted) < matrix.classes {
            matrix.counts[truth * matrix.classes + predicted] += row.pixels;
        }
    }
    Ok(())
}

/// Compares the labels of an artifact with the masks, one in memory at a time.
fn count_labels(
    held: &Holding,
    lines: &[&Line],
    masks: &BTreeMap<String, Vec<u8>>,
    matrices: &mut [ConfusionMatrix],
) -> Result<()> {
    let Some(record) = held.artifact.record().tables.get(LabelRow::TABLE) else { return Ok(()) };
    whole_parts(held, record)?;
    let wanted = Filter::one_of("image_id", masks.keys().cloned().collect());
    for row in held.artifact.rows::<LabelRow>(&[])?.filtered(wanted) {
        let LabelRow { image_id, source, label, .. } = row?;
        let id = image_id.as_str();
        let Some(Ok(truth)) = masks.get(id).map(|mask| decode_mask(mask)) else { continue };
        for (line, matrix) in lines.iter().zip(matrices.iter_mut()) {
            let scored = line.score.stage == source && line.image(id).is_some();
            if scored && comparable(&truth.classes, &label, matrix.classes) {
                matrix.add(&truth.classes, &label);
            }
        }
    }
    Ok(())
}

fn comparable(truth: &[u8], label: &[u8], classes: usize) -> bool {
    let known = |class: &u8| (*class as usize) < classes;
    truth.len() == label.len() && label.iter().all(known) && truth.iter().all(|class| known(class) || *class == 255)
}

fn figure(line: &Line, matrix: &ConfusionMatrix, classes: &ClassNames) -> Markup {
    html! {
        figure.matrix {
            figcaption { (title(&line.score.stage)) " · " (line.score.split) }
            div.wide tabindex="0" role="region" aria-label={ "Confusion of " (title(&line.score.stage)) } {
                table.heatmap {
                    thead {
                        tr {
                            th { span.hidden { "Ground truth" } }
                            @for class in 0..matrix.classes { th.column { span { (classes.name(class as u8)) } } }
                        }
                    }
                    tbody {
                        @for truth in 0..matrix.classes {
                            tr {
                                th { (classes.name(truth as u8)) }
                                @for predicted in 0..matrix.classes { (cell(matrix, truth, predicted, classes)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(matrix: &ConfusionMatrix, truth: usize, predicted: usize, classes: &ClassNames) -> Markup {
    let row = &matrix.counts[truth * matrix.classes..][..matrix.classes];
    let (pixels, all) = (row[predicted], row.iter().sum::<u64>());
    let share = if all > 0 { pixels as f64 / all as f64 } else { 0.0 };
    let small = if matrix.classes <= FEW { 0.0005 } else { 0.005 };
    let digits = usize::from(matrix.classes <= FEW);
    let told = format!(
        "{} taken for {}: {:.1} % ({} pixels)",
        classes.name(truth as u8),
        classes.name(predicted as u8),
        share * 100.0,
        count(pixels)
    );
    html! {
        td.found[truth == predicted] style=(format!("--v:{:.3}", share.sqrt())) title=(told) {
            @if share >= small { (format!("{:.*}", digits, share * 100.0)) } @else { "·" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_compared_only_where_both_are_of_known_classes() {
        assert!(comparable(&[0, 255, 2], &[0, 1, 2], 3));
        assert!(!comparable(&[0, 0], &[0], 3), "other sizes");
        assert!(!comparable(&[0, 0], &[0, 255], 3), "a label that tells no class was not scored so");
        assert!(!comparable(&[0, 3], &[0, 0], 3));
    }
}
