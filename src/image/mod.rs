//! An image or an index, independent of its location: a registry, an OCI layout, or the cache of a
//! base.
//!
//! A [`Source`] reads the manifests and configs of one location. [`Tree`] is the only walk through
//! nested indexes.

mod ahead;
mod blobs;
mod cached;
mod check;
mod config;
mod content;
mod contents;
mod copy;
mod describe;
mod error;
mod files;
mod inventory;
mod lineage;
mod select;
mod source;
#[cfg(test)]
mod tests;
mod tree;

pub use blobs::{Blobs, LayerBlob};
pub use cached::CachedConfigs;
pub use check::{Damage, check, missing};
pub(crate) use config::METADATA_LIMIT;
pub use config::{VERSION, config, first_config};
pub use content::{Predecessor, UploadSet};
pub use copy::{BlobCounts, copy, would_copy};
pub use describe::{Described, DescribedImage, describe};
pub use error::{Error, Unfit};
pub use files::{FileReader, LayerError};
pub use inventory::RepositoryInventory;
pub use lineage::{BASE_DIGEST, BASE_NAME, Evidence, LabelledBase, Lineage};
pub(crate) use select::name_variant;
pub use select::{ChosenImage, choose, platforms, single};
pub use source::Source;
pub use tree::{Follow, Tree, children};
