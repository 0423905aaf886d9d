//! An image and the references under which it is written.

use crate::assemble::Assembled;
use crate::reference::Reference;

/// An image, and its references in the layout or archive that it is written to.
#[derive(Debug, Clone)]
pub struct NamedImage<'a> {
    /// The image to write.
    pub image: &'a Assembled,
    /// The local references of the image, the most specific first.
    pub references: Vec<Reference>,
}
