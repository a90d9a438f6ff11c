//! The table of a run that goes on, on a terminal; lines elsewhere.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::terminal::Terminal;
use crate::world::{STAGES, World, assert_shown, signal};

/// Half a second of training, or as many seconds as are asked for.
fn training(steps: u32) -> Vec<String> {
    ["run", "--experiment", "full", "--set", &format!("train-cam.steps={steps}")].map(str::to_owned).to_vec()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// The process that started another.
fn runner_of(stage: i32) -> i32 {
    let status = std::fs::read_to_string(format!("/proc/{stage}/status")).unwrap();
    status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim().parse().unwrap()
}

/// The line of a stage in a picture.
fn line<'a>(picture: &'a str, stage: &str) -> Option<&'a str> {
    picture.lines().find(|line| line.starts_with(&format!("{stage} ")))
}

#[test]
fn one_table_of_all_stages_changes_in_its_place_and_stays() {
    let world = World::new();
    let seen = Terminal::USUAL.camflow(&world, &strs(&training(250))).with(0);
    let pictures = seen.pictures();
    assert!(pictures.iter().all(|picture| picture.matches("stage  ").count() <= 1), "one table: {pictures:#?}");
    let during = pictures.iter().find(|picture| {
        line(picture, "train-cam").is_some_and(|line| line.contains("running") && line.contains("/250 steps"))
            && line(picture, "train-cam").is_some_and(|line| line.contains("loss 0.0"))
    });
    let during = during.unwrap_or_else(|| panic!("no picture of the training: {pictures:#?}"));
    assert!(line(during, "prepare-data").unwrap().contains("done"), "{during}");
    assert!(line(during, "evaluate").unwrap().contains("waiting"), "{during}");
    assert!(line(during, "train-cam").unwrap().contains("/s "), "{during}");
    assert!(during.contains("1 of 8 stages"), "{during}");
    assert_shown("terminal_run", &seen.last());
}

#[test]
fn what_is_cached_is_shown_and_the_time_left_is_what_it_took_last_time() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--set", "train-deeplab.steps=100"]).with(0);
    let slow = ["run", "--experiment", "full", "--set", "train-deeplab.value=2", "--set", "train-deeplab.steps=100"];
    let seen = Terminal::USUAL.camflow(&world, &slow).with(0);
    let pictures = seen.pictures();
    assert!(pictures.iter().any(|picture| picture.contains("about 1s left")), "{pictures:#?}");
    let last = seen.last();
    assert!(line(&last, "train-cam").unwrap().contains("cached"), "{last}");
    assert!(line(&last, "train-deeplab").unwrap().contains("done"), "{last}");
    // Where nothing is to be done there is nothing to be shown.
    let again = Terminal::USUAL.camflow(&world, &slow).with(0).last();
    assert!(again.starts_with("nothing to run: 8 stages are committed"), "{again}");
}

#[test]
fn the_error_of_a_stage_stands_above_the_table_and_what_it_takes_along_is_named() {
    let world = World::new();
    let seen = Terminal::USUAL.camflow(&world, &["run", "--experiment", "full", "--set", "train-affinity.fail=65"]);
    let last = seen.with(65).last();
    let place = |what: &str| last.find(what).unwrap_or_else(|| panic!("no '{what}' in {last}"));
    assert!(place("train-affinity: told to fail") < place("stage  "), "{last}");
    assert!(line(&last, "train-affinity").unwrap().contains("failed"), "{last}");
    assert!(line(&last, "evaluate").unwrap().contains("not run"), "{last}");
    assert!(place("4 of 8 stages") < place("camflow: train-affinity (full) failed"), "{last}");
}

#[test]
fn a_run_that_is_stopped_leaves_its_table() {
    let world = World::new();
    let run = Terminal::USUAL.start(&world, &strs(&training(1000)));
    signal(runner_of(world.wait_for("train-cam")), Signal::INT);
    let last = Terminal::USUAL.end(run).with(75).last();
    assert!(last.contains("1 of 8 stages") && last.contains("; stopped"), "{last}");
    assert!(last.contains("camflow: stopped; run the same command again"), "{last}");
}

#[test]
fn a_stage_whose_runner_is_killed_with_its_table_still_writes_a_checkpoint() {
    let world = World::new();
    let run = Terminal::USUAL.start(&world, &strs(&training(1000)));
    let runner = runner_of(world.wait_for("train-cam"));
    world.wait_for_checkpoint("train-cam");
    signal(runner, Signal::KILL);
    Terminal::USUAL.end(run).with(137);
    let start = Instant::now();
    // Nobody reads what it says.
    while !world.events().iter().any(|event| event.starts_with("stopped train-cam")) {
        assert!(start.elapsed() < Duration::from_secs(30), "the stage goes on");
        std::thread::sleep(Duration::from_millis(10));
    }
    world.camflow(&["run", "--experiment", "full", "--set", "train-cam.steps=1"]).with(0);
}

#[test]
fn a_small_terminal_has_no_line_that_wraps_and_as_many_lines_as_there_is_room_for() {
    let world = World::new();
    for (columns, rows) in [(40, 24), (24, 24), (80, 8)] {
        let small = Terminal { columns, rows, env: &[] };
        let args = ["run", "--force", "train-cam", "--until", "threshold-sweep", "--set", "train-cam.steps=30"];
        let seen = small.camflow(&world, &args).with(0);
        let pictures = seen.pictures();
        let table: Vec<_> = pictures.iter().filter(|picture| picture.contains("running")).collect();
        assert!(!table.is_empty(), "{columns} x {rows}: {pictures:#?}");
        assert!(table.iter().all(|picture| picture.matches("stage  ").count() <= 1), "{columns} x {rows}: {table:#?}");
        assert!(rows > 10 || table.iter().any(|picture| picture.contains("… and ")), "{columns} x {rows}: {table:#?}");
        let is_whole = |line: &str| {
            STAGES.iter().chain(&["stage", "…"]).any(|name| line.starts_with(name.get(..8).unwrap_or(name)))
        };
        let is_footer = |line: &str| line.starts_with(|digit: char| digit.is_ascii_digit());
        let broken = table.iter().flat_map(|picture| picture.lines()).find(|line| !is_whole(line) && !is_footer(line));
        assert_eq!(broken, None, "{columns} x {rows}");
    }
}

#[test]
fn colours_are_there_unless_somebody_wants_none() {
    let world = World::new();
    let args = ["run", "--until", "prepare-data", "--force", "prepare-data"];
    assert!(Terminal::USUAL.camflow(&world, &args).with(0).is_coloured());
    let plain = Terminal { env: &[("NO_COLOR", "1")], ..Terminal::USUAL }.camflow(&world, &args).with(0);
    assert!(!plain.is_coloured());
    assert!(plain.last().contains("prepare-data  done"), "the table is there: {}", plain.last());
}

#[test]
fn a_terminal_that_cannot_draw_and_one_that_nobody_sees_get_lines() {
    let world = World::new();
    let args = ["run", "--until", "train-cam", "--experiment", "full"];
    let dumb = Terminal { env: &[("TERM", "dumb")], ..Terminal::USUAL }.camflow(&world, &args).with(0);
    assert!(dumb.last().starts_with("[1/2] prepare-data (full): "), "{}", dumb.last());
    assert!(!dumb.bytes.contains(&0x1b));
    let forced = [&args[..], &["--force", "train-cam"]].concat();
    let piped = world.camflow(&forced).with(0);
    assert!(piped.stdout.starts_with("[1/1] train-cam (full): "), "{}", piped.stdout);
    let json = Terminal::USUAL.camflow(&world, &[&forced[..], &["--json"]].concat()).with(0);
    assert!(json.last().contains("\"ran\": 1"), "{}", json.last());
}
