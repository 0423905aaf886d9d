//! Creates an image in the workspace.

use std::path::PathBuf;

use super::error::Error;
use super::settings::Settings;
use crate::config_files::base::BaseSpec;
use crate::reference::RepositoryPath;
use crate::workspace::fs::{read_if_exists, write_atomic};
use crate::workspace::load;

/// The template of image.toml; `NAME` and `BASE` are replaced.
const TEXT: &str = include_str!("new.toml");

/// A new image.
#[derive(Debug)]
pub struct NewImage {
    /// The name of the image.
    pub name: RepositoryPath,
    /// Its image.toml, relative to the workspace.
    pub file: PathBuf,
    /// True if the globs of golden.toml match the file.
    pub is_found: bool,
}

/// Creates the image.toml of an image. Fails if the workspace has an image with this name, or if the
/// file exists.
pub async fn create(settings: &Settings, name: &str, on: &str) -> Result<NewImage, Error> {
    let name: RepositoryPath = name
        .parse()
        .map_err(|error| Error::invalid(format!("`{name}`: {error}")))?;
    let loaded = load::load(&settings.surroundings()?).await?;
    if let Some(file) = loaded.images.spec_of(&name) {
        return Err(Error::invalid(format!(
            "the workspace already has an image `{name}`: {}",
            file.display()
        )));
    }
    let file = PathBuf::from(name.to_string()).join("image.toml");
    let path = loaded.root.join(&file);
    if read_if_exists(&path)?.is_some() {
        return Err(Error::invalid(format!(
            "{} already exists; nothing was written",
            file.display()
        ))
        .hint("choose another name, or edit that file"));
    }
    let own: Result<RepositoryPath, _> = on.parse();
    let is_own = own.is_ok_and(|base| loaded.images.spec_of(&base).is_some());
    write_atomic(&path, text(&name, &base(on, is_own)?).as_bytes())?;
    let reloaded = load::load(&settings.surroundings()?).await?;
    Ok(NewImage {
        is_found: reloaded.images.spec_of(&name).is_some(),
        name,
        file,
    })
}

/// The TOML value of the base. Fails if the base is invalid.
fn base(written: &str, is_own: bool) -> Result<String, Error> {
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
        Err(error) => Err(Error::invalid(error.message())),
    }
}

fn text(name: &RepositoryPath, base: &str) -> String {
    TEXT.replace(
        "\"NAME\"",
        &toml::Value::String(name.to_string()).to_string(),
    )
    .replace("BASE", base)
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
