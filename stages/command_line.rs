//! The command line of the programs that stand beside the stages.

pub use ::command_line::parse;
