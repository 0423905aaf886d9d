//! Pinning: resolves the base of an image to a digest, an image ID, or the inputs of its parent.

use std::collections::BTreeMap;

use super::image::{Base, Layout, ResolvedImage};
use crate::platform::Platform;
use crate::reference::{Digest, Reference, RepositoryPath, Tag};
use crate::snapshot::{Observed, ObservedBase};
use crate::tags::{Requirement, TagVersion};

/// The base as it counts for the identity of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PinnedBase {
    /// The empty base, `scratch`.
    Scratch,
    /// An image of a registry.
    Registry {
        /// The reference as it was written or locked.
        reference: Reference,
        /// The digest of the index, or of the manifest if there is no index.
        digest: Digest,
        /// The digest of each platform's manifest; empty if the base is a single image.
        platforms: BTreeMap<Platform, Digest>,
    },
    /// An image of an OCI layout.
    Layout(Layout),
    /// An image that exists only in the engine.
    Local {
        /// The reference as it was written.
        reference: Reference,
        /// The engine's image ID.
        id: Digest,
    },
    /// An image of this workspace.
    Workspace {
        /// The display name of the parent.
        parent: String,
        /// The inputs digest of the parent.
        inputs: Digest,
    },
}

impl PinnedBase {
    /// The name for labels and messages; None for `scratch`.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Scratch => None,
            Self::Registry { reference, .. } | Self::Local { reference, .. } => {
                Some(reference.to_string())
            }
            Self::Layout(layout) => Some(layout.written.clone()),
            Self::Workspace { parent, .. } => Some(parent.clone()),
        }
    }

    /// The digest in the registry or in the layout.
    #[must_use]
    pub const fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Registry { digest, .. } | Self::Layout(Layout { digest, .. }) => Some(digest),
            Self::Scratch | Self::Local { .. } | Self::Workspace { .. } => None,
        }
    }
}

/// The reason why a base could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The base was not observed, or it was not found.
    #[error("cannot resolve the base of {image}: {base}")]
    Unknown {
        /// The display name of the image.
        image: String,
        /// The base as written.
        base: String,
    },
    /// The workspace does not contain the parent.
    #[error("{image}: its base {base} is not an image of this workspace")]
    NoParent {
        /// The display name of the image.
        image: String,
        /// The name of the base.
        base: RepositoryPath,
    },
}

/// The images of a workspace by name, to find the parent of an image.
#[derive(Debug, Clone, Default)]
pub struct ParentIndex<'a>(BTreeMap<&'a RepositoryPath, Vec<(usize, &'a ResolvedImage)>>);

impl<'a> ParentIndex<'a> {
    /// Indexes the images of a workspace.
    pub fn new(images: impl IntoIterator<Item = &'a ResolvedImage>) -> Self {
        let mut by_name: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (position, image) in images.into_iter().enumerate() {
            by_name
                .entry(&image.name)
                .or_default()
                .push((position, image));
        }
        Self(by_name)
    }

    /// The position of the parent of `image`: the image with the highest version among those with
    /// the name, the variant and an admitted version. None if the base is not an image of the
    /// workspace, or no image qualifies.
    #[must_use]
    pub fn of(&self, image: &ResolvedImage) -> Option<usize> {
        let Base::Workspace {
            name,
            requirement,
            variant,
        } = &image.base
        else {
            return None;
        };
        let is_match = |(_, candidate): &&(usize, &ResolvedImage)| {
            candidate.variant == *variant
                && requirement
                    .as_ref()
                    .is_none_or(|wanted| wanted.matches(&candidate.version))
        };
        let candidates = self.0.get(name)?.iter().filter(is_match);
        let highest =
            candidates.max_by(|(_, a), (_, b)| crate::tags::precedence(&a.version, &b.version));
        highest.map(|(position, _)| *position)
    }
}

/// Pins the base of `image`. `parent` is the display name and the inputs digest of its parent, if
/// the base is an image of the workspace. Fails if the base was not observed or the parent is
/// missing.
pub fn pin(
    image: &ResolvedImage,
    observed: &Observed,
    parent: Option<(String, Digest)>,
) -> Result<PinnedBase, Error> {
    let unknown = |base: String| Error::Unknown {
        image: image.display(),
        base,
    };
    match &image.base {
        Base::Scratch => Ok(PinnedBase::Scratch),
        Base::Layout(layout) => {
            let platforms = observed.layouts.get(&layout.digest).cloned();
            Ok(PinnedBase::Layout(Layout {
                platforms: platforms.unwrap_or_default(),
                ..layout.clone()
            }))
        }
        Base::Reference(reference) => {
            pin_reference(reference, observed).ok_or_else(|| unknown(reference.to_string()))
        }
        Base::Requirement {
            repository,
            requirement,
        } => {
            let chosen = observed
                .requirements
                .get(repository)
                .and_then(|by_requirement| by_requirement.get(&requirement.to_string()));
            let pinned = chosen.and_then(|reference| pin_reference(reference, observed));
            pinned.ok_or_else(|| unknown(format!("{repository} {requirement}")))
        }
        Base::Workspace { name, .. } => match parent {
            Some((parent, inputs)) => Ok(PinnedBase::Workspace { parent, inputs }),
            None => Err(Error::NoParent {
                image: image.display(),
                base: name.clone(),
            }),
        },
    }
}

fn pin_reference(reference: &Reference, observed: &Observed) -> Option<PinnedBase> {
    let reference = reference.clone();
    match observed.bases.get(&reference) {
        Some(ObservedBase::Registry { digest, platforms }) => Some(PinnedBase::Registry {
            digest: digest.clone(),
            platforms: platforms.clone(),
            reference,
        }),
        Some(ObservedBase::Local { id, .. }) => Some(PinnedBase::Local {
            id: id.clone(),
            reference,
        }),
        None => {
            let digest = reference.digest.clone()?;
            Some(PinnedBase::Registry {
                reference,
                digest,
                platforms: BTreeMap::new(),
            })
        }
    }
}

/// The highest tag that a Cargo-style requirement admits. Tags with fewer numbers, such as `12` or
/// `12.5`, also match, because many distributions publish no others. Pre-releases match only if the
/// requirement names one.
#[must_use]
pub fn highest_admitted<'a>(tags: &'a [Tag], requirement: &Requirement) -> Option<&'a Tag> {
    let admitted = tags.iter().filter_map(|tag| {
        let version = TagVersion::parse(tag.as_str())?;
        requirement.admits(&version).then_some((version, tag))
    });
    // `12` is preferred to `v12`.
    let highest =
        admitted.max_by(|(a, tag_a), (b, tag_b)| a.order(b).then_with(|| tag_b.cmp(tag_a)));
    highest.map(|(_, tag)| tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_selects_the_highest_tag() {
        let tags: Vec<Tag> = [
            "12",
            "12.5",
            "12.10",
            "12.10-slim",
            "13",
            "bookworm",
            "latest",
            "3.20.1",
            "3.20.2",
            "3.21.0-rc.1",
            "20240101",
        ]
        .iter()
        .map(|tag| tag.parse().unwrap())
        .collect();
        for (requirement, expected) in [
            ("12", Some("12.10")),
            ("~12.5", Some("12.5")),
            ("3.20", Some("3.20.2")),
            (">=12, <14", Some("13")),
            ("14", None),
            ("=13.0.0", Some("13")),
            ("*", Some("20240101")),
        ] {
            let found = highest_admitted(&tags, &requirement.parse().unwrap());
            assert_eq!(found.map(Tag::as_str), expected, "{requirement}");
        }
    }

    #[test]
    fn calendar_versions_are_compared() {
        for (tags, requirement, expected) in [
            (
                &["2025.11.1", "2026.01.3", "2026.02.0"][..],
                "*",
                "2026.02.0",
            ),
            (
                &["2025.11.1", "2026.01.3", "2026.02.0"],
                "~2026.01",
                "2026.01.3",
            ),
            (&["22.04", "24.04", "24.10"], "24.04", "24.10"),
            (&["22.04", "24.04", "24.10"], "~24.4", "24.04"),
            (&["8.5.1.2", "8.5.1.10", "8.5.1"], "8.5", "8.5.1.10"),
            (
                &["8.5.1.2", "8.5.1.10", "8.5.2"],
                "~8.5.1.3, <8.5.2",
                "8.5.1.10",
            ),
        ] {
            let tags: Vec<Tag> = tags.iter().map(|tag| tag.parse().unwrap()).collect();
            let found = highest_admitted(&tags, &requirement.parse().unwrap());
            assert_eq!(found.map(Tag::as_str), Some(expected), "{requirement}");
        }
    }
}
