//! Assembles an image without executing anything (the pure part of the embedded engine). The input
//! is the base's manifest and config, the known part of its file tree, and a
//! [`ResolvedImage`](crate::resolve::ResolvedImage). The output is layers, a config and a manifest.
//! This module does no I/O: it requests missing parts of the base with [`AssembleStop::Unread`].

pub mod base;
pub mod certificates;
pub mod error;
pub mod execution;
pub mod files;
pub mod image;
pub mod json;
mod overlay;
pub mod owners;
pub mod plan;
pub mod runtime;
pub mod traits;
pub mod tree;

pub use base::BaseImage;
pub use error::{AssembleStop, Error};
pub use execution::{NeedsExecution, can_assemble};
pub use image::{Assembled, AssembledImage, Layer, LayerSource};
pub use overlay::TrustLayer;
pub use plan::{Assembly, CONFIG, NewLayer, OWN_LAYERS, Output, assemble, trust};
pub use traits::{Traits, traits};
