//! Benchmarks against peers, in one run on one machine; `cargo bench` prints ratios.

fn main() {}
