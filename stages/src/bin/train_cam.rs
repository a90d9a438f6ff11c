//! Stage binaries.
fn main() {}
