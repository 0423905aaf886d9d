//! Lists the repositories of a registry, or the tags of a repository.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::error::Error;
use super::names::WorkspaceNames;
use super::scope::CommandScope;
use crate::event::Events;
use crate::image::{Described, RepositoryInventory, describe};
use crate::observe::Absent;
use crate::oci::artifact::ArtifactKind;
use crate::reference::{Digest, Host, Reference, Repository, RepositoryPath, Tag};
use crate::registry::Repo;
use crate::tags::is_build_cache;

/// The content of a registry or of a repository.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Listing {
    /// The content of a registry.
    Registry {
        /// The host of the registry.
        registry: Host,
        /// Its repositories.
        repositories: Vec<RepositoryPath>,
    },
    /// The content of a repository.
    Repository {
        /// The repository.
        repository: Repository,
        /// Its tags.
        tags: Vec<ListRow>,
    },
}

/// One tag.
#[derive(Debug, Serialize)]
pub struct ListRow {
    /// The tag.
    pub tag: Tag,
    /// The kind of its manifest, if it can be read.
    pub kind: Option<ArtifactKind>,
    /// The digest of its manifest.
    pub digest: Digest,
    /// For a tag that a tool derived from a digest: that digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// The size with all blobs, in bytes.
    pub size: Option<u64>,
    /// The creation time in the config.
    pub created: Option<String>,
    /// The version in the labels.
    pub version: Option<String>,
}

/// The registry or repository to list.
enum ListScope {
    Registry(Host),
    Repository(Repository),
}

/// Lists the host, repository or workspace image `place`; by default, the first registry of the
/// workspace. With `all`, also lists the tags that tools derive from digests.
pub async fn list(
    place: Option<&String>,
    all: bool,
    scope: &CommandScope,
) -> Result<Listing, Error> {
    let listed = match (place, scope.destinations.chosen.first()) {
        (Some(text), _) => parse_scope(text, &scope.names)?,
        (None, Some(destination)) => ListScope::Registry(destination.host.clone()),
        (None, None) => {
            return Err(Error::invalid("no registry is configured")
                .hint("use `golden ls HOST[:PORT]`, or add a [[registry]] to golden.toml"));
        }
    };
    let registries = scope.registries(place)?;
    match listed {
        ListScope::Registry(host) => Ok(Listing::Registry {
            repositories: registries.at(&host).catalog().await?,
            registry: host,
        }),
        ListScope::Repository(repository) => {
            let tags = tags(&registries.repo(&repository), all, &scope.settings.events).await?;
            Ok(Listing::Repository { repository, tags })
        }
    }
}

/// The arguments that may be names of workspace images.
#[must_use]
pub fn lookups(arguments: &[String]) -> &[String] {
    match arguments {
        [text] if is_host(text) => &[],
        other => other,
    }
}

/// True if a text is the host of a registry: it has no `/`, and it has a dot or a port, or is
/// `localhost`.
fn is_host(text: &str) -> bool {
    let text = text.trim_end_matches('/');
    let has_port = text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let has_dot = text.contains('.') && !text.contains([':', '@']);
    !text.contains('/') && (has_port || has_dot || text == "localhost")
}

/// Parses a host, a repository, or the name of a workspace image.
fn parse_scope(text: &str, names: &WorkspaceNames) -> Result<ListScope, Error> {
    let text = text.trim_end_matches('/');
    if is_host(text) {
        return Ok(ListScope::Registry(text.parse()?));
    }
    match names.reference(text)? {
        Reference {
            repository,
            tag: None,
            digest: None,
        } => Ok(ListScope::Repository(repository)),
        _ => Err(
            Error::invalid(format!("`{text}` is an image, not a repository"))
                .hint(format!("golden inspect {text}")),
        ),
    }
}

/// The tags of a repository; with `all`, also the tags that tools derive from digests. Fails if it
/// does not exist.
async fn tags(repo: &Repo, all: bool, events: &Events) -> Result<Vec<ListRow>, Error> {
    let Some(mut list) = repo.find_tags().await? else {
        let reference = repo.name().clone().into();
        let absent = Absent::repository(repo.registry(), &reference).await;
        return Err(Box::new(absent).into());
    };
    list.retain(|tag| all || ArtifactKind::of_tag(tag).is_none());
    let tags = RepositoryInventory::heads(repo, list).await?;
    let digests: BTreeSet<Digest> = tags.values().map(|found| found.digest.clone()).collect();
    let described: BTreeMap<Digest, Described> = stream::iter(digests)
        .map(|digest| async move {
            match describe(repo, &digest).await {
                Ok(found) => Ok(found.map(|described| (digest, described))),
                // One damaged or very old image does not hide the others.
                Err(error) if error.is_about_content() => {
                    events.warn(None, error.to_string());
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(4)
        .try_filter_map(async |found| Ok(found))
        .try_collect()
        .await?;
    let rows = tags.into_iter().map(|(tag, found)| {
        let described = described.get(&found.digest);
        let of_tag = ArtifactKind::of_tag(&tag);
        let is_cache = is_build_cache(tag.as_str());
        ListRow {
            kind: match (&of_tag, described.map(|described| &described.kind)) {
                // cosign writes plain images under such tags. Any other kind is more precise than
                // the tag.
                (
                    Some((kind, _)),
                    None
                    | Some(ArtifactKind::Image | ArtifactKind::Index | ArtifactKind::Artifact(_)),
                ) => Some(kind.clone()),
                _ if is_cache => Some(ArtifactKind::BuildCache),
                (_, kind) => kind.cloned(),
            },
            subject: of_tag.map(|(_, digest)| digest),
            tag,
            size: described.map(Described::size),
            created: described.and_then(Described::created).map(str::to_owned),
            version: described
                .and_then(Described::version)
                .filter(|_| !is_cache)
                .map(str::to_owned),
            digest: found.digest,
        }
    });
    Ok(rows.collect())
}
