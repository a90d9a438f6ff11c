//! WHEN it is computed: the manifest and the store say what is stale, stage binaries compute it, one after another.
//!
//! ```text
//! options      what a command is asked for
//! programs     the stage binaries and what they say of themselves
//! history      the artifacts of a stage, each record read once
//! pipeline     manifest, store and stage binaries, opened together
//! reason       why a stage has to run: the fields that differ from an earlier artifact
//! remote       what others have computed, asked of `camflow-remote`
//! plan         the state of every stage of every experiment
//! unscored     what cannot be scored, for want of masks
//! process      a child, and signals passed on to it
//! live         what a run shows of itself while it goes on
//! watch        the same of a run elsewhere
//! run          check all, run what is stale, look anew after each stage
//! explain      one stage: what changed, where, and what upstream causes it
//! diff         two artifacts beside one another
//! accept       "the same result" under a new version of a stage
//! gc           what nobody needs any more, and pins
//! show         status, dag, path, logs, metrics, verify
//! units        what is to run, for whatever starts processes
//! slurm        the pipeline on a cluster
//! text         what people read: tables, numbers, instants
//! ```
//!
//! Invariants: no tensor and no row is computed here; a stage process starts only if its artifact is not committed
//! (or the command forces it); nothing outside the store is written but manual pages, where `camflow man` is told to.

mod accept;
mod diff;
mod explain;
mod gc;
mod history;
mod live;
mod options;
mod pipeline;
mod plan;
mod process;
mod programs;
mod reason;
mod remote;
mod run;
mod show;
mod slurm;
mod text;
mod units;
mod unscored;
mod watch;

pub use accept::{Acceptance, accept};
pub use diff::{Difference, MetricDifference, Side, diff};
pub use explain::{Explanation, Nearest, explain};
pub use gc::{Gc, GcOptions, Gone, gc, pin, unpin};
pub use live::{Picture, Row, RowState};
pub use options::{PipelineSource, RunOptions, Selection};
pub use pipeline::Pipeline;
pub use plan::{Plan, State, Step};
pub use process::Interrupt;
pub use reason::Reason;
pub use remote::{RemoteSource, find_program, pull_ahead};
pub use run::{OutcomeState, StepOutcome, Summary, run};
pub use show::{Damage, Edges, LogOptions, Verification, dag, dot, logs, metrics, path, plan, status, tables, verify};
pub use slurm::{cancel, run_task, submit};
pub use text::emit;
pub use units::units;
pub use watch::{WatchOptions, watch};
