//! From what the user wrote to what it means: defaults merged, the matrix unrolled, templates filled in.

pub mod image;

pub use image::ResolvedImage;
