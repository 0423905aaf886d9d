//! Benchmarks against peers, in one run on one machine.
//!
//! `cargo bench` runs all of them; `cargo bench -- copy fleets` those whose name contains one of
//! the words. Each one starts what it needs and prints a table: medians of several runs, and ratios
//! to `golden`.
#![expect(clippy::unwrap_used, reason = "a failed step must end the measurement")]
#![expect(clippy::print_stdout, reason = "the benchmark prints its tables")]

mod bare;
mod copy;
mod current;
mod fan_out;
mod fleets;
mod images;
mod machine;
mod measure;
mod memory;
mod proxy;
mod table;
mod trust;

fn main() {
    let benches: [(&str, fn()); 12] = [
        (
            "fan_out: one image under 1, 4 and 16 tags",
            fan_out::run_bench,
        ),
        (
            "copy: 500 MB between repositories and registries",
            copy::run_bench,
        ),
        (
            "current: twenty images against current clients and engines",
            current::run_bench,
        ),
        ("cached: one image, every step cached", current::cached),
        ("memory: a layer of 1 GiB", memory::run_bench),
        ("images: twenty images on a 500 MB base", images::twenty),
        ("wire: bytes and requests of an image", images::wire),
        ("thousand: a thousand images published", images::thousand),
        (
            "fleets: check and plan of 10 to 10,000 images",
            fleets::run_bench,
        ),
        ("trust: forty images with and without it", trust::forty),
        ("bill: the SBOM of an image of 1 GiB", trust::bill),
        ("difference: two images of 500 MB", trust::difference),
    ];
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    for (name, run) in benches {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            println!("\n## {name}\n");
            run();
        }
    }
}
