//! `camflow weights`: what files of weights hold, and which backbones they fit. Reads those files; writes nothing.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::error::printable;
use artifact::{Error, Result, part_of_file};
use clap::Parser;
use data::weights::{Stored, Weights, published};
use serde::Serialize;
use tch::{Device, nn};
use wsss::model::fill::{self, FOREIGN_HEADS, LoadReport};
use wsss::model::{Backbone, BackboneConfig, BackboneName, Norm};

/// Rows of the table without --all.
const ROWS_SHOWN: usize = 20;

/// Shows what files of weights hold, and whether they fit the backbones at their real width.
///
/// MXNet's .params, PyTorch's .pth (the zip layout and that of 2018) and .safetensors are recognised by their content;
/// an .index.json stands for the shards beside it, FILE#NETWORK for one of several networks in a file. Nothing in the
/// file is executed.
#[derive(Parser)]
#[command(
    name = "camflow-weights",
    bin_name = "camflow weights",
    version,
    after_help = "Exit codes: 0 the files are read; 65 one is no file of weights, or damaged; 78 the command line is \
                  wrong; 1 anything else. Of several files the bad ones are named, and the others shown."
)]
struct Args {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Every tensor, however many.
    #[arg(long)]
    all: bool,
    /// Print JSON, always with every tensor; an object a file.
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
    /// What else is in the file: another network, an optimiser.
    beside: Vec<String>,
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
    let args: Args = match command_line::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    match run(&args) {
        Ok(code) => code,
        // The reader, such as `head`, has seen enough.
        Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &Error) -> ExitCode {
    eprintln!("camflow-weights: {error}");
    ExitCode::from(error.exit_code())
}

/// Shows every file that can be read, and names every one that cannot: the exit code is that of the last such.
fn run(args: &Args) -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let mut backbones = None;
    for file in &args.files {
        let weights = match read(file) {
            Ok(weights) => weights,
            Err(error) => {
                code = refusal(&error);
                continue;
            }
        };
        let backbones = backbones.get_or_insert_with(|| BackboneName::ALL.map(Candidate::new));
        let answer = answer(&file.display().to_string(), &weights, backbones)?;
        let shown = if args.all { usize::MAX } else { ROWS_SHOWN };
        let text = if args.json { json(&answer)? } else { table(&answer, shown) };
        std::io::stdout()
            .write_all(text.as_bytes())
            .map_err(|source| Error::Io { action: "cannot write the answer".to_owned(), source })?;
    }
    Ok(code)
}

fn read(file: &Path) -> Result<Weights> {
    if !part_of_file(file).0.exists() {
        return Err(Error::Config(format!("there is no file {}; name a file of weights", file.display())));
    }
    Weights::read(file)
}

fn answer(file: &str, weights: &Weights, backbones: &[Candidate]) -> Result<Answer> {
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
        beside: weights.beside().to_vec(),
        backbones: backbones.iter().map(|backbone| backbone.fit(weights)).collect::<Result<_>>()?,
    })
}

/// A backbone of its real width: what takes time is to make it, so it serves every file.
struct Candidate {
    name: BackboneName,
    vs: nn::VarStore,
}

impl Candidate {
    const PREFIX: &str = "backbone.";

    fn new(name: BackboneName) -> Self {
        let vs = nn::VarStore::new(Device::Cpu);
        let config = BackboneConfig { name, width: name.full_width(), norm: Norm::Frozen };
        let _net = Backbone::new(&(vs.root() / "backbone"), &config, [0.0; 2]);
        Self { name, vs }
    }

    /// What `init = "weights"` of train-cam would say of the file.
    fn fit(&self, weights: &Weights) -> Result<Fit> {
        let heads: Vec<&str> = FOREIGN_HEADS.into_iter().chain(["feature."]).collect();
        let report = fill::compare(weights, &self.vs, Self::PREFIX)?.required(Self::PREFIX, &heads);
        let (fits, summary) = (report.fits(), report.to_string());
        let LoadReport { missing, unexpected, misshapen, .. } = report;
        let misshapen = misshapen.iter().map(ToString::to_string).collect();
        let (backbone, width) = (self.name, self.name.full_width());
        Ok(Fit { backbone, width, fits, missing, unexpected, misshapen, summary })
    }
}

fn json(answer: &impl Serialize) -> Result<String> {
    let text =
        serde_json::to_string_pretty(answer).map_err(|why| Error::Failed(format!("cannot write JSON: {why}")))?;
    Ok(text + "\n")
}

fn table(answer: &Answer, shown: usize) -> String {
    let Answer { file, format, md5, published, parameters, tensors, skipped, beside, backbones } = answer;
    let mut text = format!("{file}\n  format     {format}\n  md5        {md5}\n");
    if let Some(published) = published {
        let _ = writeln!(text, "  published  {published}");
    }
    let _ = writeln!(text, "  tensors    {} with {parameters} parameters", tensors.len());
    if !skipped.is_empty() {
        let skipped = printable(&skipped.join(", "), usize::MAX);
        let _ = writeln!(text, "  left out   {skipped} (the classifier of another data set)");
    }
    if !beside.is_empty() {
        let _ = writeln!(text, "  not read   {}", printable(&beside.join(", "), usize::MAX));
    }
    let rows = &tensors[..shown.min(tensors.len())];
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    text.push('\n');
    for Row { name, dtype, shape } in rows {
        // Whatever a file calls its tensors, the terminal shows it.
        let name = printable(name, usize::MAX);
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
