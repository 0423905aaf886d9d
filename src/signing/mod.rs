//! Signs images in a registry, and verifies their signatures. The formats are in `trust`; this
//! module reads keys, runs key plugins, and transfers signatures.

pub mod attach;
pub mod check;
pub(crate) mod cosign;
mod error;
mod signer;

pub use attach::{Attached, attach, subjects};
pub use check::{FoundSignature, SignatureFormat, signatures};
pub use error::Error;
pub use signer::{AskPassword, KeyReader, Signer};
