//! `golden new`: create an image in the workspace.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::new::{NewImage, create};
use crate::report::OutputFormat;

/// Create an image in this workspace.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the image; it also names the directory of its image.toml.
    pub name: String,
    /// Base of the image: a reference, `scratch`, `oci:DIR`, or the name of an image of this
    /// workspace.
    #[arg(long, value_name = "REF", default_value = "scratch")]
    pub base: String,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let NewImage {
        name,
        file,
        is_found,
    } = create(&context.settings(), &args.name, &args.base).await?;
    let out = &context.out;
    if context.format == OutputFormat::Json {
        out.json(&serde_json::json!({ "files": [file] }));
        return Ok(Exit::Done);
    }
    out.message(&format!("wrote {}", file.display()));
    out.message(&if is_found {
        format!("next: golden check {name}, then golden build {name}")
    } else {
        format!(
            "add {} to `images` in golden.toml, whose globs do not match it",
            file.display()
        )
    });
    Ok(Exit::Done)
}
