//! Tests of the system bundle of certificates.

use std::collections::BTreeMap;

use super::ImageFacts;
use super::file::content_at;
use super::verdict::Mismatch;
use crate::assemble::certificates::{BUNDLES, certificates_in};
use crate::inventory::ImageFiles;
use crate::reference::Digest;
use crate::resolve::image::Certificate;

/// The path and the content of the bundle that programs find first.
fn bundle(files: &ImageFiles) -> Option<(String, Digest, u64)> {
    BUNDLES.iter().find_map(|path| {
        let path = format!("/{path}");
        let (digest, size) = content_at(files, &path)?;
        Some((path, digest, size))
    })
}

/// The bundle.
pub(super) fn needed(files: &ImageFiles) -> BTreeMap<Digest, u64> {
    let bundle = bundle(files).into_iter();
    bundle.map(|(_, digest, size)| (digest, size)).collect()
}

/// The certificates that the bundle lacks.
pub(super) fn mismatches(certificates: &[Certificate], facts: &ImageFacts<'_>) -> Vec<Mismatch> {
    let trusted = |found: String| Mismatch::new("trusted", "in the system bundle", found);
    let Some((path, digest, _)) = bundle(facts.files) else {
        return vec![trusted(
            "the image has no bundle of certificates".to_owned(),
        )];
    };
    let Some(bytes) = facts.contents.get(&digest) else {
        return vec![trusted(format!("{path} is too large to be read"))];
    };
    let known = certificates_in(bytes);
    let missing = certificates
        .iter()
        .filter(|certificate| !known.contains(&certificate.der));
    let missing = missing
        .map(|certificate| trusted(format!("{path} does not contain `{}`", certificate.subject)));
    missing.collect()
}
