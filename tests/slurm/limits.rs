//! What the scheduler itself does to jobs: time that is up, memory that is used up, and jobs that go first.

use std::thread;
use std::time::{Duration, Instant};

use crate::{PATIENCE, append, digests, expected, finish, open, prolong, set_up, wait_for};

/// Forty seconds: Slurm looks for jobs whose time is up every half minute.
const STEPS: u32 = 4000;

#[test]
fn a_training_that_is_longer_than_its_job_goes_on_link_by_link() {
    let Some((cluster, world)) = set_up() else { return };
    prolong(&world, "train-cam", STEPS);
    // Slurm knows no limit below a minute: the signal comes as soon as it looks.
    world.edit("links = 2\n", "links = 8\ntime = \"1\"\nlead = 55\n");
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    let start = Instant::now();
    while !open(&world).is_empty() {
        assert!(start.elapsed() < PATIENCE, "one submission is enough: {:#?}\n{}", open(&world), cluster.queue());
        thread::sleep(Duration::from_millis(500));
    }
    let links = world.ran().iter().filter(|ran| ran.starts_with("train-cam")).count();
    assert!((2..=8).contains(&links), "{links} links");
    let log = world.camflow(&["logs", "train-cam"]).with(0).stdout;
    assert!(log.contains("going on"), "{log}");
    assert_eq!(digests(&world), expected());
}

#[test]
fn what_gave_way_to_another_job_is_told_and_goes_on() {
    let Some((cluster, world)) = set_up() else { return };
    prolong(&world, "train-cam", 300);
    world.edit("setup = ", "partition = \"spare\"\nsetup = ");
    world.edit("links = 2\n", "links = 1\n");
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    world.wait_for_checkpoint("train-cam");
    cluster.urgent_job(3);
    wait_for(&world, "train-cam", "preempted");
    finish(&cluster, &world);
    let log = world.camflow(&["logs", "train-cam"]).with(0).stdout;
    assert!(log.contains("going on"), "{log}");
    assert_eq!(digests(&world), expected());
}

#[test]
fn what_gave_way_and_waits_again_is_told() {
    let Some((cluster, world)) = set_up() else { return };
    prolong(&world, "train-cam", 300);
    world.edit("links = 2\n", "links = 1\n");
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    world.wait_for_checkpoint("train-cam");
    cluster.urgent_job(1);
    wait_for(&world, "train-cam", "queued again, preempted");
    // It would wait for two minutes, as Slurm has it.
    world.camflow(&["cancel"]).with(0);
    finish(&cluster, &world);
    assert_eq!(digests(&world), expected());
}

#[test]
fn what_took_too_much_memory_is_told() {
    let Some((cluster, world)) = set_up() else { return };
    let hog = "python3 -c 'import time; held = bytearray(400 << 20); time.sleep(30)'";
    append(&world, &format!("[slurm.stage.train-affinity]\nmem = \"60M\"\nsetup = [\"{hog}\"]\n"));
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    wait_for(&world, "train-affinity", "out of memory");
    world.edit(&format!("setup = [\"{hog}\"]\n"), "");
    finish(&cluster, &world);
    assert_eq!(digests(&world), expected());
}
