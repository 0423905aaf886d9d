//! `golden schema`: print the JSON Schema of image.toml or golden.toml.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;

/// Print the JSON Schema of image.toml or golden.toml.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which file.
    #[arg(value_enum)]
    pub file: SchemaFile,
}

/// Which file's schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaFile {
    /// image.toml.
    Image,
    /// golden.toml.
    Workspace,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "not yet")]
pub async fn run(_args: Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::usage("`golden schema` is not there yet"))
}
