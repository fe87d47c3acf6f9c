//! Load tools for the figures in `perf/README.md`.
fn main() {}
