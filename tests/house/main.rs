//! The rules of the house that must stay true, as tests over the tree's own text. Reads the repository; writes nothing.
//!
//! ```text
//! tree        the files of the repository, and what a Rust file consists of
//! floors      who may use whom
//! size        lines of files, of functions, and their width
//! maps        module maps name every module
//! equations   each equation of the paper is tagged at one public function
//! references  what texts point to is there
//! ```

mod tree;

mod equations;
mod floors;
mod maps;
mod references;
mod size;
