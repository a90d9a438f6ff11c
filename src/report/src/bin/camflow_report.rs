//! report.
fn main() {}
