//! Signs images in a registry, attaches statements to them, and verifies their signatures. The formats
//! are in `trust`; this module reads keys, runs key plugins, and transfers artifacts.

pub mod attach;
pub mod attest;
pub mod check;
pub(crate) mod cosign;
mod error;
pub mod expected;
pub mod lifecycle;
mod signer;
mod statements;
pub mod verifier;

pub use attach::{NewArtifacts, attach, subjects};
pub use attest::{AttachedBundle, Claim, attach_bundle, attest};
pub use check::{FoundSignature, signatures, simple_tag};
pub use error::Error;
pub use expected::{Expected, ExpectedSignatures, Missing, missing, predicate_of};
pub use lifecycle::{announce, announcements, keys_with_own};
pub use signer::{AskPassword, KeyReader, PASSWORDS, Signer, given_password};
pub use statements::{FoundStatement, statements};

use crate::config_files::SignatureFormat;

/// The signing key of a run, and the formats to sign in.
#[derive(Debug)]
pub struct Signing {
    /// The key.
    pub signer: Signer,
    /// The formats of signatures.
    pub formats: Vec<SignatureFormat>,
}
