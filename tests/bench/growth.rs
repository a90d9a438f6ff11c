//! `make bench-growth`: what every stage costs as its input grows: images, classes, the side of pictures. Time and peak
//! memory of the stage's whole process, into the table `growth`.
//!
//! Pictures are drawn and networks narrow, as training is not the point: trainings take two steps on eight pictures
//! that are there at every size, beside the data set that grows.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use artifact::table::GrowthRow;
use data::codec::{Mask, Rgb, encode_mask, encode_png};
use data::random::Rng;

use crate::child::{program, root};

/// The stages in their order.
const STAGES: [&str; 8] = [
    "prepare-data",
    "train-cam",
    "extract-msinf-cam",
    "threshold-sweep",
    "train-affinity",
    "random-walk",
    "train-deeplab",
    "evaluate",
];
/// Questions to the runner, when all is committed.
const QUESTIONS: [&str; 2] = ["plan", "status"];
/// Pictures that trainings learn from.
const LEARNT: usize = 8;
/// How often the memory of a process is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// What a data set is like.
#[derive(Clone, Copy)]
struct Size {
    images: usize,
    classes: usize,
    side: usize,
}

/// What grows, and how far.
struct Axis {
    name: &'static str,
    sizes: &'static [usize],
    of: fn(usize) -> Size,
}

const AXES: [Axis; 3] = [
    Axis { name: "images", sizes: &[100, 1000, 10_000], of: |images| Size { images, classes: 6, side: 32 } },
    Axis { name: "classes", sizes: &[1, 6, 20, 80, 171], of: |classes| Size { images: 171, classes, side: 64 } },
    Axis { name: "side", sizes: &[128, 500, 1000, 2000, 4000], of: |side| Size { images: 10, classes: 2, side } },
];

/// Measures every stage at every size of every axis. A stage that fails ends its size, and is said.
pub fn measure() -> Vec<GrowthRow> {
    let mut rows = Vec::new();
    for axis in &AXES {
        for &size in axis.sizes {
            let folder = tempfile::tempdir().expect("a temporary folder");
            write_data(folder.path(), (axis.of)(size));
            let manifest = folder.path().join("growth.toml");
            fs::write(&manifest, manifest_of((axis.of)(size))).expect("the manifest is written");
            for (stage, cost) in costs(folder.path(), &manifest) {
                let Cost { seconds, bytes } = cost;
                println!("{:8} {size:6} {stage:20} {seconds:8.2} s {:8.0} MB", axis.name, bytes / 1e6);
                rows.push(GrowthRow {
                    axis: axis.name.into(),
                    size: size as u64,
                    stage: stage.into(),
                    seconds,
                    megabytes: bytes / 1e6,
                    ..GrowthRow::default()
                });
            }
        }
    }
    rows
}

/// Time and peak memory of a process.
struct Cost {
    seconds: f64,
    bytes: f64,
}

fn costs(folder: &Path, manifest: &Path) -> Vec<(&'static str, Cost)> {
    let mut costs = Vec::new();
    let stages = STAGES.map(|stage| (stage, Command::new(program(stage))));
    let questions = QUESTIONS.map(|question| {
        let mut command = Command::new(program("camflow"));
        command.arg(question);
        (question, command)
    });
    for (name, mut command) in stages.into_iter().chain(questions) {
        command.arg("--manifest").arg(manifest).current_dir(folder);
        if QUESTIONS.contains(&name) {
            // The first question in a new store also asks each stage what it is.
            let _ = watched(&mut command);
        }
        match watched(&mut command) {
            Ok(cost) => costs.push((name, cost)),
            Err(said) => {
                eprintln!("bench: {name} failed: {said}");
                break;
            }
        }
    }
    costs
}

/// Runs a process; its memory is what `VmHWM` says last (Linux).
fn watched(command: &mut Command) -> Result<Cost, String> {
    let start = Instant::now();
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(|why| why.to_string())?;
    let status = PathBuf::from(format!("/proc/{}/status", process.id()));
    let mut bytes = 0.0;
    while process.try_wait().map_err(|why| why.to_string())?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        bytes = kilobytes.map_or(bytes, |kilobytes| f64::max(bytes, kilobytes * 1024.0));
        thread::sleep(LOOK);
    }
    let seconds = start.elapsed().as_secs_f64();
    let output = process.wait_with_output().map_err(|why| why.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(Cost { seconds, bytes }) } else { Err(said) }
}

/// Pictures in one folder a class, and their masks: the split `train` has [`LEARNT`] of them, `pool` the others.
fn write_data(folder: &Path, Size { images, classes, side }: Size) {
    let mut rng = Rng::new(1, 0, "growth");
    for index in 0..images {
        let (split, class) = (if index < LEARNT { "train" } else { "pool" }, index % classes);
        let place = format!("{split}/{}/{index:05}.png", class_name(class));
        let write = |above: &str, bytes: &[u8]| {
            let file = folder.join("data").join(above).join(&place);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder is made");
            fs::write(file, bytes).expect("a picture is written");
        };
        let colour: [u8; 3] = std::array::from_fn(|_| rng.below(200) as u8);
        let inside = |at: usize| (side / 4..side * 3 / 4).contains(&at);
        let is_object = |pixel: usize| inside(pixel / side) && inside(pixel % side);
        let shade = |pixel: usize| if is_object(pixel) { 50 } else { (pixel % side * 50 / side) as u8 };
        let pixels = (0..side * side).flat_map(|pixel| colour.map(|value| value + shade(pixel))).collect();
        write("", &encode_png(&Rgb { height: side, width: side, pixels }));
        let of_pixel = |pixel| if is_object(pixel) { class as u8 + 1 } else { 0 };
        let mask = Mask { height: side, width: side, classes: (0..side * side).map(of_pixel).collect() };
        write("masks", &encode_mask(&mask));
    }
}

fn class_name(class: usize) -> String {
    format!("class{class:03}")
}

/// Every stage on that data, with narrow networks at one scale.
fn manifest_of(Size { classes, .. }: Size) -> String {
    let names: Vec<String> = (0..classes).map(class_name).collect();
    let above = root().join("stages/manifests/photographs.toml").canonicalize().expect("photographs.toml");
    format!(
        r#"extends = "{}"

[pipeline]
store = "store"

[data]
source = "folders"
root = "data"
classes = {names:?}
splits = {{ train = "train", pool = "pool" }}
masks = "masks"

[stage.train-cam]
terms = ["cls", "rcm", "mam"]
backbone = {{ name = "mobilenet_v2", width = 4, norm = "frozen" }}
features = 8
init = "random"
weights = ""
loop = {{ epochs = 1, batch_size = 4, threads = 1, workers = 1 }}
augmentation.crop = 32
mam.from_epoch = 1

[stage]
extract-msinf-cam.splits = ["train", "pool"]
threshold-sweep = {{ split = "pool", choose_on = "pool" }}

[stage.train-affinity]
backbone = {{ name = "mobilenet_v2", width = 4, norm = "frozen" }}
loop = {{ batch_size = 4 }}
augmentation.crop = 64
crf.iterations = 1

[stage.random-walk]
splits = ["train", "pool"]
logt = 2
crf.iterations = 0

[stage.train-deeplab]
backbone = {{ name = "mobilenet_v2", width = 4, norm = "frozen" }}
hidden = 8
loop = {{ epochs = 1, batch_size = 4, workers = 1 }}
augmentation.crop = 32

[stage.evaluate]
cam_splits = ["pool"]
label_splits = ["pool"]
deeplab_splits = ["pool"]
deeplab_scales = [1.0]
deeplab_flip = false
cam_crf.iterations = 0
deeplab_crf.iterations = 0
"#,
        above.display()
    )
}

/// Tables of an axis each: seconds and megabytes at every size, and how both grow at the end: the exponent of the size
/// between the last two sizes.
pub fn markdown(rows: &[GrowthRow]) -> String {
    let mut text = String::new();
    for axis in &AXES {
        let of_axis: Vec<_> = rows.iter().filter(|row| row.axis == axis.name).collect();
        let sizes: Vec<String> = axis.sizes.iter().map(usize::to_string).collect();
        let _ = writeln!(text, "| {} | {} | time ~ | memory ~ |", axis.name, sizes.join(" | "));
        let _ = writeln!(text, "|---|{}---|---|", "---|".repeat(sizes.len()));
        for stage in STAGES.into_iter().chain(QUESTIONS) {
            let found: BTreeMap<u64, (f64, f64)> = of_axis
                .iter()
                .filter(|row| row.stage == stage)
                .map(|row| (row.size, (row.seconds, row.megabytes)))
                .collect();
            let cell = |size: &usize| match found.get(&(*size as u64)) {
                Some((seconds, megabytes)) => format!("{seconds:.2} s, {megabytes:.0} MB"),
                None => "–".to_owned(),
            };
            let cells: Vec<String> = axis.sizes.iter().map(cell).collect();
            let last: Vec<_> = found.iter().rev().take(2).collect();
            let exponent = |of: fn(&(f64, f64)) -> f64| match last[..] {
                [(size, cost), (before, cost_before)] => {
                    let ratio = (of(cost) / of(cost_before)).ln() / (*size as f64 / *before as f64).ln();
                    format!("{ratio:.1}")
                }
                _ => "–".to_owned(),
            };
            let (time, memory) = (exponent(|cost| cost.0), exponent(|cost| cost.1));
            let _ = writeln!(text, "| {stage} | {} | {time} | {memory} |", cells.join(" | "));
        }
        text += "\n";
    }
    text
}
