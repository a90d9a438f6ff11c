//! A store of thousands of images in hundreds of parts: what a question costs grows with stages and parts, never with
//! images. Times depend on the machine and are printed, not asserted:
//!
//! ```text
//! cargo test --release -p runner --test runner -- scale --ignored --nocapture
//! ```

use std::fs;
use std::process::Child;
use std::time::Instant;

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

/// What a command cost.
struct Cost {
    /// Calls that read.
    reads: u64,
    /// Bytes that they read.
    bytes: u64,
    seconds: f64,
    /// Of these, seconds of a core.
    cpu: f64,
    /// The most memory that was seen while it ran.
    mib: u64,
}

fn command(world: &World, args: &[&str], sets: &[String], code: i32) -> Cost {
    let args: Vec<_> = args.iter().copied().chain(sets.iter().map(String::as_str)).collect();
    let start = Instant::now();
    let child = world.start_quietly(&args);
    let (mib, seconds) = watch(&child, start);
    // It has ended and is not waited for yet: its counts are still there.
    let io = fs::read_to_string(format!("/proc/{}/io", child.id())).expect("Linux counts what a process reads");
    let count = |name: &str| io.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("and its time");
    let ticks =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2)).expect("after its name");
    let cpu = ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0;
    let cost = Cost { cpu, reads: count("syscr:"), bytes: count("rchar:"), seconds, mib };
    end(child).with(code);
    cost
}

/// Looks at a process until it ends.
fn watch(child: &Child, start: Instant) -> (u64, f64) {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(peak.unwrap_or(0) / 1024);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        if waitid(WaitId::Pid(Pid::from_child(child)), options).expect("it is a child").is_some() {
            return (most, start.elapsed().as_secs_f64());
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

const QUESTIONS: [&[&str]; 6] =
    [&["status"], &["plan"], &["run"], &["explain", "evaluate"], &["metrics"], &["gc", "--dry-run"]];

#[test]
fn ten_times_the_images_cost_no_read_more() {
    let costs = [40, 400].map(|images| {
        let world = World::new();
        let sets = filled(&world, images, 8);
        QUESTIONS.map(|args| command(&world, args, &sets, 0))
    });
    let [few, many] = &costs;
    for ((few, many), args) in few.iter().zip(many).zip(QUESTIONS) {
        // A file so new that it may change again within a tick of its clock is read again: two reads, whatever the images.
        assert!(many.reads <= few.reads + 4, "{args:?}: {} and {}", few.reads, many.reads);
        // Records of more rows have longer numbers.
        assert!(many.bytes as f64 <= few.bytes as f64 * 1.02, "{args:?}: {} and {}", few.bytes, many.bytes);
    }
}

#[test]
#[ignore = "it measures: 10,582 images in 512 parts"]
fn the_paper_s_data_set_in_512_parts() {
    let world = World::new();
    let sets = filled(&world, 10_582, 512);
    for args in QUESTIONS {
        let Cost { reads, bytes, seconds, cpu, mib } = command(&world, args, &sets, 0);
        println!(
            "{:<24} {seconds:.3} s  of a core {cpu:.2} s  {mib} MiB  {reads} reads of {bytes} bytes",
            args.join(" ")
        );
    }
}
