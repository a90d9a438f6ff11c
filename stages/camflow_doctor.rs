//! `camflow doctor`: is this machine fit to run a pipeline, and what would mend it. Reads the machine; writes nothing
//! but a temporary file in the store's directory.
//!
//! ```text
//! machine        cores and free memory
//! ```

mod machine;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::error::exit;
use artifact::{Manifest, Numerics, Result, units};
use clap::Parser;
use serde::Serialize;
use tch::{Device, Kind, Tensor};
use wsss::device;

/// Bytes of free memory and disk below which a training of photographs is cramped.
const ENOUGH_MEMORY: u64 = 4 << 30;
const ENOUGH_DISK: u64 = 5 << 30;
/// The file that `make weights` fetches.
const WEIGHTS: &str = ".weights/efficientnet_lite0.pth";

/// Looks at this machine: libtorch, CUDA, cores, memory, the store's disk, weights, the terminal; each fault with its
/// cure.
#[derive(Parser)]
#[command(
    name = "camflow-doctor",
    bin_name = "camflow doctor",
    version,
    after_help = "Exit codes: 0 nothing is in the way of a run on the CPU; 1 something is; 78 the command line is \
                  wrong."
)]
struct Args {
    /// The store, whose disk is looked at.
    #[arg(long, value_name = "DIR", default_value = "artifacts")]
    store: PathBuf,
    /// The manifest, whose weights are looked for.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// How something is.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Good,
    /// A run is possible, but something is missing that people want.
    Fair,
    /// No run is possible.
    Bad,
}

/// One thing that was looked at.
#[derive(Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    /// What to do; empty if all is well.
    cure: String,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        Self { what, state: State::Good, found: found.into(), cure: String::new() }
    }

    fn fair(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, state: State::Fair, found: found.into(), cure: cure.into() }
    }

    fn bad(what: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what, state: State::Bad, found: found.into(), cure: cure.into() }
    }
}

fn main() -> ExitCode {
    let args: Args = match command_line::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let findings = [libtorch(), cuda(), cores(), memory(), disk(&args.store), weights(&args), terminal()];
    let text = if args.json {
        serde_json::to_string_pretty(&findings).expect("findings are JSON") + "\n"
    } else {
        findings.iter().map(line).collect()
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    let bad = findings.iter().any(|finding| finding.state == State::Bad);
    if bad { ExitCode::from(exit::OTHER) } else { ExitCode::SUCCESS }
}

fn line(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Good => "ok  ",
        State::Fair => "note",
        State::Bad => "BAD ",
    };
    let cure =
        if finding.cure.is_empty() { String::new() } else { format!("\n                cure: {}", finding.cure) };
    format!("{mark}  {:9} {}{cure}\n", finding.what, finding.found)
}

/// Does libtorch compute?
fn libtorch() -> Finding {
    let cure = "fetch it again: rm -r .libtorch; make libtorch";
    let product = Tensor::f_ones([64, 64], (Kind::Float, Device::Cpu)).and_then(|ones| ones.f_matmul(&ones));
    match product.and_then(|product| product.f_sum(Kind::Float)).and_then(|sum| sum.f_int64_value(&[])) {
        Ok(262_144) => Finding::good("libtorch", format!("computes on {} threads", tch::get_num_threads())),
        Ok(sum) => Finding::bad("libtorch", format!("a product of ones has the sum {sum}"), cure),
        Err(error) => Finding::bad("libtorch", error.to_string(), cure),
    }
}

fn cuda() -> Finding {
    match device::open("cuda", Numerics::default()) {
        Ok(_) => Finding::good("cuda", format!("{} devices; --device cuda", tch::Cuda::device_count())),
        Err(error) if Path::new("/dev/nvidiactl").exists() => {
            Finding::fair("cuda", format!("a GPU is there, but {error}"), "make libtorch CUDA=1")
        }
        Err(_) => Finding::good("cuda", "no GPU here; everything runs on the CPU"),
    }
}

fn cores() -> Finding {
    let cores = machine::cores();
    Finding::good("cores", format!("{cores}; a training uses `threads` of them, `camflow run --jobs N` shares them"))
}

fn memory() -> Finding {
    match machine::free_memory() {
        None => Finding::good("memory", "this system does not say"),
        Some(free) if free < ENOUGH_MEMORY => Finding::fair(
            "memory",
            format!("{} free", units::bytes(free)),
            "end other programs, or train with a smaller loop.batch_size and augmentation.crop",
        ),
        Some(free) => Finding::good("memory", format!("{} free", units::bytes(free))),
    }
}

/// Can the store be written, and is there room?
fn disk(store: &Path) -> Finding {
    let directory = store.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("."));
    let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
    let shown = directory.display();
    if let Err(error) = tempfile::NamedTempFile::new_in(directory) {
        let cure = "give the manifest another pipeline.store, or mend the rights of that directory";
        return Finding::bad("disk", format!("{shown} cannot be written: {error}"), cure);
    }
    match rustix::fs::statvfs(directory) {
        Err(error) => Finding::fair("disk", format!("{shown}: {error}"), "see whether the disk is whole"),
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let found = format!("{} free for the store at {}", units::bytes(free), store.display());
            if free < ENOUGH_DISK {
                Finding::fair("disk", found, "camflow gc removes what nothing needs; or give another pipeline.store")
            } else {
                Finding::good("disk", found)
            }
        }
    }
}

/// Are the weights there that a manifest names, or those that `make weights` fetches?
fn weights(args: &Args) -> Finding {
    let files = match args.manifest.as_deref().map(named_weights).transpose() {
        Ok(files) => files.unwrap_or_else(|| vec![WEIGHTS.to_owned()]),
        Err(error) => return Finding::bad("weights", error.to_string(), "mend the manifest"),
    };
    let missing: Vec<&String> = files.iter().filter(|file| !Path::new(file).is_file()).collect();
    let Some(first) = missing.first() else {
        return Finding::good("weights", if files.is_empty() { "none are named".to_owned() } else { files.join(", ") });
    };
    let cure = if first.starts_with(".weights/") { "make weights" } else { "correct the path, or fetch the file" };
    Finding::fair("weights", format!("{first} is not here"), cure)
}

/// The files of weights that the main experiment of a manifest starts from.
fn named_weights(manifest: &Path) -> Result<Vec<String>> {
    let manifest = Manifest::load(manifest, &[])?;
    let plan = manifest.experiment(&manifest.main()?)?;
    let of_stage = plan.stages.iter().filter(|stage| stage.params["init"] == "weights");
    let mut files: Vec<String> =
        of_stage.filter_map(|stage| Some(stage.params["weights"].as_str()?.to_owned())).collect();
    files.sort();
    files.dedup();
    Ok(files)
}

/// Can progress be drawn?
fn terminal() -> Finding {
    if !std::io::stderr().is_terminal() {
        return Finding::good("terminal", "none; progress is printed line by line");
    }
    let language =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()));
    match language {
        Some(language) if language.to_lowercase().replace('-', "").contains("utf8") => {
            Finding::good("terminal", format!("draws in {language}"))
        }
        other => Finding::fair(
            "terminal",
            format!("its language is {}, in which progress may look broken", other.as_deref().unwrap_or("not set")),
            "export LC_ALL=C.UTF-8",
        ),
    }
}
