//! Detects incomplete lists of tags: a moving tag points to a version that the list lacks.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{CONCURRENT, ConfigCache};
use crate::image::VERSION;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Tag};
use crate::registry::{Error, Repo};
use crate::tags::{self, TagList, TagRules};

/// The tags of a repository, for a decision that compares versions and concerns the tags `probes`.
/// Like [`Repo::complete_tags`], but also fails if one of these tags points to a version that
/// the list lacks.
pub async fn complete_tags(
    repo: &Repo,
    probes: impl IntoIterator<Item = &Tag>,
) -> Result<Vec<Tag>, Error> {
    let mut probes: BTreeSet<Tag> = probes.into_iter().cloned().collect();
    let list = repo.complete_tags(&probes).await?;
    let listed: Vec<&Tag> = probes.iter().filter(|tag| list.contains(tag)).collect();
    let rules = TagRules::default();
    let owners = listed
        .iter()
        .filter_map(|tag| Some(tags::owner(tag, &list, &rules)?.held.tag));
    let read: BTreeSet<Tag> = owners
        .chain(listed.iter().map(|tag| (*tag).clone()))
        .collect();
    let heads = stream::iter(read).map(async |tag| {
        let found = repo.head(&tag).await?;
        Ok::<_, Error>(found.map(|found| (tag, found.digest)))
    });
    let digests: BTreeMap<Tag, Digest> = heads
        .buffer_unordered(CONCURRENT)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await?;
    let claimed = claimed_tags(repo, &list, &digests, &ConfigCache::none()).await?;
    if claimed.is_empty() {
        return Ok(list);
    }
    probes.extend(claimed);
    repo.complete_tags(&probes).await
}

/// The version tags that the list should contain but lacks: an image under a moving tag has their
/// version in its labels. Reads an image only if its digest has no version tag in the list. Empty
/// for a version of which the list has at least one tag.
pub async fn claimed_tags(
    repo: &Repo,
    list: &[Tag],
    digests: &BTreeMap<Tag, Digest>,
    cache: &ConfigCache,
) -> Result<BTreeSet<Tag>, Error> {
    let is_version = |tag: &Tag| !TagList::new([tag], None, &[]).versions().is_empty();
    let versions: BTreeSet<&Digest> = digests
        .iter()
        .filter(|(tag, _)| is_version(tag))
        .map(|(_, digest)| digest)
        .collect();
    let mut claimed = BTreeSet::new();
    for (tag, digest) in digests {
        let is_of_tool = ArtifactKind::of_tag(tag).is_some();
        if is_version(tag) || is_of_tool || versions.contains(digest) {
            continue;
        }
        let Some(label) = version_label(repo, digest, cache).await? else {
            continue;
        };
        let tags = tags::claimed(tag, &label);
        if !tags.iter().any(|tag| list.contains(tag)) {
            claimed.extend(tags);
        }
    }
    Ok(claimed)
}

/// The version in the labels of an image. `None` if the content cannot be read or is not an image.
async fn version_label(
    repo: &Repo,
    digest: &Digest,
    cache: &ConfigCache,
) -> Result<Option<String>, Error> {
    let config = if let Some(config) = cache.get(digest) {
        config
    } else {
        let Some(raw) = repo.manifest(digest).await? else {
            return Ok(None);
        };
        match cache.config(repo, &raw).await {
            Ok(config) => config,
            Err(super::Error::Registry(error)) if !error.is_about_content() => {
                return Err(error);
            }
            Err(_) => return Ok(None),
        }
    };
    Ok(config.label(VERSION).map(str::to_owned))
}
