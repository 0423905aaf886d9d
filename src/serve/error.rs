//! Errors of the registry server.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The reason why the registry does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry cannot listen on the address.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// Other machines could reach the registry without a login or without encryption.
    #[error(
        "refusing to listen on {0} without TLS and a login: other machines can reach that address"
    )]
    Exposed(SocketAddr),
    /// A file or directory cannot be used.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// A verb such as `read` or `create`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The directory is not an OCI layout.
    #[error("{} is not an OCI layout: {what}", path.display())]
    NotALayout {
        /// The directory to serve.
        path: PathBuf,
        /// The reason, such as a missing file.
        what: String,
    },
    /// The directory is a file.
    #[error("{} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A directory without images cannot be cleaned up.
    #[error("{} is not the directory of a registry: it has no file oci-layout", .0.display())]
    NoStore(PathBuf),
    /// A line of the htpasswd file is not valid.
    #[error("{}:{line}: {what}", path.display())]
    Users {
        /// The htpasswd file.
        path: PathBuf,
        /// The line number, from 1.
        line: usize,
        /// The violated rule.
        what: &'static str,
    },
    /// The certificate or its key is not valid.
    #[error("cannot use the certificate {}: {what}", path.display())]
    Certificate {
        /// The file with the certificate or the key.
        path: PathBuf,
        /// The reason.
        what: String,
    },
}

impl Error {
    /// Hints for the user: what to type next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
                vec![format!(
                    "choose another port: --addr {}:{}",
                    address.ip(),
                    address.port().wrapping_add(1)
                )]
            }
            Self::Exposed(_) => {
                vec![
                    "add --htpasswd FILE, --tls-cert FILE and --tls-key FILE, or listen on 127.0.0.1"
                        .to_owned(),
                ]
            }
            Self::Users { .. } => {
                vec!["create the file with: htpasswd -Bbn USER PASSWORD".to_owned()]
            }
            Self::NotALayout { .. } | Self::NotADirectory(_) => {
                vec!["choose an empty directory, or one that does not exist".to_owned()]
            }
            Self::NoStore(_) => {
                vec!["name the directory that `golden serve DIR` serves".to_owned()]
            }
            Self::Listen { .. } | Self::File { .. } | Self::Certificate { .. } => Vec::new(),
        }
    }

    /// True if the user must correct the command line or a file that it names.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Listen { .. } | Self::File { .. })
    }
}
