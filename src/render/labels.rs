//! The labels that are not in the Dockerfile.

use std::collections::BTreeMap;

use super::{PinnedBase, Recipe, Rendered};
use crate::oci::rfc3339;
use crate::reference::Digest;
use crate::resolve::ResolvedImage;

pub use crate::resolve::labels::{INPUTS, SPEC_INPUTS};

/// The labels that are sent in the `labels` parameter of the build API: labels whose value is known
/// only when the base is pinned, labels that are not part of the image's identity, and labels that
/// a Dockerfile cannot hold.
///
/// A label that the spec sets or removes is not filled in. `parent` is the published digest of a
/// base in the same workspace, if it is published.
#[must_use]
pub fn late_labels(recipe: &Recipe, parent: Option<&Digest>) -> BTreeMap<String, String> {
    let (name, digest) = base(&recipe.base, parent);
    let of_base = [("base.name", name), ("base.digest", digest)];
    let mut labels = filled_in(&recipe.image, &recipe.rendered, of_base.into_iter());
    labels.insert(INPUTS.to_owned(), recipe.inputs.to_string());
    labels.insert(SPEC_INPUTS.to_owned(), recipe.spec_inputs.to_string());
    labels
}

/// Like [`late_labels`] for an unknown base: without the labels for its name, its digest and the
/// inputs.
#[must_use]
pub fn late_labels_without_base(
    image: &ResolvedImage,
    rendered: &Rendered,
) -> BTreeMap<String, String> {
    filled_in(image, rendered, std::iter::empty())
}

fn filled_in<'a>(
    image: &ResolvedImage,
    rendered: &Rendered,
    of_base: impl Iterator<Item = (&'a str, Option<String>)>,
) -> BTreeMap<String, String> {
    let provenance = &image.provenance;
    let filled = [
        ("created", Some(rfc3339(provenance.created))),
        ("revision", provenance.revision.clone()),
        ("source", provenance.source.clone()),
    ];
    let mut labels = rendered.api_labels.clone();
    for (key, value) in filled.into_iter().chain(of_base) {
        let key = format!("org.opencontainers.image.{key}");
        if let Some(value) = value
            && !image.labels.contains_key(&key)
            && !image.suppressed_labels.contains(&key)
        {
            labels.insert(key, value);
        }
    }
    labels
}

/// The name and the digest of the base. A base that is in no registry has no digest that a reader
/// could look up. Its digest is then the empty string, which replaces the inherited label: that one
/// would name the base of the base.
fn base(base: &PinnedBase, published: Option<&Digest>) -> (Option<String>, Option<String>) {
    match base {
        PinnedBase::Scratch => (None, None),
        PinnedBase::Registry {
            reference, digest, ..
        } => (Some(reference.to_string()), Some(digest.to_string())),
        PinnedBase::Layout(layout) => (
            Some(layout.written.clone()),
            Some(layout.digest.to_string()),
        ),
        PinnedBase::Local { reference, .. } => (Some(reference.to_string()), Some(String::new())),
        PinnedBase::Workspace { parent, .. } => (
            Some(parent.clone()),
            Some(published.map(Digest::to_string).unwrap_or_default()),
        ),
    }
}
