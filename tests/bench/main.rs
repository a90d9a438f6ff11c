//! `make bench`: what is claimed to be fast, each as a ratio to a named peer measured in the same run, whose answer is
//! compared with this program's. Names of benchmarks as arguments run those alone.
//!
//! ```text
//! measure      timing, and one line of the table
//! child        child processes that repeat a piece of work when they are asked to: this program, or Python
//! record       the tables `bench` and `growth` of the store, and the same as Markdown
//! inputs       photographs and networks that several benchmarks work on
//! objective    the terms of a training step
//! plain        Eqs. 3 to 5 as the paper prints them
//! rcm          RCM without the maps of 256 channels at the image's size
//! method       the random walk; the sweep of thresholds of one image
//! crf          the dense CRF
//! train_step   a training step of train-cam (flops: operations of its convolutions, and the rate of a large one)
//! images       from photographs to a batch of crops
//! extract      CAMs of photographs
//! predict      masks of a folder of photographs
//! cam_store    the store of CAMs and the sweep of thresholds over it (synthetic_cams: what is in it)
//! growth       `make bench-growth`: what stages cost as their inputs grow
//! runner       questions to a store, of camflow and of runners that others use
//! ```
//!
//! Peers are the scripts `*_peer.py` beside this file, run by `$PYTHON` (python3) on the packages that `make
//! bench-peers` put into `.bench-peers`, or else on its own. What is not installed is said in its line. A piece of work
//! of this program runs in a child too where its peak memory counts.

#[path = "../parity/plain.rs"]
mod plain;

mod cam_store;
mod child;
mod inputs;
mod measure;
mod record;

mod crf;
mod extract;
mod flops;
mod growth;
mod images;
mod method;
mod objective;
mod predict;
mod rcm;
mod runner;
mod synthetic_cams;
mod train_step;

use std::process::ExitCode;

use child::Work;
use measure::Bench;
use serde_json::Value;

/// Makes the work of a child from its task.
type MakeWork = fn(&Value) -> Box<dyn Work>;

/// A benchmark.
struct Benchmark {
    /// As it is named on the command line.
    name: &'static str,
    /// Measures, and adds its lines.
    measure: fn(&mut Bench),
    /// Makes the work of a child of this program, where it has such children.
    child: Option<MakeWork>,
}

const BENCHMARKS: [Benchmark; 10] = [
    Benchmark { name: "train-step", measure: train_step::measure, child: Some(train_step::child) },
    Benchmark { name: "images", measure: images::measure, child: None },
    Benchmark { name: "extract", measure: extract::measure, child: Some(extract::child) },
    Benchmark { name: "predict", measure: predict::measure, child: None },
    Benchmark { name: "rcm", measure: rcm::measure, child: Some(rcm::child) },
    Benchmark { name: "crf", measure: crf::measure, child: None },
    Benchmark { name: "random-walk", measure: method::random_walk, child: None },
    Benchmark { name: "thresholds", measure: method::thresholds, child: None },
    Benchmark { name: "cam-store", measure: cam_store::measure, child: None },
    Benchmark { name: "runner", measure: runner::measure, child: None },
];

fn main() -> ExitCode {
    // `cargo bench` adds `--bench`.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [child::ARGUMENT, name] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        let benchmark = BENCHMARKS.iter().find(|benchmark| benchmark.name == name);
        child::answer(benchmark.and_then(|benchmark| benchmark.child).expect("a benchmark with children"));
        return ExitCode::SUCCESS;
    }
    if arguments == ["growth"] {
        return ended(record::write_growth(growth::measure()));
    }
    if let Some(unknown) = arguments.iter().find(|name| !BENCHMARKS.iter().any(|known| known.name == **name)) {
        let known = BENCHMARKS.map(|benchmark| benchmark.name).join(", ");
        eprintln!("bench: there is no benchmark '{unknown}'; there are {known}");
        return ExitCode::from(78);
    }
    tch::set_num_threads(1);
    let mut bench = Bench::default();
    for benchmark in &BENCHMARKS {
        if arguments.is_empty() || arguments.iter().any(|name| name == benchmark.name) {
            bench.begin(benchmark.name);
            (benchmark.measure)(&mut bench);
        }
    }
    let failures = bench.failures().to_vec();
    let written = ended(record::write(bench, &BENCHMARKS.map(|benchmark| benchmark.name)));
    for failure in &failures {
        eprintln!("bench: {failure}");
    }
    if failures.is_empty() { written } else { ExitCode::FAILURE }
}

/// Prints what was recorded.
fn ended(written: artifact::Result<String>) -> ExitCode {
    match written {
        Ok(markdown) => {
            print!("\n{markdown}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
