//! Assembling an image without executing anything (the pure part of the embedded engine): a base's manifest and
//! config, what is known of its file tree, and a [`ResolvedImage`](crate::resolve::ResolvedImage) become layers,
//! a config and a manifest. Nothing is read or written here; what must first be read of the base is asked for
//! with [`Unread`].

pub mod execution;
pub mod image;

pub use execution::{NeedsExecution, can_assemble};
pub use image::{Assembled, AssembledImage, Layer, LayerSource};
