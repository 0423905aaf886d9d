//! Destinations that are not a registry: the OCI layout directory and the docker archive.

pub mod archive;
pub mod blobs;
pub mod destination;
pub mod error;
pub mod layout;

pub use blobs::Blobs;
pub use destination::{Destination, Written};
pub use error::Error;
