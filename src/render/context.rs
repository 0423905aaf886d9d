//! The build context: what a Docker Engine is given to build from.

use super::Recipe;
use crate::oci::tar::Entry;

/// The Dockerfile's name in the context.
pub const DOCKERFILE: &str = "Dockerfile";

/// All entries of the context, the Dockerfile among them, sorted by path.
#[must_use]
pub fn entries(_recipe: &Recipe) -> Vec<Entry> {
    todo!()
}
