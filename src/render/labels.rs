//! Labels that are not in the Dockerfile.

use std::collections::BTreeMap;

use super::Recipe;

/// Labels that travel as the API's `labels` parameter: those whose value is known only when the base is pinned or
/// that are no part of the image's identity (created, revision, source, base.name, base.digest,
/// `dev.golden.inputs`), and those whose text a Dockerfile cannot hold.
#[must_use]
pub fn late_labels(_recipe: &Recipe) -> BTreeMap<String, String> {
    todo!()
}
