//! Local destinations of `build`: `--to oci:DIR[:NAME]` and `--to docker-archive:FILE[:NAME]`. The
//! default is the layout `.golden/oci`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

pub use super::named::NamedImage;
use super::{Error, archive, layout};
use crate::config_files::base::LayoutSpec;
use crate::event::Events;
use crate::image::Blobs;
use crate::reference::{Reference, Tag};
use crate::workspace::fs;

/// A local destination. If it has a name, it accepts one image, which gets only this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalDestination {
    /// An OCI layout, which may already contain other images.
    Layout {
        /// The directory of the layout.
        directory: PathBuf,
        /// The annotation `org.opencontainers.image.ref.name` of the image.
        name: Option<String>,
    },
    /// The layout `.golden/oci` of the workspace, in which golden follows no symbolic link.
    Default {
        /// The canonical path of the layout.
        directory: PathBuf,
    },
    /// An archive file for `docker load`.
    Archive {
        /// The path of the archive.
        file: PathBuf,
        /// The tag that the image gets when it is loaded.
        name: Option<Reference>,
    },
}

impl FromStr for LocalDestination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text.split_once(':') {
            Some(("oci", _)) => layout(text),
            Some(("docker-archive", path)) => archive(path),
            _ => None,
        }
        .ok_or_else(|| Error::Destination(text.to_owned()))
    }
}

/// Parses `oci:DIR[:NAME]`, the same form as for a base, but without a digest.
fn layout(text: &str) -> Option<LocalDestination> {
    let LayoutSpec {
        directory,
        name,
        digest: None,
    } = text.parse().ok()?
    else {
        return None;
    };
    Some(LocalDestination::Layout {
        directory: directory.into(),
        name,
    })
}

/// Parses `FILE[:NAME[:TAG]]`.
fn archive(path: &str) -> Option<LocalDestination> {
    let (file, name) = match path.split_once(':') {
        Some((file, name)) => (file, Some(tagged(name)?)),
        None => (path, None),
    };
    (!file.is_empty()).then(|| LocalDestination::Archive {
        file: file.into(),
        name,
    })
}

/// A reference for `docker load`. The default tag is `latest`, as in Docker.
fn tagged(name: &str) -> Option<Reference> {
    let mut reference: Reference = name.parse().ok()?;
    if reference.digest.is_some() {
        return None;
    }
    if reference.tag.is_none() {
        reference.tag = Some("latest".parse::<Tag>().ok()?);
    }
    Some(reference)
}

impl LocalDestination {
    /// Reads a destination, relative to `parent`. Fails if an archive cannot be written, or if the
    /// directory of a layout is a file. A layout's directory is created later.
    pub fn requested(text: &str, parent: &Path) -> Result<Self, Error> {
        Ok(match text.parse()? {
            Self::Layout { directory, name } => {
                let directory = parent.join(directory);
                fs::output_directory(&directory)?;
                Self::Layout { directory, name }
            }
            Self::Default { directory } => Self::Default { directory },
            Self::Archive { file, name } => {
                let file = parent.join(file);
                fs::output(&file)?;
                Self::Archive { file, name }
            }
        })
    }

    /// True if the destination contains the name of the image.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        matches!(
            self,
            Self::Layout { name: Some(_), .. } | Self::Archive { name: Some(_), .. }
        )
    }

    /// Writes images; existing content is not written again. Returns the location of each image in
    /// the form of skopeo and buildah, such as `oci:.golden/oci:static:1.0.0`.
    pub async fn write<'a>(
        &self,
        images: &[NamedImage<'a>],
        blobs: &Blobs,
        events: &Events,
    ) -> Result<Vec<String>, Error> {
        match self {
            Self::Layout { directory, name } => {
                let real = fs::real_directory(directory).map_err(|source| Error::File {
                    path: directory.clone(),
                    source,
                })?;
                let written = layout::write(&real, name.as_deref(), images, blobs, events).await?;
                Ok(located(directory, &written))
            }
            Self::Default { directory } => {
                let written = layout::write(directory, None, images, blobs, events).await?;
                Ok(located(directory, &written))
            }
            Self::Archive { file, name: None } => archive::write_file(file, images, blobs).await,
            Self::Archive {
                file,
                name: Some(name),
            } => {
                let rename = |named: &NamedImage<'a>| NamedImage {
                    image: named.image,
                    references: vec![name.clone()],
                };
                let renamed: Vec<_> = images.iter().map(rename).collect();
                archive::write_file(file, &renamed, blobs).await
            }
        }
    }
}

/// The locations of images in a layout, for skopeo and buildah.
fn located(directory: &Path, names: &[String]) -> Vec<String> {
    let location = |name: &String| format!("oci:{}:{name}", directory.display());
    names.iter().map(location).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_have_the_form_of_skopeo() {
        let layout = |directory: &str, name: Option<&str>| {
            Some(LocalDestination::Layout {
                directory: directory.into(),
                name: name.map(str::to_owned),
            })
        };
        let archive = |file: &str, name: Option<&str>| {
            Some(LocalDestination::Archive {
                file: file.into(),
                name: name.map(|name| name.parse().unwrap()),
            })
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        for (text, expected) in [
            ("oci:out", layout("out", None)),
            (
                "oci:../out:team/app:1.0",
                layout("../out", Some("team/app:1.0")),
            ),
            ("oci:out:latest", layout("out", Some("latest"))),
            ("docker-archive:a.tar", archive("a.tar", None)),
            (
                "docker-archive:a.tar:app:1.0",
                archive("a.tar", Some("app:1.0")),
            ),
            (
                "docker-archive:/a.tar:h:5000/app",
                archive("/a.tar", Some("h:5000/app:latest")),
            ),
            ("oci:", None),
            ("oci:out:", None),
            ("oci::1.0", None),
            (&format!("oci:out@{digest}"), None),
            ("docker-archive:", None),
            ("docker-archive::app:1", None),
            ("docker-archive:a.tar:", None),
            ("docker-archive:a.tar:A B", None),
            (&format!("docker-archive:a.tar:app@{digest}"), None),
            ("out", None),
            ("dir:out", None),
        ] {
            assert_eq!(text.parse::<LocalDestination>().ok(), expected, "{text}");
        }
    }
}
