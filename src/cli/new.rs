//! `golden new`: create an image in the workspace.

use std::path::{Path, PathBuf};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::config_files::base::BaseSpec;
use crate::reference::RepositoryPath;
use crate::report::OutputFormat;
use crate::workspace::fs::{read_if_exists, write_atomic};
use crate::workspace::load;

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

/// The template of image.toml; `NAME` and `BASE` are replaced.
const TEXT: &str = include_str!("init/new.toml");

/// Runs the command.
pub async fn run(args: Args, context: &Context) -> Result<Exit, Failure> {
    let name: RepositoryPath = args
        .name
        .parse()
        .map_err(|error| Failure::usage(format!("`{}`: {error}", args.name)))?;
    let loaded = load::load(&context.settings().surroundings()?).await?;
    if let Some(file) = loaded.images.spec_of(&name) {
        return Err(Failure::usage(format!(
            "the workspace already has an image `{name}`: {}",
            file.display()
        )));
    }
    let file = PathBuf::from(name.to_string()).join("image.toml");
    let path = loaded.root.join(&file);
    if read_if_exists(&path)?.is_some() {
        return Err(Failure::usage(format!(
            "{} already exists; nothing was written",
            file.display()
        ))
        .hint("choose another name, or edit that file"));
    }
    let own: Result<RepositoryPath, _> = args.base.parse();
    let is_own = own.is_ok_and(|base| loaded.images.spec_of(&base).is_some());
    write_atomic(&path, text(&name, &base(&args.base, is_own)?).as_bytes())?;
    let reloaded = load::load(&context.settings().surroundings()?).await?;
    let is_found = reloaded.images.spec_of(&name).is_some();
    show(context, &file, &name, is_found);
    Ok(Exit::Done)
}

/// The TOML value of the base. Fails if the base is invalid.
fn base(written: &str, is_own: bool) -> Result<String, Failure> {
    #[derive(serde::Deserialize)]
    struct BaseOnly {
        #[serde(rename = "base")]
        _base: BaseSpec,
    }
    let quoted = toml::Value::String(written.to_owned()).to_string();
    if is_own {
        return Ok(format!("{{ image = {quoted} }}"));
    }
    let table = format!("base = {quoted}");
    match toml::from_str::<BaseOnly>(&table) {
        Ok(_) => Ok(quoted),
        Err(error) => Err(Failure::usage(error.message().to_owned())),
    }
}

fn text(name: &RepositoryPath, base: &str) -> String {
    TEXT.replace(
        "\"NAME\"",
        &toml::Value::String(name.to_string()).to_string(),
    )
    .replace("BASE", base)
}

fn show(context: &Context, file: &Path, name: &RepositoryPath, is_found: bool) {
    if context.format == OutputFormat::Json {
        context.out.json(&serde_json::json!({ "files": [file] }));
        return;
    }
    context.out.message(&format!("wrote {}", file.display()));
    if is_found {
        context.out.message(&format!(
            "next: golden check {name}, then golden build {name}"
        ));
    } else {
        context.out.message(&format!(
            "add {} to `images` in golden.toml, whose globs do not match it",
            file.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_checked_and_quoted() {
        for (written, is_own, expected) in [
            ("scratch", false, "\"scratch\""),
            (
                "docker.io/library/debian:12",
                false,
                "\"docker.io/library/debian:12\"",
            ),
            ("oci:base:1", false, "\"oci:base:1\""),
            ("team/app", true, "{ image = \"team/app\" }"),
        ] {
            assert_eq!(base(written, is_own).unwrap(), expected);
        }
        for written in ["", "A B", "debian:12\" # x", "x\ny"] {
            assert!(base(written, false).is_err(), "{written:?}");
        }
    }
}
