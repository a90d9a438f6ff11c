//! Trainings over several processes: the losses of one, and an end in order whoever dies.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use artifact::Artifact;
use artifact::table::{CurveRow, LOSS_HASH};

use crate::cluster::Cluster;
use crate::world::{World, assert_refused};

const TWO: [&str; 2] = ["--set", "train-cam.loop.processes=2"];
/// Enough steps to be interrupted in.
const LONG: [&str; 2] = ["--set", "train-cam.loop.epochs=8"];

/// A network that goes on from one that has learnt: what is random and unscaled doubles a rounding with every step,
/// whatever made it, and so does a large learning rate.
const SETTLED: &str = r#"
[data.shapes]
images_train = 64
[experiment.base]
targets = ["train-cam"]
train-cam.terms = ["cls"]
train-cam.loop = { epochs = 4, batch_size = 8 }
[experiment."rcm+mam".train-cam]
needs = ["prepare-data", "train-cam@base"]
init = "train-cam"
backbone.norm = "frozen"
loop = { epochs = 5, batch_size = 16 }
optimizer.lr = 0.0002
[experiment.learning_norms]
targets = ["train-cam"]
train-cam.loop = { epochs = 1, batch_size = 16 }
"#;

fn curve(artifact: &Artifact) -> Vec<CurveRow> {
    artifact.rows::<CurveRow>(&[]).unwrap().map(Result::unwrap).collect()
}

fn losses(artifact: &Artifact) -> &str {
    &artifact.metadata::<CurveRow>().unwrap()[LOSS_HASH]
}

/// The curves of one process and of two.
fn both(experiment: &str, prepare: impl Fn(&World)) -> [Vec<CurveRow>; 2] {
    let curves = ["1", "2"].map(|processes| {
        let world = World::with_experiments(SETTLED);
        world.commit("prepare-data", &[]);
        prepare(&world);
        let set = format!("train-cam.loop.processes={processes}");
        let output = world.finish("train-cam", &["--experiment", experiment, "--set", &set]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let link = (experiment != "rcm+mam").then_some(experiment);
        let artifact = world.latest_of("train-cam", link);
        (artifact.record().key.clone(), curve(&artifact))
    });
    let [(one, first), (two, second)] = curves;
    assert_eq!(one, two, "the number of processes is in no key");
    [first, second]
}

fn assert_close([one, two]: &[Vec<CurveRow>; 2], tolerance: f64) {
    assert_eq!(one.len(), two.len());
    for (one, two) in one.iter().zip(two) {
        assert_eq!((one.step, &one.name), (two.step, &two.name));
        let difference = (one.value - two.value).abs();
        assert!(difference < tolerance, "step {}, {}: {} and {}", one.step, one.name, one.value, two.value);
    }
}

#[test]
fn two_processes_have_the_losses_of_one() {
    let curves = both("rcm+mam", |world| {
        let output = world.finish("train-cam", &["--experiment", "base"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    });
    assert_eq!(curves[0].last().unwrap().step, 20);
    assert!(curves[0].iter().any(|row| row.name == "mam"));
    assert_close(&curves, 1e-5);
}

#[test]
fn norms_that_learn_see_the_whole_batch() {
    let [one, two] = both("learning_norms", |_| ());
    let first = |curve: Vec<CurveRow>| curve.into_iter().filter(|row| row.step <= 2).collect::<Vec<_>>();
    let (one, two) = (first(one), first(two));
    // What each saw of its own half alone would differ in the first digit.
    assert_close(&[one, two], 2e-3);
}

/// Two processes as a launcher starts them, each with a checkpoint's worth of steps before them.
struct Pair(World, [Child; 2]);

fn launch(world: World) -> Pair {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let children = ["0", "1"].map(|rank| {
        let mut command = world.stage("train-cam", &LONG);
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        command.env("RANK", rank).env("LOCAL_RANK", rank).env("WORLD_SIZE", "2").env("LOCAL_WORLD_SIZE", "2");
        command.stderr(Stdio::null()).spawn().unwrap()
    });
    Pair(world, children)
}

/// The checkpoints that there are.
fn checkpoints(world: &World) -> usize {
    let works = std::fs::read_dir(world.store().join("work")).unwrap().flatten();
    let files = works.filter_map(|work| std::fs::read_dir(work.path()).ok()).flatten().flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with("checkpoint-") && name.strip_suffix(".json").is_some()).count()
}

impl Pair {
    /// Ends process `victim` by a signal once there is a checkpoint, and returns the exit code of the other.
    fn hit(self, victim: usize, signal: &str) -> (World, Option<i32>) {
        let Self(world, [mut first, mut second]) = self;
        let since = Instant::now();
        while checkpoints(&world) == 0 {
            assert!(since.elapsed() < Duration::from_mins(1), "no checkpoint appeared");
            std::thread::sleep(Duration::from_millis(2));
        }
        let (hit, other) = if victim == 0 { (&mut first, &mut second) } else { (&mut second, &mut first) };
        let kill = std::process::Command::new("kill").args([signal, &hit.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let since = Instant::now();
        let code = other.wait().unwrap().code();
        assert!(since.elapsed() < Duration::from_mins(1), "the other process took {:?}", since.elapsed());
        hit.wait().unwrap();
        (world, code)
    }
}

fn prepared() -> World {
    let world = World::new();
    world.commit("prepare-data", &[]);
    world
}

#[test]
fn whoever_dies_the_other_ends_with_75_and_the_next_run_goes_on() {
    let quiet = prepared();
    let undisturbed = quiet.commit("train-cam", &[LONG, TWO].concat());
    for victim in [0, 1] {
        let (world, code) = launch(prepared()).hit(victim, "-KILL");
        assert_eq!(code, Some(75), "{victim}");
        let resumed = world.commit("train-cam", &[LONG, TWO].concat());
        assert_eq!(losses(&resumed), losses(&undisturbed), "{victim}");
        assert_eq!(resumed.record().digest, undisturbed.record().digest, "{victim}");
    }
    // What one is told all do, and another number of processes goes on.
    let (world, code) = launch(prepared()).hit(1, "-TERM");
    assert_eq!(code, Some(75));
    let alone = world.commit("train-cam", &LONG);
    let log = std::fs::read_to_string(alone.file("log.jsonl")).unwrap();
    assert!(log.matches("\"start\"").count() == 2 && log.matches("\"processes\":2").count() == 1, "{log}");
    assert_eq!(curve(&alone).last().unwrap().step, curve(&undisturbed).last().unwrap().step);
}

#[test]
fn a_step_of_slurm_on_two_nodes_makes_what_two_processes_make() {
    let Some(cluster) = Cluster::start() else { return };
    let world = prepared();
    let stage = world.stage("train-cam", &[]);
    let mut srun = cluster.slurm("srun");
    srun.args(["--ntasks=2", "--nodes=2", "--mem=1G"]).arg(stage.get_program()).args(stage.get_args());
    // The nodes' names are no hosts here.
    let output = srun.env("MASTER_ADDR", "127.0.0.1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let made = world.latest("train-cam");
    assert!(std::fs::read_to_string(made.file("log.jsonl")).unwrap().contains("\"processes\":2"));
    assert_eq!(made.record().digest, prepared().commit("train-cam", &TWO).record().digest);
}

#[test]
fn what_a_process_finds_wrong_is_what_the_run_ends_with() {
    let world = prepared();
    let uneven = ["--set", "train-cam.loop.processes=3"];
    assert_refused(&world.finish("train-cam", &uneven), 78, &["batch_size", "4 images", "3 processes"]);
    let places = [("RANK", "1"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", "1")];
    let output = world.stage("train-cam", &[]).envs(places).output().unwrap();
    assert_refused(&output, 78, &["there are 2 processes, but LOCAL_RANK is not set"]);
    let output = world.stage("train-cam", &["--shard", "0/2"]).envs(places).env("LOCAL_RANK", "1").output().unwrap();
    assert_refused(&output, 78, &["--shard 0/2", "announces 2"]);
    let output = world.finish("train-cam", &[&TWO[..], &["--set", "train-cam.optimizer.lr=1e30"]].concat());
    assert_refused(&output, 1, &["step ", "not finite"]);
}

#[test]
fn every_training_has_its_processes() {
    let world = World::new();
    let sets = ["train-cam", "train-affinity", "train-deeplab"].map(|stage| format!("{stage}.loop.processes=2"));
    let summary = world.run(&sets.each_ref().map(String::as_str));
    assert!(summary.ran > 0 && summary.failed.is_empty());
    for stage in ["train-cam", "train-affinity", "train-deeplab"] {
        let log = std::fs::read_to_string(world.latest(stage).file("log.jsonl")).unwrap();
        assert!(log.contains("\"processes\":2"), "{stage}: {log}");
    }
}
