//! From what the user wrote to what it means: defaults merged, the matrix unrolled, templates filled in.

pub mod destination;
pub mod image;
pub mod pin;

pub use destination::Destination;
pub use image::ResolvedImage;
pub use pin::PinnedBase;
