//! `golden new`: create an image in the workspace.

use std::path::PathBuf;

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::scope;
use crate::app::bake::bake;
use crate::app::import;
use crate::app::import_source::ImportSource;
use crate::app::new::{NewImage, create};
use crate::report;

/// Create an image in this workspace, also from a Dockerfile or an existing image.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the image; it also names the directory of its image.toml. A bake file has the names
    /// of its targets.
    #[arg(required_unless_present = "from")]
    pub name: Option<String>,
    /// Base of the image: a reference, `scratch`, `oci:DIR`, or the name of an image of this
    /// workspace.
    #[arg(long, value_name = "REF", default_value = "scratch")]
    pub base: String,
    /// Dockerfile to import, or its directory: prints each instruction with its outcome (declared,
    /// step, or left out, exit code 5). Or a reference: the existing image becomes the base, and its
    /// config the config of the spec. Or a bake file (docker-bake.hcl or .json) or a
    /// Compose file: one image for each target.
    #[arg(long, value_name = "DOCKERFILE|REF|BAKE", conflicts_with = "base")]
    pub from: Option<String>,
    /// Build context of the Dockerfile [default: its directory].
    #[arg(long, value_name = "DIR", requires = "from")]
    pub base_dir: Option<PathBuf>,
    /// Override a variable of the bake file.
    #[arg(long, value_name = "NAME=VALUE", requires = "from")]
    pub set: Vec<String>,
}

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let settings = SelectionArgs::of(Vec::new(), args.set).settings(context)?;
    let (out, format) = (&context.out, context.format);
    let name = args.name.as_deref();
    let required = || {
        name.ok_or_else(|| {
            Failure::usage("the image needs a name").hint("golden new NAME --from …")
        })
    };
    let written = args.from.as_deref();
    let source =
        written.map(|written| ImportSource::of(written, context.cwd.join(written).exists()));
    let image = match source {
        Some(ImportSource::BakeFile(path)) => {
            if name.is_some() {
                let message = "the targets of a bake file have their own names";
                let help = format!("golden new --from {}", path.display());
                return Err(Failure::usage(message).hint(help));
            }
            let imported = bake(&settings, path).await?;
            report::imported_targets(out, format, &imported);
            return Ok(complete(imported.is_complete()));
        }
        Some(ImportSource::Dockerfile(path)) => {
            let base_dir = args.base_dir.as_deref();
            let imported = import::dockerfile(&settings, required()?, path, base_dir).await?;
            report::imported(out, format, &imported);
            return Ok(complete(imported.is_complete()));
        }
        Some(ImportSource::Image(from)) => existing(required()?, from, context).await?,
        None => create(&settings, required()?, &args.base).await?,
    };
    report::created(out, format, &image);
    Ok(Exit::Done)
}

/// The exit code of an import: a difference if something is left out.
const fn complete(is_complete: bool) -> Exit {
    if is_complete {
        Exit::Done
    } else {
        Exit::Difference
    }
}

/// Creates an image on an existing one.
async fn existing(name: &str, from: &str, context: &Context) -> Result<NewImage, Failure> {
    let scope = scope(context, &[from.to_owned()]).await?;
    Ok(import::existing(&scope.finder(None), name, from).await?)
}
