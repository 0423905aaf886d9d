//! `golden new`: create an image in the workspace.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::selection::SelectionArgs;
use super::session::{destinations, names};
use crate::app::bake::{ImportedTargets, bake};
use crate::app::import::{self, ImportedImage};
use crate::app::located::Finder;
use crate::app::new::{NewImage, create};
use crate::report::{self, OutputFormat};

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
    let settings = SelectionArgs::of(Vec::new(), args.set.clone()).settings(context)?;
    let named = args.from.as_deref().map(Path::new);
    if let Some(path) = named.filter(|path| is_bake(path)) {
        if args.name.is_some() {
            return Err(
                Failure::usage("the targets of a bake file have their own names")
                    .hint(format!("golden new --from {}", path.display())),
            );
        }
        return Ok(show_targets(&bake(&settings, path).await?, context));
    }
    let Some(name) = &args.name else {
        return Err(Failure::usage("the image needs a name").hint("golden new NAME --from …"));
    };
    if let Some(path) = named
        && is_file(path, &context.cwd)
    {
        let base_dir = args.base_dir.as_deref();
        let imported = import::dockerfile(&settings, name, path, base_dir).await?;
        return Ok(show_imported(&imported, context));
    }
    let image = match &args.from {
        Some(from) => existing(name, from, context).await?,
        None => create(&settings, name, &args.base).await?,
    };
    if context.format == OutputFormat::Json {
        context
            .out
            .json(&serde_json::json!({ "files": [image.file] }));
    } else {
        show(&image, context);
    }
    Ok(Exit::Done)
}

/// True if the value of `--from` is a bake file.
fn is_bake(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["hcl", "json", "yaml", "yml"]
        .iter()
        .any(|known| extension == *known)
}

fn show_targets(imported: &ImportedTargets, context: &Context) -> Exit {
    if context.format == OutputFormat::Json {
        context.out.json(&report::imported_targets_json(imported));
    } else {
        context.out.data(&report::imported_targets(imported));
        for image in imported
            .targets
            .iter()
            .filter_map(|target| target.image.as_ref().ok())
        {
            show(&image.image, context);
        }
    }
    if imported.is_complete() {
        Exit::Done
    } else {
        Exit::Difference
    }
}

/// True if the value of `--from` is a file and not a reference.
fn is_file(path: &Path, cwd: &Path) -> bool {
    let is_named = |name: &str| {
        let last = path.file_name().unwrap_or_default();
        last.to_string_lossy().contains(name)
    };
    cwd.join(path).exists()
        || path.is_absolute()
        || path.starts_with(".")
        || path.starts_with("..")
        || ["Dockerfile", "Containerfile"].into_iter().any(is_named)
}

/// Creates an image on an existing one.
async fn existing(name: &str, from: &str, context: &Context) -> Result<NewImage, Failure> {
    let settings = context.settings();
    let destinations = destinations(context).await?;
    let names = names(context, &destinations, &[from.to_owned()]).await?;
    let finder = Finder {
        settings: &settings,
        destinations: &destinations,
        names: &names,
        platform: None,
    };
    Ok(import::existing(&finder, name, from).await?)
}

fn show_imported(imported: &ImportedImage, context: &Context) -> Exit {
    if context.format == OutputFormat::Json {
        context.out.json(&report::imported_json(imported));
    } else {
        context.out.data(&report::imported(imported));
        for file in &imported.files {
            context.out.message(&format!("copied {}", file.display()));
        }
        show(&imported.image, context);
    }
    if imported.is_complete() {
        Exit::Done
    } else {
        Exit::Difference
    }
}

fn show(image: &NewImage, context: &Context) {
    let NewImage {
        name,
        file,
        is_found,
    } = image;
    let out = &context.out;
    out.message(&format!("wrote {}", file.display()));
    out.message(&if *is_found {
        format!("next: golden check {name}, then golden build {name}")
    } else {
        format!(
            "add {} to `images` in golden.toml, whose globs do not match it",
            file.display()
        )
    });
}
