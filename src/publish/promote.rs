//! Copying by digest: between repositories of one registry by mounting, between registries by streaming.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::cosign;
use super::hold::{Look, Unsettled, look_at, put_and_hold};
use crate::event::Events;
use crate::oci::{Descriptor, Manifest, RawManifest};
use crate::reference::{Digest, Reference, Repository, Tag, Target};
use crate::registry::inventory::children;
use crate::registry::referrers::tags_of_tools;
use crate::registry::{self, Inventory, Registry, RemoteBlob, Upload};
use crate::tags::{
    Action, Level, Move, PublishedContent, TagList, TagRole, TagRules, Variant, decide, fan_out,
    siblings,
};

/// Blobs on their way at once.
const AT_ONCE: usize = 4;

/// Why something was not promoted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A registry could not be asked, or refused.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// There is nothing of that name.
    #[error("{0} is not there")]
    Missing(Reference),
    /// The destination has that version with other content.
    #[error("{repository}:{tag}: {because}")]
    Refused {
        /// The destination.
        repository: Repository,
        /// The tag.
        tag: Tag,
        /// Why.
        because: String,
    },
    /// A merged manifest of cosign was put, and another one is there.
    #[error("{0} does not stay as it was put")]
    Unmerged(Reference),
    /// A tag does not point to what was put there.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl Error {
    /// Whether golden refused, as against failed.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// What to do next.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) => error.hints(),
            Self::Refused { .. } => {
                vec!["a version is immutable; promote it under a new number".to_owned()]
            }
            Self::Unsettled(unsettled) => vec![unsettled.hint().to_owned()],
            Self::Missing(_) | Self::Unmerged(_) => Vec::new(),
        }
    }
}

/// One end of a copy.
#[derive(Debug, Clone)]
pub struct End {
    /// The registry.
    pub registry: Registry,
    /// The repository there.
    pub repository: Repository,
}

/// What a copy moved.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Copied {
    /// Blobs that were there already.
    pub present: usize,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: usize,
    /// Blobs that were sent.
    pub sent: usize,
    /// Their bytes.
    pub bytes: u64,
}

impl Copied {
    fn count(&mut self, upload: Upload) {
        match upload {
            Upload::Present => self.present += 1,
            Upload::Mounted => self.mounted += 1,
            Upload::Sent(bytes) => {
                self.sent += 1;
                self.bytes += bytes;
            }
        }
    }
}

/// Decides which tags of the destination will name `digest`. `wanted` are the tags to copy; one that the rules keep
/// where it is is kept, and a version with other content is refused.
pub async fn decide_tags(to: &End, digest: &Digest, wanted: &[Tag]) -> Result<Vec<Move>, Error> {
    let path = &to.repository.path;
    let probes: BTreeSet<Tag> = siblings(wanted)
        .into_iter()
        .chain(wanted.iter().cloned())
        .collect();
    let there = to.registry.complete_tags(path, &probes).await?;
    let (variant, version) = read(wanted);
    let existing = TagList::new(&there, variant.as_ref(), &[]);
    let mut moves = Vec::new();
    let mut seen = BTreeSet::new();
    if let Some(version) = version {
        let rules = rules(&version, wanted, variant.as_ref());
        if let Ok(planned) = fan_out(&version, variant.as_ref(), &rules) {
            let standing = standing(to, digest, planned.full()).await?;
            let decided = decide(&planned, &existing, &rules, standing);
            moves.extend(
                decided
                    .into_iter()
                    .filter(|decision| wanted.contains(&decision.tag)),
            );
            seen.extend(moves.iter().map(|decision| decision.tag.clone()));
        }
    }
    for tag in wanted.iter().filter(|tag| !seen.contains(*tag)) {
        moves.push(other(to, digest, tag, &there).await?);
    }
    match moves.iter().find(|decision| decision.is_refusal()) {
        Some(Move { tag, because, .. }) => Err(Error::Refused {
            repository: to.repository.clone(),
            tag: tag.clone(),
            because: because.clone(),
        }),
        None => Ok(moves),
    }
}

/// A tag that is no part of the fan-out: a version of its own is immutable, anything else simply moves.
async fn other(to: &End, digest: &Digest, tag: &Tag, there: &[Tag]) -> Result<Move, Error> {
    let one = [tag.clone()];
    let is_version = !TagList::new(&one, None, &[]).versions().is_empty();
    let exists = there.contains(tag);
    let (role, action, because) = match (exists, is_version) {
        (false, _) => (
            TagRole::Extra,
            Action::Create,
            "does not exist yet".to_owned(),
        ),
        (true, true) if standing(to, digest, tag).await? == PublishedContent::Different => (
            TagRole::Full,
            Action::Refuse,
            "names other content already".to_owned(),
        ),
        (true, _) => (
            TagRole::Extra,
            Action::Move,
            "it is copied by name".to_owned(),
        ),
    };
    Ok(Move {
        tag: tag.clone(),
        role,
        action,
        because,
    })
}

async fn standing(to: &End, digest: &Digest, tag: &Tag) -> Result<PublishedContent, Error> {
    let held = to
        .registry
        .head_manifest(&to.repository.path, &Target::from(tag))
        .await?;
    let same = held.is_some_and(|held| held.digest == *digest);
    Ok(if same {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    })
}

/// The variant and the highest version that a set of tags speaks of.
fn read(tags: &[Tag]) -> (Option<Variant>, Option<semver::Version>) {
    let variant = TagList::new(tags, None, &[]).variants().into_iter().next();
    let existing = TagList::new(tags, variant.as_ref(), &[]);
    let version = existing.versions().last().map(|held| held.version.clone());
    (variant, version)
}

/// The rules under which the source's tags can have come about.
fn rules(version: &semver::Version, wanted: &[Tag], variant: Option<&Variant>) -> TagRules {
    let zero = variant.map_or_else(|| "0".to_owned(), |variant| format!("0-{variant}"));
    let zero_major = version.major == 0 && wanted.iter().any(|tag| tag.as_str() == zero);
    let fan_out = BTreeSet::from([Level::Full, Level::Minor, Level::Major, Level::Latest]);
    TagRules {
        zero_major,
        fan_out,
        ..TagRules::default()
    }
}

/// Copies a manifest with all that it needs, by digest: blobs first, then the images of an index, then itself.
pub async fn copy(
    from: &End,
    to: &End,
    raw: &RawManifest,
    events: &Events,
) -> Result<Copied, Error> {
    let mut copied = Copied::default();
    let below = from
        .registry
        .below(&from.repository.path, raw, |_| true)
        .await?;
    if let Some(digest) = below.missing.into_iter().next() {
        let repository = from.repository.clone();
        return Err(Error::Missing(Reference {
            repository,
            tag: None,
            digest: Some(digest),
        }));
    }
    let mut seen = BTreeSet::new();
    let mut blobs = Vec::new();
    for manifest in below.manifests.iter().chain([raw]) {
        if let Manifest::Image(image) = from.registry.parse(&from.repository.path, manifest)? {
            let all = image.layers.into_iter().chain([image.config]);
            // Foreign layers are had from elsewhere, and registries refuse them.
            blobs.extend(
                all.filter(|blob| blob.urls.is_empty() && seen.insert(blob.digest.clone())),
            );
        }
    }
    let mut uploads = stream::iter(blobs)
        .map(|blob| copy_blob(from, to, blob))
        .buffered(AT_ONCE);
    while let Some((digest, upload)) = uploads.try_next().await? {
        let result = match upload {
            Upload::Present => "already exists",
            Upload::Mounted => "mounted",
            Upload::Sent(_) => "copied",
        };
        events.step(
            &to.repository.to_string(),
            format!("{} {result}", digest.short()),
        );
        copied.count(upload);
    }
    for manifest in &below.manifests {
        to.registry
            .put_manifest(
                &to.repository.path,
                &Target::from(&manifest.digest),
                manifest,
            )
            .await?;
    }
    Ok(copied)
}

async fn copy_blob(from: &End, to: &End, blob: Descriptor) -> Result<(Digest, Upload), Error> {
    let source = RemoteBlob {
        registry: from.registry.clone(),
        repository: from.repository.path.clone(),
        descriptor: blob.clone(),
    };
    let path = &to.repository.path;
    let upload = if from.registry.host() == to.registry.host() && from.repository.path != *path {
        to.registry
            .push_blob_or_mount(path, &blob, &from.repository.path, &source)
            .await?
    } else {
        to.registry.push_blob(path, &blob, &source).await?
    };
    Ok((blob.digest, upload))
}

/// Puts the manifest under its tags, the most specific first, and checks every one; without tags, by digest alone.
pub async fn put(to: &End, raw: &RawManifest, moves: &[Move]) -> Result<(), Error> {
    let path = &to.repository.path;
    let tags: Vec<Tag> = moves
        .iter()
        .filter(|decision| decision.is_push())
        .map(|decision| decision.tag.clone())
        .collect();
    if tags.is_empty() {
        return Ok(to
            .registry
            .put_manifest(path, &Target::from(&raw.digest), raw)
            .await?);
    }
    let previous = look_at(&to.registry, path, &tags, Look::Poll).await?;
    match put_and_hold(&to.registry, &to.repository, &tags, raw, &previous).await? {
        Some(wrong) => Err(wrong.into()),
        None => Ok(()),
    }
}

/// Copies what refers to `digest` and to the images below it, and what refers to that, such as the signature of an SBOM:
/// through the referrers API or its fallback tag, and the tags that cosign makes. What the destination has of its own
/// stays.
pub async fn copy_referrers(
    from: &End,
    to: &End,
    raw: &RawManifest,
    events: &Events,
) -> Result<Vec<Digest>, Error> {
    let mut copied = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![raw.clone()];
    while let Some(subject) = open.pop() {
        if !seen.insert(subject.digest.clone()) {
            continue;
        }
        for child in children(&subject) {
            let target = Target::from(&child.digest);
            open.extend(
                from.registry
                    .get_manifest(&from.repository.path, &target)
                    .await?,
            );
        }
        for referrer in from
            .registry
            .referrers(&from.repository.path, &subject.digest)
            .await?
        {
            let target = Target::from(&referrer.descriptor.digest);
            let Some(raw) = from
                .registry
                .get_manifest(&from.repository.path, &target)
                .await?
            else {
                continue;
            };
            copy(from, to, &raw, events).await?;
            to.registry
                .put_referrer(&to.repository.path, &raw, Some(&referrer))
                .await?;
            if !copied.contains(&raw.digest) {
                copied.push(raw.digest.clone());
            }
            open.push(raw);
        }
        for tag in tags_of_tools(&subject.digest).into_iter().skip(1) {
            if let Some(raw) = cosign::copy(from, to, &tag, events).await? {
                if !copied.contains(&raw.digest) {
                    copied.push(raw.digest.clone());
                }
                open.push(raw);
            }
        }
    }
    Ok(copied)
}

/// The tags of the source that name `digest`, without those that belong to tools.
pub async fn tags_of(from: &End, digest: &Digest) -> Result<Vec<Tag>, Error> {
    let tags = Inventory::tags(&from.registry, &from.repository.path).await?;
    let naming = tags
        .into_iter()
        .filter(|(_, found)| found.digest == *digest);
    Ok(naming.map(|(tag, _)| tag).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_read_from_tags_of_one_digest() {
        for (tags, variant, version) in [
            ("1.2.3 1.2 1 latest", "", "1.2.3"),
            ("1.2.3-alpine 1.2-alpine 1-alpine alpine", "alpine", "1.2.3"),
            ("1.2.3-alpine 1.2-alpine", "alpine", "1.2.3"),
            ("1.2.3_r1 1.2.3 1.2", "", "1.2.3+r1"),
            ("1.2.3-rc.1", "", "1.2.3-rc.1"),
            ("edge", "", ""),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let (found, held) = read(&tags);
            assert_eq!(
                found.map(|variant| variant.to_string()).unwrap_or_default(),
                variant
            );
            assert_eq!(
                held.map(|version| version.to_string()).unwrap_or_default(),
                version
            );
        }
    }
}
