//! Reads bake files (<https://docs.docker.com/build/bake/reference/>), in HCL and in JSON, and
//! Compose files: one target for each image.

mod compose;
mod expression;
mod file;
mod hcl;
mod target;
mod yaml;

pub use compose::parse_compose;
pub use file::{BakeError, parse_hcl, parse_json};
pub use target::BakeTarget;
