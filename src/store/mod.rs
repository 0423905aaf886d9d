//! Local destinations for images: the OCI layout directory and the docker archive.

pub mod archive;
pub mod destination;
pub mod error;
pub mod layout;
mod named;
pub mod oci_archive;

pub use destination::{LocalDestination, NamedImage};
pub use error::Error;

/// Makes the file readable for everyone. Temporary files are readable only for their owner.
#[cfg(unix)]
fn share(path: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn share(_: &std::path::Path) -> std::io::Result<()> {
    Ok(())
}
