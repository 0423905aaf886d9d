//! `golden init`: create a workspace with commented example files, ready to build.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::next_steps::shell_word;
use crate::app::spec_schema;
use crate::report::OutputFormat;
use crate::workspace::discover;
use crate::workspace::fs::{read_if_exists, write_atomic};
use crate::workspace::state::StateDirectory;

/// Create a workspace with commented example files, ready to build.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the new workspace.
    #[arg(default_value = ".")]
    pub dir: PathBuf,
}

/// The files of a new workspace, with their content.
const FILES: [(&str, &str); 2] = [
    ("golden.toml", include_str!("init/golden.toml")),
    ("example/image.toml", include_str!("init/image.toml")),
];

/// Runs the command.
#[expect(clippy::unused_async, reason = "all commands have the same signature")]
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let root = context.cwd.join(&args.dir);
    let is_current = args.dir.as_os_str() == ".";
    let shown = |name: &str| {
        if is_current {
            PathBuf::from(name)
        } else {
            args.dir.join(name)
        }
    };
    refuse_inside_another(&root)?;
    for (name, _) in FILES {
        if read_if_exists(&root.join(name))?.is_some() {
            return Err(Failure::usage(format!(
                "{} already exists; nothing was written",
                shown(name).display()
            ))
            .hint("`golden new NAME` creates an image in a workspace; `golden init DIR` creates another workspace"));
        }
    }
    for (name, text) in FILES {
        let text = spec_schema::above(Path::new(name), text);
        write_atomic(&root.join(name), text.as_bytes())?;
    }
    spec_schema::write(&StateDirectory::of(&root))?;
    if context.format == OutputFormat::Json {
        context
            .out
            .json(&serde_json::json!({ "files": FILES.map(|(name, _)| shown(name)) }));
    } else {
        for (name, _) in FILES {
            context
                .out
                .message(&format!("wrote {}", shown(name).display()));
        }
        let option = if is_current {
            String::new()
        } else {
            format!(" -w {}", shell_word(&args.dir.display().to_string()))
        };
        context.out.message(&format!(
            "next: golden{option} check, then golden{option} build"
        ));
    }
    Ok(Exit::Done)
}

/// Fails if the directory is inside a workspace, whose globs would match the new images.
fn refuse_inside_another(root: &Path) -> Result<(), Failure> {
    let Some(parent) = root.parent() else {
        return Ok(());
    };
    let Ok(file) = discover::workspace(parent, None) else {
        return Ok(());
    };
    let outer = file.parent().unwrap_or(&file);
    let is_own = |directory: &Path| directory.canonicalize().is_ok_and(|real| real == outer);
    if !root.ancestors().skip(1).any(is_own) {
        return Ok(());
    }
    let message = format!(
        "{} is inside the workspace {}",
        root.display(),
        outer.display()
    );
    Err(Failure::usage(message).hint("`golden new NAME` creates an image in that workspace"))
}
