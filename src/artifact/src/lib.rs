//! What the stages of camflow exchange, and how it is found again. No torch and no polars here.
//!
//! ```text
//! error     the one error type and its exit codes
//! id        ClassId (0 = background), ImageId
//! ```

pub mod error;
pub mod id;

pub use error::{Error, Result};
pub use id::{ClassId, ImageId};
