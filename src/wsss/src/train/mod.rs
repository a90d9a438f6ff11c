//! Training: parameter groups, schedule, checkpoints, and the loop that ties them together.
//!
//! ```text
//! crops        crops of pictures as the tensors of a batch
//! sgd          optimiser with named parameter groups
//! init         where a network's first weights come from
//! shares       what is each process's part where several train together
//! loss_hash    a rolling hash of the losses
//! readings     losses as numbers, of several steps at once
//! checkpoint   the whole state of a run in one file, and back
//! fit          the loop: batches, loss, step, curve, checkpoint, stop
//! ```

pub mod checkpoint;
pub mod crops;
pub mod fit;
pub mod init;
pub mod loss_hash;
pub mod readings;
pub mod sgd;
pub mod shares;

pub use fit::{Curve, Learner, LoopParams, Training, commit, fit};
pub use sgd::{OptimizerParams, Sgd};
