//! `index.json` of an OCI image layout: finds the manifest of a name (OCI image spec,
//! image-layout.md).

use super::{Descriptor, Index};
use crate::reference::Digest;

/// The annotation with the name of an image in a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The reason why an image is not found in a layout.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `index.json` is not a valid index.
    #[error("its index.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// No image has the name or the digest.
    #[error("it has no image {wanted}; it has {has}")]
    Missing {
        /// The requested name and digest.
        wanted: String,
        /// The names of the available images.
        has: String,
    },
    /// Several images match.
    #[error("it has several images, so the base must name one: {has}")]
    Several {
        /// The names of the matching images.
        has: String,
    },
}

/// Finds the image with the name and the digest, as far as they are given. Fails unless exactly one
/// image matches.
pub fn find(
    index: &[u8],
    name: Option<&str>,
    digest: Option<&Digest>,
) -> Result<Descriptor, Error> {
    let index: Index = serde_json::from_slice(index)?;
    let is_match = |entry: &&Descriptor| {
        name.is_none_or(|name| name_of(entry) == Some(name))
            && digest.is_none_or(|digest| entry.digest == *digest)
    };
    let mut found: Vec<&Descriptor> = index.manifests.iter().filter(is_match).collect();
    found.dedup_by_key(|entry| &entry.digest);
    match found.as_slice() {
        [entry] => Ok((*entry).clone()),
        [] => {
            let parts = [
                name.map(|name| format!("`{name}`")),
                digest.map(ToString::to_string),
            ];
            let wanted = parts
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(" with the digest ");
            Err(Error::Missing {
                wanted,
                has: list(&index.manifests),
            })
        }
        several => Err(Error::Several {
            has: list(several.iter().copied()),
        }),
    }
}

fn name_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(REF_NAME).map(String::as_str)
}

/// The names of the images, or else their digests.
fn list<'a>(entries: impl IntoIterator<Item = &'a Descriptor>) -> String {
    let shown = |entry: &'a Descriptor| {
        name_of(entry).map_or_else(|| format!("@{}", entry.digest), str::to_owned)
    };
    let shown: Vec<String> = entries.into_iter().map(shown).collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(images: &[(&str, Option<&str>)]) -> Vec<u8> {
        let entry = |(content, name): &(&str, Option<&str>)| {
            let mut descriptor = Descriptor::of(
                "application/vnd.oci.image.manifest.v1+json",
                content.as_bytes(),
            );
            descriptor
                .annotations
                .extend(name.map(|name| (REF_NAME.to_owned(), name.to_owned())));
            descriptor
        };
        let entries: Vec<Descriptor> = images.iter().map(entry).collect();
        serde_json::to_vec(&serde_json::json!({ "schemaVersion": 2, "manifests": entries }))
            .unwrap()
    }

    #[test]
    fn a_name_or_a_digest_selects_one_image() {
        let two = index(&[("a", Some("team/app:1.0")), ("b", None)]);
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        assert_eq!(find(&two, Some("team/app:1.0"), None).unwrap().digest, a);
        assert_eq!(find(&two, None, Some(&b)).unwrap().digest, b);
        assert_eq!(
            find(&two, Some("team/app:1.0"), Some(&a)).unwrap().digest,
            a
        );
        assert_eq!(
            find(&index(&[("a", None), ("a", Some("x"))]), None, None)
                .unwrap()
                .digest,
            a
        );
        let table = [
            (
                None,
                None,
                format!("it has several images, so the base must name one: team/app:1.0, @{b}"),
            ),
            (
                Some("app"),
                None,
                format!("it has no image `app`; it has team/app:1.0, @{b}"),
            ),
            (
                Some("team/app:1.0"),
                Some(&b),
                format!(
                    "it has no image `team/app:1.0` with the digest {b}; it has team/app:1.0, @{b}"
                ),
            ),
        ];
        for (name, digest, message) in table {
            assert_eq!(find(&two, name, digest).unwrap_err().to_string(), message);
        }
        assert_eq!(
            find(&index(&[]), Some("x"), None).unwrap_err().to_string(),
            "it has no image `x`; it has none"
        );
        let error = find(b"{}", None, None).unwrap_err().to_string();
        assert!(
            error.starts_with("its index.json cannot be read: missing field"),
            "{error}"
        );
    }
}
