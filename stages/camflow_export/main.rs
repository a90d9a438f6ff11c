//! `camflow export`: what the store holds, as files for other programs. Reads the store; writes where it is told to.
//!
//! ```text
//! whole_file     files that are there whole or not at all
//! names          from names of images to names of files
//! folder         a folder with a file an image, each whole or not at all
//! masks          the masks of an artifact, and which of them are asked for
//! labels         masks as PNGs
//! npy            activation maps as other repositories read them
//! submission     masks as VOC's evaluation server takes them
//! model          a trained network
//! ```

mod folder;
mod labels;
mod masks;
mod model;
mod names;
mod npy;
mod submission;
#[path = "../whole_file.rs"]
mod whole_file;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::error::exit;
use artifact::{Artifact, Result, address};
use clap::{Args, Parser, Subcommand};
use command_line::ArtifactArgs;
use serde_json::{Map, Value, json};

/// Writes what the store holds as files for other programs: masks, activation maps, a submission, a trained network.
#[derive(Debug, Parser)]
#[command(
    name = "camflow-export",
    bin_name = "camflow export",
    version,
    after_help = format!("{}\n\n{}", address::HELP, exit::HELP)
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Masks as PNGs in VOC's colours, 255 being void: DIR/IMAGE.png
    ///
    /// Of pseudo-labels (random-walk), predictions (evaluate) or the ground truth (prepare-data). Folders in names of
    /// images become folders.
    Labels {
        /// The artifact, such as random-walk or evaluate@baseline
        #[arg(add = command_line::stages())]
        artifact: String,
        /// The folder; what it holds already must be the same
        dir: PathBuf,
        #[command(flatten)]
        which: masks::Which,
        #[command(flatten)]
        common: Common,
    },
    /// Activation maps as the repositories of psa, irn or SEAM read them: DIR/IMAGE.npy
    ///
    /// Each file is what `numpy.load(file, allow_pickle=True).item()` gives as a dict. psa and seam: the class, from 0
    /// without the background, to its map, float32 [height, width]. irn: `keys` (classes, int64), `high_res` (maps) and
    /// `cam` (the maps at every fourth pixel, a tensor, so that reading it takes PyTorch).
    Npy {
        /// The artifact, such as extract-msinf-cam
        #[arg(add = command_line::stages())]
        artifact: String,
        /// The folder; what it holds already must be the same
        dir: PathBuf,
        /// Whose layout
        #[arg(long, value_enum, default_value_t = npy::Layout::Psa)]
        style: npy::Layout,
        /// Only the images of this split (may be repeated)
        #[arg(long, value_name = "NAME")]
        split: Vec<String>,
        #[command(flatten)]
        common: Common,
    },
    /// Masks for VOC's evaluation server: FILE.tar
    ///
    /// It holds `results/VOC2012/Segmentation/comp6_SPLIT_cls/IMAGE.png`, 6 being segmentation with any training data.
    /// The data set must have VOC's twenty classes in VOC's order, and every image of the split its mask. The archive
    /// is read again and compared before it gets its name.
    VocSubmission {
        /// The artifact, such as evaluate
        #[arg(add = command_line::stages())]
        artifact: String,
        /// The archive
        file: PathBuf,
        /// What made the masks, where the artifact has several, such as train-deeplab+crf
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// The split
        #[arg(long, value_enum, default_value_t = submission::Split::Test)]
        split: submission::Split,
        #[command(flatten)]
        common: Common,
    },
    /// A trained network in one file: .safetensors for camflow predict and PyTorch, .onnx for other programs
    ///
    /// The input is `image`, float32 [batch, 3, height, width], RGB of 0 to 255 in any size. A DeepLab gives `logits`
    /// [batch, classes, height, width]; a classifier gives `logits` [batch, classes] and `cam`, its activation maps at
    /// a stride of 8. Classes and colours are in the file's metadata. Beside FILE.safetensors comes deeplab.py, which
    /// loads it in PyTorch.
    Model {
        /// The artifact, such as train-deeplab or train-cam
        #[arg(add = command_line::stages())]
        artifact: String,
        /// The file; its ending says the format
        file: PathBuf,
        #[command(flatten)]
        common: Common,
    },
}

/// What all of them know.
#[derive(Debug, Args)]
struct Common {
    /// Take the place of files that are there
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: ArtifactArgs,
}

impl Common {
    fn find(&self, name: &str) -> Result<Artifact> {
        self.place.place().find(name)
    }
}

/// What was written: a sentence, and facts for programs.
struct Answer {
    text: String,
    facts: Map<String, Value>,
}

impl Answer {
    /// Of an artifact, to a file or folder.
    fn new(artifact: &Artifact, to: &Path, text: String) -> Self {
        let record = artifact.record();
        let facts = [
            ("stage".to_owned(), json!(record.preimage.stage)),
            ("key".to_owned(), json!(record.key.as_str())),
            ("path".to_owned(), json!(to.to_string_lossy())),
        ];
        Self { text, facts: facts.into_iter().collect() }
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

fn main() -> ExitCode {
    let cli: Cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let (json, answer) = run(&cli.command);
    match answer {
        Ok(Answer { text, facts }) => {
            let said = if json { Value::Object(facts).to_string() } else { text };
            let _ = writeln!(std::io::stdout(), "{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "camflow export: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Is JSON asked for, and what was written?
fn run(command: &Command) -> (bool, Result<Answer>) {
    let (common, answer) = match command {
        Command::Labels { artifact, dir, which, common } => {
            (common, common.find(artifact).and_then(|artifact| labels::export(&artifact, dir, which, common.force)))
        }
        Command::Npy { artifact, dir, style, split, common } => (
            common,
            common.find(artifact).and_then(|artifact| npy::export(&artifact, dir, *style, split, common.force)),
        ),
        Command::VocSubmission { artifact, file, source, split, common } => (
            common,
            common
                .find(artifact)
                .and_then(|artifact| submission::export(&artifact, file, source.as_deref(), *split, common.force)),
        ),
        Command::Model { artifact, file, common } => {
            let exported = || {
                let place = common.place.place();
                let link = place.link(artifact)?;
                model::export(&place.find(artifact)?, link.as_deref(), file, common.force)
            };
            (common, exported())
        }
    };
    (common.json, answer)
}
