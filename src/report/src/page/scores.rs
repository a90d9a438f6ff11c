//! The numbers of the evaluation: headline, score table, `IoU` of every class.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use artifact::Result;

use super::html::{count, escape, number, percent, section};
use super::{Experiments, declared};
use crate::catalog::Catalog;
use crate::frame::Frame;

/// What can be scored, in the order of the pipeline, with the name a reader knows.
const SCORED: [(&str, &str); 5] = [
    ("cam", "CAM"),
    ("cam+crf", "CAM + CRF"),
    ("label", "Pseudo-labels"),
    ("deeplab", "DeepLab"),
    ("deeplab+crf", "DeepLab + CRF"),
];

struct Score {
    experiment: String,
    stage: String,
    split: String,
    images: f64,
    miou: f64,
    precision: f64,
    recall: f64,
    threshold: f64,
    /// What of it was chosen on ground truth, one name after the other; empty if nothing.
    chosen: String,
    seed: f64,
}

impl Score {
    /// The mark of what was chosen on ground truth; what it was stands in the note below the table, and here on hovering.
    fn mark(&self) -> String {
        match self.chosen.as_str() {
            "" => String::new(),
            chosen => format!("<a class=\"dagger\" href=\"#dagger\" title=\"{}\">†</a>", escape(chosen)),
        }
    }
}

/// The sections on scores; empty where nothing was evaluated.
pub(super) fn sections(catalog: &Catalog, experiments: &Experiments) -> Result<String> {
    let scores = read(catalog, experiments)?;
    if scores.is_empty() {
        return Ok(String::new());
    }
    let body = headline(&scores, experiments) + &table(&scores, experiments);
    let lead =
        "Mean over the background and all classes, in percent. The bar is the mIoU; the best of each block is bold.";
    Ok(section("scores", "Scores", lead, &body) + &classes(catalog, experiments)?)
}

fn read(catalog: &Catalog, experiments: &Experiments) -> Result<Vec<Score>> {
    let Some(scan) = catalog.scan(&declared("score"))? else { return Ok(Vec::new()) };
    let frame = Frame::collect(scan)?;
    let [experiment, stage, split] = ["experiment", "stage", "split"].map(|name| frame.texts(name));
    let (experiment, stage, split) = (experiment?, stage?, split?);
    let [images, miou, precision, recall, threshold, seed] =
        ["images", "miou", "precision", "recall", "threshold", "seed"].map(|name| frame.numbers(name));
    let (images, miou, precision) = (images?, miou?, precision?);
    let (recall, threshold, seed) = (recall?, threshold?, seed?);
    let chosen = frame.texts("chosen")?;
    let score = |row: usize| Score {
        experiment: experiment[row].clone(),
        stage: stage[row].clone(),
        split: split[row].clone(),
        images: images[row],
        miou: miou[row],
        precision: precision[row],
        recall: recall[row],
        threshold: threshold[row],
        chosen: chosen[row].clone(),
        seed: seed[row],
    };
    let mut scores: Vec<_> = (0..experiment.len()).map(score).collect();
    scores.sort_by(|a, b| {
        let place = |s: &Score| (rank(&s.stage), s.stage.clone(), s.split.clone(), experiments.rank(&s.experiment));
        place(a).cmp(&place(b)).then(a.seed.total_cmp(&b.seed))
    });
    Ok(scores)
}

fn rank(stage: &str) -> usize {
    SCORED.iter().position(|(name, _)| *name == stage).unwrap_or(SCORED.len())
}

fn title(stage: &str) -> String {
    SCORED.iter().find(|(name, _)| *name == stage).map_or_else(|| escape(stage), |(_, title)| (*title).to_owned())
}

/// One tile for each thing that was scored in the main experiment, with its gain over the first other experiment; of
/// several seeds the mean.
fn headline(scores: &[Score], experiments: &Experiments) -> String {
    let mut text = String::from("<div class=\"tiles\">\n");
    for block in scores.chunk_by(|a, b| a.stage == b.stage && a.split == b.split) {
        let mean = |name: &str| {
            let of: Vec<_> = block.iter().filter(|score| score.experiment == name).map(|score| score.miou).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        let Some(score) = block.iter().find(|score| experiments.is_main(&score.experiment)) else { continue };
        let miou = mean(&score.experiment);
        let gain = block.iter().find(|other| !experiments.is_main(&other.experiment)).map(|base| {
            let (gain, name) = ((miou - mean(&base.experiment)) * 100.0, escape(&base.experiment));
            let sign = if gain < 0.0 { "−" } else { "+" };
            format!("<span class=\"gain\">{sign}{:.1} over {name}</span>", gain.abs())
        });
        let _ = writeln!(
            text,
            "<div class=\"tile\"><span class=\"what\">{} · {}</span><span class=\"value\">{}<small>% mIoU</small>{}</span>{}\
             </div>",
            title(&score.stage),
            escape(&score.split),
            percent(miou),
            score.mark(),
            gain.unwrap_or_default()
        );
    }
    text + "</div>\n"
}

/// A cell with its share as a bar behind the number, and a mark after it.
fn bar(share: f64, best: bool, mark: &str) -> String {
    let width = if share.is_finite() { share.clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    let class = if best { "bar best" } else { "bar" };
    format!("<td class=\"{class}\" style=\"--v:{width:.1}%\">{}{mark}</td>", percent(share))
}

fn table(scores: &[Score], experiments: &Experiments) -> String {
    let mut text = String::from(
        "<div class=\"wide\"><table class=\"scores\"><thead><tr><th>Scored</th><th>Split</th><th>Experiment</th>\
         <th class=\"n\">Images</th><th class=\"n\">mIoU</th><th class=\"n\">Precision</th><th class=\"n\">Recall</th>\
         <th class=\"n\">Threshold</th><th class=\"n\">Seed</th></tr></thead>\n",
    );
    for block in scores.chunk_by(|a, b| a.stage == b.stage && a.split == b.split) {
        let best = block.iter().map(|score| score.miou).fold(f64::NEG_INFINITY, f64::max);
        text.push_str("<tbody>");
        for (index, score) in block.iter().enumerate() {
            text.push_str("<tr>");
            if index == 0 {
                let (span, what, split) = (block.len(), title(&score.stage), escape(&score.split));
                let _ = write!(
                    text,
                    "<th class=\"block\" rowspan=\"{span}\">{what}</th><td class=\"block\" rowspan=\"{span}\">{split}</td>"
                );
            }
            let threshold = if score.threshold.is_finite() { number(score.threshold) } else { "–".to_owned() };
            let best = block.len() > 1 && score.miou >= best;
            let _ = writeln!(
                text,
                "<td>{}</td><td class=\"n\">{}</td>{}<td class=\"n\">{}</td><td class=\"n\">{}</td>\
                 <td class=\"n\">{threshold}</td><td class=\"n\">{}</td></tr>",
                experiments.label(&score.experiment),
                count(score.images as u64),
                bar(score.miou, best, &score.mark()),
                percent(score.precision),
                percent(score.recall),
                score.seed
            );
        }
        text.push_str("</tbody>\n");
    }
    text.push_str("</table></div>\n");
    text + &note(scores)
}

/// What the marks mean: of each thing scored, everything that was chosen on ground truth in any experiment.
fn note(scores: &[Score]) -> String {
    let mut text = String::new();
    for block in scores.chunk_by(|a, b| a.stage == b.stage) {
        let names: BTreeSet<_> = block.iter().flat_map(|score| score.chosen.split("; ")).collect();
        let names: Vec<_> = names.into_iter().filter(|name| !name.is_empty()).map(escape).collect();
        if !names.is_empty() {
            let _ = writeln!(text, "<div><dt>{}</dt><dd>{}</dd></div>", title(&block[0].stage), names.join(", "));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "<div class=\"note\" id=\"dagger\"><p>† Chosen on ground truth: what is listed was chosen by comparing scores \
         against pixel-level masks, so the score flatters what image-level labels give. Of all experiments together; the \
         column <code>chosen</code> of the table <code>score</code> tells it of each.</p>\n<dl>{text}</dl></div>\n"
    )
}

/// Classes down, scored things across; the seeds of an experiment are averaged.
fn classes(catalog: &Catalog, experiments: &Experiments) -> Result<String> {
    let Some(scan) = catalog.scan(&declared("class_score"))? else { return Ok(String::new()) };
    let frame = Frame::collect(scan)?;
    let (experiment, stage, split) = (frame.texts("experiment")?, frame.texts("stage")?, frame.texts("split")?);
    let (id, class, iou) = (frame.numbers("class_id")?, frame.texts("class")?, frame.numbers("iou")?);
    // A column is (rank of what is scored, what, split, rank of the experiment, experiment): that is also its order.
    let column = |row: usize| {
        let (stage, split, experiment) = (stage[row].clone(), split[row].clone(), experiment[row].clone());
        (rank(&stage), stage, split, experiments.rank(&experiment), experiment)
    };
    let mut cells: BTreeMap<_, BTreeMap<u8, Vec<f64>>> = BTreeMap::new();
    let mut names: BTreeMap<u8, &str> = BTreeMap::new();
    for row in 0..class.len() {
        cells.entry(column(row)).or_default().entry(id[row] as u8).or_default().push(iou[row]);
        names.insert(id[row] as u8, &class[row]);
    }
    let columns: Vec<_> = cells.iter().collect();
    let mut text = String::from("<div class=\"wide\"><table class=\"classes\"><thead><tr><th rowspan=\"2\">Class</th>");
    for block in columns.chunk_by(|a, b| a.0.1 == b.0.1 && a.0.2 == b.0.2) {
        let (_, stage, split, ..) = block[0].0;
        let _ =
            write!(text, "<th class=\"group\" colspan=\"{}\">{} · {}</th>", block.len(), title(stage), escape(split));
    }
    text.push_str("</tr>\n<tr>");
    for ((.., experiment), _) in &columns {
        let _ = write!(text, "<th class=\"n\">{}</th>", escape(experiment));
    }
    text.push_str("</tr></thead>\n<tbody>");
    for (id, name) in &names {
        let _ = write!(text, "<tr><th>{}</th>", escape(name));
        for block in columns.chunk_by(|a, b| a.0.1 == b.0.1 && a.0.2 == b.0.2) {
            let value = |cells: &BTreeMap<u8, Vec<f64>>| {
                cells.get(id).map_or(f64::NAN, |iou| iou.iter().sum::<f64>() / iou.len() as f64)
            };
            let best = block.iter().map(|(_, cells)| value(cells)).fold(f64::NEG_INFINITY, f64::max);
            for (_, cells) in block {
                text += &bar(value(cells), block.len() > 1 && value(cells) >= best, "");
            }
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    Ok(section(
        "classes",
        "IoU by class",
        "Intersection over union of every class, in percent; of several seeds the mean. Marks † are those of the scores.",
        &text,
    ))
}
