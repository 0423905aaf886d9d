//! Reads every image of many repositories: one request for the tags of a repository, one for each
//! tag, and one for each config that is not in the user's cache.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::error::Error;
use super::settings::Settings;
use crate::image::{CachedConfigs, Described};
use crate::oci::RawManifest;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Host, Reference, Repository, Tag};
use crate::registry::{self, Registries};
use crate::tags::is_build_cache;
use crate::workspace::fs;
use crate::workspace::user_cache::UserCache;

/// The number of repositories whose tags are read concurrently.
const CONCURRENT_LISTS: usize = 16;
/// The number of images that are read concurrently.
const CONCURRENT_IMAGES: usize = 24;
/// The largest list of repositories that is read, in bytes.
const MOST_LIST_BYTES: u64 = 16 << 20;

/// An image of a repository, with its tags.
#[derive(Debug, Clone)]
pub struct ScannedImage {
    /// The repository that has the image.
    pub repository: Repository,
    /// The tags that point to the image.
    pub tags: Vec<Tag>,
    /// The image.
    pub described: Described,
}

/// A repository or an image that cannot be read.
#[derive(Debug, Clone, Serialize)]
pub struct ScanProblem {
    /// The repository, or the image by its tag.
    pub reference: Reference,
    /// The reason.
    pub problem: String,
    /// True if the whole repository cannot be read.
    #[serde(skip)]
    pub is_repository: bool,
}

/// The images of many repositories.
#[derive(Debug, Default)]
pub struct Scan {
    /// The images, sorted by repository and by their most specific tag.
    pub images: Vec<ScannedImage>,
    /// The number of repositories.
    pub repositories: usize,
    /// The repositories that do not exist, or have no tags.
    pub empty: Vec<Repository>,
    /// The repositories and images that cannot be read.
    pub problems: Vec<ScanProblem>,
}

impl ScannedImage {
    /// The reference of the image: by its best tag, or by its digest if it has none.
    #[must_use]
    pub fn reference(&self) -> Reference {
        match self.tags.first() {
            Some(tag) => self.repository.tag(tag),
            None => self.repository.digest(&self.described.raw.digest),
        }
    }
}

/// The repositories of a registry. `None` if the registry has no catalog, or does not show it.
pub(super) async fn catalog(
    registries: &Registries,
    host: &Host,
) -> Result<Option<Vec<Repository>>, registry::Error> {
    match registries.at(host).catalog().await {
        Ok(paths) => {
            let repository = |path| Repository {
                host: host.clone(),
                path,
            };
            Ok(Some(paths.into_iter().map(repository).collect()))
        }
        Err(error) if matches!(error.status, Some(400 | 401 | 403 | 404 | 405)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads a list of repositories: one on each line, with comments after `#`. Fails if a line is not a
/// repository.
pub fn read_list(settings: &Settings, file: &Path) -> Result<BTreeSet<Repository>, Error> {
    let bytes = fs::read_up_to(&settings.cwd.join(file), MOST_LIST_BYTES)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut repositories = BTreeSet::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let repository = line.parse::<Repository>().map_err(|error| {
            let line = number + 1;
            Error::invalid(format!("{}:{line}: {error}", file.display()))
                .hint("write one repository on each line, such as registry.example.com/team/app")
        })?;
        repositories.insert(repository);
    }
    Ok(repositories)
}

/// Reads the tags and images of repositories. An image that cannot be read does not stop the
/// others.
pub(super) async fn scan(
    registries: &Registries,
    repositories: Vec<Repository>,
    cache: &UserCache,
) -> Scan {
    let mut scan = Scan {
        repositories: repositories.len(),
        ..Scan::default()
    };
    let lists = stream::iter(repositories).map(|repository| async move {
        let tags = registries.repo(&repository).find_tags().await;
        (repository, tags)
    });
    let lists: Vec<_> = lists.buffered(CONCURRENT_LISTS).collect().await;
    let mut tagged = Vec::new();
    for (repository, tags) in lists {
        match tags {
            Ok(tags) => {
                let tags = tags.unwrap_or_default().into_iter();
                let before = tagged.len();
                let tags = tags.filter(is_image_tag);
                tagged.extend(tags.map(|tag| (repository.clone(), tag)));
                // A catalog also lists repositories whose last tag was deleted.
                if tagged.len() == before {
                    scan.empty.push(repository);
                }
            }
            Err(error) => scan.problems.push(ScanProblem {
                reference: repository.into(),
                problem: error.to_string(),
                is_repository: true,
            }),
        }
    }
    let manifests = read_manifests(registries, tagged, &mut scan.problems).await;
    let images = stream::iter(manifests).map(|((repository, _), (raw, mut tags))| async move {
        tags.sort_by(compare_tags);
        let repo = registries.repo(&repository);
        let source = CachedConfigs { repo: &repo, cache };
        let described = Described::load(&source, raw).await;
        (repository, tags, described)
    });
    let images: Vec<_> = images.buffered(CONCURRENT_IMAGES).collect().await;
    for (repository, tags, described) in images {
        match described {
            Ok(described) if described.images.is_empty() => {}
            Ok(described) => scan.images.push(ScannedImage {
                repository,
                tags,
                described,
            }),
            Err(error) => scan.problems.push(ScanProblem {
                reference: match tags.first() {
                    Some(tag) => repository.tag(tag),
                    None => repository.into(),
                },
                problem: error.to_string(),
                is_repository: false,
            }),
        }
    }
    let best = |image: &ScannedImage| image.tags.first().cloned();
    scan.images.sort_by(|a, b| {
        let tags = || match (best(a), best(b)) {
            (Some(a), Some(b)) => compare_tags(&a, &b),
            (a, b) => a.cmp(&b),
        };
        a.repository.cmp(&b.repository).then_with(tags)
    });
    scan
}

/// The manifests that tags point to, each digest of a repository once, with its tags.
type TaggedManifests = BTreeMap<(Repository, Digest), (RawManifest, Vec<Tag>)>;

async fn read_manifests(
    registries: &Registries,
    tagged: Vec<(Repository, Tag)>,
    problems: &mut Vec<ScanProblem>,
) -> TaggedManifests {
    let manifests = stream::iter(tagged).map(|(repository, tag)| async move {
        let found = registries.repo(&repository).manifest(&tag).await;
        (repository, tag, found)
    });
    let manifests: Vec<_> = manifests.buffered(CONCURRENT_IMAGES).collect().await;
    let mut read = TaggedManifests::new();
    for (repository, tag, found) in manifests {
        match found {
            Ok(Some(raw)) if ArtifactKind::of(&raw).is_image() => {
                let key = (repository, raw.digest.clone());
                let (_, tags) = read.entry(key).or_insert_with(|| (raw, Vec::new()));
                tags.push(tag);
            }
            // The tag was deleted concurrently, or it is an artifact such as a chart.
            Ok(_) => {}
            Err(error) => problems.push(ScanProblem {
                reference: repository.tag(&tag),
                problem: error.to_string(),
                is_repository: false,
            }),
        }
    }
    read
}

/// True unless a tool derived the tag from a digest, or the tag is that of a build cache.
pub(super) fn is_image_tag(tag: &Tag) -> bool {
    ArtifactKind::of_tag(tag).is_none() && !is_build_cache(tag.as_str())
}

/// Sorts the most specific tag of an image first: `1.2.3`, `1.2`, `1`, `latest`.
fn compare_tags(a: &Tag, b: &Tag) -> std::cmp::Ordering {
    let rank = |tag: &Tag| {
        let has_digit = tag.as_str().contains(|c: char| c.is_ascii_digit());
        let dots = tag.as_str().matches('.').count();
        (!has_digit, std::cmp::Reverse(dots))
    };
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_tag_comes_first() {
        let mut tags: Vec<Tag> = ["1", "1.2", "1.2.3", "edge", "latest"]
            .iter()
            .rev()
            .map(|tag| tag.parse().unwrap())
            .collect();
        tags.sort_by(compare_tags);
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        assert_eq!(tags, ["1.2.3", "1.2", "1", "edge", "latest"]);
    }
}
