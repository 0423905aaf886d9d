//! A registry on this machine: the OCI distribution API 1.1 over one OCI image layout.
//!
//! The directory that is served is an OCI layout like any other: `golden build --to oci:DIR`, skopeo and oras read
//! and write it. Each manifest of each repository is one entry of `index.json`, named `REPOSITORY:TAG`, or
//! `REPOSITORY@DIGEST` if no tag points to it; all repositories share the blobs. `index` holds the entries, `store`
//! the directory, and one file for each noun of the API answers its requests.
//!
//! What this is not: a registry for production. It knows one list of users, who may all do everything.

mod access;
mod answer;
mod blobs;
mod collect;
mod connection;
mod error;
mod index;
mod lists;
mod manifests;
mod range;
mod referrers;
mod route;
mod service;
mod store;
mod uploads;

pub use access::Users;
pub use collect::Collected;
pub use connection::{Listening, listen};
pub use error::Error;
pub use service::ServeRules;
pub use store::Store;
