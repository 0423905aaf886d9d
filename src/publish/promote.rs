//! Promotes images: decides the tags of the destination, and copies attached artifacts.

use std::collections::{BTreeMap, BTreeSet};

use super::hold::{TagRead, Unsettled, put_and_hold, read_tags};
use super::superseded::remove_superseded;
use crate::event::Events;
use crate::image::{RepositoryInventory, children, copy};
use crate::observe;
use crate::oci::RawManifest;
use crate::oci::lifecycle::{ANNOUNCEMENT, END_OF_LIFE};
use crate::reference::{Digest, Reference, Repository, Tag};
use crate::registry::referrers::{Referrer, subject_of, tags_of_tools};
use crate::registry::{self, Repo};
use crate::signing::cosign::{self, SignatureCopy};
use crate::tags::{
    Action, Move, MoveReason, PublishedContent, TagList, TagRole, TagRules, Variant, decide,
    fan_out, siblings,
};
use crate::trust::bundle::PREDICATE_TYPE;
use crate::trust::lifecycle;

/// The reason why an image was not promoted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A registry could not be reached, or rejected the request.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// The destination has this version with other content.
    #[error("{repository}:{tag}: {because}")]
    Refused {
        /// The repository of the destination.
        repository: Repository,
        /// The tag that is refused.
        tag: Tag,
        /// The reason.
        because: MoveReason,
    },
    /// A merged manifest of cosign was put, but the registry serves another one.
    #[error("{0} does not keep the merged signatures")]
    Unmerged(Reference),
    /// A tag does not point to the manifest that was put.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl Error {
    /// True if golden refused the promotion because of a rule; false for a failure.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// The hints for the user, one per line.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Registry(error) => error.hints(),
            Self::Refused { .. } => {
                vec!["a version is immutable; promote the image under a new version".to_owned()]
            }
            Self::Unsettled(unsettled) => vec![unsettled.hint().to_owned()],
            Self::Unmerged(_) => Vec::new(),
        }
    }
}

/// Decides which of the `requested` tags of the destination will point to `digest`. Tags that
/// belong to a higher version are kept. Fails if a version exists with other content.
pub async fn decide_tags(
    to: &Repo,
    digest: &Digest,
    requested: &[Tag],
) -> Result<Vec<Move>, Error> {
    unrefused(to, decided(to, digest, requested).await?)
}

/// Like [`decide_tags`], for tags that the image has in the source. Its other tags there show its
/// version, so that a moving tag does not go back to an older version. Other tags are not decided.
pub async fn decide_copied_tags(
    from: &Repo,
    to: &Repo,
    digest: &Digest,
    copied: &[Tag],
) -> Result<Vec<Move>, Error> {
    if copied.is_empty() || read(copied).1.is_some() {
        return decide_tags(to, digest, copied).await;
    }
    let mut all = tags_of(from, digest).await?;
    all.retain(|tag| !copied.contains(tag));
    all.extend_from_slice(copied);
    let mut moves = decided(to, digest, &all).await?;
    moves.retain(|decision| copied.contains(&decision.tag));
    unrefused(to, moves)
}

/// Decides about every requested tag, also those that are refused.
async fn decided(to: &Repo, digest: &Digest, requested: &[Tag]) -> Result<Vec<Move>, Error> {
    let probes: BTreeSet<Tag> = siblings(requested)
        .into_iter()
        .chain(requested.iter().cloned())
        .collect();
    let existing_tags = observe::complete_tags(to, &probes).await?;
    let (variant, version) = read(requested);
    let existing = TagList::new(&existing_tags, variant.as_ref(), &[]);
    let mut moves = Vec::new();
    let mut seen = BTreeSet::new();
    if let Some(version) = version {
        let rules = rules(&version, requested, variant.as_ref());
        if let Ok(planned) = fan_out(&version, variant.as_ref(), &rules) {
            let content = content_under(to, digest, planned.full()).await?;
            let decided = decide(&planned, &existing, &rules, content);
            moves.extend(
                decided
                    .into_iter()
                    .filter(|decision| requested.contains(&decision.tag)),
            );
            seen.extend(moves.iter().map(|decision| decision.tag.clone()));
        }
    }
    for tag in requested.iter().filter(|tag| !seen.contains(*tag)) {
        moves.push(decide_other(to, digest, tag, &existing_tags).await?);
    }
    Ok(moves)
}

/// Fails if a tag is refused.
fn unrefused(to: &Repo, moves: Vec<Move>) -> Result<Vec<Move>, Error> {
    match moves.iter().find(|decision| decision.is_refusal()) {
        Some(Move { tag, because, .. }) => Err(Error::Refused {
            repository: to.name().clone(),
            tag: tag.clone(),
            because: because.clone(),
        }),
        None => Ok(moves),
    }
}

/// Decides about a tag outside the fan-out: a version of its own is immutable; any other tag moves.
async fn decide_other(
    to: &Repo,
    digest: &Digest,
    tag: &Tag,
    existing: &[Tag],
) -> Result<Move, Error> {
    let one = [tag.clone()];
    let is_version = !TagList::new(&one, None, &[]).versions().is_empty();
    let exists = existing.contains(tag);
    let (role, action, because) = match (exists, is_version) {
        (false, _) => (TagRole::Extra, Action::Create, MoveReason::New),
        (true, true) if content_under(to, digest, tag).await? == PublishedContent::Different => {
            (TagRole::Full, Action::Refuse, MoveReason::OtherContent)
        }
        (true, _) => (TagRole::Extra, Action::Move, MoveReason::CopiedByName),
    };
    Ok(Move {
        tag: tag.clone(),
        role,
        action,
        because,
    })
}

async fn content_under(to: &Repo, digest: &Digest, tag: &Tag) -> Result<PublishedContent, Error> {
    let found = to.head(tag).await?;
    let same = found.is_some_and(|found| found.digest == *digest);
    Ok(if same {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    })
}

/// The variant and the highest version that a set of tags contains.
fn read(tags: &[Tag]) -> (Option<Variant>, Option<semver::Version>) {
    let variant = TagList::new(tags, None, &[]).variants().into_iter().next();
    let existing = TagList::new(tags, variant.as_ref(), &[]);
    let version = existing
        .versions()
        .last()
        .map(|tagged| tagged.version.clone());
    (variant, version)
}

/// Infers the tag rules that would produce the tags of the source.
fn rules(version: &semver::Version, requested: &[Tag], variant: Option<&Variant>) -> TagRules {
    let zero = variant.map_or_else(|| "0".to_owned(), |variant| format!("0-{variant}"));
    let zero_major = version.major == 0 && requested.iter().any(|tag| tag.as_str() == zero);
    TagRules {
        zero_major,
        ..TagRules::default()
    }
}

/// Puts the manifest under its tags, the most specific tag first, and verifies each; without tags,
/// by digest only. Returns true if a tag was created or moved. Fails if a tag does not point to the
/// manifest at the deadline.
pub async fn put(to: &Repo, raw: &RawManifest, moves: &[Move]) -> Result<bool, Error> {
    let tags: Vec<Tag> = moves
        .iter()
        .filter(|decision| decision.is_push())
        .map(|decision| decision.tag.clone())
        .collect();
    if tags.is_empty() {
        to.put(&raw.digest, raw).await?;
        return Ok(false);
    }
    point_all(to, raw, &tags).await
}

/// Points tags to a manifest, and verifies them. Returns true if one did not point to it before.
/// Fails if another client moves one of them at the same time.
pub async fn point_all(to: &Repo, raw: &RawManifest, tags: &[Tag]) -> Result<bool, Error> {
    let previous = read_tags(to, tags, TagRead::Claimed).await?;
    match put_and_hold(to, tags, raw, &previous).await? {
        Some(wrong) => Err(wrong.into()),
        None => Ok(tags
            .iter()
            .any(|tag| previous.get(tag) != Some(&raw.digest))),
    }
}

/// An artifact that refers to a promoted image, and how the source lists it.
#[derive(Debug)]
pub struct PromotedArtifact {
    raw: RawManifest,
    listed: ListedBy,
}

#[derive(Debug)]
enum ListedBy {
    /// In the list of referrers, with this entry.
    Referrer(Referrer),
    /// Under a tag that cosign derives from the digest.
    Tag(Tag),
}

impl PromotedArtifact {
    /// The digest of the artifact.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.raw.digest
    }
}

/// Finds the artifacts that refer to `raw` or to one of its images, and recursively the artifacts
/// that refer to those, such as the signature of an SBOM. Reads the referrers API or its fallback
/// tag, and the tags of cosign. Writes nothing.
pub async fn attached(from: &Repo, raw: &RawManifest) -> Result<Vec<PromotedArtifact>, Error> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![raw.clone()];
    while let Some(subject) = open.pop() {
        if !seen.insert(subject.digest.clone()) {
            continue;
        }
        for child in children(&subject) {
            let is_new = !seen.contains(&child.digest)
                && !open.iter().any(|known| known.digest == child.digest);
            if is_new {
                open.extend(from.manifest(&child.digest).await?);
            }
        }
        for referrer in from.referrers(&subject.digest).await? {
            let raw = from.manifest(&referrer.descriptor.digest).await?;
            // The end of life of an image in one repository is not that of its copy.
            if let Some(raw) = raw.filter(|raw| !is_lifecycle(raw)) {
                open.push(raw.clone());
                let listed = ListedBy::Referrer(referrer);
                found.push(PromotedArtifact { raw, listed });
            }
        }
        for tag in tags_of_tools(&subject.digest).into_iter().skip(1) {
            if let Some(raw) = from.manifest(&tag).await? {
                open.push(raw.clone());
                let listed = ListedBy::Tag(tag);
                found.push(PromotedArtifact { raw, listed });
            }
        }
    }
    Ok(found)
}

/// True if the manifest is an announcement about the lifecycle of an image, such as its end of
/// life.
fn is_lifecycle(raw: &RawManifest) -> bool {
    let value: serde_json::Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
    let kind = value["artifactType"].as_str().unwrap_or_default();
    let predicate = value["annotations"][PREDICATE_TYPE]
        .as_str()
        .unwrap_or_default();
    [ANNOUNCEMENT, END_OF_LIFE].contains(&kind) || predicate == lifecycle::PREDICATE
}

/// Copies the artifacts that are attached to an image, and returns their digests. Other artifacts
/// of the destination are kept.
pub async fn copy_attached(
    from: &Repo,
    to: &Repo,
    attached: Vec<PromotedArtifact>,
    events: &Events,
) -> Result<Vec<Digest>, Error> {
    let mut copied: Vec<Digest> = Vec::new();
    let mut superseded = Vec::new();
    // All referrers of a digest are listed in one write.
    let mut referrers: BTreeMap<Digest, Vec<(RawManifest, Option<Referrer>)>> = BTreeMap::new();
    for PromotedArtifact { raw, listed } in attached {
        let digest = raw.digest.clone();
        let is_copied = match listed {
            ListedBy::Referrer(entry) => {
                copy(from, to, &raw, events).await?;
                match subject_of(&raw) {
                    Some(subject) => {
                        let of_subject = referrers.entry(subject).or_default();
                        of_subject.push((raw, Some(entry)));
                    }
                    None => to.put(&digest, &raw).await?,
                }
                true
            }
            ListedBy::Tag(tag) => match cosign::copy(from, to, &raw, &tag, events).await? {
                SignatureCopy::Complete(replaced) => {
                    superseded.extend(replaced);
                    true
                }
                SignatureCopy::Impossible => {
                    let text = format!(
                        "{}:{tag} has different content that cannot be merged; it is left unchanged",
                        to.name()
                    );
                    events.warn(None, text);
                    false
                }
                SignatureCopy::Unmerged => return Err(Error::Unmerged(to.name().tag(&tag))),
            },
        };
        if is_copied && !copied.contains(&digest) {
            copied.push(digest);
        }
    }
    for (subject, manifests) in &referrers {
        superseded.extend(to.put_referrers(subject, manifests).await?);
    }
    remove_superseded(to, &superseded).await;
    Ok(copied)
}

/// The tags of the source that point to `digest`, except the tags of tools.
pub async fn tags_of(from: &Repo, digest: &Digest) -> Result<Vec<Tag>, Error> {
    let tags = RepositoryInventory::tags(from).await?;
    let naming = tags
        .into_iter()
        .filter(|(_, found)| found.digest == *digest);
    Ok(naming.map(|(tag, _)| tag).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_inferred_from_the_tags_of_a_digest() {
        for (tags, variant, version) in [
            ("1.2.3 1.2 1 latest", "", "1.2.3"),
            ("1.2.3-alpine 1.2-alpine 1-alpine alpine", "alpine", "1.2.3"),
            ("1.2.3-alpine 1.2-alpine", "alpine", "1.2.3"),
            ("1.2.3_r1 1.2.3 1.2", "", "1.2.3+r1"),
            ("1.2.3-rc.1", "", "1.2.3-rc.1"),
            ("edge", "", ""),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let (found, found_version) = read(&tags);
            assert_eq!(
                found.map(|variant| variant.to_string()).unwrap_or_default(),
                variant
            );
            assert_eq!(
                found_version
                    .map(|version| version.to_string())
                    .unwrap_or_default(),
                version
            );
        }
    }

    #[test]
    fn a_promotion_moves_the_tag_zero_only_if_the_source_has_it() {
        for (version, tags, variant, expected) in [
            ("0.3.1", "0.3.1 0.3 0", None, true),
            ("0.3.1", "0.3.1 0.3", None, false),
            ("0.3.1", "0.3.1-alpine 0-alpine", Some("alpine"), true),
            ("0.3.1", "0.3.1-alpine 0", Some("alpine"), false),
            ("1.2.3", "1.2.3 0", None, false),
        ] {
            let tags: Vec<Tag> = tags.split(' ').map(|tag| tag.parse().unwrap()).collect();
            let variant: Option<Variant> = variant.map(|name| name.parse().unwrap());
            let found = rules(&version.parse().unwrap(), &tags, variant.as_ref());
            assert_eq!(found.zero_major, expected, "{version} {tags:?}");
        }
    }

    #[test]
    fn a_refused_promotion_has_advice() {
        let refused = Error::Refused {
            repository: "h.example/app".parse().unwrap(),
            tag: "1.2.3".parse().unwrap(),
            because: MoveReason::Extra,
        };
        assert_eq!(
            refused.hints(),
            ["a version is immutable; promote the image under a new version"]
        );
    }
}
