//! The paper's tables with what the store holds beside them: `paper`, and `here` as mean ± deviation over seeds.
//!
//! ```text
//! runs       every scored experiment with the parameters that led to it, from the provenance of its artifacts
//! kinds      what the rows are about: terms of the objective and their options
//! groups     runs of a kind, those that differ in their seeds taken together
//! modules    Tables 1 and 2: the modules, their supervision
//! scales     Table 5: CAMs of single scales
//! threshold  Figure 7: the threshold of the region masks
//! ```
//!
//! The numbers that the paper prints (mIoU and so on, in percent, VOC 2012 train) stand with the tables. Reads records
//! and the tables `score`; writes nothing. A row is recognised by the parameters of its training and its CAMs, its
//! images and the networks that it went on from, never by the name of an experiment.

mod groups;
mod kinds;
mod modules;
mod runs;
mod scales;
mod threshold;

use std::fmt::Write as _;

use artifact::Result;

use crate::holdings::Holdings;

/// A table of the paper, filled as far as the store goes.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name in the paper and what it is about.
    pub title: String,
    /// What a reader has to know of it.
    pub note: String,
    /// Names of the columns, that of the rows first.
    pub head: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The same as lines over the number in its first column; a table without is drawn row by row.
    pub lines: Vec<Line>,
}

/// The name of a row and its cells.
pub(crate) type Row = (String, Vec<Cell>);

/// One line of a figure.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// What it shows.
    pub name: String,
    /// What was measured here, over a number.
    pub here: Vec<(f64, Sample)>,
    /// What the paper prints, in percent.
    pub paper: Vec<(f64, f64)>,
}

/// A pair of columns: what the paper prints, in percent, and what was measured here.
#[derive(Debug)]
pub(crate) struct Pair<'a> {
    /// What is measured.
    pub name: &'a str,
    /// Name, paper and here of each row that has both.
    pub rows: Vec<(&'a str, f64, &'a Sample)>,
}

impl Table {
    /// The pairs of columns.
    pub fn pairs(&self) -> Vec<Pair<'_>> {
        let columns =
            self.head.iter().enumerate().filter_map(|(column, name)| Some((column, name.strip_suffix(" paper")?)));
        let pair = |(column, name)| {
            // The first column is the row's name, which is no cell.
            let rows = self.rows.iter().filter_map(|(row, cells)| match (&cells[column - 1], &cells[column]) {
                (Cell::Paper(paper), Cell::Here(here)) => Some((row.as_str(), *paper, here)),
                _ => None,
            });
            Pair { name, rows: rows.collect() }
        };
        columns.map(pair).collect()
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// A number that the paper prints, in percent.
    Paper(f64),
    /// Runs behind the row.
    Count(usize),
    /// What was measured here.
    Here(Sample),
    /// Nothing was.
    Absent,
}

/// One number of several runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    /// Shares of one.
    pub values: Vec<f64>,
    /// Was anything of it chosen on ground truth?
    pub chosen_on_ground_truth: bool,
}

impl Sample {
    /// The mean.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// The deviation of one run from another (with n - 1); one run has none.
    pub fn deviation(&self) -> Option<f64> {
        let (mean, n) = (self.mean(), self.values.len());
        let squares: f64 = self.values.iter().map(|value| (value - mean).powi(2)).sum();
        (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
    }

    /// The mean less and plus the deviation.
    pub fn range(&self) -> Option<[f64; 2]> {
        let mean = self.mean();
        self.deviation().map(|deviation| [mean - deviation, mean + deviation])
    }

    /// `48.4 ± 1.2`, in percent.
    fn text(&self) -> String {
        let spread = self.deviation().map(|deviation| format!(" ± {:.1}", deviation * 100.0)).unwrap_or_default();
        format!("{:.1}{spread}", self.mean() * 100.0)
    }
}

impl Cell {
    /// The cell as it is read, without a mark.
    pub fn text(&self) -> String {
        match self {
            Self::Paper(percent) => format!("{percent:.1}"),
            Self::Count(n) => n.to_string(),
            Self::Here(sample) => sample.text(),
            Self::Absent => "–".to_owned(),
        }
    }

    /// Was anything of it chosen on ground truth?
    fn is_marked(&self) -> bool {
        matches!(self, Self::Here(sample) if sample.chosen_on_ground_truth)
    }
}

/// Names of the columns: the rows' names, the number of runs, and what is measured, by the paper and here.
fn head(rows: &str, measured: &[&str]) -> Vec<String> {
    let pairs = measured.iter().flat_map(|name| [format!("{name} paper"), format!("{name} here")]);
    [rows.to_owned(), "n".to_owned()].into_iter().chain(pairs).collect()
}

/// The tables for which the store has at least one row.
pub(crate) fn tables(holdings: &Holdings) -> Result<Vec<Table>> {
    let runs = runs::of(holdings)?;
    let usual = groups::Usual::of(&runs);
    let tables =
        [modules::table_1(&usual), modules::table_2(&usual), scales::table_5(&usual), threshold::figure_7(&usual)];
    Ok(tables.into_iter().flatten().collect())
}

/// The experiments, without their seeds, whose trainings have the classification loss alone.
pub(crate) fn baselines(holdings: &Holdings) -> Result<Vec<String>> {
    let runs = runs::of(holdings)?;
    let alone = runs.into_iter().filter(|run| kinds::BASELINE.includes(&run.train));
    Ok(alone.map(|run| run.experiment).collect())
}

/// The tables as Markdown; empty where there are none.
pub fn markdown(holdings: &Holdings) -> Result<String> {
    let mut text = String::new();
    let mut marked = false;
    for table in tables(holdings)? {
        let _ = writeln!(text, "**{}**\n\n{}\n", table.title, table.note);
        let _ = writeln!(text, "| {} |\n|{}", table.head.join(" | "), "---|".repeat(table.head.len()));
        for (name, cells) in &table.rows {
            marked |= cells.iter().any(Cell::is_marked);
            let cells = cells.iter().map(|cell| cell.text() + if cell.is_marked() { " †" } else { "" });
            let _ = writeln!(text, "| {} | {} |", name.replace('|', "\\|"), cells.collect::<Vec<_>>().join(" | "));
        }
        text.push('\n');
    }
    if marked {
        text.push_str("† Something of it was chosen on ground truth, such as the threshold of the CAMs.\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_run_has_a_mean_and_no_deviation() {
        let sample = |values: &[f64]| Sample { values: values.to_vec(), chosen_on_ground_truth: false };
        assert_eq!(sample(&[0.5]).text(), "50.0");
        assert_eq!(sample(&[0.47, 0.5, 0.53]).text(), "50.0 ± 3.0");
        let marked = Cell::Here(Sample { chosen_on_ground_truth: true, ..sample(&[0.5]) });
        assert!(marked.is_marked() && marked.text() == "50.0" && !Cell::Here(sample(&[0.5])).is_marked());
    }
}
