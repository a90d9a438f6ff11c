//! `IoU` of every class: classes down, scored things across.

use std::collections::BTreeMap;

use artifact::Result;
use artifact::table::ClassScoreRow;
use maud::{Markup, html};

use super::Section;
use super::experiments::Experiments;
use super::order::{Order, title};
use super::scores::share_cell;
use crate::holdings::Holdings;
use crate::tables;

/// What a column is about, in the order of the columns.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Column {
    order: (usize, usize),
    stage: String,
    split: String,
    place: usize,
    experiment: String,
}

/// A column's values by class: several of a class are of several seeds.
type Values = BTreeMap<u8, Vec<f64>>;

/// The section; nothing where nothing was evaluated.
pub(super) fn section(holdings: &Holdings, order: &Order, experiments: &Experiments) -> Result<Option<Section>> {
    let mut columns: BTreeMap<Column, Values> = BTreeMap::new();
    let mut classes: BTreeMap<u8, String> = BTreeMap::new();
    for ClassScoreRow { experiment, stage, split, class_id, class, iou, .. } in tables::rows(holdings)? {
        let place = experiments.rank(&experiment);
        let column = Column { order: order.scored(&stage), stage, split, place, experiment };
        columns.entry(column).or_default().entry(class_id.0).or_default().push(iou);
        classes.insert(class_id.0, class);
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let lead = "Intersection over union of every class, in percent; of several seeds the mean. Marks † are those of \
                the scores.";
    let body = table(&columns.into_iter().collect::<Vec<_>>(), &classes);
    Ok(Some(Section { id: "classes", name: "Classes", title: "IoU by class", lead: lead.into(), body }))
}

fn table(columns: &[(Column, Values)], classes: &BTreeMap<u8, String>) -> Markup {
    let blocks: Vec<_> = columns.chunk_by(|(a, _), (b, _)| a.stage == b.stage && a.split == b.split).collect();
    html! {
        div.wide tabindex="0" role="region" aria-label="IoU by class" {
            table.classes {
                thead {
                    tr {
                        th rowspan="2" { "Class" }
                        @for block in &blocks {
                            @let (Column { stage, split, .. }, _) = &block[0];
                            th.group colspan=(block.len()) { (title(stage)) " · " (split) }
                        }
                    }
                    tr { @for (column, _) in columns { th.n { (column.experiment) } } }
                }
                tbody {
                    @for (class, name) in classes {
                        tr {
                            th { (name) }
                            @for block in &blocks { (cells(block, *class)) }
                        }
                    }
                }
            }
        }
    }
}

/// The cells of a class below one heading.
fn cells(block: &[(Column, Values)], class: u8) -> Markup {
    let value =
        |values: &Values| values.get(&class).map_or(f64::NAN, |ious| ious.iter().sum::<f64>() / ious.len() as f64);
    let values: Vec<_> = block.iter().map(|(_, values)| value(values)).collect();
    let best = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    html! {
        @for value in values { (share_cell(value, block.len() > 1 && value >= best)) }
    }
}
