//! The certificates that bills of materials list.

/// Directories of certificates that were added to the trust store of a distribution.
const DIRECTORIES: [&str; 3] = [
    "usr/local/share/ca-certificates/",
    "etc/pki/ca-trust/source/anchors/",
    "etc/pki/trust/anchors/",
];

/// True if the path is that of a certificate that was added to the trust store.
pub(super) fn is_certificate(path: &str) -> bool {
    DIRECTORIES.iter().any(|above| path.starts_with(above))
}
