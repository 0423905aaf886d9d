//! Destinations that are not a registry: the OCI layout directory and the docker archive.

pub mod archive;
pub mod blobs;
pub mod destination;
pub mod error;
pub mod layout;

pub use blobs::Blobs;
pub use destination::{LocalDestination, NamedImage};
pub use error::Error;

/// Temporary files are for their owner alone; what is left behind is for all who may read the folder.
#[cfg(unix)]
fn share(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
