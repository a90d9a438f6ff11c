//! `camflow run --executor slurm` on a real Slurm of two nodes on this machine (`cluster.sh`), with fake stages.
//!
//! Where Slurm is not installed, the tests say so and end. `make slurm-test` runs them, and as many rounds of faults as
//! `CAMFLOW_SLURM_ROUNDS` says: in each something is killed, cancelled or requeued while the pipeline goes on, the same
//! command is given again, and all is computed, with the digests of a run on one machine.
//!
//! ```text
//! cluster   the daemons of Slurm, started and killed
//! limits    what the scheduler does of itself: time, memory, jobs that go first
//! world     a directory with a manifest, a store and fake stages
//! ended     what a command ended with
//! ```

mod cluster;
#[path = "../ended.rs"]
mod ended;
mod limits;
#[path = "../runner/world.rs"]
#[expect(dead_code, reason = "the tests of the runner use more of it")]
mod world;

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use cluster::Cluster;
use world::World;

/// Laid over the manifest of the fake stages: more shards than an array of the cluster may have, and two links.
const SLURM: &str = r#"
[slurm]
time = "10"
setup = ["export GREETING=hello"]
shards = 11
at_a_time = 4
[slurm.stage.train-cam]
links = 2
"#;
/// What happens in a round.
const FAULTS: [&str; 7] = ["stage", "controller", "requeue", "cancel", "node", "urgent", "time"];
/// The stage whose time is up in a round; the other faults take turns.
const OUT_OF_TIME: &str = "evaluate";
/// How long a pipeline of fake stages may take with all its faults.
const PATIENCE: Duration = Duration::from_mins(3);

/// Experiment and stage to the digest of the artifact.
type Digests = BTreeMap<(String, String), String>;

fn world() -> World {
    let world = World::new();
    append(&world, SLURM);
    world
}

/// Lets the commands of a world find the cluster.
fn enter(cluster: &Cluster, world: &mut World) {
    world.variables.insert("SLURM_CONF".into(), cluster.conf().to_string_lossy().into_owned());
}

/// A cluster, and a world whose commands find it; `None` where Slurm is not installed.
fn set_up() -> Option<(Cluster, World)> {
    let cluster = Cluster::start()?;
    let mut world = world();
    enter(&cluster, &mut world);
    Some((cluster, world))
}

fn append(world: &World, text: &str) {
    let file = world.path("pipeline.toml");
    let manifest = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, manifest + text).unwrap();
}

/// Gives a stage work for a while, so that there is time for a fault.
fn prolong(world: &World, stage: &str, steps: u32) {
    let (before, after) = match stage {
        "train-cam" => ("steps = 0\n".to_owned(), format!("steps = {steps}\n")),
        _ => (format!("[stage.{stage}]\n"), format!("[stage.{stage}]\nsteps = {steps}\n")),
    };
    world.edit(&before, &after);
}

/// What a run on this machine alone makes of the manifest.
fn expected() -> Digests {
    let world = World::new();
    digests(&world)
}

fn digests(world: &World) -> Digests {
    let said: Value = serde_json::from_str(&world.camflow(&["run", "--json"]).with(0).stdout).unwrap();
    let text = |outcome: &Value, name: &str| outcome[name].as_str().unwrap().to_owned();
    let outcomes = said["outcomes"].as_array().unwrap().iter();
    outcomes.map(|one| ((text(one, "experiment"), text(one, "stage")), text(one, "digest"))).collect()
}

/// The lines of `status` that are not committed.
fn open(world: &World) -> Vec<Value> {
    let said = world.camflow(&["status", "--json"]).with(0).stdout;
    let lines: Vec<Value> = serde_json::from_str(&said).unwrap();
    lines.into_iter().filter(|line| line["state"] != "cached").collect()
}

/// Gives the same command again and again until every stage is committed: it hands over only what is not in hand.
fn finish(cluster: &Cluster, world: &World) {
    let start = Instant::now();
    loop {
        cluster.resume_nodes();
        // The controller may be away for a moment.
        let said = world.camflow(&["run", "--executor", "slurm"]);
        thread::sleep(Duration::from_secs(2));
        let open = open(world);
        if open.is_empty() {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "in vain: {open:#?}\n{said:?}\n{}", cluster.queue());
    }
}

/// Waits for the line of a stage whose jobs are so.
fn wait_for(world: &World, stage: &str, jobs: &str) {
    let start = Instant::now();
    let is_so = |line: &Value| line["stage"] == stage && line["jobs"].as_str().is_some_and(|said| said.contains(jobs));
    while !open(world).iter().any(is_so) {
        assert!(start.elapsed() < PATIENCE, "{stage} is never {jobs}: {:#?}", open(world));
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_pipeline_is_handed_over_at_once_and_computes_what_one_machine_does() {
    let Some((cluster, world)) = set_up() else { return };
    prolong(&world, "train-cam", 100);
    let first = world.camflow(&["run", "--executor", "slurm"]).with(0);
    assert!(first.stdout.contains("14 stages handed over"), "{}", first.stdout);
    let again = world.camflow(&["run", "--executor", "slurm"]).with(0);
    assert!(again.stdout.contains("\n0 stages handed over"), "nothing is handed over twice: {}", again.stdout);
    // What is edited after the submission does not change it.
    world.edit("value = 10\n", "value = 99\n");
    let changed: Value = serde_json::from_str(&world.camflow(&["plan", "--json"]).with(0).stdout).unwrap();
    assert!(changed["to_run"].as_u64() > Some(0));
    world.edit("value = 99\n", "value = 10\n");
    let follows = world.start(&["logs", "random-walk", "-f"]);
    wait_for(&world, "train-cam", "running");
    finish(&cluster, &world);
    let followed = world::end(follows).with(0);
    assert!(followed.stderr.contains("random-walk (full): queued"), "it waits: {}", followed.stderr);
    assert!(followed.stdout.contains("complete"), "{}", followed.stdout);
    assert_eq!(digests(&world), expected());
    assert_eq!(world.ran().iter().filter(|ran| ran.starts_with("train-cam")).count(), 1, "one link was enough");
}

#[test]
fn what_was_cancelled_is_told_and_the_same_command_goes_on() {
    let Some((cluster, world)) = set_up() else { return };
    prolong(&world, "train-cam", 300);
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    world.wait_for_checkpoint("train-cam");
    let submissions = || std::fs::read_dir(world.path("store/work/attempts")).unwrap().flatten();
    let submissions = || submissions().filter(|entry| entry.path().is_dir()).count();
    world.age_work();
    world.camflow(&["gc"]).with(0);
    assert_eq!(submissions(), 1, "its jobs run");
    let cancelled = world.camflow(&["cancel"]).with(0);
    assert!(!cancelled.stdout.starts_with("0 jobs"), "{}", cancelled.stdout);
    wait_for(&world, "train-cam", "cancelled");
    assert!(world.camflow(&["logs", "train-cam"]).with(0).stdout.contains("going on  from 0"));
    assert!(world.camflow(&["cancel"]).with(0).stdout.starts_with("0 jobs"));
    world.age_work();
    world.camflow(&["gc"]).with(0);
    assert_eq!(submissions(), 0, "it is a day old and has no job left");
    finish(&cluster, &world);
    assert_eq!(digests(&world), expected());
}

#[test]
fn a_stage_that_fails_stops_what_needs_it_and_says_why() {
    let Some((cluster, world)) = set_up() else { return };
    world.edit("[stage.train-affinity]\n", "[stage.train-affinity]\nfail = 65\n");
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    wait_for(&world, "train-affinity", "failed with 65");
    wait_for(&world, "random-walk", "cancelled");
    assert!(world.camflow(&["logs", "train-affinity"]).with(0).stdout.contains("told to fail"));
    world.edit("fail = 65\n", "");
    finish(&cluster, &world);
    assert_eq!(digests(&world), expected());
}

#[test]
fn only_the_shards_that_are_left_are_handed_over_again() {
    let Some((cluster, world)) = set_up() else { return };
    world.camflow(&["run", "--executor", "slurm", "--until", "extract-msinf-cam"]).with(0);
    cluster.wait_until_idle();
    // As if two of four parts had been lost with the disk of a node: the work is as it was before them.
    let artifact = world.artifact("extract-msinf-cam");
    let work =
        world.path("store/work").join(format!("extract-msinf-cam-{}", artifact.file_name().unwrap().to_string_lossy()));
    std::fs::rename(&artifact, &work).unwrap();
    std::fs::remove_file(work.join("artifact.json")).unwrap();
    std::fs::create_dir(work.join("done")).unwrap();
    std::fs::write(work.join("done/curve-00000-of-00004.json"), "{}").unwrap();
    std::fs::write(work.join("done/curve-00003-of-00004.json"), "{}").unwrap();
    world.events();
    world.camflow(&["run", "--executor", "slurm", "--experiment", "full", "--until", "extract-msinf-cam"]).with(0);
    let attempts = std::fs::read_dir(world.path("store/work/attempts")).unwrap().flatten();
    let newest = attempts.filter(|entry| entry.path().is_dir()).map(|entry| entry.path()).max().unwrap();
    let asked: Value = serde_json::from_slice(&std::fs::read(newest.join("attempt.json")).unwrap()).unwrap();
    let shards: Vec<_> =
        asked.as_array().unwrap().iter().filter_map(|job| job["tasks"]["shards"].as_object()).collect();
    assert_eq!(shards.len(), 1, "{asked:#}");
    // Of eleven shards of four parts, those with a part that is not done.
    assert_eq!(shards[0]["indices"], serde_json::json!([5, 8]));
}

#[test]
fn without_a_controller_nothing_is_lost_and_the_message_says_so() {
    let Some((cluster, world)) = set_up() else { return };
    world.camflow(&["run", "--executor", "slurm", "--until", "train-cam"]).with(0);
    cluster.kill_controller();
    let refused = world.camflow(&["run", "--executor", "slurm"]).with(1);
    assert!(refused.stderr.contains("squeue failed"), "{}", refused.stderr);
    let status = world.camflow(&["status"]).with(0);
    assert!(status.stderr.contains("what Slurm has in hand is not known"), "{}", status.stderr);
    cluster.start_controller();
    finish(&cluster, &world);
    assert_eq!(digests(&world), expected());
}

#[test]
fn rounds_of_faults_end_in_the_digests_of_a_run_on_one_machine() {
    let rounds: usize = std::env::var("CAMFLOW_SLURM_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let Some(cluster) = Cluster::start() else { return };
    let expected = expected();
    for round in 0..rounds {
        let mut world = world();
        enter(&cluster, &mut world);
        let fault = FAULTS[round % FAULTS.len()];
        let stage = match fault {
            "time" => OUT_OF_TIME,
            _ => ["train-cam", "extract-msinf-cam", "random-walk"][round % 3],
        };
        println!("round {round}: {fault} while {stage} runs");
        prolong(&world, stage, 150);
        if fault == "time" {
            let_time_run_out(&world);
        } else {
            world.camflow(&["run", "--executor", "slurm"]).with(0);
            disturb(&cluster, &world, fault, world.wait_for(stage));
        }
        finish(&cluster, &world);
        assert_eq!(digests(&world), expected, "round {round}: {fault} while {stage} runs");
    }
}

/// Does what a fault says while a stage runs.
fn disturb(cluster: &Cluster, world: &World, fault: &str, pid: i32) {
    match fault {
        "stage" => world::signal(pid, rustix::process::Signal::KILL),
        "controller" => {
            cluster.kill_controller();
            thread::sleep(Duration::from_millis(500));
            cluster.start_controller();
        }
        "requeue" => cluster.requeue_running(),
        "cancel" => drop(world.camflow(&["cancel"]).with(0)),
        "urgent" => cluster.urgent_job(2),
        _ => {
            cluster.kill_node("n1");
            thread::sleep(Duration::from_secs(1));
            cluster.start_node("n1");
        }
    }
}

/// A job that hears no signal is ended when its minute is over; then its limit is raised.
fn let_time_run_out(world: &World) {
    let deaf = format!("[slurm.stage.{OUT_OF_TIME}]\ntime = \"1\"\nsetup = [\"trap '' USR1; sleep 200\"]\n");
    append(world, &deaf);
    world.camflow(&["run", "--executor", "slurm"]).with(0);
    wait_for(world, OUT_OF_TIME, "out of time");
    world.edit(&deaf, "");
}
