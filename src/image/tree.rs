//! An image or an index with all manifests below it. Indexes can be nested and can list a manifest
//! several times; each manifest is read once.

use std::collections::BTreeSet;

use super::{Error, Source};
use crate::oci::{Descriptor, EntryRole, ImageManifest, Manifest, RawManifest, media};
use crate::reference::Digest;

/// The maximum number of levels below the first manifest.
pub(super) const DEEPEST: usize = 8;

/// The entries of an index that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follow {
    /// Every entry.
    All,
    /// Images and nested indexes, without attestations and other artifacts.
    Images,
    /// Nested indexes.
    Indexes,
}

impl Follow {
    fn accepts(self, entry: &Descriptor) -> bool {
        match self {
            Self::All => true,
            Self::Images => !matches!(entry.role(), EntryRole::Other(_)),
            Self::Indexes => is_index(&entry.media_type),
        }
    }
}

/// A manifest with the manifests below it at all levels, each digest once.
#[derive(Debug)]
pub struct Tree {
    /// The manifest or index at the top.
    pub top: RawManifest,
    /// The manifests below it that the source has. A manifest comes after all manifests that it
    /// references.
    pub below: Vec<RawManifest>,
    /// The digests of the manifests that the source does not have.
    pub missing: Vec<Digest>,
}

impl Tree {
    /// Reads the manifests below `top`. Fails if the indexes are nested too deeply.
    pub async fn load<S: Source>(
        source: &S,
        top: RawManifest,
        follow: Follow,
    ) -> Result<Self, S::Error> {
        let (mut below, mut missing) = (Vec::new(), Vec::new());
        let mut seen = BTreeSet::from([top.digest.clone()]);
        let mut open = vec![(top.clone(), children(&top).into_iter())];
        while let Some((_, remaining)) = open.last_mut() {
            let Some(child) = remaining.next() else {
                below.extend(open.pop().map(|(manifest, _)| manifest));
                continue;
            };
            if !follow.accepts(&child) || !seen.insert(child.digest.clone()) {
                continue;
            }
            if open.len() > DEEPEST {
                return Err(source.unusable(&top.digest, Error::TooDeep));
            }
            match source.manifest(&child).await? {
                None => missing.push(child.digest),
                Some(manifest) => {
                    let entries = children(&manifest).into_iter();
                    open.push((manifest, entries));
                }
            }
        }
        // The last manifest is `top` itself.
        below.pop();
        Ok(Self {
            top,
            below,
            missing,
        })
    }

    /// Reads all manifests below `top`. Fails if the source lacks one.
    pub async fn whole<S: Source>(source: &S, top: RawManifest) -> Result<Self, S::Error> {
        let tree = Self::load(source, top, Follow::All).await?;
        match tree.missing.first() {
            Some(digest) => Err(source.missing(digest)),
            None => Ok(tree),
        }
    }

    /// All manifests. A manifest comes after all manifests that it references.
    pub fn children_first(&self) -> impl Iterator<Item = &RawManifest> {
        self.below.iter().chain([&self.top])
    }

    /// The manifests that are not indexes. Fails if a manifest is invalid.
    pub fn images<S: Source>(
        &self,
        source: &S,
    ) -> Result<Vec<(&RawManifest, ImageManifest)>, S::Error> {
        let mut images = Vec::new();
        for raw in self.children_first() {
            if let Manifest::Image(image) = source.parse(raw)? {
                images.push((raw, image));
            }
        }
        Ok(images)
    }

    /// The configs and layers of all manifests, each digest once, without foreign layers, which are
    /// downloaded from their own URLs. Fails if a manifest is invalid.
    pub fn blobs<S: Source>(&self, source: &S) -> Result<Vec<Descriptor>, S::Error> {
        let images = self.images(source)?.into_iter();
        let mut seen = BTreeSet::new();
        Ok(images
            .flat_map(|(_, image)| image.layers.into_iter().chain([image.config]))
            .filter(|blob| blob.urls.is_empty() && seen.insert(blob.digest.clone()))
            .collect())
    }
}

/// The manifests that an index lists; empty for an image.
#[must_use]
pub fn children(raw: &RawManifest) -> Vec<Descriptor> {
    match raw.parse() {
        Ok(Manifest::Index(index)) => index.manifests,
        Ok(Manifest::Image(_)) | Err(_) => Vec::new(),
    }
}

/// True if `media_type` is that of an OCI index or of a Docker manifest list.
pub(super) fn is_index(media_type: &str) -> bool {
    [media::OCI_INDEX, media::DOCKER_LIST].contains(&media_type)
}
