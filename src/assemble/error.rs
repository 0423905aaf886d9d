//! The errors of assembling an image.

use super::execution::NeedsExecution;
use super::tree::Unread;

/// The reason why assembling stopped.
#[derive(Debug)]
pub enum AssembleStop {
    /// More of the base must be read. The caller reads it and tries again.
    Unread(Unread),
    /// The image cannot be assembled.
    Refused(Error),
}

impl From<Unread> for AssembleStop {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl<E: Into<Error>> From<E> for AssembleStop {
    fn from(error: E) -> Self {
        Self::Refused(error.into())
    }
}

/// The reason why an image cannot be assembled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The image needs an engine that executes commands.
    #[error(transparent)]
    NeedsExecution(#[from] NeedsExecution),
    /// The base's manifest and config are inconsistent, or the base is not an image.
    #[error("the base cannot be used: {0}")]
    Base(String),
    /// A layer of the base has an unsupported media type.
    #[error("layer {digest} of the base has the media type {media_type}, {why}")]
    LayerType {
        /// The digest of the layer.
        digest: String,
        /// The media type in the manifest.
        media_type: String,
        /// The reason why it is not supported.
        why: &'static str,
    },
    /// The base has no user or group with this name.
    #[error("{file} of the base has no {kind} `{name}`, the owner of {path}")]
    Owner {
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
        /// `user` or `group`.
        kind: &'static str,
        /// The name of the user or group.
        name: String,
        /// The target of the file.
        path: String,
    },
    /// A parent of the target exists in the base but is not a directory.
    #[error("{path} cannot be placed: {above} is not a directory in the base")]
    NotADirectory {
        /// The target of the file.
        path: String,
        /// The parent that is not a directory.
        above: String,
    },
    /// The target is a directory, so a file or link cannot be placed there.
    #[error("`{origin}` cannot be placed at {path}: this is a directory of the image")]
    IsADirectory {
        /// The source of the file.
        origin: String,
        /// The target of the file.
        path: String,
    },
    /// Two sources have the same target after the links and directories of the base are resolved.
    #[error("{}", crate::resolve::files::same_target(first, second, path))]
    SameTarget {
        /// The earlier source.
        first: String,
        /// The later source.
        second: String,
        /// The target in the image, links followed.
        path: String,
    },
    /// Symbolic links of the base form a loop, or the chain of links is too long.
    #[error("{0} leads through too many symbolic links in the base")]
    LinkLoop(String),
    /// Docker's schema 2 has no media type for zstd.
    #[error("the base has Docker's schema 2 format, which does not support zstd layers")]
    ZstdInSchema2,
    /// A certificate in the base cannot be parsed.
    #[error("the certificate {0} cannot be read")]
    Certificate(String),
}

impl Error {
    /// Returns hints for the user.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::NeedsExecution(needs) => needs.hints(),
            Self::Owner { .. } => vec![
                "write numbers, such as owner = \"10001:10001\": names are looked up in the base, before packages \
                 are installed and steps are run"
                    .to_owned(),
            ],
            Self::IsADirectory { path, .. } => {
                vec![format!("write the file name: target = \"{path}/NAME\"")]
            }
            Self::SameTarget { .. } => {
                vec!["remove one of them, or give it another target".to_owned()]
            }
            Self::ZstdInSchema2 => vec![
                "set format = \"oci\" in [workspace] to publish an OCI image".to_owned(),
                "or keep compression = \"gzip\"".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}
