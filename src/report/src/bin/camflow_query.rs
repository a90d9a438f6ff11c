//! query.
fn main() {}
