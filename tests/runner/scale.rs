//! What a question to a large store costs grows with stages and parts, never with images. Counted are reads and their
//! bytes, as Linux does: they are the same on every machine, and times are not.

use std::fs;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::world::{World, end};

/// The stages whose work is divided into parts.
const DIVIDED: [&str; 3] = ["extract-msinf-cam", "random-walk", "evaluate"];

/// A committed store of so many images in so many parts, and the options that resolve to it.
fn filled(world: &World, images: usize, parts: usize) -> Vec<String> {
    let sets = |stage| [format!("{stage}.images={images}"), format!("{stage}.parts={parts}")];
    let sets = DIVIDED.into_iter().flat_map(sets).flat_map(|set| ["--set".to_owned(), set]);
    let sets: Vec<_> = sets.collect();
    command(world, &["run"], &sets, 0);
    sets
}

/// What a command read.
struct Cost {
    /// Calls that read.
    reads: u64,
    /// Bytes that they read.
    bytes: u64,
}

fn command(world: &World, args: &[&str], sets: &[String], code: i32) -> Cost {
    let args: Vec<_> = args.iter().copied().chain(sets.iter().map(String::as_str)).collect();
    let child = world.start_quietly(&args);
    // It stays a zombie until it is waited for below: its counts are still there.
    waitid(WaitId::Pid(Pid::from_child(&child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).expect("it is a child");
    let io = fs::read_to_string(format!("/proc/{}/io", child.id())).expect("Linux counts what a process reads");
    let count = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
    let cost = Cost { reads: count("syscr:"), bytes: count("rchar:") };
    end(child).with(code);
    cost
}

/// What each question costs on a store of so many images in so many parts.
fn costs(images: usize, parts: usize) -> [Cost; QUESTIONS.len()] {
    let world = World::new();
    let sets = filled(&world, images, parts);
    QUESTIONS.map(|args| command(&world, args, &sets, 0))
}

const QUESTIONS: [&[&str]; 6] =
    [&["status"], &["plan"], &["run"], &["explain", "evaluate"], &["metrics"], &["gc", "--dry-run"]];

#[test]
fn ten_times_the_images_cost_no_read_more() {
    for ((few, many), args) in costs(40, 8).iter().zip(&costs(400, 8)).zip(QUESTIONS) {
        // A file so new that it may change again within a tick of its clock is read again: two reads, however many
        // images.
        assert!(many.reads <= few.reads + 4, "{args:?}: {} and {}", few.reads, many.reads);
        // Records of more rows have longer numbers.
        assert!(many.bytes as f64 <= few.bytes as f64 * 1.02, "{args:?}: {} and {}", few.bytes, many.bytes);
    }
}

#[test]
fn eight_times_the_parts_cost_longer_records_and_no_other_read() {
    for ((few, many), args) in costs(64, 8).iter().zip(&costs(64, 64)).zip(QUESTIONS) {
        // Parts are looked at (`stat`), not read.
        assert!(many.reads <= few.reads + 4, "{args:?}: {} and {}", few.reads, many.reads);
        assert!(many.bytes <= few.bytes * 8, "{args:?}: {} and {}", few.bytes, many.bytes);
    }
}
