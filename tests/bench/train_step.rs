//! A training step of train-cam against eager PyTorch: MobileNetV2 with frozen norms, batch 8, crop 160, scales 0.5, 1
//! and 2, from the same weights on the same batch; the classifier alone, with RCM, with RCM and MAM.
//!
//! The peer is written in both layouts, and its RCM both on upsampled features, as the original does it, and at stride
//! 8; the fastest counts. Losses are compared with the form on upsampled features, which computes what this program
//! does. How much of the machine is used is told by the rate of a 3x3 convolution of 256 channels in the same run, and
//! by the operations of the step's convolutions.

use std::path::Path;

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use wsss::method::ema::MovingAverage;
use wsss::method::objective::Objective;
use wsss::method::views::{Batch, Networks, Views};
use wsss::model::{CamNet, Flat, WeightLayout};
use wsss::train::{OptimizerParams, Sgd};

use crate::child::{Child, Work, root};
use crate::flops::{convolution_rate, forward_flops};
use crate::inputs::{CLASSES, WEIGHTS, cam_net, draw_weights, filled_cam_net};
use crate::measure::{Agreement, Bench, Measurement, Unit, best};
use crate::objective::objective;

const BATCH: i64 = 8;
const CROP: i64 = 160;
const SCALES: [f64; 3] = [0.5, 1.0, 2.0];
const ALPHA: f64 = 0.99;
const OPTIMIZER: OptimizerParams =
    OptimizerParams { lr: 1e-3, head_lr: 10.0, momentum: 0.9, weight_decay: 5e-4, power: 0.9 };
/// Of each loss, relative: a pixel at the threshold of the regions may fall to the other side.
const TOLERANCE: f64 = 1e-3;

/// The terms of an objective, with their name and the memory that is wanted of the peer's.
const OBJECTIVES: [(&str, &[&str], Option<f64>); 3] = [
    ("baseline", &["cls"], None),
    ("RCM", &["cls", "rcm"], None),
    ("RCM + MAM", &["cls", "rcm", "mam"], Some(1.0 / 0.35)),
];
/// How the peer is written: layout of its tensors, and the grid of its RCM.
const FORMS: [[&str; 2]; 4] =
    [["contiguous", "image"], ["channels_last", "image"], ["contiguous", "stride 8"], ["channels_last", "stride 8"]];

/// Weights, and a batch: images with a strip of padding, one label at least.
fn write_inputs(folder: &Path) {
    tch::manual_seed(1);
    let (vs, _net) = cam_net();
    draw_weights(&vs);
    vs.save(folder.join(WEIGHTS)).expect("weights are written");
    let options = (Kind::Float, Device::Cpu);
    let valid = Tensor::ones([BATCH, CROP, CROP], (Kind::Bool, Device::Cpu));
    let _ = valid.narrow(2, 0, CROP / 8).fill_(0);
    let coarse = Tensor::randn([BATCH, 3, CROP / 8, CROP / 8], options);
    let images = coarse.upsample_bilinear2d([CROP, CROP], false, None, None) * valid.unsqueeze(1);
    let labels = Tensor::rand([BATCH, CLASSES], options).lt(0.1).to_kind(Kind::Float);
    for image in 0..BATCH {
        let _ = labels.get(image).get(image % CLASSES).fill_(1.0);
    }
    let valid = valid.to_kind(Kind::Float);
    let tensors = [("images", images), ("labels", labels), ("valid", valid)];
    Tensor::write_safetensors(&tensors, folder.join("batch.safetensors")).expect("the batch is written");
}

/// `MainNet`, `SupportNet` and the objective, as train-cam has them.
struct Step {
    main: CamNet,
    support: CamNet,
    average: MovingAverage,
    objective: Objective,
    sgd: Sgd,
    batch: Batch,
    losses: Vec<Vec<f64>>,
}

/// The step in a process of its own.
pub fn child(task: &Value) -> Box<dyn Work> {
    let folder = Path::new(task["folder"].as_str().expect("a folder"));
    tch::set_num_threads(task["threads"].as_i64().expect("threads") as i32);
    let terms: Vec<String> = serde_json::from_value(task["terms"].clone()).expect("terms");
    let ((main_vs, main), (mut support_vs, support)) = (filled_cam_net(folder), filled_cam_net(folder));
    let [flat, support_flat] = [&main_vs, &support_vs].map(|vs| Flat::of(vs, WeightLayout::Plain));
    let average = MovingAverage::new(support_flat, &flat, ALPHA);
    support_vs.freeze();
    let objective = objective(&terms, &main_vs, &main);
    let sgd = Sgd::new(flat, &OPTIMIZER);
    let inputs = Tensor::read_safetensors(folder.join("batch.safetensors")).expect("the batch is read");
    let input = |name: &str| inputs.iter().find(|(found, _)| found == name).expect("an input").1.shallow_clone();
    let batch = Batch { images: input("images"), labels: input("labels"), valid: input("valid").to_kind(Kind::Bool) };
    Box::new(Step { main, support, average, objective, sgd, batch, losses: Vec::new() })
}

impl Work for Step {
    fn run(&mut self) {
        let networks = Networks { main: &self.main, support: &self.support, scales: &SCALES };
        let views = Views::new(&self.batch, networks);
        let losses = self.objective.loss(&views, 1, |summand| self.sgd.backward(summand));
        self.losses.push(losses.terms.iter().flatten().map(|loss| loss.double_value(&[])).collect());
        self.sgd.step(OPTIMIZER.lr);
        if losses.terms.len() > 1 {
            self.average.update();
        }
    }

    fn found(&mut self) -> Value {
        json!(self.losses)
    }
}

/// Floating-point operations of a step's convolutions: a forward of each net at each scale that the terms look at, and
/// of `MainNet` twice as much again for the gradients of weights and maps.
fn step_flops(terms: &[&str]) -> f64 {
    let (vs, net) = cam_net();
    let forward = |scale: f64| forward_flops(&net, &vs, BATCH, (CROP as f64 * scale) as i64);
    let all: f64 = SCALES.iter().map(|scale| forward(*scale)).sum();
    let main = if terms.contains(&"mam") { all } else { forward(1.0) };
    3.0 * main + if terms.len() > 1 { all } else { 0.0 }
}

/// The largest relative difference of the losses of the steps that both took.
fn apart(ours: &Value, theirs: &Value) -> f64 {
    let losses = |value: &Value| serde_json::from_value::<Vec<Vec<f64>>>(value.clone()).expect("losses");
    let (ours, theirs) = (losses(ours), losses(theirs));
    let pairs = ours.iter().zip(&theirs).flat_map(|(ours, theirs)| ours.iter().zip(theirs));
    pairs.map(|(ours, theirs)| (ours - theirs).abs() / theirs.abs()).fold(0.0, f64::max)
}

/// The fastest form of the peer by the first step of each on two threads, and the losses of two steps of the form on
/// upsampled features, of which the second shows the gradients of the first; or why there is no peer.
fn fastest(task: &Value, terms: &[&str]) -> Result<([&'static str; 2], Value), String> {
    let (mut fastest, mut losses) = ((f64::INFINITY, FORMS[0]), Value::Null);
    // Without RCM there is one grid.
    let forms = FORMS.iter().filter(|[_, grid]| terms.contains(&"rcm") || *grid == "image");
    for form in forms {
        let mut child = peer(task, *form, 2)?;
        let seconds = child.run();
        if *form == FORMS[0] {
            child.run();
            losses = child.end();
        }
        if seconds < fastest.0 {
            fastest = (seconds, *form);
        }
    }
    Ok((fastest.1, losses))
}

fn peer(task: &Value, [layout, grid]: [&str; 2], threads: usize) -> Result<Child, String> {
    let mut task = task.clone();
    task["layout"] = json!(layout);
    task["grid"] = json!(grid);
    Child::peer("train_step_peer.py", &task, threads)
}

/// Each objective on one thread and on two: seconds, memory, and the share of the machine's rate.
pub fn measure(bench: &mut Bench) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_inputs(folder.path());
    for (name, terms, memory_wanted) in OBJECTIVES {
        let task = json!({
            "folder": folder.path(), "terms": terms, "scales": SCALES, "lr": OPTIMIZER.lr, "head_lr": OPTIMIZER.head_lr,
            "momentum": OPTIMIZER.momentum, "weight_decay": OPTIMIZER.weight_decay, "alpha": ALPHA,
            "golden": root().join("tests/golden"),
        });
        let fastest = fastest(&task, terms);
        for threads in [1, 2] {
            compare(bench, &Setting { name, terms, memory_wanted, threads, task: &task, fastest: &fastest });
        }
    }
}

/// An objective on a number of threads.
struct Setting<'a> {
    name: &'a str,
    terms: &'a [&'a str],
    memory_wanted: Option<f64>,
    threads: usize,
    task: &'a Value,
    fastest: &'a Result<([&'static str; 2], Value), String>,
}

/// Both take turns: time, memory, and how near the time is to what the machine can do.
fn compare(bench: &mut Bench, setting: &Setting<'_>) {
    let Setting { name, terms, memory_wanted, threads, task, fastest } = *setting;
    let mut ours = bench.ours(task, threads);
    let mut peer_name = "eager PyTorch".to_owned();
    let (seconds, theirs, their_memory) =
        match fastest.as_ref().map_err(Clone::clone).and_then(|(form, _)| Ok((form, peer(task, *form, threads)?))) {
            Ok(([layout, grid], mut child)) => {
                let [best_ours, best_theirs] = best(2, [&mut || ours.run(), &mut || child.run()]);
                peer_name.extend([", ", layout]);
                if terms.contains(&"rcm") {
                    peer_name.extend([", RCM at ", grid]);
                }
                (best_ours, Ok(best_theirs), Ok(child.peak_memory()))
            }
            Err(missing) => {
                let [seconds] = best(2, [&mut || ours.run()]);
                (seconds, Err(missing.clone()), Err(missing))
            }
        };
    let memory = ours.peak_memory();
    let losses = ours.end();
    let difference = fastest.as_ref().ok().map(|(_, theirs)| apart(&losses, theirs));
    let place = format!("MobileNetV2, batch 8, crop 160, scales 0.5, 1, 2, {}", counted(threads, "thread"));
    let line = Measurement {
        what: &format!("train-cam step, {name}"),
        setting: &place,
        unit: Unit::Seconds,
        ours: seconds,
        peer: &peer_name,
        theirs,
        wanted: None,
        agreement: difference.map(|difference| Agreement { difference, allowed: TOLERANCE }),
        threads,
    };
    bench.add(line.clone());
    if threads == 1 {
        bench.add(Measurement {
            what: &format!("train-cam step, {name}, peak memory"),
            unit: Unit::Megabytes,
            ours: memory,
            theirs: their_memory,
            wanted: memory_wanted,
            agreement: None,
            ..line.clone()
        });
    }
    bench.add(Measurement {
        what: &format!("train-cam step, {name}, rate of its convolutions"),
        unit: Unit::Gigaflops,
        ours: step_flops(terms) / seconds,
        peer: "3x3 convolution of 256 channels",
        theirs: Ok(convolution_rate(threads)),
        wanted: Some(0.7),
        agreement: None,
        ..line
    });
}

/// `1 thread`, `2 threads`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}
