//! Creates an image in the workspace.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::settings::Settings;
use super::spec_schema;
use crate::config_files::base::BaseSpec;
use crate::reference::RepositoryPath;
use crate::workspace::fs::{read_if_exists, write_atomic};
use crate::workspace::load;
use crate::workspace::state::StateDirectory;

/// The template of image.toml; `NAME` and `BASE` are replaced.
const TEXT: &str = include_str!("new.toml");

/// A spec that `golden new` has written.
#[derive(Debug)]
pub struct NewImage {
    /// The name of the image.
    pub name: RepositoryPath,
    /// Its image.toml, relative to the workspace.
    pub file: PathBuf,
    /// True if the globs of golden.toml match the file.
    pub is_found: bool,
}

/// The place of a new image in the workspace.
#[derive(Debug)]
pub(super) struct NewSpec {
    pub(super) name: RepositoryPath,
    /// Its image.toml, relative to the workspace.
    pub(super) file: PathBuf,
    /// The directory of the workspace.
    pub(super) root: PathBuf,
    /// The names of the images of the workspace.
    pub(super) images: Vec<RepositoryPath>,
}

impl NewSpec {
    /// Chooses the place of an image. Fails if the workspace has an image with this name, or if the
    /// file exists.
    pub(super) async fn of(settings: &Settings, name: &str) -> Result<Self, Error> {
        let loaded = load::load(&settings.load_inputs()?).await?;
        Self::in_workspace(&loaded, name)
    }

    /// Like [`Self::of`], in a workspace that is loaded.
    pub(super) fn in_workspace(loaded: &load::Loaded, name: &str) -> Result<Self, Error> {
        let name: RepositoryPath = name
            .parse()
            .map_err(|error| Error::invalid(format!("`{name}`: {error}")))?;
        if let Some(file) = loaded.images.spec_of(&name) {
            return Err(Error::invalid(format!(
                "the workspace already has an image `{name}`: {}",
                file.display()
            )));
        }
        let file = PathBuf::from(name.to_string()).join("image.toml");
        if read_if_exists(&loaded.root.join(&file))?.is_some() {
            return Err(Error::invalid(format!(
                "{} already exists; nothing was written",
                file.display()
            ))
            .hint("choose another name, or edit that file"));
        }
        let images = loaded.images.images.iter();
        Ok(Self {
            name,
            file,
            images: images.map(|image| image.parsed.name.clone()).collect(),
            root: loaded.root.clone(),
        })
    }

    /// The directory of image.toml.
    pub(super) fn directory(&self) -> PathBuf {
        let path = self.root.join(&self.file);
        path.parent().unwrap_or(&self.root).to_owned()
    }

    /// Writes image.toml below a line that names its schema.
    pub(super) async fn write(self, settings: &Settings, text: &str) -> Result<NewImage, Error> {
        spec_schema::write(&StateDirectory::of(&self.root))?;
        let text = spec_schema::above(&self.file, text);
        write_atomic(&self.root.join(&self.file), text.as_bytes())?;
        let reloaded = load::load(&settings.load_inputs()?).await?;
        Ok(NewImage {
            is_found: reloaded.images.spec_of(&self.name).is_some(),
            name: self.name,
            file: self.file,
        })
    }
}

/// Creates the image.toml of an image. Fails if the workspace has an image with this name, or if the
/// file exists.
pub async fn create(settings: &Settings, name: &str, on: &str) -> Result<NewImage, Error> {
    let spec = NewSpec::of(settings, name).await?;
    let own: Result<RepositoryPath, _> = on.parse();
    let is_own = own.is_ok_and(|base| spec.images.contains(&base));
    let text = text(&spec.name, &base(on, is_own)?);
    spec.write(settings, &text).await
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

/// A path relative to the current directory, for messages.
pub(super) fn shown(path: &Path, settings: &Settings) -> String {
    let path = path.strip_prefix(&settings.cwd).unwrap_or(path);
    path.display().to_string()
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
