//! Bad input and odd input, through the real binaries.
//!
//! The corpus is made of healthy files by damaging them in eighteen ways; nothing of it is stored, every file follows
//! from its kind and number. Whatever a file holds, a program ends in time, within memory, with the exit code of
//! README and a message that names the file. A file for which that fails is kept in `target/tmp`.
//!
//! ```text
//! number     numbers without a clock
//! anatomy    the kinds of file, their pieces and lengths
//! samples    healthy files
//! mutant     damaged ones
//! run        the binaries under limits
//! corpus     which files are tried; what is asked of each (CAMFLOW_CORPUS)
//! voc        a small data set for prepare-data
//! data, manifests, weights, store      the corpus by the binary that reads it
//! odd        input that nobody thinks of, at the door
//! through    odd data sets through the whole pipeline
//! ```

mod anatomy;
mod corpus;
mod mutant;
mod number;
mod run;
mod samples;
mod voc;

mod data;
mod manifests;
mod store;
mod weights;

mod odd;
mod through;
