//! Questions to a store in which everything is committed: `camflow run`, `plan` and `status` against DVC and Snakemake
//! on the same graph, of eight stages, three of which have 10,000 images in 512 parts. Stages are `fake-stage` of
//! tests/runner, which writes tables without tensors.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use crate::child::{program, python, root};
use crate::measure::{Agreement, Bench, Measurement, Unit, best, seconds};

const IMAGES: usize = 10_000;
const PARTS: usize = 512;
const SETTING: &str = "8 stages, 10,000 images, 512 parts";
/// The most that a question may take, in seconds.
const LIMITS: [(&str, f64); 3] = [("run", 0.1), ("plan", 0.05), ("status", 0.1)];

/// The stages and what each needs.
const STAGES: [(&str, &[&str]); 8] = [
    ("prepare-data", &[]),
    ("train-cam", &["prepare-data"]),
    ("extract-msinf-cam", &["prepare-data", "train-cam"]),
    ("threshold-sweep", &["prepare-data", "extract-msinf-cam"]),
    ("train-affinity", &["prepare-data", "extract-msinf-cam"]),
    ("random-walk", &["prepare-data", "extract-msinf-cam", "threshold-sweep", "train-affinity"]),
    ("train-deeplab", &["prepare-data", "random-walk"]),
    ("evaluate", &["prepare-data", "threshold-sweep", "random-walk", "train-deeplab"]),
];
/// The stages whose rows lie in parts.
const DIVIDED: [&str; 3] = ["extract-msinf-cam", "random-walk", "evaluate"];

/// A directory with the graph and the ways to ask about it.
struct World(tempfile::TempDir);

/// A question to a peer: its command, and what it prints where nothing is to be done.
struct Question {
    peer: &'static str,
    args: &'static [&'static str],
    said: &'static str,
}

impl Question {
    /// As it is typed.
    fn called(&self) -> String {
        format!("{} {}", self.peer, self.args.join(" "))
    }
}

impl World {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn camflow(&self, args: &[&str]) -> Output {
        let mut command = Command::new(program("camflow"));
        command.args(args).env("CAMFLOW_BIN_DIR", self.path("bin")).current_dir(self.0.path());
        ended(&mut command)
    }

    fn peer(&self, module: &str, args: &[&str]) -> Output {
        ended(python().args(["-m", module]).args(args).current_dir(self.0.path()))
    }

    /// Everything committed in our store, and in those of the peers that are installed.
    fn new() -> Self {
        let world = Self(tempfile::tempdir().expect("a temporary directory"));
        let fake = program("examples/fake-stage");
        assert!(fake.is_file(), "{} is not built: run `make bench` at {}", fake.display(), root().display());
        fs::create_dir(world.path("bin")).expect("bin is made");
        for (stage, _) in STAGES {
            symlink(&fake, world.path("bin").join(stage)).expect("a stage is linked");
        }
        fs::write(world.path("input.txt"), "photographs").expect("the input is written");
        fs::write(world.path("pipeline.toml"), manifest()).expect("the manifest is written");
        let run = world.camflow(&["run"]);
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        world
    }

    /// The same graph for DVC, run once; or why not.
    fn dvc(&self) -> Result<(), String> {
        self.installed("dvc")?;
        fs::write(self.path("dvc.yaml"), dvc_yaml()).expect("dvc.yaml is written");
        for args in [&["init", "--no-scm", "--quiet"][..], &["repro", "--quiet"]] {
            let done = self.peer("dvc", args);
            if !done.status.success() {
                return Err(format!("dvc {}: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim()));
            }
        }
        Ok(())
    }

    /// The same graph for Snakemake, whose files are there; or why not.
    fn snakemake(&self) -> Result<(), String> {
        self.installed("snakemake")?;
        fs::write(self.path("Snakefile"), snakefile()).expect("the Snakefile is written");
        // Stage after stage, so that each file is newer than those it is made of.
        for (stage, _) in STAGES {
            let folder = self.path("smk").join(stage);
            fs::create_dir_all(&folder).expect("a folder is made");
            for part in 0..parts(stage) {
                fs::write(folder.join(part.to_string()), "").expect("a file is written");
            }
        }
        Ok(())
    }

    fn installed(&self, module: &str) -> Result<(), String> {
        let found = self.peer(module, &["--version"]).status.success();
        if found { Ok(()) } else { Err(format!("{module} is not installed")) }
    }
}

fn ended(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|why| panic!("{} does not start: {why}", Path::new(command.get_program()).display()))
}

fn parts(stage: &str) -> usize {
    if DIVIDED.contains(&stage) { PARTS } else { 1 }
}

fn manifest() -> String {
    let mut text = "[pipeline]\nname = \"bench\"\nseed = 1\nstore = \"store\"\ndevice = \"cpu\"\n\n\
                    [data]\nfile = \"input.txt\"\nvalue = 1\n"
        .to_owned();
    for (stage, needs) in STAGES {
        let reads = if needs.is_empty() { String::new() } else { format!("needs = {needs:?}\nvalue = 1\n") };
        let work =
            if DIVIDED.contains(&stage) { format!("images = {IMAGES}\nparts = {PARTS}\n") } else { String::new() };
        text.extend(["\n[stage.", stage, "]\n", &reads, &work]);
    }
    text
}

/// A stage's parts are the files of its output directory, which is how DVC keeps many files.
fn dvc_yaml() -> String {
    let rule = |(stage, needs): (&str, &[&str])| {
        let write = format!("mkdir -p dvc/{stage} && cd dvc/{stage} && seq {} | xargs touch", parts(stage));
        let deps: Vec<String> = needs.iter().map(|need| format!("      - dvc/{need}\n")).collect();
        let input = if needs.is_empty() { "      - input.txt\n".to_owned() } else { deps.concat() };
        format!("  {stage}:\n    cmd: {write}\n    deps:\n{input}    outs:\n      - dvc/{stage}\n")
    };
    let rules: Vec<String> = STAGES.into_iter().map(rule).collect();
    format!("stages:\n{}", rules.concat())
}

/// A stage's parts are jobs of one rule, which is how Snakemake divides work. A part reads the same part of a stage
/// that is divided too, and whatever is not divided reads all parts.
fn snakefile() -> String {
    let all = |stage: &str| format!("expand(\"smk/{stage}/{{part}}\", part=range({}))", parts(stage));
    let rule = |(stage, needs): (&str, &[&str])| {
        let part = if parts(stage) > 1 { "{part}" } else { "0" };
        let input = |need: &&str| match (parts(stage), parts(need)) {
            (1, _) | (_, 1) => all(need),
            _ => format!("\"smk/{need}/{part}\""),
        };
        let inputs: Vec<_> = needs.iter().map(input).collect();
        let inputs = if inputs.is_empty() { "\"input.txt\"".to_owned() } else { inputs.join(", ") };
        format!(
            "\nrule {}:\n    input: {inputs}\n    output: \"smk/{stage}/{part}\"\n    shell: \"touch {{output}}\"\n",
            stage.replace('-', "_")
        )
    };
    let rules: Vec<String> = STAGES.into_iter().map(rule).collect();
    format!("rule all:\n    input: {}\n{}", all("evaluate"), rules.concat())
}

/// Each question against its limit, and the no-op run and the plan against the peers.
pub fn measure(bench: &mut Bench) {
    let world = World::new();
    for (command, limit) in LIMITS {
        let [ours] = best(7, [&mut || seconds(|| assert!(world.camflow(&[command]).status.success()))]);
        bench.add(Measurement {
            what: &format!("camflow {command}"),
            setting: &format!("nothing to do, {SETTING}"),
            unit: Unit::Milliseconds,
            ours,
            peer: "limit",
            theirs: Ok(limit),
            wanted: Some(1.0),
            agreement: None,
            threads: 1,
        });
    }
    let (dvc, snakemake) = (world.dvc(), world.snakemake());
    let nothing = "Nothing to be done";
    let questions = [
        ("run", dvc.clone(), Question { peer: "dvc", args: &["repro"], said: "up to date" }),
        ("plan", dvc, Question { peer: "dvc", args: &["status"], said: "up to date" }),
        ("run", snakemake.clone(), Question { peer: "snakemake", args: &["--cores", "1"], said: nothing }),
        ("plan", snakemake, Question { peer: "snakemake", args: &["--dry-run"], said: nothing }),
    ];
    for (command, ready, question) in questions {
        compare(bench, &world, command, ready, &question);
    }
}

fn compare(bench: &mut Bench, world: &World, command: &str, ready: Result<(), String>, question: &Question) {
    let mut ours = || seconds(|| drop(world.camflow(&[command])));
    let mut said = String::new();
    let (ours, theirs) = match ready {
        Ok(()) => {
            let mut theirs = || {
                seconds(|| {
                    let Output { stdout, stderr, .. } = world.peer(question.peer, question.args);
                    said = [stdout, stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
                })
            };
            let [ours, theirs] = best(2, [&mut ours, &mut theirs]);
            (ours, Ok(theirs))
        }
        Err(missing) => (best(2, [&mut ours])[0], Err(missing)),
    };
    // Both say that nothing is to be done.
    let differ = theirs.is_ok() && !said.contains(question.said);
    bench.add(Measurement {
        what: &format!("camflow {command}"),
        setting: &format!("nothing to do, {SETTING}, and {}", question.called()),
        unit: Unit::Milliseconds,
        ours,
        peer: question.peer,
        agreement: theirs.is_ok().then_some(Agreement { difference: f64::from(u8::from(differ)), allowed: 0.0 }),
        theirs,
        wanted: None,
        threads: 1,
    });
}
