//! `golden schema`: print the JSON Schema of image.toml or golden.toml.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::config_files::schema;

/// Print the JSON Schema of image.toml or golden.toml.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to print the schema of.
    #[arg(value_enum)]
    pub file: SchemaFile,
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaFile {
    /// The schema of image.toml.
    Image,
    /// The schema of golden.toml.
    Workspace,
}

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let schema = match args.file {
        SchemaFile::Image => schema::image(),
        SchemaFile::Workspace => schema::workspace(),
    };
    // The output is a JSON Schema document, without golden's own `schema` number.
    context.out.data(&format!("{schema:#}\n"));
    Ok(Exit::Done)
}
