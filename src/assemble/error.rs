//! Why an image cannot be assembled, or not yet.

use super::execution::NeedsExecution;
use super::tree::Unread;

/// Why assembling stopped.
#[derive(Debug)]
pub enum AssembleStop {
    /// More of the base must be read; then try again.
    Unread(Unread),
    /// It cannot be done.
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

/// Why an image cannot be assembled. Each variant is one problem that a user can tell apart.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something must be executed.
    #[error(transparent)]
    NeedsExecution(#[from] NeedsExecution),
    /// The base's manifest or config contradicts itself, or is no image.
    #[error("the base is not an image that can be built on: {0}")]
    Base(String),
    /// A layer of the base is of a kind that golden cannot pass on.
    #[error("layer {digest} of the base has the media type {media_type}, {why}")]
    LayerType {
        /// The layer.
        digest: String,
        /// Its media type.
        media_type: String,
        /// What is wrong with that.
        why: &'static str,
    },
    /// A name that the base does not know.
    #[error("{file} of the base has no {kind} `{name}`, which owns {path}")]
    Owner {
        /// `/etc/passwd` or `/etc/group`.
        file: &'static str,
        /// `user` or `group`.
        kind: &'static str,
        /// The name.
        name: String,
        /// The file that it should own.
        path: String,
    },
    /// A directory above a file is something else in the base.
    #[error("{path} cannot be placed: {above} is not a directory in the base")]
    NotADirectory {
        /// The file to place.
        path: String,
        /// What is in its way.
        above: String,
    },
    /// A directory of the base has the place of a file or a link.
    #[error("`{origin}` cannot be placed at {path}: this is a directory of the image")]
    IsADirectory {
        /// The source of the file.
        origin: String,
        /// Its target.
        path: String,
    },
    /// Two sources for one target, which the links or directories of the base make one.
    #[error("{}", crate::resolve::files::same_target(first, second, path))]
    SameTarget {
        /// The earlier source.
        first: String,
        /// The later source.
        second: String,
        /// The target in the image, links followed.
        path: String,
    },
    /// Symbolic links of the base lead in a circle.
    #[error("{0} leads through too many symbolic links in the base")]
    LinkLoop(String),
    /// Schema 2 has no media type for zstd.
    #[error("the base is in Docker's schema 2 format, which has no layers compressed with zstd")]
    ZstdInSchema2,
    /// A certificate could not be read.
    #[error("the certificate {0} cannot be read")]
    Certificate(String),
}

impl Error {
    /// What to do about it.
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
                vec![format!("name the file: target = \"{path}/NAME\"")]
            }
            Self::SameTarget { .. } => {
                vec!["remove one of them, or give it another target".to_owned()]
            }
            Self::ZstdInSchema2 => vec![
                "write format = \"oci\" under [workspace], so that the image becomes an OCI image".to_owned(),
                "or leave compression at \"gzip\"".to_owned(),
            ],
            _ => Vec::new(),
        }
    }
}
