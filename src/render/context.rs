//! The build context that is sent to a Docker Engine. A recipe always gives the same bytes.

use super::Recipe;
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};

/// The name of the Dockerfile in the context.
pub const DOCKERFILE: &str = "Dockerfile";

/// All entries of the context, including the Dockerfile, sorted by path.
#[must_use]
pub fn entries(recipe: &Recipe) -> Vec<Entry> {
    let mut entries = recipe.rendered.context.clone();
    let kind = EntryKind::File(Content::inline(recipe.rendered.dockerfile.as_bytes()));
    entries.push(Entry {
        path: DOCKERFILE.to_owned(),
        mode: 0o644,
        uid: 0,
        gid: 0,
        kind,
    });
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}
