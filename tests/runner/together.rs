//! Several at once: stages side by side, shards, runners on one store, machines that share a disk.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use artifact::Store;
use serde_json::{Value, json};

use crate::crash::rounds;
use crate::world::{World, end};

/// Where in `events` each line stands, without process ids.
fn position(events: &[String], line: &str) -> usize {
    events.iter().position(|event| event == line).unwrap_or_else(|| panic!("no '{line}' in {events:?}"))
}

#[test]
fn independent_stages_run_side_by_side_and_the_artifacts_are_the_same() {
    let (alone, together) = (World::new(), World::new());
    alone.camflow(&["run"]).with(0);
    let slow = ["--set", "threshold-sweep.steps=60", "--set", "train-affinity.steps=60"];
    together.camflow(&[&["run", "--jobs", "2", "--experiment", "full"], &slow[..]].concat()).with(0);
    let events = together.events();
    for (one, other) in [("threshold-sweep", "train-affinity"), ("train-affinity", "threshold-sweep")] {
        let (began, ended) = (format!("run {one} full"), format!("done {other} full"));
        assert!(position(&events, &began) < position(&events, &ended), "{events:?}");
    }
    together.camflow(&["run", "--jobs", "3"]).with(0);
    for stage in ["extract-msinf-cam", "evaluate"] {
        let digest = |world: &World| {
            let text = fs::read_to_string(world.artifact(stage).join("artifact.json")).unwrap();
            serde_json::from_str::<Value>(&text).unwrap()["digest"].clone()
        };
        assert_eq!(digest(&alone), digest(&together), "{stage}");
    }
}

#[test]
fn a_stage_that_works_by_shards_takes_the_free_slots_and_its_digest_does_not_tell() {
    let (alone, together) = (World::new(), World::new());
    alone.camflow(&["run", "--experiment", "full", "--until", "extract-msinf-cam"]).with(0);
    together.camflow(&["run", "--experiment", "full", "--until", "extract-msinf-cam", "--jobs", "3"]).with(0);
    let shards = together.ran().iter().filter(|line| line.starts_with("extract-msinf-cam")).count();
    assert_eq!(shards, 3);
    let record = |world: &World| {
        let text = fs::read_to_string(world.artifact("extract-msinf-cam").join("artifact.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    assert_eq!(record(&alone)["digest"], record(&together)["digest"]);
    assert_eq!(record(&together)["tables"]["curve"]["parts"].as_array().unwrap().len(), 4);
}

#[test]
fn shards_that_begin_while_another_publishes_lose_nothing() {
    let world = World::new();
    world.camflow(&["run", "--experiment", "full", "--until", "train-cam"]).with(0);
    for round in 0..rounds(20) {
        let value = format!("extract-msinf-cam.value={}", 100 + round);
        let shard = |index: usize| {
            let mut stage = Command::new(world.bin().join("extract-msinf-cam"));
            stage.args(["--set", &value, "--shard", &format!("{index}/8")]).current_dir(world.path("."));
            stage.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        (0..7).for_each(|index| drop(end(shard(index)).with(0)));
        // The last part is done, and published, while others begin that have nothing to do.
        let late = (0..8).rev().inspect(|_| thread::sleep(Duration::from_millis(1)));
        for started in late.map(shard).collect::<Vec<_>>() {
            end(started).with(0);
        }
        let all = Store::open(&world.path("store")).unwrap().artifacts("extract-msinf-cam").unwrap();
        assert_eq!(all.len() as u64, round + 1);
        assert!(!world.path("store/work/set-aside").exists(), "round {round}");
    }
}

#[test]
fn more_jobs_than_gpus_share_them() {
    let world = World::new();
    world.edit("device = \"cpu\"", "device = \"cuda\"");
    let args = ["run", "--experiment", "full", "--until", "extract-msinf-cam", "--jobs", "3"];
    end(world.command(&args).env("CUDA_VISIBLE_DEVICES", "0,1").spawn().unwrap()).with(0);
    let devices = world.events().into_iter().filter_map(|line| Some(line.strip_prefix("device ")?.to_owned()));
    let mut devices: Vec<_> = devices.filter(|line| line.contains("extract-msinf-cam")).collect();
    assert!(devices.len() >= 3, "{devices:?}");
    devices.sort();
    devices.dedup();
    assert_eq!(devices, ["cuda:0", "cuda:1"].map(|device| format!("{device} extract-msinf-cam full")));
}

#[test]
fn a_failure_lets_the_others_end_and_their_work_is_kept() {
    let world = World::new();
    let sets = ["--set", "threshold-sweep.fail=65", "--set", "train-affinity.steps=60"];
    let ended = world.camflow(&[&["run", "--jobs", "2", "--experiment", "full"], &sets[..]].concat()).with(65);
    assert!(ended.stdout.contains("others do not need it and go on"), "{}", ended.stdout);
    world.camflow(&["path", "train-affinity"]).with(0);
}

#[test]
fn an_input_stays_what_it_was_when_another_run_moves_latest() {
    let world = World::new();
    let run = ["run", "--experiment", "full", "--until", "train-cam"];
    world.camflow(&run).with(0);
    let store = Store::open(&world.path("store")).unwrap();
    let latest = || store.latest("train-cam", None).unwrap().unwrap();
    let input = latest();
    world.camflow(&[&run[..], &["--set", "train-cam.value=99"]].concat()).with(0);
    assert_ne!(latest().record().key, input.record().key);
    input.verify().unwrap();
}

#[test]
fn two_runners_on_one_store_share_the_work() {
    for round in 0..rounds(6) {
        let world = World::new();
        let jobs = if round % 2 == 0 { "1" } else { "2" };
        let args = ["run", "--jobs", jobs, "--set", "train-cam.steps=5", "--set", "evaluate.steps=5"];
        let runs = [world.start(&args), world.start(&args)];
        for run in runs {
            end(run).with(0);
        }
        let mut ran = world.ran();
        ran.retain(|line| !line.starts_with("extract-msinf-cam"));
        ran.sort();
        let all = ran.len();
        ran.dedup();
        assert_eq!((all, ran.len()), (12, 12), "round {round}: every key is computed once");
        world.camflow(&["verify"]).with(0);
        assert!(!world.path("store/work/set-aside").exists(), "round {round}");
    }
}

/// The lock file of train-cam, which is the next stage to run.
fn lock(world: &World) -> PathBuf {
    world.camflow(&["run", "--experiment", "full", "--until", "prepare-data"]).with(0);
    let plan = world.camflow(&["plan", "--experiment", "full", "--json"]).with(0).stdout;
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let steps = plan["steps"].as_array().unwrap();
    let key = steps.iter().find(|step| step["stage"] == "train-cam").unwrap()["key"].as_str().unwrap().to_owned();
    world.path(&format!("store/work/train-cam-{}.lock", &key[..16]))
}

/// What a stage says that finds its key leased.
const WAITS: &str = "train-cam: another process works on ";

/// What a process on another machine writes that counts twenty beats a second.
fn holder(beat: u32) -> String {
    json!({"host": "elsewhere", "boot": "another", "pid": 1, "beat": beat, "every": 0.05}).to_string()
}

#[test]
fn a_lease_of_another_machine_is_believed_while_its_heart_beats() {
    let world = World::new();
    let lock = lock(&world);
    fs::write(&lock, holder(0)).unwrap();
    let run = world.start(&["run", "--experiment", "full"]);
    for beat in 1..40 {
        thread::sleep(Duration::from_millis(50));
        // In place: an empty file would say that the lease is free.
        fs::File::options().write(true).open(&lock).unwrap().write_all_at(holder(beat).as_bytes(), 0).unwrap();
    }
    assert!(!world.ran().iter().any(|line| line.starts_with("train-cam")), "it did not wait");
    end(run).with(0);
}

#[test]
fn a_lease_whose_machine_has_died_expires_without_a_command() {
    let world = World::new();
    fs::write(lock(&world), holder(7)).unwrap();
    let told = world.camflow(&["run", "--experiment", "full"]).with(0).stderr;
    assert!(told.contains(WAITS), "{told}");
}

#[test]
fn a_lease_of_a_dead_process_of_this_machine_is_free_at_once() {
    let world = World::new();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let dead = json!({"host": "here", "boot": boot.trim(), "pid": 1, "beat": 0, "every": 3600.0});
    fs::write(lock(&world), dead.to_string()).unwrap();
    let told = world.camflow(&["run", "--experiment", "full"]).with(0).stderr;
    assert!(!told.contains(WAITS), "{told}");
}
