//! The command line of a stage, what it refuses, and `main`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::{Error, ExperimentPlan, Manifest, ParamError, Result, StagePlan, Store};
use clap::{CommandFactory as _, Parser};
use command_line::PlaceArgs;

use crate::body::{Body, Of};
use crate::inputs::Inputs;
use crate::{Description, Shard, Stage, commit, help, runner_link};

/// Options of every stage binary.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Options {
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The experiment, instead of the manifest's main one
    #[arg(long, value_name = "NAME", add = command_line::experiments())]
    experiment: Option<String>,
    /// cpu, cuda or cuda:N, instead of the manifest's
    #[arg(long)]
    device: Option<String>,
    /// Compute only the I-th (from 0) of N shares of the images
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// Compute even if the result is committed
    #[arg(long)]
    pub force: bool,
    /// Print what this stage is as JSON
    #[arg(long)]
    describe: bool,
    /// Check every parameter and the device, compute nothing
    #[arg(long)]
    check: bool,
    /// The key that the runner has planned
    #[arg(long, hide = true)]
    pub expect_key: Option<String>,
    /// The key of an input that the runner has chosen; all are named, or none (with --check: those that are known)
    #[arg(long, value_name = "STAGE=KEY", hide = true)]
    pub input: Vec<String>,
}

/// One call of a stage, with what the manifest says of it.
pub(crate) struct Call<'a> {
    pub options: &'a Options,
    pub description: &'a Description,
    pub plan: StagePlan,
    pub experiment: ExperimentPlan,
    pub store: PathBuf,
    pub shard: Shard,
    device_place: String,
}

/// The whole `main` of a stage binary.
pub fn main<S: Stage>() -> ExitCode {
    let description = Description { tensors: S::TENSORS.is_some(), ..S::description() };
    start(&description, &Of::<S>::default())
}

/// (Not generic, so that clap's code is compiled here once.)
fn start(description: &Description, body: &dyn Body) -> ExitCode {
    let options = match options(description) {
        Ok(options) => options,
        Err(code) => return code,
    };
    match runner_link::follow().and_then(|()| follow(&options, description, body)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The terminal may be gone.
            let _ = writeln!(std::io::stderr(), "{}: {error}", description.name);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Parses the command line, or says what is wrong with it.
fn options(description: &Description) -> Result<Options, ExitCode> {
    let Description { name, about, .. } = description;
    command_line::parse_as(|| {
        let command = Options::command().bin_name(name).display_name(name);
        // A stage that does not work image by image has no shards to speak of.
        let command = command.mut_arg("shard", |shard| shard.hide(!description.sharded));
        command.about(format!("{name}: {about}")).after_help(help::end(description))
    })
}

/// Does what the command line asks for.
fn follow(options: &Options, description: &Description, body: &dyn Body) -> Result<()> {
    if options.describe {
        println!("{}", serde_json::to_string_pretty(description).expect("a description is JSON"));
        return Ok(());
    }
    let call = Call::new(options, description)?;
    call.check(body)?;
    if options.check { call.check_inputs(body) } else { commit::commit(&call, body) }
}

impl<'a> Call<'a> {
    fn new(options: &'a Options, description: &'a Description) -> Result<Self> {
        let device = options.device.iter().map(|device| format!("pipeline.device={device}"));
        let sets: Vec<_> = options.place.set.iter().cloned().chain(device).collect();
        let manifest = Manifest::load(&options.place.manifest, &sets)?;
        let experiment = manifest.experiment(&options.experiment.clone().map_or_else(|| manifest.main(), Ok)?)?;
        let mut plan = experiment.stage(&description.name)?.clone();
        plan.expand_paths(&description.path_params)?;
        Ok(Self {
            options,
            description,
            plan,
            experiment,
            store: options.place.store.clone().map_or_else(|| manifest.store(), Ok)?,
            shard: options.shard.as_deref().map_or(Ok(Shard::ALL), str::parse)?,
            device_place: manifest.place("pipeline.device"),
        })
    }

    /// Checks all that can be known without the store: parameters and device.
    fn check(&self, body: &dyn Body) -> Result<()> {
        body.open_device(&self.plan.device).map_err(|error| match error {
            Error::Config(reason) => Error::Config(format!("{}: {reason}", self.device_place)),
            other => other,
        })?;
        self.located(body.check(&self.plan, &self.experiment))
    }

    /// Checks the inputs that are named: here not all have to be.
    fn check_inputs(&self, body: &dyn Body) -> Result<()> {
        if self.options.input.is_empty() {
            return Ok(());
        }
        let inputs = Inputs::named(&self.options.input, &Store::open(&self.store)?)?;
        self.located(body.check_inputs(&self.plan, &inputs.records()))
    }

    /// Processes that train together are no shards.
    pub fn refuse_shard(&self, size: usize) -> Result<()> {
        let Some(shard) = self.options.shard.as_ref() else { return Ok(()) };
        Err(Error::Config(format!(
            "--shard {shard}: a shard is computed by one process, but the environment announces {size} that work \
             together; start one process a shard"
        )))
    }

    /// Puts the line of the manifest before an error of a parameter.
    pub fn located<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| match error {
            Error::Param(ParamError { name, reason }) => {
                let (place, stage) = (self.plan.place(&name), &self.plan.stage);
                Error::Config(format!("{place}: {stage}.{name}: {reason}"))
            }
            other => other,
        })
    }
}
