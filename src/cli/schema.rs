//! `golden schema`: print the JSON Schema of image.toml or golden.toml.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::spec::schema;

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
#[expect(clippy::unused_async, reason = "every command is run in the same way")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let schema = match args.file {
        SchemaFile::Image => schema::image(),
        SchemaFile::Workspace => schema::workspace(),
    };
    // A schema is a document of its own form: it has no `schema` number of ours.
    context.out.data(&format!("{schema:#}\n"));
    Ok(Exit::Done)
}
