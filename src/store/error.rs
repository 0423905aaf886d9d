//! The errors of local destinations and layouts.

use std::path::PathBuf;

/// The reason why a local destination cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `--to` has an unknown form.
    #[error(
        "`{0}` is not a destination (expected oci:DIR[:NAME] or docker-archive:FILE[:NAME:TAG])"
    )]
    Destination(String),
    /// A file or directory could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The archive file cannot be written.
    #[error(transparent)]
    Output(#[from] crate::workspace::fs::OutputError),
    /// The directory contains something other than a layout.
    #[error("{} is not an OCI layout: {what}", path.display())]
    Layout {
        /// The directory.
        path: PathBuf,
        /// The problem.
        what: String,
    },
    /// The layout has no such image.
    #[error("{}: {what}", path.display())]
    NoImage {
        /// The directory of the layout.
        path: PathBuf,
        /// The requested image and the available ones.
        what: String,
    },
    /// A blob of the layout is missing or damaged.
    #[error("{}: its blob {digest} {what}", path.display())]
    Blob {
        /// The directory of the layout.
        path: PathBuf,
        /// The digest of the blob.
        digest: String,
        /// The problem, as the end of a sentence about the blob: `is missing`.
        what: &'static str,
    },
    /// A docker archive contains only one platform of an image.
    #[error("{image} has several platforms, but a docker archive can contain only one")]
    SeveralPlatforms {
        /// The reference of the image.
        image: String,
    },
    /// A layer could not be read from its source.
    #[error("layer {digest} cannot be read: {source}")]
    Layer {
        /// The digest of the layer.
        digest: String,
        /// The error of the source.
        source: std::io::Error,
    },
    /// The reader of the stream, such as an engine, closed it early.
    #[error("the archive could not be written: {0}")]
    Stream(#[source] std::io::Error),
    /// A manifest of the image cannot be parsed.
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
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::SeveralPlatforms { .. } => {
                vec!["write it with --to oci:DIR, or build one platform".to_owned()]
            }
            Self::Blob { .. } => {
                vec![
                    "write the complete layout again, for example with `skopeo copy --all`"
                        .to_owned(),
                ]
            }
            Self::Output(error) => error.hints(),
            Self::Layout { .. } => {
                vec![
                    "name a directory that does not exist, is empty, or is an OCI layout"
                        .to_owned(),
                ]
            }
            _ => Vec::new(),
        }
    }
}
