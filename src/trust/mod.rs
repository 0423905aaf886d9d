//! Signatures: keys, payloads, envelopes and bundles. Pure functions over bytes; the module
//! `signing` transfers them.

pub mod bundle;
mod der;
mod encrypted;
pub mod envelope;
pub mod key;
pub mod plugin;
pub mod refusal;
pub mod simple;
pub mod source;
pub mod statement;

pub use key::{KeyError, PrivateKey, PublicKey, StoredKey};
pub use refusal::Refusal;
pub use source::KeySource;

#[cfg(test)]
mod tests;
