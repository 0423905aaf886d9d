//! What the user wrote: golden.toml and image.toml (1-spec), read into types that cannot be wrong.
//!
//! A file is first a [`Document`]: a tree of values that remember where they stand. Defaults, the matrix and
//! templates work on trees (`resolve`); then [`typed`] turns a tree into the shapes of [`image`] and [`workspace`]
//! and finds everything that does not fit, at its place. The JSON Schema is made from the same shapes.

pub mod base;
pub mod config;
pub mod image;
pub mod matrix;
pub mod policy;
pub mod values;
pub mod workspace;

pub use image::ImageSpec;
pub use workspace::WorkspaceSpec;
