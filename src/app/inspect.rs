//! Reads everything that is shown about an image.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::error::Error;
use super::referrers::{ReferrerNode, ReferrerReader, ReferrersOfImage};
use super::scope::CommandScope;
use crate::config_files::base::LayoutSpec;
use crate::image::{Described, RepositoryInventory, describe};
use crate::observe::Absent;
use crate::oci::Descriptor;
use crate::oci::artifact::ArtifactKind;
use crate::platform::Platform;
use crate::reference::Digest;
use crate::store::layout::LayoutReader;

/// An image or artifact, with everything that is shown about it.
#[derive(Debug, Serialize)]
pub struct Inspected {
    /// The reference, as the user wrote it or in full.
    pub reference: String,
    /// The digest of the manifest or index.
    pub digest: Digest,
    /// The kind of the manifest.
    pub kind: ArtifactKind,
    /// The media type of the manifest.
    pub media_type: String,
    /// The size with all blobs, in bytes.
    pub size: u64,
    /// The creation time in the config.
    pub created: Option<String>,
    /// All tags that point to this digest, including the requested one; in a layout, all names.
    pub tags: Vec<String>,
    /// The manifest or index, as JSON.
    pub manifest: Value,
    /// The images: one, or those of an index.
    pub images: Vec<InspectedImage>,
    /// The artifacts that refer to this digest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<ReferrerNode>,
    /// The images of an index that other artifacts refer to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referrers_of_images: Vec<ReferrersOfImage>,
    /// The blobs of an artifact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Descriptor>,
}

/// One image of the reference; an index has several.
#[derive(Debug, Serialize)]
pub struct InspectedImage {
    /// The platform of the image.
    pub platform: Platform,
    /// The digest of the manifest.
    pub digest: Digest,
    /// The image config.
    pub config: Value,
    /// The labels of the config.
    pub labels: BTreeMap<String, String>,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// Reads an image from an OCI layout.
pub async fn layout(written: &str, cwd: &Path) -> Result<Inspected, Error> {
    let LayoutSpec {
        directory,
        name,
        digest,
    } = written.parse().map_err(Error::invalid)?;
    let layout = LayoutReader::open(&cwd.join(directory))?;
    let (top, names) = layout.find(name.as_deref(), digest.as_ref())?;
    Ok(inspected(
        written.to_owned(),
        &layout.describe(&top).await?,
        names,
    ))
}

/// Reads an image from a registry.
pub async fn registry(written: &str, scope: &CommandScope) -> Result<Inspected, Error> {
    let (repo, reference) = scope.repo(written)?;
    let Some(described) = describe(&repo, reference.target()).await? else {
        return Err(Box::new(Absent::find(&repo, &reference).await).into());
    };
    let tags = RepositoryInventory::tags(&repo).await?;
    let same = tags
        .iter()
        .filter(|(_, found)| found.digest == described.raw.digest);
    let inspected = inspected(
        reference.to_string(),
        &described,
        same.map(|(tag, _)| tag.to_string()).collect(),
    );
    let reader = ReferrerReader::new(&repo, tags.keys());
    Ok(Inspected {
        referrers: reader.of_digest(&described.raw.digest).await?,
        referrers_of_images: reader.of_images(&described.raw).await?,
        ..inspected
    })
}

fn inspected(reference: String, described: &Described, tags: Vec<String>) -> Inspected {
    let images = described.images.iter().map(|image| InspectedImage {
        platform: image.platform.clone(),
        digest: image.digest.clone(),
        config: Value::Object(image.config.as_object().clone()),
        labels: image.config.labels(),
        layers: image.manifest.layers.clone(),
    });
    Inspected {
        reference,
        digest: described.raw.digest.clone(),
        kind: described.kind.clone(),
        media_type: described.raw.media_type.clone(),
        size: described.size(),
        created: described.created().map(str::to_owned),
        tags,
        manifest: serde_json::from_slice(&described.raw.bytes).unwrap_or_default(),
        images: images.collect(),
        referrers: Vec::new(),
        referrers_of_images: Vec::new(),
        blobs: described.artifact_blobs(),
    }
}
