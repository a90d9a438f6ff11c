//! `camflow weights`: what a file of weights holds, and which backbones it fits. Reads that file; writes nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Error, Result};
use clap::Parser;
use serde::Serialize;
use tch::{Device, nn};
use wsss::model::weights::{FOREIGN_HEADS, LoadReport, Stored, Weights, published};
use wsss::model::{Backbone, BackboneConfig, BackboneName, Norm};

/// Rows of the table without --all.
const ROWS_SHOWN: usize = 20;

/// Shows what a file of weights holds, and whether it fits the backbones at their real width.
///
/// MXNet's .params, PyTorch's .pth (the zip layout and that of 2018) and .safetensors are recognised by their content.
/// Nothing in the file is executed.
#[derive(Parser)]
#[command(
    name = "camflow-weights",
    bin_name = "camflow weights",
    version,
    after_help = "Exit codes: 0 the file is read; 65 it is no file of weights, or damaged; 78 the command line is \
                  wrong; 1 anything else."
)]
struct Args {
    /// The file.
    file: PathBuf,
    /// Every tensor, however many.
    #[arg(long)]
    all: bool,
    /// Print JSON, always with every tensor.
    #[arg(long)]
    json: bool,
}

/// What there is to say of a file.
#[derive(Serialize)]
struct Answer {
    file: String,
    format: String,
    md5: String,
    published: Option<&'static str>,
    /// Elements of tensors of floats.
    parameters: usize,
    tensors: Vec<Row>,
    skipped: Vec<String>,
    backbones: Vec<Fit>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    dtype: String,
    shape: Vec<usize>,
}

/// How a file fits one backbone, heads of classifiers aside.
#[derive(Serialize)]
struct Fit {
    backbone: BackboneName,
    width: i64,
    fits: bool,
    missing: Vec<String>,
    unexpected: Vec<String>,
    misshapen: Vec<String>,
    #[serde(skip)]
    summary: String,
}

fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(78) } else { ExitCode::SUCCESS };
        }
    };
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("camflow-weights: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(args: &Args) -> Result<()> {
    if !args.file.exists() {
        return Err(Error::Config(format!("there is no file {}; name a file of weights", args.file.display())));
    }
    let answer = answer(&args.file.display().to_string(), &Weights::read(&args.file)?)?;
    let text = if args.json { json(&answer)? } else { table(&answer, if args.all { usize::MAX } else { ROWS_SHOWN }) };
    std::io::stdout()
        .write_all(text.as_bytes())
        .map_err(|source| Error::Io { action: "cannot write the answer".to_owned(), source })
}

fn answer(file: &str, weights: &Weights) -> Result<Answer> {
    let md5 = weights.md5();
    let tensors = weights.tensors();
    let row = |(name, tensor): (&String, &Stored)| Row {
        name: name.clone(),
        dtype: tensor.dtype().to_string(),
        shape: tensor.shape().to_vec(),
    };
    Ok(Answer {
        file: file.to_owned(),
        format: weights.format().to_string(),
        published: published(&md5),
        md5,
        parameters: tensors.values().filter(|tensor| tensor.dtype().is_float()).map(Stored::elements).sum(),
        tensors: tensors.iter().map(row).collect(),
        skipped: weights.skipped().to_vec(),
        backbones: BackboneName::ALL.into_iter().map(|name| fit(weights, name)).collect::<Result<_>>()?,
    })
}

/// What `init = "weights"` of train-cam would say of the file.
fn fit(weights: &Weights, backbone: BackboneName) -> Result<Fit> {
    const PREFIX: &str = "backbone.";
    let width = backbone.full_width();
    let vs = nn::VarStore::new(Device::Cpu);
    let _net = Backbone::new(
        &(vs.root() / "backbone"),
        &BackboneConfig { name: backbone, width, norm: Norm::Frozen },
        [0.0; 2],
    );
    let heads: Vec<&str> = FOREIGN_HEADS.into_iter().chain(["feature."]).collect();
    let report = weights.compare(&vs, PREFIX)?.required(PREFIX, &heads);
    let (fits, summary) = (report.fits(), report.to_string());
    let LoadReport { missing, unexpected, misshapen, .. } = report;
    let misshapen = misshapen.iter().map(ToString::to_string).collect();
    Ok(Fit { backbone, width, fits, missing, unexpected, misshapen, summary })
}

fn json(answer: &impl Serialize) -> Result<String> {
    let text =
        serde_json::to_string_pretty(answer).map_err(|why| Error::Failed(format!("cannot write JSON: {why}")))?;
    Ok(text + "\n")
}

fn table(answer: &Answer, shown: usize) -> String {
    let Answer { file, format, md5, published, parameters, tensors, skipped, backbones } = answer;
    let mut text = format!("{file}\n  format     {format}\n  md5        {md5}\n");
    if let Some(published) = published {
        let _ = writeln!(text, "  published  {published}");
    }
    let _ = writeln!(text, "  tensors    {} with {parameters} parameters", tensors.len());
    if !skipped.is_empty() {
        let _ = writeln!(text, "  left out   {} (the classifier of another data set)", skipped.join(", "));
    }
    let rows = &tensors[..shown.min(tensors.len())];
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    text.push('\n');
    for Row { name, dtype, shape } in rows {
        let _ = writeln!(text, "  {name:<width$}  {dtype:<4}  {shape:?}");
    }
    if rows.len() < tensors.len() {
        let _ = writeln!(text, "  … and {} more (--all)", tensors.len() - rows.len());
    }
    text.push('\n');
    for Fit { backbone, width, fits, summary, .. } in backbones {
        let name = serde_json::to_value(backbone).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        let verdict = if *fits { "fits" } else { "does not fit: " };
        let _ = writeln!(text, "{name} of width {width}: {verdict}{summary}");
    }
    text
}
