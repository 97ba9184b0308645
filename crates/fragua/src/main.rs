//! Fragua.
fn main() {}
