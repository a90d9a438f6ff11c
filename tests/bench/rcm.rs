//! RCM without the maps of 256 channels at the image's size (METHOD.md, section 2): crop 192, batch 16, D 256, K 20;
//! the update of the prototypes, the loss, and its gradient to the features.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tch::{Device, Kind, Tensor};
use wsss::method::cam::upsample;
use wsss::method::terms::rcm::{Prototypes, RcmForm, contrastive_loss, similarity};

use crate::child::Work;
use crate::measure::{Agreement, Bench, Measurement, Unit, best};
use crate::plain;

const BATCH: i64 = 16;
const CLASSES: i64 = 20;
const FEATURES: i64 = 256;
const GRID: i64 = 24;
const CROP: i64 = 192;
const TEMPERATURE: f64 = 0.5;
/// Of the largest magnitude.
const TOLERANCE: f64 = 1e-5;
const RUNS: usize = 2;

/// Which form of Eqs. (3) to (5).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Plain,
    Compact,
}

struct Inputs {
    form: Form,
    file: PathBuf,
    main: Tensor,
    support: Tensor,
    regions: Tensor,
    valid: Tensor,
    /// Loss and table of prototypes of the last step; the gradient is left at `main`.
    found: Option<[Tensor; 2]>,
}

impl Inputs {
    /// Activated features, regions of every class, and a strip of padding.
    fn new(form: Form, file: PathBuf) -> Self {
        tch::manual_seed(1);
        let features = || Tensor::randn([BATCH, FEATURES, GRID, GRID], (Kind::Float, Device::Cpu)).relu();
        let coarse = Tensor::randint(CLASSES + 1, [BATCH, GRID, GRID], (Kind::Int64, Device::Cpu));
        let side = CROP / GRID;
        let regions = coarse.repeat_interleave_self_int(side, 1, None).repeat_interleave_self_int(side, 2, None);
        let valid = Tensor::ones([BATCH, CROP, CROP], (Kind::Bool, Device::Cpu));
        let _ = valid.narrow(2, 0, CROP / 8).fill_(0);
        let main = features().set_requires_grad(true);
        Self { form, file, main, support: features(), regions, valid, found: None }
    }
}

impl Work for Inputs {
    fn run(&mut self) {
        self.main.zero_grad();
        let Self { main, support, regions, valid, .. } = &*self;
        let (loss, table) = match self.form {
            Form::Plain => {
                let (table, seen) = plain::prototypes(&upsample(support, [CROP; 2]), regions, valid, CLASSES);
                let full = upsample(main, [CROP; 2]); // [B, D, H, W]
                let form = RcmForm::InfoNce;
                (plain::contrastive_loss(&full, (&table, &seen), regions, valid, form, TEMPERATURE), table)
            }
            Form::Compact => {
                let mut prototypes = Prototypes::new(CLASSES, FEATURES, 1, Device::Cpu);
                prototypes.update(support, regions, valid);
                let similarity = similarity(main, &prototypes, [CROP; 2], TEMPERATURE); // [B, K + 1, H, W]
                (contrastive_loss(&similarity, regions, valid, RcmForm::InfoNce), prototypes.table())
            }
        };
        loss.backward();
        self.found = Some([loss.detach(), table]);
    }

    fn found(&mut self) -> Value {
        let [loss, table] = self.found.take().expect("a step");
        let tensors = [("loss", loss), ("table", table), ("gradient", self.main.grad())];
        Tensor::write_safetensors(&tensors, &self.file).expect("a file for the results");
        json!({})
    }
}

/// One of the two forms, in a process of its own.
pub fn child(task: &Value) -> Box<dyn Work> {
    let form = if task["form"] == "Plain" { Form::Plain } else { Form::Compact };
    tch::set_num_threads(1);
    Box::new(Inputs::new(form, task["file"].as_str().expect("a file").into()))
}

/// The largest difference of two files' tensors, relative to the largest magnitude of each.
fn apart(ours: &Path, theirs: &Path) -> f64 {
    let read = |file: &Path| -> BTreeMap<String, Tensor> {
        Tensor::read_safetensors(file).expect("the child's results").into_iter().collect()
    };
    let (ours, theirs) = (read(ours), read(theirs));
    let differences = theirs.iter().map(|(name, expected)| {
        let magnitude = expected.abs().max().double_value(&[]);
        (&ours[name] - expected).abs().max().double_value(&[]) / magnitude
    });
    differences.fold(0.0, f64::max)
}

/// Both forms: time and memory.
pub fn measure(bench: &mut Bench) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let start = |form: Form| {
        let file = folder.path().join(format!("{form:?}"));
        let mut child = bench.ours(&json!({ "form": format!("{form:?}"), "file": file }), 1);
        let before = child.peak_memory();
        child.run();
        let grown = child.peak_memory() - before;
        (child, grown, file)
    };
    let [mut ours, mut theirs] = [Form::Compact, Form::Plain].map(start);
    let [seconds, their_seconds] = best(RUNS, [&mut || ours.0.run(), &mut || theirs.0.run()]);
    let (bytes, their_bytes) = (ours.1, theirs.1);
    drop((ours.0.end(), theirs.0.end()));
    let agreement = Some(Agreement { difference: apart(&ours.2, &theirs.2), allowed: TOLERANCE });
    let line = Measurement {
        what: "RCM, forward and backward",
        setting: "batch 16, crop 192, 256 channels",
        unit: Unit::Milliseconds,
        ours: seconds,
        peer: "on upsampled features (torch)",
        theirs: Ok(their_seconds),
        wanted: None,
        agreement,
        threads: 1,
    };
    bench.add(line.clone());
    let (ours, theirs) = (bytes, Ok(their_bytes));
    bench.add(Measurement { what: "RCM, peak memory", unit: Unit::Megabytes, ours, theirs, ..line });
}
