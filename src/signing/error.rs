//! The reasons why an image cannot be signed.

use crate::reference::Reference;
use crate::trust::KeyError;
use crate::trust::plugin::PluginError;
use crate::{process, registry, workspace};

/// The reason why an image cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry could not be reached, or rejected the request.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The notation of the key is not valid.
    #[error(transparent)]
    Source(#[from] crate::config_files::key_source::Error),
    /// The file with the key cannot be read.
    #[error("the signing key cannot be read")]
    File(#[source] workspace::state::Error),
    /// The environment variable with the key is not set.
    #[error("the signing key env:{0} cannot be read: the environment variable is not set")]
    Unset(String),
    /// The key cannot be used.
    #[error("the signing key {key} cannot be used: {error}")]
    Key {
        /// The location of the key.
        key: String,
        /// The reason.
        error: KeyError,
    },
    /// The plugin cannot be started, or exceeds a limit.
    #[error("the key plugin {program} failed: {}", reason(.error))]
    Process {
        /// The name of the program.
        program: String,
        /// The reason.
        error: process::Error,
    },
    /// The answer of the plugin cannot be used.
    #[error("the key plugin {program} {error}")]
    Plugin {
        /// The name of the program.
        program: String,
        /// The reason.
        error: PluginError,
    },
    /// The signatures were written, but the registry serves other content.
    #[error("{0} does not keep the signature")]
    Unkept(Reference),
    /// The tag for signatures has other content.
    #[error("{0} has content other than signatures, so no signature can be added")]
    Occupied(Reference),
}

fn reason(error: &process::Error) -> String {
    if error.is_missing() {
        "the program is not in PATH".to_owned()
    } else {
        error.to_string()
    }
}

impl Error {
    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) => error.hints(),
            Self::Key { error, .. } => error.hint().map(str::to_owned).into_iter().collect(),
            Self::Unset(name) => vec![format!("set {name} to the text of the key file")],
            Self::Unkept(_) => vec!["run the same command again".to_owned()],
            Self::Occupied(reference) => vec![format!("`golden inspect {reference}` shows it")],
            Self::Source(_) | Self::File(_) | Self::Process { .. } | Self::Plugin { .. } => {
                Vec::new()
            }
        }
    }

    /// True if a setting of the user is wrong; false for a failure.
    #[must_use]
    pub const fn is_setting(&self) -> bool {
        matches!(self, Self::Source(_) | Self::Unset(_) | Self::Key { .. })
    }
}
