//! A local registry: serves one OCI image layout with the OCI distribution API 1.1.
//!
//! The directory is a normal OCI layout: `golden build --to oci:DIR`, skopeo and oras can read and
//! write it. Each manifest of each repository is one entry of `index.json`, with the name
//! `REPOSITORY:TAG`, or `REPOSITORY@DIGEST` if no tag points to it. All repositories share the
//! blobs. `index` contains the entries, `store` the directory, and one file per resource of the API
//! handles its requests.
//!
//! It is not a registry for production: it has one list of users, and each of them has all rights.

mod access;
mod answer;
mod blobs;
mod collect;
mod connection;
mod error;
mod index;
mod lists;
mod manifests;
mod query;
mod range;
mod referrers;
mod route;
mod service;
mod sessions;
mod store;
mod uploads;

pub use access::Users;
pub use collect::Collected;
pub use connection::{Listening, address, listen};
pub use error::Error;
pub use service::{ServeRules, Service};
pub use store::Store;
