//! CAMs of photographs of 320 pixels at four scales, flipped too, as extract-msinf-cam makes them with two workers on
//! two cores, against a loop in PyTorch with two threads.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use artifact::ClassId;
use data::codec::decode_image;
use serde_json::{Value, json};
use tch::Device;
use tch::Tensor;
use wsss::infer::{Extractor, Look, MaxPixels};
use wsss::method::extraction::ClassCam;
use wsss::method::flip::Flip;
use wsss::model::{CamNet, Mode};

use crate::child::{Child, Work, root};
use crate::inputs::{WEIGHTS, cam_net, draw_weights, filled_cam_net, photographs, read_floats, write_floats};
use crate::measure::{Agreement, Bench, Measurement, Unit, best, largest_difference};

const PICTURES: usize = 4;
const SIZE: [usize; 2] = [240, 320];
const SCALES: [f64; 4] = [0.5, 1.0, 1.5, 2.0];
/// The classes of each picture's label.
const LABELS: [u8; 2] = [3, 11];
/// Of a CAM in 0 to 1: decoders of JPEG and resizers differ by a grey level.
const TOLERANCE: f64 = 0.02;
const LAYOUTS: [&str; 2] = ["contiguous", "channels_last"];

type Maps = fn(&CamNet, &Tensor) -> Tensor;

/// The stage's work on some files.
struct Extraction {
    extractor: Extractor<CamNet, Maps>,
    files: Vec<PathBuf>,
    out: PathBuf,
    cams: Vec<Vec<ClassCam>>,
}

/// The work in a process of its own.
pub fn child(task: &Value) -> Box<dyn Work> {
    let path = |name: &str| PathBuf::from(task[name].as_str().expect("a path"));
    let network = || {
        let (mut vs, net) = filled_cam_net(&path("folder"));
        vs.freeze();
        Ok(net.for_inference())
    };
    let look = Look { scales: SCALES.to_vec(), flip: Flip::Both, max_pixels: MaxPixels::DEFAULT };
    let maps: Maps = |net, images| net.forward(images, Mode::Eval).cam;
    let extractor = Extractor::new(Device::Cpu, network, maps, look).expect("networks");
    let files = serde_json::from_value(task["files"].clone()).expect("files");
    Box::new(Extraction { extractor, files, out: path("ours"), cams: Vec::new() })
}

impl Work for Extraction {
    fn run(&mut self) {
        let Self { extractor, files, .. } = &*self;
        let next = AtomicUsize::new(0);
        let work = |worker: usize| {
            let mut made = Vec::new();
            while let Some((index, file)) = {
                let index = next.fetch_add(1, Ordering::Relaxed);
                files.get(index).map(|file| (index, file))
            } {
                let photo = decode_image(&std::fs::read(file).expect("a picture")).expect("a JPEG");
                made.push((index, extractor.cams(worker, &photo, &LABELS.map(ClassId), "a picture").expect("CAMs")));
            }
            made
        };
        let mut made: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..stage::cores()).map(|worker| scope.spawn(move || work(worker))).collect();
            workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
        });
        made.sort_by_key(|(index, _)| *index);
        self.cams = made.into_iter().map(|(_, cams)| cams).collect();
    }

    fn found(&mut self) -> Value {
        let values: Vec<f32> = self.cams.iter().flatten().flat_map(|cam| cam.values.iter().copied()).collect();
        write_floats(&self.out, &values);
        json!({})
    }
}

/// The peer in a layout.
fn peer(task: &Value, layout: &str) -> Result<Child, String> {
    let mut task = task.clone();
    task["layout"] = json!(layout);
    Child::peer("extract_peer.py", &task, 2)
}

/// The faster layout, by one run of each; or why there is no peer.
fn fastest(task: &Value) -> Result<(&'static str, Child), String> {
    let mut all = Vec::new();
    for layout in LAYOUTS {
        let mut child = peer(task, layout)?;
        all.push((child.run(), layout, child));
    }
    let fastest = all.into_iter().min_by(|(a, ..), (b, ..)| a.total_cmp(b));
    Ok(fastest.map(|(_, layout, child)| (layout, child)).expect("a layout"))
}

fn write_inputs(folder: &Path) -> Value {
    tch::manual_seed(1);
    let (vs, _net) = cam_net();
    draw_weights(&vs);
    vs.save(folder.join(WEIGHTS)).expect("weights are written");
    let files = photographs(&folder.join("photographs"), PICTURES, SIZE);
    json!({
        "folder": folder, "files": files, "ours": folder.join("ours"), "theirs": folder.join("theirs"),
        "scales": SCALES, "labels": LABELS, "golden": root().join("tests/golden"),
    })
}

/// Seconds of a photograph.
pub fn measure(bench: &mut Bench) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let task = write_inputs(folder.path());
    let mut ours = bench.ours(&task, 1);
    let each = PICTURES as f64;
    let mut run = || ours.run() / each;
    let (seconds, peer, theirs) = match fastest(&task) {
        Ok((layout, mut child)) => {
            let [seconds, theirs] = best(2, [&mut run, &mut || child.run() / each]);
            child.end();
            (seconds, format!("PyTorch loop, {layout}"), Ok(theirs))
        }
        Err(missing) => (best(2, [&mut run])[0], "PyTorch loop".to_owned(), Err(missing)),
    };
    ours.end();
    let cams = |name: &str| read_floats(&folder.path().join(name));
    let difference = theirs.is_ok().then(|| largest_difference(&cams("ours"), &cams("theirs")));
    bench.add(Measurement {
        what: "extract-msinf-cam, a photograph",
        setting: "MobileNetV2, 240 x 320, 4 scales x flip, 2 cores",
        unit: Unit::Seconds,
        ours: seconds,
        peer: &peer,
        theirs,
        wanted: Some(3.0),
        agreement: difference.map(|difference| Agreement { difference, allowed: TOLERANCE }),
        threads: 2,
    });
}
