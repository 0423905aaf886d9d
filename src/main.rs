//! The `golden` program: everything is in the library; this is the only place that ends the process.

use std::process::ExitCode;

fn main() -> ExitCode {
    golden::cli::main(std::env::args_os())
}
