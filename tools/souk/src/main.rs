//! `souk`: the operator's command.
fn main() {}
