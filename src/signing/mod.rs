//! Signs images in a registry, and verifies their signatures. The formats are in `trust`; this
//! module reads keys, runs key plugins, and transfers signatures.

pub mod attach;
pub mod attest;
pub mod check;
pub(crate) mod cosign;
mod error;
mod signer;

pub use attach::{Attached, attach, lacking, subjects};
pub use attest::{AttachedBundle, Claim, attach_bundle, attest};
pub use check::{FoundSignature, signatures, simple_tag};
pub use error::Error;
pub use signer::{AskPassword, KeyReader, PASSWORDS, Signer, given_password};

use crate::config_files::SignatureFormat;

/// The signing key of a run, and the formats to sign in.
#[derive(Debug)]
pub struct Signing {
    /// The key.
    pub signer: Signer,
    /// The formats of signatures.
    pub formats: Vec<SignatureFormat>,
}
