//! `camflow logs -f`.

use rustix::process::Signal;

use crate::world::{World, end, signal};

/// The steps of which a log tells.
fn steps(log: &str) -> Vec<u64> {
    log.lines().filter_map(|line| line.split_once("step  step ")?.1.parse().ok()).collect()
}

#[test]
fn a_log_is_followed_into_the_artifact_without_a_line_lost_or_repeated() {
    let world = World::new();
    let args = ["--experiment", "full", "--set", "train-cam.steps=60", "--set", "train-cam.chatty=true"];
    let run = world.start(&[&["run", "--until", "train-cam"], args.as_slice()].concat());
    world.wait_for("train-cam");
    world.wait_for_checkpoint("train-cam");
    let follow = world.start(&[&["logs", "-f", "train-cam"], args.as_slice()].concat());
    let json = world.start(&[&["logs", "-f", "train-cam", "--json"], args.as_slice()].concat());
    end(run).with(0);
    assert_eq!(steps(&end(follow).with(0).stdout), (1..=60).collect::<Vec<_>>());
    let lines = end(json).with(0).stdout;
    assert_eq!(lines.lines().filter(|line| line.contains("\"event\":\"step\"")).count(), 60, "{lines}");
    // Afterwards there is nothing to wait for.
    let after = world.camflow(&[&["logs", "-f", "train-cam"], args.as_slice()].concat()).with(0).stdout;
    assert_eq!(steps(&after).len(), 60);
}

#[test]
fn a_log_is_followed_through_a_stop_and_the_run_that_goes_on() {
    let world = World::new();
    let args = ["--experiment", "full", "--set", "train-cam.steps=60", "--set", "train-cam.chatty=true"];
    let run = [&["run", "--until", "train-cam"], args.as_slice()].concat();
    let first = world.start(&run);
    world.wait_for_checkpoint("train-cam");
    let follow = world.start(&[&["logs", "-f", "train-cam"], args.as_slice()].concat());
    signal(first.id().cast_signed(), Signal::USR1);
    end(first).with(75);
    world.camflow(&run).with(0);
    let log = end(follow).with(0).stdout;
    assert!(log.matches("going on  from ").count() == 2, "{log}");
    // The step at which it was stopped has a checkpoint but may have no line.
    let steps = steps(&log);
    assert!(steps.windows(2).all(|pair| pair[1] > pair[0]) && steps.last() == Some(&60), "{steps:?}");
}

#[test]
fn what_has_not_begun_has_no_log_and_what_is_cleared_away_ends_it() {
    let world = World::new();
    let refused = world.camflow(&["logs", "-f", "train-cam"]).with(69);
    assert!(refused.stderr.contains("it has not begun"), "{}", refused.stderr);
    world.camflow(&["run", "--until", "prepare-data"]).with(0);
    world.camflow(&["run", "--experiment", "full", "--set", "train-cam.fail=1"]).with(1);
    let follow = world.start(&["logs", "-f", "train-cam"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    world.forget_work("train-cam");
    let ended = end(follow).with(69);
    assert!(ended.stdout.contains("start  "), "{}", ended.stdout);
    assert!(ended.stderr.contains("its work was removed"), "{}", ended.stderr);
}
