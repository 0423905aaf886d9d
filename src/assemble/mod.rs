//! Assembling an image without executing anything (the pure part of the embedded engine): a base's manifest and
//! config, what is known of its file tree, and a [`ResolvedImage`](crate::resolve::ResolvedImage) become layers,
//! a config and a manifest. Nothing is read or written here; what must first be read of the base is asked for
//! with [`Stop::Unread`].

pub mod base;
pub mod certificates;
pub mod error;
pub mod execution;
pub mod files;
pub mod image;
pub mod overlay;
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
pub use plan::{Assembly, NewLayer, Output, assemble, trust};
pub use traits::{Traits, traits};
