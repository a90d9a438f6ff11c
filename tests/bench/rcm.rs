//! RCM without the maps of 256 channels at the image's size (METHOD.md, section 2): crop 192, batch 16, D 256, K 20;
//! the update of the prototypes, the loss, and its gradient to the features.
//!
//! Peak memory belongs to a process, so this binary runs itself anew for each form. The child reports by how much its
//! `VmHWM` (Linux, /proc/self/status) grew over what it was with the inputs in place, and how long a second run took,
//! and leaves its loss, gradient and prototypes in a file: the parent asserts that the two forms agree to 1e-5.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tch::{Device, Kind, Tensor};
use wsss::method::cam::upsample;
use wsss::method::terms::rcm::{Prototypes, RcmForm, contrastive_loss, similarity};

use crate::{plain, row};

const BATCH: i64 = 16;
const CLASSES: i64 = 20;
const FEATURES: i64 = 256;
const GRID: i64 = 24;
const CROP: i64 = 192;
const TEMPERATURE: f64 = 0.5;
/// Of the largest magnitude.
const TOLERANCE: f64 = 1e-5;
/// The argument that makes a child of this binary; a form and a file follow.
const CHILD: &str = "measure-rcm";

/// Which form of Eqs. (3) to (5).
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Plain,
    Compact,
}

struct Inputs {
    main: Tensor,
    support: Tensor,
    regions: Tensor,
    valid: Tensor,
}

impl Inputs {
    /// Activated features, regions of every class, and a strip of padding.
    fn new() -> Self {
        tch::manual_seed(1);
        let features = || Tensor::randn([BATCH, FEATURES, GRID, GRID], (Kind::Float, Device::Cpu)).relu();
        let coarse = Tensor::randint(CLASSES + 1, [BATCH, GRID, GRID], (Kind::Int64, Device::Cpu));
        let side = CROP / GRID;
        let regions = coarse.repeat_interleave_self_int(side, 1, None).repeat_interleave_self_int(side, 2, None);
        let valid = Tensor::ones([BATCH, CROP, CROP], (Kind::Bool, Device::Cpu));
        let _ = valid.narrow(2, 0, CROP / 8).fill_(0);
        Self { main: features().set_requires_grad(true), support: features(), regions, valid }
    }

    /// One step: the loss, the table of prototypes; the gradient is left at `main`.
    fn step(&mut self, form: Form) -> (Tensor, Tensor) {
        self.main.zero_grad();
        let Self { main, support, regions, valid } = &*self;
        let (loss, table) = match form {
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
        (loss, table)
    }
}

/// Runs as a child if the arguments say so.
pub fn measure_if_asked() -> bool {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [child, form, file] = arguments.as_slice() else { return false };
    if child != CHILD {
        return false;
    }
    let form = if form == "Plain" { Form::Plain } else { Form::Compact };
    let mut inputs = Inputs::new();
    let before = peak_memory();
    let (loss, table) = inputs.step(form);
    let peak = peak_memory() - before;
    let tensors = [("loss", loss.detach()), ("table", table), ("gradient", inputs.main.grad())];
    Tensor::write_safetensors(&tensors, file).expect("a file for the results");
    let start = Instant::now();
    drop(inputs.step(form));
    println!("{peak} {}", start.elapsed().as_secs_f64());
    true
}

/// The largest resident memory of this process so far, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc/self/status: Linux only");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") * 1024
}

/// What a child of form `form` reports: bytes, seconds.
fn measure(form: Form, file: &Path) -> (f64, f64) {
    let program = std::env::current_exe().expect("this binary");
    let output = Command::new(program).args([CHILD, &format!("{form:?}")]).arg(file).output().expect("a child process");
    assert!(output.status.success(), "{form:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().expect("a number"));
    (numbers.next().expect("bytes"), numbers.next().expect("seconds"))
}

/// Both forms, their ratios, and the assertion that they agree.
pub fn compare() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [plain, compact] = [Form::Plain, Form::Compact].map(|form| {
        let file = folder.path().join(format!("{form:?}.safetensors"));
        let measured = measure(form, &file);
        let results = Tensor::read_safetensors(&file).expect("the child's results");
        (measured, results.into_iter().collect::<BTreeMap<_, _>>())
    });
    for ((name, expected), (same, found)) in plain.1.iter().zip(&compact.1) {
        assert_eq!(name, same);
        let magnitude = expected.abs().max().double_value(&[]);
        let difference = (found - expected).abs().max().double_value(&[]) / magnitude;
        assert!(difference < TOLERANCE, "{name}: the two forms differ by {difference:.1e} of the largest magnitude");
    }
    let ((plain_bytes, plain_seconds), (compact_bytes, compact_seconds)) = (plain.0, compact.0);
    let peer = "on 256 upsampled channels (torch)";
    row("RCM, batch 16, crop 192, forward + backward", compact_seconds, peer, plain_seconds);
    println!(
        "{:44} {:9.1} MB   {peer:32} {:9.1} MB   {:7.1} x",
        "  its peak memory",
        compact_bytes / 1e6,
        plain_bytes / 1e6,
        plain_bytes / compact_bytes
    );
}
