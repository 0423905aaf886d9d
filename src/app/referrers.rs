//! Lists the referrers of an image: signatures, bills of materials and other artifacts.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::located::manifest_of;
use super::scope::CommandScope;
use crate::image::children;
use crate::oci::artifact::ArtifactKind;
use crate::oci::{EntryRole, RawManifest};
use crate::reference::{Digest, Tag};
use crate::registry::Repo;
use crate::registry::referrers::tags_of_tools;

/// The levels of referrers of referrers that are read.
const DEEPEST: usize = 8;

/// An artifact that refers to a manifest.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferrerNode {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The type of the artifact.
    pub artifact_type: Option<String>,
    /// The kind of the artifact, such as a signature; `None` if the registry lists the artifact but
    /// does not have it.
    pub kind: Option<ArtifactKind>,
    /// The size of its manifest, in bytes.
    pub size: u64,
    /// The size of its content, in bytes.
    pub content_size: u64,
    /// The annotations of its manifest.
    pub annotations: BTreeMap<String, String>,
    /// The tag that a tool derived from the digest of the subject, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// The artifacts that refer to this one.
    pub referrers: Vec<Self>,
}

/// An image of an index, with its referrers.
#[derive(Debug, Serialize)]
pub struct ReferrersOfImage {
    /// The digest of the image.
    pub digest: Digest,
    /// The platform, if the index names one.
    pub platform: Option<String>,
    /// The artifacts that refer to the image.
    pub referrers: Vec<ReferrerNode>,
}

/// The referrers of an image, and of the images of an index.
#[derive(Debug, Serialize)]
pub struct ReferrerTree {
    /// The reference, in full.
    pub reference: String,
    /// The digest of the image or index.
    pub digest: Digest,
    /// The artifacts that refer to it.
    pub referrers: Vec<ReferrerNode>,
    /// The images of an index that have referrers.
    pub images: Vec<ReferrersOfImage>,
}

/// Reads the referrers of a reference, recursively. Fails if it does not exist.
pub async fn referrers(written: &str, scope: &CommandScope) -> Result<ReferrerTree, Error> {
    let (repo, reference) = scope.repo(written)?;
    let raw = manifest_of(&repo, &reference).await?;
    let tags = repo.tags().await?;
    let reader = ReferrerReader::new(&repo, &tags);
    Ok(ReferrerTree {
        reference: reference.to_string(),
        digest: raw.digest.clone(),
        referrers: reader.of_digest(&raw.digest).await?,
        images: reader.of_images(&raw).await?,
    })
}

/// Reads the referrers of the manifests of a repository.
pub(super) struct ReferrerReader<'a> {
    repo: &'a Repo,
    /// The tags of the repository that tools derive from digests.
    tags: BTreeSet<&'a Tag>,
}

impl<'a> ReferrerReader<'a> {
    /// A reader for a repository with these tags.
    pub(super) fn new(repo: &'a Repo, tags: impl IntoIterator<Item = &'a Tag>) -> Self {
        let tags = tags.into_iter();
        Self {
            repo,
            tags: tags
                .filter(|tag| ArtifactKind::of_tag(tag).is_some())
                .collect(),
        }
    }

    /// The referrers of the images of an index; images without referrers are omitted.
    pub(super) async fn of_images(
        &self,
        raw: &RawManifest,
    ) -> Result<Vec<ReferrersOfImage>, Error> {
        let mut images = Vec::new();
        let mut seen = BTreeSet::new();
        for child in children(raw) {
            if !seen.insert(child.digest.clone()) {
                continue;
            }
            let referrers = self.of_digest(&child.digest).await?;
            if !referrers.is_empty() {
                images.push(ReferrersOfImage {
                    platform: match child.role() {
                        EntryRole::Image(platform) => Some(platform.to_string()),
                        EntryRole::Unnamed | EntryRole::Other(_) => None,
                    },
                    digest: child.digest,
                    referrers,
                });
            }
        }
        Ok(images)
    }

    /// The referrers of a digest, recursively: those in the list of the registry or under the
    /// fallback tag, and the tags of cosign.
    pub(super) async fn of_digest(&self, digest: &Digest) -> Result<Vec<ReferrerNode>, Error> {
        let mut seen = BTreeSet::from([digest.clone()]);
        self.below(digest, &mut seen, DEEPEST).await
    }

    async fn below(
        &self,
        subject: &Digest,
        seen: &mut BTreeSet<Digest>,
        levels: usize,
    ) -> Result<Vec<ReferrerNode>, Error> {
        let mut nodes = self.direct(subject).await?;
        // A list may name an artifact twice, and a circle of referrers has no end.
        nodes.retain(|node| seen.insert(node.digest.clone()));
        if levels > 0 {
            for node in &mut nodes {
                node.referrers = Box::pin(self.below(&node.digest, seen, levels - 1)).await?;
            }
        }
        Ok(nodes)
    }

    async fn direct(&self, subject: &Digest) -> Result<Vec<ReferrerNode>, Error> {
        let mut nodes = Vec::new();
        for entry in self.repo.referrers(subject).await? {
            let listed = entry.descriptor;
            nodes.push(match self.repo.manifest(&listed.digest).await? {
                Some(raw) => node(&raw, None),
                None => ReferrerNode {
                    digest: listed.digest,
                    artifact_type: listed.artifact_type,
                    kind: None,
                    size: listed.size,
                    content_size: 0,
                    annotations: listed.annotations,
                    tag: None,
                    referrers: Vec::new(),
                },
            });
        }
        for tag in tags_of_tools(subject).into_iter().skip(1) {
            if self.tags.contains(&tag) {
                let raw = self.repo.manifest(&tag).await?;
                nodes.extend(raw.map(|raw| node(&raw, Some(tag))));
            }
        }
        Ok(nodes)
    }
}

fn node(raw: &RawManifest, tag: Option<Tag>) -> ReferrerNode {
    let value: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
    let text = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let layers = value["layers"].as_array().into_iter().flatten();
    let sizes = layers.filter_map(|layer| layer["size"].as_u64());
    let content = sizes.fold(0, u64::saturating_add);
    let annotations = value["annotations"].as_object().into_iter().flatten();
    let kind = match tag.as_ref().and_then(ArtifactKind::of_tag) {
        Some((kind, _)) => kind,
        None => ArtifactKind::of(raw),
    };
    ReferrerNode {
        digest: raw.digest.clone(),
        artifact_type: text("/artifactType")
            .or_else(|| tag.is_some().then(|| text("/layers/0/mediaType")).flatten())
            .or_else(|| text("/config/mediaType")),
        kind: Some(kind),
        size: raw.bytes.len() as u64,
        content_size: content,
        annotations: annotations
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        tag,
        referrers: Vec::new(),
    }
}
