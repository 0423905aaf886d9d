//! Why a directory cannot be served.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the registry does not start, or stops.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The requested address.
        address: SocketAddr,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// Other machines could reach it without a login or in clear text.
    #[error(
        "refusing to listen on {0} without TLS and a login: other machines can reach that address"
    )]
    Exposed(SocketAddr),
    /// A file or directory.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// Infinitive: read, create.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The directory holds something else.
    #[error("{} is not an OCI layout: {what}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A line of the file of users.
    #[error("{}:{line}: {what}", path.display())]
    Users {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The certificate or its key.
    #[error("cannot use the certificate {}: {what}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

impl Error {
    /// What to type next.
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
            Self::NotALayout { .. } => {
                vec!["name an empty directory, or one that does not exist".to_owned()]
            }
            Self::Listen { .. } | Self::File { .. } | Self::Certificate { .. } => Vec::new(),
        }
    }

    /// Whether the command line is wrong, rather than the machine.
    #[must_use]
    pub const fn is_usage(&self) -> bool {
        !matches!(self, Self::Listen { .. } | Self::File { .. })
    }
}
