//! The `golden` program. All code is in the library; `main` only runs it.

use std::process::ExitCode;

fn main() -> ExitCode {
    golden::cli::main(std::env::args_os().collect())
}
