//! A picture of a run as lines of text, as many and as wide as a terminal has room for.

use artifact::units;
use console::{Style, measure_text_width, truncate_str};

use super::picture::{Picture, Row, RowState};

/// Spaces between two columns.
const GAP: usize = 2;
/// A note that is narrower than this says nothing.
const NOTE: usize = 12;

/// Room for a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub width: usize,
    /// Lines; all that are needed if `None`.
    pub height: Option<usize>,
}

/// A column of the table.
struct Column {
    name: &'static str,
    /// Are its cells set to the right?
    right: bool,
    /// Where there is no room for all, columns of the highest rank are left out; those of rank 0 never are.
    rank: usize,
    cell: fn(&Row) -> String,
}

const COLUMNS: [Column; 6] = [
    Column { name: "state", right: false, rank: 0, cell: |row| row.state.word().to_owned() },
    Column { name: "done", right: true, rank: 1, cell: done },
    Column { name: "rate", right: true, rank: 4, cell: rate },
    Column { name: "time", right: true, rank: 3, cell: |row| row.seconds.map(short).unwrap_or_default() },
    Column { name: "left", right: true, rank: 2, cell: left },
    Column { name: "", right: false, rank: 5, cell: note },
];

/// A column with what stands in it.
struct Filled {
    name: &'static str,
    right: bool,
    rank: usize,
    cells: Vec<String>,
    width: usize,
}

impl Filled {
    fn new(name: &'static str, right: bool, rank: usize, cells: Vec<String>) -> Self {
        let width = cells.iter().map(|cell| measure_text_width(cell)).max().unwrap_or(0).max(name.len());
        Self { name, right, rank, cells, width }
    }

    /// The room without which it is left out. A note is cut to what is left of the line.
    fn least(&self) -> usize {
        GAP + if self.name.is_empty() { self.width.min(NOTE) } else { self.width }
    }

    /// A cell in the column's width, with the gap behind it.
    fn set(&self, cell: &str) -> String {
        let cell = if self.name.is_empty() { cell.into() } else { truncate_str(cell, self.width, "…") };
        let pad = " ".repeat(self.width.saturating_sub(measure_text_width(&cell)));
        let gap = " ".repeat(GAP);
        if self.right { format!("{pad}{cell}{gap}") } else { format!("{cell}{pad}{gap}") }
    }
}

/// The columns for which there is room.
fn columns(rows: &[&Row], several: bool, room: usize) -> Vec<Filled> {
    let name = |row: &&Row| if several { format!("{} ({})", row.stage, row.experiment) } else { row.stage.clone() };
    let mut columns = vec![Filled::new("stage", false, 0, rows.iter().map(name).collect())];
    for Column { name, right, rank, cell } in COLUMNS {
        columns.push(Filled::new(name, right, rank, rows.iter().map(|row| cell(row)).collect()));
    }
    columns.retain(|column| column.rank == 0 || column.cells.iter().any(|cell| !cell.is_empty()));
    while columns.iter().map(Filled::least).sum::<usize>() > room + GAP {
        let Some(last) = columns.iter().map(|column| column.rank).max().filter(|rank| *rank > 0) else { break };
        columns.retain(|column| column.rank != last);
    }
    // The names of the stages, which come first, are cut rather than what becomes of them.
    let others = columns.iter().skip(1).map(Filled::least).sum::<usize>();
    columns[0].width = columns[0].width.min(room.saturating_sub(others).max(1));
    columns
}

/// The picture's lines: a head, the stages, and what all of it comes to.
pub(crate) fn lines(picture: &Picture, room: Room) -> Vec<String> {
    let rows = visible(picture, room.height);
    let several = picture.stages.iter().any(|row| row.experiment != picture.stages[0].experiment);
    let columns = columns(&rows, several, room.width);
    let fit = |text: &str| truncate_str(text.trim_end(), room.width, "…").into_owned();
    let line = |cell: &dyn Fn(&Filled) -> String| {
        fit(&columns.iter().map(|column| column.set(&cell(column))).collect::<String>())
    };
    let head = line(&|column| column.name.to_owned());
    let mut lines = vec![Style::new().bold().apply_to(head).to_string()];
    for (at, row) in rows.iter().enumerate() {
        lines.push(style(row.state).apply_to(line(&|column| column.cells[at].clone())).to_string());
    }
    for text in hidden(picture, &rows).into_iter().chain([footer(picture)]) {
        lines.push(Style::new().dim().apply_to(fit(&text)).to_string());
    }
    lines
}

/// The rows for which there is room: first what fails and runs, then what waits, then what is done.
fn visible(picture: &Picture, height: Option<usize>) -> Vec<&Row> {
    // A head, a line of what is left out, a foot, and the cursor's own.
    let room = height.map_or(usize::MAX, |height| height.saturating_sub(4).max(1));
    let mut places: Vec<_> = (0..picture.stages.len()).collect();
    places.sort_by_key(|place| picture.stages[*place].state);
    places.truncate(room);
    places.sort_unstable();
    places.into_iter().map(|place| &picture.stages[place]).collect()
}

/// What is said of the rows for which there is no room.
fn hidden(picture: &Picture, shown: &[&Row]) -> Option<String> {
    let left = picture.stages.len() - shown.len();
    let states = [
        RowState::Failed,
        RowState::Unfinished,
        RowState::Running,
        RowState::Waiting,
        RowState::NotRun,
        RowState::Done,
        RowState::Cached,
    ];
    let counts = states.into_iter().filter_map(|state| {
        let count = picture.count(state) - shown.iter().filter(|row| row.state == state).count();
        (count > 0).then(|| format!("{count} {}", state.word()))
    });
    (left > 0).then(|| format!("… and {left} more: {}", counts.collect::<Vec<_>>().join(", ")))
}

fn style(state: RowState) -> Style {
    match state {
        RowState::Failed | RowState::Unfinished => Style::new().red(),
        RowState::Running => Style::new().cyan(),
        RowState::Done => Style::new().green(),
        RowState::Waiting => Style::new(),
        RowState::NotRun | RowState::Cached => Style::new().dim(),
    }
}

/// What all of it comes to: `2 of 8 stages; 1m 3s so far; about 12m left, besides 3 stages whose time is unknown`.
pub(crate) fn footer(picture: &Picture) -> String {
    let settled = picture.count(RowState::Done) + picture.count(RowState::Cached);
    let mut text = format!("{settled} of {} stages", picture.stages.len());
    if picture.seconds > 0.0 {
        text = format!("{text}; {} so far", short(picture.seconds));
    }
    if let Some(how) = &picture.ended {
        return format!("{text}; {how}");
    }
    let unknown = match picture.unknown {
        0 => String::new(),
        1 => " besides 1 stage whose time is unknown".to_owned(),
        count => format!(" besides {count} stages whose time is unknown"),
    };
    if picture.seconds_left > 0.0 {
        format!("{text}; about {} left{unknown}", short(picture.seconds_left))
    } else if picture.unknown > 0 {
        format!("{text}; {} of unknown time left", picture.unknown)
    } else {
        text
    }
}

fn short(seconds: f64) -> String {
    units::duration(if seconds < 1.0 { 0.0 } else { seconds })
}

fn done(row: &Row) -> String {
    let counted = row.reached.as_ref().filter(|reached| reached.total > 0 && row.state != RowState::Done);
    counted.map(|reached| format!("{}/{} {}", reached.done, reached.total, reached.unit)).unwrap_or_default()
}

fn rate(row: &Row) -> String {
    let moving = row.reached.as_ref().filter(|reached| row.state == RowState::Running && reached.rate > 0.0);
    moving.map(|reached| format!("{:.1}/s", reached.rate)).unwrap_or_default()
}

fn left(row: &Row) -> String {
    match row.state {
        RowState::Running | RowState::Waiting => row.seconds_left().filter(|left| *left >= 1.0).map(short),
        _ => None,
    }
    .unwrap_or_default()
}

/// What a training says of its loss, why a stage runs, or which artifact there is.
fn note(row: &Row) -> String {
    let said = row.reached.as_ref().map(|reached| reached.note.clone()).filter(|note| !note.is_empty());
    match row.state {
        RowState::Done | RowState::Cached => row.key.clone(),
        _ => said.unwrap_or_else(|| row.why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use stage::Reached;

    use super::*;

    fn picture() -> Picture {
        let row = |stage: &str, state| Row { stage: stage.into(), experiment: "rcm".into(), state, ..Row::default() };
        let reached = Reached { unit: "steps".into(), done: 120, total: 400, rate: 3.25, note: "loss 0.69".into() };
        let stages = vec![
            Row { key: "0123456789abcdef".into(), ..row("prepare-data", RowState::Cached) },
            Row { reached: Some(reached), seconds: Some(37.2), ..row("train-cam", RowState::Running) },
            Row { last_seconds: Some(100.0), needs: vec![1], ..row("extract-msinf-cam", RowState::Waiting) },
            Row { why: "first run".into(), needs: vec![2], ..row("evaluate", RowState::Waiting) },
        ];
        let mut picture = Picture { stages, seconds: 41.0, ..Picture::default() };
        picture.look_ahead(1);
        picture
    }

    #[test]
    fn a_wide_terminal_has_room_for_all() {
        let lines = lines(&picture(), Room { width: 100, height: Some(24) });
        assert_eq!(
            lines.join("\n"),
            "stage              state             done   rate  time    left\n\
             prepare-data       cached                                       0123456789abcdef\n\
             train-cam          running  120/400 steps  3.2/s   37s  1m 26s  loss 0.69\n\
             extract-msinf-cam  waiting                              1m 40s\n\
             evaluate           waiting                                      first run\n\
             1 of 4 stages; 41s so far; about 3m 6s left besides 1 stage whose time is unknown"
        );
    }

    #[test]
    fn a_narrow_terminal_has_no_line_that_is_wider_and_keeps_stage_and_state() {
        for width in 1..100 {
            let lines = lines(&picture(), Room { width, height: Some(24) });
            assert!(lines.iter().all(|line| measure_text_width(line) <= width), "{width}: {lines:?}");
            assert_eq!(lines.len(), 6);
        }
        let lines = lines(&picture(), Room { width: 44, height: None });
        assert_eq!(lines[2], "train-cam          running  120/400 steps");
        let lines = super::lines(&picture(), Room { width: 16, height: None });
        assert_eq!(lines[2], "train-…  running");
    }

    #[test]
    fn a_low_terminal_shows_what_runs_and_counts_the_rest() {
        let lines = lines(&picture(), Room { width: 60, height: Some(5) });
        assert_eq!(lines.len(), 4, "one line is the cursor's own");
        assert!(lines[1].starts_with("train-cam"), "{lines:?}");
        assert_eq!(lines[2], "… and 3 more: 2 waiting, 1 cached");
    }

    #[test]
    fn several_experiments_are_named() {
        let mut picture = picture();
        picture.stages[3].experiment = "baseline".into();
        picture.ended = Some("stopped".into());
        let lines = lines(&picture, Room { width: 100, height: None });
        assert!(lines[4].starts_with("evaluate (baseline) "), "{lines:?}");
        assert_eq!(lines[5], "1 of 4 stages; 41s so far; stopped");
    }
}
