//! An image with its names.

use crate::assemble::Assembled;
use crate::reference::Reference;

/// An image with its names at the destination.
#[derive(Debug, Clone)]
pub struct NamedImage<'a> {
    /// The image to write.
    pub image: &'a Assembled,
    /// The local references of the image, the most specific first.
    pub references: Vec<Reference>,
}
