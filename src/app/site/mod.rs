//! The data of `golden report`: everything that its pages show about the images of a workspace.

mod base;
mod content;
pub mod data;
pub mod files;
mod lineage;
mod read;
mod repositories;

pub use data::SiteReport;
pub use read::gather;
