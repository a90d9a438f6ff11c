//! `make gpu-bench`: one piece of work of a training or of an inference on one device, again and again, for
//! `tests/bench/gpu.sh`, which puts it beside `gpu_peer.py`.
//!
//! The task is one argument of JSON; see [`Task`]. What is found is one line of JSON: seconds a step, images a second,
//! memory in use at the end, and the losses of the first steps. Images are made up: what is measured does not depend on
//! them. ResNet38 has random weights, and no dropout, which the peer would draw otherwise; both start from one file.

mod objective;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use artifact::Numerics;
use serde::Deserialize;
use serde_json::json;
use tch::{Cuda, Device, Kind, Tensor, nn};
use wsss::device;
use wsss::method::affinity::{affinities, affinity_loss, pairs};
use wsss::method::cam::image_scales;
use wsss::method::ema::MovingAverage;
use wsss::method::objective::Losses;
use wsss::method::segmentation::{LogitLosses, segmentation_loss};
use wsss::method::views::{Batch, Networks, Views};
use wsss::model::{
    AffinityNet, BackboneConfig, BackboneName, CamNet, CamNetConfig, DeepLab, Flat, Mode, Norm, WeightLayout,
};
use wsss::train::{OptimizerParams, Sgd};

use objective::objective;

const CLASSES: i64 = objective::CLASSES;
const FEATURES: i64 = objective::FEATURES;
const TRAINING_SCALES: [f64; 3] = [0.5, 1.0, 2.0];
const EXTRACTION_SCALES: [f64; 4] = [0.5, 1.0, 1.5, 2.0];
const RADIUS: usize = 5;
const OPTIMIZER: OptimizerParams =
    OptimizerParams { lr: 1e-3, head_lr: 10.0, momentum: 0.9, weight_decay: 5e-4, power: 0.9 };
/// Different batches, which come round.
const BATCHES: i64 = 4;

/// What is measured.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    /// `weights` writes the file of weights; `train-cam`, `train-affinity`, `train-deeplab`, `extract`.
    what: String,
    device: String,
    numerics: Numerics,
    terms: Vec<String>,
    width: i64,
    batch: i64,
    crop: i64,
    /// Steps that are not timed, and how many are.
    warmup: usize,
    steps: usize,
    /// Fewer are timed if they take longer than this.
    seconds: f64,
    /// The file of a CAM net's weights.
    weights: PathBuf,
}

/// One more step, which gives its loss.
type Step = Box<dyn FnMut() -> Losses>;

fn main() {
    let argument = std::env::args().nth(1).expect("a task of JSON");
    let task: Task = serde_json::from_str(&argument).expect("a task of JSON");
    let device = device::open(&task.device, task.numerics).unwrap_or_else(|error| panic!("{error}"));
    if device.is_cuda() && task.numerics != Numerics::F32 {
        Cuda::cudnn_set_benchmark(true);
    }
    tch::manual_seed(1);
    let mut step = match task.what.as_str() {
        "weights" => return write_weights(&task),
        "train-cam" => train_cam(&task, device),
        "train-affinity" => train_affinity(&task, device),
        "train-deeplab" => train_deeplab(&task, device),
        "extract" => extract(&task, device),
        other => panic!("there is no work '{other}'"),
    };
    let mut losses: Vec<Losses> = (0..task.warmup).map(|_| step()).collect();
    wait(device);
    let start = Instant::now();
    let mut timed = 0;
    while timed < task.steps && (timed < 2 || start.elapsed() < Duration::from_secs_f64(task.seconds)) {
        losses.push(step());
        timed += 1;
    }
    wait(device);
    let seconds = start.elapsed().as_secs_f64() / timed as f64;
    let values: Vec<f64> = losses.iter().map(|losses| losses.total.double_value(&[])).collect();
    let Task { what, numerics, terms, .. } = &task;
    println!(
        "{}",
        json!({
            "who": "camflow", "what": what, "numerics": numerics, "terms": terms, "seconds": seconds, "steps": timed,
            "images_per_second": task.batch as f64 / seconds, "memory_mb": memory(device), "losses": values,
        })
    );
}

/// Waits until the device has done everything.
fn wait(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

/// Megabytes in use: of the GPU, whose memory this process keeps once it has it, or the process's largest.
fn memory(device: Device) -> f64 {
    if device.is_cuda() {
        let asked = ["--query-gpu=memory.used", "--format=csv,noheader,nounits"];
        let said = Command::new("nvidia-smi").args(asked).output().map(|output| output.stdout).unwrap_or_default();
        return String::from_utf8_lossy(&said).trim().parse().unwrap_or(f64::NAN);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1e3
}

fn backbone(task: &Task) -> BackboneConfig {
    BackboneConfig { name: BackboneName::ResNet38, width: task.width, norm: Norm::Frozen }
}

fn cam_net(task: &Task, device: Device) -> (nn::VarStore, CamNet) {
    let vs = nn::VarStore::new(device);
    let config = CamNetConfig { backbone: backbone(task), features: FEATURES, classes: CLASSES };
    let net = CamNet::with_dropout(&vs.root(), &config, [0.0, 0.0]).with_numerics(task.numerics);
    (vs, net)
}

/// Random weights. What the blocks add is made small, as norms of a trained network would make it.
fn write_weights(task: &Task) {
    let (vs, _net) = cam_net(task, Device::Cpu);
    tch::no_grad(|| {
        for (name, mut variable) in vs.variables() {
            if name.contains("conv_branch2b") {
                let _ = variable.g_mul_scalar_(0.25);
            }
        }
    });
    let images = (0..BATCHES).map(|index| (images_name(index), made_up(task, index).images));
    let all: Vec<_> = vs.variables().into_iter().chain(images).collect();
    Tensor::write_safetensors(&all, &task.weights).expect("weights are written");
}

/// The images of a batch in the file of weights.
fn images_name(index: i64) -> String {
    format!("batch.{index}")
}

/// Fills what the file has in this shape: of AffinityNet and DeepLab the backbone.
fn fill(vs: &nn::VarStore, weights: &Path) {
    let stored = Tensor::read_safetensors(weights).expect("weights are read");
    let mut variables = vs.variables();
    tch::no_grad(|| {
        for (name, tensor) in stored {
            if let Some(variable) = variables.get_mut(&name).filter(|variable| variable.size() == tensor.size()) {
                variable.copy_(&tensor);
            }
        }
    });
}

/// Images that show their labels by their tint, and labels.
fn made_up(task: &Task, index: i64) -> Batch {
    let options = (Kind::Float, Device::Cpu);
    let labels = Tensor::zeros([task.batch, CLASSES], options);
    for image in 0..task.batch {
        let _ = labels.get(image).get((image + index) % CLASSES).fill_(1.0);
    }
    let tint = labels.narrow(1, 0, 3).unsqueeze(-1).unsqueeze(-1);
    let side = (task.crop / 8).max(1);
    let coarse = Tensor::randn([task.batch, 3, side, side], options);
    let images = coarse.upsample_bilinear2d([task.crop; 2], false, None, None) + tint;
    let valid = Tensor::ones([task.batch, task.crop, task.crop], (Kind::Bool, Device::Cpu));
    Batch { images, labels, valid }
}

fn batches(task: &Task, device: Device) -> impl FnMut() -> Batch + use<> {
    let stored = Tensor::read_safetensors(&task.weights).expect("weights are read");
    let images = |index| {
        let stored = stored.iter().find(|(name, _)| *name == images_name(index));
        stored.expect("the file has the images").1.to_device(device)
    };
    let batch = |index| {
        let Batch { labels, valid, .. } = made_up(task, index);
        Batch { images: images(index), labels: labels.to_device(device), valid: valid.to_device(device) }
    };
    let all: Vec<Batch> = (0..BATCHES).map(batch).collect();
    let mut next = 0;
    move || {
        let Batch { images, labels, valid } = &all[next];
        next = (next + 1) % all.len();
        Batch { images: images.shallow_clone(), labels: labels.shallow_clone(), valid: valid.shallow_clone() }
    }
}

fn train_cam(task: &Task, device: Device) -> Step {
    let ((main_vs, main), (mut support_vs, support)) = (cam_net(task, device), cam_net(task, device));
    fill(&main_vs, &task.weights);
    fill(&support_vs, &task.weights);
    let mut objective = objective(&task.terms, &main_vs, &main);
    let [flat, support_flat] = [&main_vs, &support_vs].map(|vs| Flat::of(vs, WeightLayout::of(task.numerics)));
    let mut average = MovingAverage::new(support_flat, &flat, 0.99);
    support_vs.freeze();
    let mut sgd = Sgd::new(flat, &OPTIMIZER);
    let mut next = batches(task, device);
    Box::new(move || {
        let batch = next();
        let networks = Networks { main: &main, support: &support, scales: &TRAINING_SCALES };
        let losses = objective.loss(&Views::new(&batch, networks), 1, |summand| sgd.backward(summand));
        sgd.step(OPTIMIZER.lr);
        average.update();
        losses
    })
}

fn train_affinity(task: &Task, device: Device) -> Step {
    let vs = nn::VarStore::new(device);
    let net = AffinityNet::new(&vs.root(), &backbone(task)).with_numerics(task.numerics);
    fill(&vs, &task.weights);
    let mut sgd = Sgd::new(Flat::of(&vs, WeightLayout::of(task.numerics)), &OPTIMIZER);
    let cells = task.crop / 8;
    let labels = Tensor::randint(4, [task.batch, cells, cells], (Kind::Int64, device));
    let mut next = batches(task, device);
    Box::new(move || {
        let features = net.forward(&next().images, Mode::Train);
        let loss = affinity_loss(&affinities(&features, RADIUS), &pairs(&labels, RADIUS));
        sgd.backward(&loss);
        sgd.step(OPTIMIZER.lr);
        Losses::alone(&loss)
    })
}

fn train_deeplab(task: &Task, device: Device) -> Step {
    let vs = nn::VarStore::new(device);
    let net = DeepLab::new(&vs.root(), &backbone(task), CLASSES + 1, 512).with_numerics(task.numerics);
    fill(&vs, &task.weights);
    let mut sgd = Sgd::new(Flat::of(&vs, WeightLayout::of(task.numerics)), &OPTIMIZER);
    let labels = Tensor::randint(CLASSES + 1, [task.batch, task.crop, task.crop], (Kind::Int64, device));
    let mut next = batches(task, device);
    Box::new(move || {
        let loss = segmentation_loss(&net, &next().images, &labels, LogitLosses::Single);
        sgd.backward(&loss);
        sgd.step(OPTIMIZER.lr);
        Losses::alone(&loss)
    })
}

/// CAMs of pictures at four scales and mirrored; its loss is their mean.
fn extract(task: &Task, device: Device) -> Step {
    let (mut vs, net) = cam_net(task, device);
    let net = net.for_inference();
    fill(&vs, &task.weights);
    let _flat = Flat::of(&vs, WeightLayout::of(task.numerics));
    vs.freeze();
    let mut next = batches(task, device);
    Box::new(move || {
        let images = next().images;
        tch::no_grad(|| {
            let views = EXTRACTION_SCALES.iter().flat_map(|scale| {
                let image = image_scales(&images, *scale);
                [image.shallow_clone(), image.flip([3])]
            });
            let cams = views.map(|view| net.forward(&view, Mode::Eval).cam.relu().mean(Kind::Float));
            Losses::alone(&cams.sum())
        })
    })
}
