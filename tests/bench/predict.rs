//! `camflow predict` on a folder of photographs, the whole program from its start, against a loop in PyTorch that has
//! its network loaded: from files to files, on two cores.

use std::path::Path;
use std::process::{Command, Stdio};

use data::codec::decode_mask;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};
use tch::{Device, nn};
use wsss::export::Inference;
use wsss::export::model_file::ABOUT;
use wsss::model::DeepLab;
use wsss::tensor::floats;

use crate::child::{Child, program, root};
use crate::inputs::{CLASSES, WEIGHTS, backbone, draw_weights, photographs};
use crate::measure::{Agreement, Bench, Measurement, Unit, best, seconds};

const PICTURES: usize = 16;
const SIZE: [usize; 2] = [375, 500];
const HIDDEN: i64 = 256;
/// Share of the pixels: decoders of JPEG differ by a grey level, and a network of random weights is sure of nothing.
const TOLERANCE: f64 = 0.02;
/// How the peer is written: layout of its tensors, and photographs of one size in a batch.
const FORMS: [(&str, usize); 4] = [("contiguous", 1), ("channels_last", 1), ("contiguous", 4), ("channels_last", 4)];

/// A DeepLab with random weights as one file that `camflow predict` reads.
fn write_model(file: &Path) {
    tch::manual_seed(1);
    let vs = nn::VarStore::new(Device::Cpu);
    let _net = DeepLab::new(&vs.root(), &backbone(), CLASSES + 1, HIDDEN);
    draw_weights(&vs);
    let classes: Vec<String> = (0..=CLASSES).map(|class| format!("class {class}")).collect();
    let palette: Vec<[u8; 3]> = (0..=CLASSES as u8).map(|class| [class, class, class]).collect();
    let about = json!({
        "version": 1, "network": { "kind": "deeplab", "backbone": backbone(), "hidden": HIDDEN },
        "classes": classes, "palette": palette, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225],
        "stride": 8, "inference": Inference::plain(),
        "provenance": {
            "stage": "train-deeplab", "key": "0".repeat(64), "experiment": "", "camflow": "", "finished": "",
        },
    });
    let tensors: Vec<_> = vs
        .variables()
        .into_iter()
        .map(|(name, tensor)| {
            let bytes: Vec<u8> = floats(&tensor).iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, tensor.size().iter().map(|side| *side as usize).collect::<Vec<_>>(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).expect("a tensor fills its shape"))
    });
    let metadata = [(ABOUT.to_owned(), about.to_string())].into();
    let bytes = safetensors::serialize(views, Some(metadata)).expect("a safetensors file");
    std::fs::write(file, bytes).expect("the model is written");
}

/// The fastest form, by one run of each; or why there is no peer.
fn fastest(task: &Value) -> Result<(String, Child), String> {
    let mut all = Vec::new();
    for (layout, batch) in FORMS {
        let mut task = task.clone();
        task["layout"] = json!(layout);
        task["batch"] = json!(batch);
        let mut child = Child::peer("predict_peer.py", &task, 2)?;
        all.push((child.run(), format!("PyTorch loop, {layout}, batches of {batch}"), child));
    }
    let fastest = all.into_iter().min_by(|(a, ..), (b, ..)| a.total_cmp(b));
    Ok(fastest.map(|(_, name, child)| (name, child)).expect("a form"))
}

/// The share of the pixels on which the masks of two folders differ.
fn differing(ours: &Path, theirs: &Path) -> f64 {
    let (mut differing, mut pixels) = (0, 0);
    for file in std::fs::read_dir(ours).expect("our masks") {
        let file = file.expect("a mask").path();
        let read = |file: &Path| decode_mask(&std::fs::read(file).expect("a mask")).expect("a PNG").classes;
        let (ours, theirs) = (read(&file), read(&theirs.join(file.file_name().expect("a name"))));
        differing += ours.iter().zip(&theirs).filter(|(a, b)| a != b).count();
        pixels += ours.len();
    }
    differing as f64 / pixels as f64
}

/// Seconds of a photograph.
pub fn measure(bench: &mut Bench) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [ours, theirs] = ["ours", "theirs"].map(|name| folder.path().join(name));
    let model = folder.path().join(WEIGHTS);
    write_model(&model);
    let files = photographs(&folder.path().join("photographs"), PICTURES, SIZE);
    let task = json!({ "folder": folder.path(), "files": files, "out": theirs, "golden": root().join("tests/golden") });
    let predict = || {
        let mut command = Command::new(program("camflow-predict"));
        command.args(&files).arg("--out").arg(&ours).arg("--model").arg(&model).arg("--force");
        let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("camflow-predict starts");
        assert!(done.success(), "camflow predict failed");
    };
    let each = PICTURES as f64;
    let mut run = || seconds(predict) / each;
    let (seconds, peer, their_seconds) = match fastest(&task) {
        Ok((name, mut child)) => {
            let [seconds, theirs] = best(2, [&mut run, &mut || child.run() / each]);
            child.end();
            (seconds, name, Ok(theirs))
        }
        Err(missing) => (best(2, [&mut run])[0], "PyTorch loop".to_owned(), Err(missing)),
    };
    let difference = their_seconds.is_ok().then(|| differing(&ours, &theirs));
    bench.add(Measurement {
        what: "camflow predict, a photograph",
        setting: "DeepLab on MobileNetV2, 375 x 500, a folder of 16, 2 cores",
        unit: Unit::Milliseconds,
        ours: seconds,
        peer: &peer,
        theirs: their_seconds,
        wanted: Some(1.5),
        agreement: difference.map(|difference| Agreement { difference, allowed: TOLERANCE }),
        threads: 2,
    });
}
