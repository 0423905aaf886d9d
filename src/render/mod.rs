//! Rendering: a [`ResolvedImage`] becomes a Dockerfile and a build context. Pure, offline and stable: the same
//! image gives the same bytes everywhere.

use std::collections::BTreeMap;

use crate::oci::tar::Entry;
use crate::reference::Digest;
pub use crate::resolve::PinnedBase;
use crate::resolve::ResolvedImage;

/// What rendering makes; needs no network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The Dockerfile.
    pub dockerfile: String,
    /// The entries of the build context, sorted by path, without the Dockerfile.
    pub context: Vec<Entry>,
    /// Build arguments with values that the Dockerfile cannot hold (env with line breaks or beyond 60 kB).
    pub build_args: BTreeMap<String, String>,
    /// Labels whose text a Dockerfile cannot hold; they travel as the API's `labels` parameter.
    pub api_labels: BTreeMap<String, String>,
}

/// All that an engine needs to build an image, and the fingerprint of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The image.
    pub image: ResolvedImage,
    /// Its base.
    pub base: PinnedBase,
    /// Its Dockerfile and context.
    pub rendered: Rendered,
    /// `dev.golden.inputs`: the digest of all that went into the image (7-rules 1).
    pub inputs: Digest,
}

/// The labels that are not in the Dockerfile and travel as the engine API's `labels` parameter (7-rules 12).
#[must_use]
pub fn late_labels(recipe: &Recipe) -> BTreeMap<String, String> {
    let mut labels = recipe.rendered.api_labels.clone();
    labels.insert("dev.golden.inputs".to_owned(), recipe.inputs.to_string());
    labels
}
