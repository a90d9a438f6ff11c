//! What the stages of camflow exchange, and how it is found again. No torch and no polars here.
//!
//! ```text
//! error        the one error type and its exit codes
//! id           ClassId (0 = background), ImageId
//! table        every table, declared once (cell: how a value is stored; encoding: how a CAM is)
//! reading      what a stage reads of an input artifact, by digest
//! key          what a result depends on, and the key that names it
//! manifest     the DAG and every parameter, in TOML, each value with its line
//! numerics     in which numbers tensors are computed
//! units        sizes and times as people read and write them
//! dotted       values of JSON by dotted names
//! fingerprint  content digests of files from outside
//! store        committed artifacts, and the work that becomes them
//! address      how a command names an artifact
//! compare      the rows of two artifacts beside one another
//! failpoint    where tests kill the process or make the disk refuse
//! ```

pub mod address;
mod cell;
pub mod compare;
pub mod dotted;
pub mod encoding;
pub mod error;
pub mod failpoint;
pub mod fingerprint;
pub mod id;
pub mod key;
pub mod manifest;
mod numerics;
mod reading;
pub mod store;
pub mod table;
pub mod units;

pub use cell::CellValue;
pub use error::{Error, ParamError, Result};
pub use fingerprint::{Fingerprints, is_index_of_shards, part_of_file};
pub use id::{ClassId, ImageId};
pub use key::{Change, Key, Preimage};
pub use manifest::{ExperimentPlan, Manifest, StageId, StagePlan};
pub use numerics::Numerics;
pub use reading::{Item, Reading};
pub use store::{Artifact, Part, Store, Work};
pub use table::Row;
