//! The paper's tables with what the store holds beside them: `paper`, and `here` as mean ± deviation over seeds.
//!
//! ```text
//! runs    every scored experiment with the parameters that led to it, from the provenance of its artifacts
//! tables  the paper's numbers, and which runs each row is about
//! ```
//!
//! Reads records and the tables `score`; writes nothing. A row is recognised by the parameters of its training and its
//! CAMs, its images and the networks that it went on from, never by the name of an experiment.

mod runs;
mod tables;

use std::fmt::Write as _;

use artifact::Result;

use crate::catalog::Catalog;

/// A table of the paper, filled as far as the store goes.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Its name in the paper and what it is about.
    pub title: String,
    /// What a reader has to know of it.
    pub note: String,
    /// Names of the columns, that of the rows first.
    pub head: Vec<String>,
    /// Each row's name and cells.
    pub rows: Vec<(String, Vec<Cell>)>,
    /// The same as lines over the number in its first column; a table without is drawn row by row.
    pub lines: Vec<Line>,
}

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
    /// The cell as it is read; `mark` stands after what was chosen on ground truth.
    pub fn text(&self, mark: &str) -> String {
        match self {
            Self::Paper(percent) => format!("{percent:.1}"),
            Self::Count(n) => n.to_string(),
            Self::Here(sample) if sample.chosen_on_ground_truth => format!("{}{mark}", sample.text()),
            Self::Here(sample) => sample.text(),
            Self::Absent => "–".to_owned(),
        }
    }

    /// Is it the measured one of two?
    pub fn is_here(&self) -> bool {
        matches!(self, Self::Here(_))
    }
}

/// The tables for which the store has at least one row.
pub(crate) fn tables(catalog: &Catalog) -> Result<Vec<Table>> {
    Ok(tables::all(&runs::of(catalog)?))
}

/// The tables as Markdown; empty where there are none.
pub fn markdown(catalog: &Catalog) -> Result<String> {
    let mut text = String::new();
    let mut marked = false;
    for table in tables(catalog)? {
        let _ = writeln!(text, "**{}**\n\n{}\n", table.title, table.note);
        let _ = writeln!(text, "| {} |\n|{}", table.head.join(" | "), "---|".repeat(table.head.len()));
        for (name, cells) in &table.rows {
            let cells: Vec<_> = cells.iter().map(|cell| cell.text(" †")).collect();
            marked |= cells.iter().any(|cell| cell.ends_with('†'));
            let _ = writeln!(text, "| {} | {} |", name.replace('|', "\\|"), cells.join(" | "));
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
        let marked = Sample { chosen_on_ground_truth: true, ..sample(&[0.5]) };
        assert_eq!(Cell::Here(marked).text(" †"), "50.0 †");
    }
}
