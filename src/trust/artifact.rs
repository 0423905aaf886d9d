//! The artifacts that golden attaches to images, each with the manifest that makes it a referrer.

use std::collections::BTreeMap;

use super::bundle::{BUNDLE, KEY_HINT, PREDICATE_TYPE};
use super::{PublicKey, envelope};
use crate::oci::artifact::referring_manifest;
use crate::oci::{Descriptor, RawManifest};

/// The annotation with the predicate type of any statement, signed or not.
pub const IN_TOTO_TYPE: &str = "in-toto.io/predicate-type";

/// An artifact that refers to an image.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// The descriptor of the content.
    pub blob: Descriptor,
    /// The content, as bytes.
    pub content: Vec<u8>,
    /// The manifest that refers to the image.
    pub manifest: RawManifest,
}

/// The image that an artifact refers to, and the time of the artifact.
#[derive(Debug, Clone, Copy)]
pub struct ArtifactSubject<'a> {
    /// The manifest of the image.
    pub subject: &'a Descriptor,
    /// The time in RFC 3339.
    pub created: &'a str,
}

impl Artifact {
    /// A bundle. It encloses a statement with the predicate type `predicate_type`. `key` is the key,
    /// if golden made the bundle.
    #[must_use]
    pub fn bundle(
        content: Vec<u8>,
        predicate_type: &str,
        key: Option<&PublicKey>,
        target: ArtifactSubject<'_>,
    ) -> Self {
        let mut annotations = BTreeMap::from([
            ("dev.sigstore.bundle.content", "dsse-envelope".to_owned()),
            (PREDICATE_TYPE, predicate_type.to_owned()),
            (IN_TOTO_TYPE, predicate_type.to_owned()),
        ]);
        if let Some(key) = key {
            annotations.insert(KEY_HINT, key.hint());
        }
        Self::new(content, BUNDLE, annotations, target)
    }

    /// A statement that is not signed.
    #[must_use]
    pub fn statement(content: Vec<u8>, predicate_type: &str, target: ArtifactSubject<'_>) -> Self {
        let annotations = BTreeMap::from([(IN_TOTO_TYPE, predicate_type.to_owned())]);
        Self::new(content, envelope::IN_TOTO, annotations, target)
    }

    /// A document of a media type, such as a bill of materials.
    #[must_use]
    pub fn document(content: Vec<u8>, media_type: &str, target: ArtifactSubject<'_>) -> Self {
        Self::new(content, media_type, BTreeMap::new(), target)
    }

    fn new(
        content: Vec<u8>,
        media_type: &str,
        mut annotations: BTreeMap<&str, String>,
        target: ArtifactSubject<'_>,
    ) -> Self {
        let ArtifactSubject { subject, created } = target;
        annotations.insert("org.opencontainers.image.created", created.to_owned());
        let blob = Descriptor::of(media_type, &content);
        let manifest = referring_manifest(media_type, &blob, subject, &annotations);
        Self {
            blob,
            content,
            manifest,
        }
    }
}
