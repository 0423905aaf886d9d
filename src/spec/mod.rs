//! What the user wrote: golden.toml and image.toml (1-spec), read into types that cannot be wrong.
//!
//! A file is first a tree of values ([`document`]) that remember where they stand. Defaults, the matrix and
//! templates work on trees (`resolve`); then [`typed`] turns a tree into the shapes of [`image`] and [`workspace`]
//! and finds everything that does not fit, at its place. The JSON Schema is made from the same shapes.

pub mod base;
pub mod config;
pub mod document;
pub mod image;
pub mod keyed;
pub mod matrix;
pub mod places;
pub mod policy;
pub mod schema;
pub mod typed;
pub mod values;
pub mod workspace;

pub use image::ImageSpec;
pub use workspace::WorkspaceSpec;
