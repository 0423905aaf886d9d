//! Why an image could not be written or read.

use std::path::PathBuf;

/// Why a local destination failed. Each variant is one problem that a user can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--to` names no destination that golden knows.
    #[error(
        "`{0}` is not a destination (expected oci:DIR[:NAME] or docker-archive:FILE[:NAME:TAG])"
    )]
    Destination(String),
    /// A file or folder could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// An archive cannot be written where it is requested.
    #[error(transparent)]
    Output(#[from] crate::workspace::fs::OutputError),
    /// The folder has something else in it.
    #[error("{} is not an OCI layout: {what}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A layout has no such image.
    #[error("{}: {what}", path.display())]
    NoImage {
        /// The folder.
        path: PathBuf,
        /// What was asked for, and what there is.
        what: String,
    },
    /// A blob of a layout is not there, or not what it should be.
    #[error("{}: its blob {digest} {what}", path.display())]
    Blob {
        /// The folder.
        path: PathBuf,
        /// The blob.
        digest: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A docker archive holds images for one platform each.
    #[error("{image} has several platforms, which a docker archive cannot hold")]
    SeveralPlatforms {
        /// The image.
        image: String,
    },
    /// A layer could not be read from where it is.
    #[error("layer {digest} cannot be read: {source}")]
    Layer {
        /// Its digest.
        digest: String,
        /// What was wrong.
        source: std::io::Error,
    },
    /// The other end of a stream, such as an engine that loads, stopped reading.
    #[error("the archive could not be written: {0}")]
    Stream(#[source] std::io::Error),
    /// The image's own manifest cannot be read.
    #[error("{0}")]
    Manifest(String),
    /// A file of the layout could not be read or written.
    #[error(transparent)]
    Workspace(#[from] crate::workspace::state::Error),
    /// A registry failed.
    #[error(transparent)]
    Registry(#[from] crate::registry::Error),
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::SeveralPlatforms { .. } => {
                vec!["write it with --to oci:DIR, or build one platform".to_owned()]
            }
            Self::Blob { .. } => {
                vec!["write the layout again, whole: such as with `skopeo copy --all`".to_owned()]
            }
            Self::Output(error) => error.hints(),
            Self::Layout { .. } => {
                vec!["name a folder that is new, empty, or an OCI layout".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}
