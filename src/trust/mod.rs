//! Signatures: keys, payloads, envelopes and bundles. Pure functions over bytes; the module
//! `signing` transfers them.

pub mod artifact;
pub mod bundle;
mod der;
mod encrypted;
pub mod envelope;
pub mod key;
mod key_error;
pub mod lifecycle;
pub mod plugin;
pub mod provenance;
pub mod refusal;
pub mod simple;
pub mod statement;
pub mod summary;

pub use artifact::Artifact;
pub use key::{KeyError, PrivateKey, PublicKey, StoredKey};
pub use refusal::Refusal;

#[cfg(test)]
mod tests;
