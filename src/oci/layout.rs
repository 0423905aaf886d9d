//! `index.json` of an OCI image layout: which manifest a name means (OCI image spec, image-layout.md).

use super::{Descriptor, Index};
use crate::reference::Digest;

/// The annotation that names an image within a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Why a layout has no such image.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not an index.
    #[error("its index.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// No image of that name, or with that digest.
    #[error("it has no image {wanted}; it has {has}")]
    Missing {
        /// What was asked for.
        wanted: String,
        /// What there is.
        has: String,
    },
    /// Several images, and nothing says which.
    #[error("it has several images, so that the base must name one: {has}")]
    Several {
        /// What there is.
        has: String,
    },
}

/// The image that a name and a digest, where they are given, mean; the only one without.
pub fn find(
    index: &[u8],
    name: Option<&str>,
    digest: Option<&Digest>,
) -> Result<Descriptor, Error> {
    let index: Index = serde_json::from_slice(index)?;
    let fits = |entry: &&Descriptor| {
        name.is_none_or(|name| name_of(entry) == Some(name))
            && digest.is_none_or(|digest| entry.digest == *digest)
    };
    let mut found: Vec<&Descriptor> = index.manifests.iter().filter(fits).collect();
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

/// Images by their names, or else by their digests.
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
        let line = |(content, name): &(&str, Option<&str>)| {
            let mut descriptor = Descriptor::of(
                "application/vnd.oci.image.manifest.v1+json",
                content.as_bytes(),
            );
            descriptor
                .annotations
                .extend(name.map(|name| (REF_NAME.to_owned(), name.to_owned())));
            descriptor
        };
        let lines: Vec<Descriptor> = images.iter().map(line).collect();
        serde_json::to_vec(&serde_json::json!({ "schemaVersion": 2, "manifests": lines })).unwrap()
    }

    #[test]
    fn a_name_or_a_digest_means_one_image() {
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
                format!(
                    "it has several images, so that the base must name one: team/app:1.0, @{b}"
                ),
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
