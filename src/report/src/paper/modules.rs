//! Tables 1 and 2: a training a row, and what was measured of its CAMs.

use super::groups::{MIOU, Measure, Usual, cells};
use super::kinds::{BASELINE, Kind, MAM, MMM, RCM, RCM_DIRECT, RCM_MAM, RCM_MMM, RCM_SHARED, SMM};
use super::{Row, Table, head};

/// A row of the paper and what it prints, in percent.
type Printed<const N: usize> = (&'static str, Kind, [f64; N]);

/// mIoU, mIoU with CRF.
const TABLE_1: [Printed<2>; 7] = [
    ("Baseline", BASELINE, [48.4, 54.4]),
    ("SMM", SMM, [51.0, 56.7]),
    ("MMM", MMM, [57.0, 62.2]),
    ("MAM", MAM, [58.0, 63.4]),
    ("RCM", RCM, [57.6, 62.8]),
    ("RCM + MMM", RCM_MMM, [62.6, 66.6]),
    ("RCM + MAM", RCM_MAM, [63.7, 67.7]),
];

/// mIoU, precision, recall.
const TABLE_2: [Printed<3>; 6] = [
    ("Baseline", BASELINE, [48.4, 60.8, 72.0]),
    ("Direct, EMA", RCM_DIRECT, [52.3, 68.7, 70.5]),
    ("Contrastive, shared weights", RCM_SHARED, [53.7, 68.9, 72.1]),
    ("Contrastive, EMA (RCM)", RCM, [57.6, 72.3, 74.0]),
    ("MAM", MAM, [58.0, 70.6, 77.1]),
    ("RCM + MAM", RCM_MAM, [63.7, 75.8, 79.6]),
];

pub(super) fn table_1(usual: &Usual<'_>) -> Option<Table> {
    let rows = rows(usual, &TABLE_1, [("cam", MIOU), ("cam+crf", MIOU)]);
    (!rows.is_empty()).then(|| Table {
        title: "Table 1: the modules".into(),
        note: "mIoU of the CAMs on the training images, in percent.".into(),
        head: head("Setting", &["mIoU", "with CRF"]),
        rows,
        lines: Vec::new(),
    })
}

pub(super) fn table_2(usual: &Usual<'_>) -> Option<Table> {
    let measures: [(&str, Measure); 3] =
        [("cam", MIOU), ("cam", |score| score.precision), ("cam", |score| score.recall)];
    let rows = rows(usual, &TABLE_2, measures);
    (!rows.is_empty()).then(|| Table {
        title: "Table 2: supervision and SupportNet".into(),
        note: "The CAMs on the training images, in percent.".into(),
        head: head("Setting", &["mIoU", "precision", "recall"]),
        rows,
        lines: Vec::new(),
    })
}

/// A row for each group of runs of a kind.
fn rows<const N: usize>(usual: &Usual<'_>, table: &[Printed<N>], measures: [(&str, Measure); N]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (row, kind, paper) in table {
        let groups = usual.groups(*kind);
        for group in &groups {
            let cells = cells(*paper, measures.map(|(scored, measure)| group.sample(scored, measure)));
            rows.extend(cells.map(|cells| (group.label(row, groups.len() == 1), cells)));
        }
    }
    rows
}
