//! The channels of images: moving tags whose target the spec names.

use std::collections::BTreeMap;
use std::path::Path;

use semver::Version;
use serde::Serialize;
use serde_json::Value;

use super::base_lifecycle::LifecycleReader;
use super::error::Error;
use super::published::Requirements;
use super::session::Session;
use super::work::Planned;
use crate::config_files::channel::{ChannelRequirement, ChannelSpec, FollowTable};
use crate::config_files::policy::RequiredArtifact;
use crate::image::Described;
use crate::oci::lifecycle::seconds;
use crate::oci::{RawManifest, rfc3339};
use crate::plan::{
    ChannelAction, ChannelState, ChannelTarget, ContentSource, PlanStep, PlannedAction,
    PlannedChannel, channel_state,
};
use crate::publish::{Receipt, promote};
use crate::reference::{Digest, Repository, Tag, Target};
use crate::registry::{Registries, Repo};
use crate::resolve::ResolvedImage;
use crate::signing::Expected;
use crate::tags::{TagList, TagRole, suffixed, version};
use crate::workspace::git;

/// The maximum number of commits of a spec that are read.
const MOST_COMMITS: usize = 200;

/// The problem of an image without an attestation of a scan, as the end of a sentence about it.
const NOT_SCANNED: &str = "has no attestation of a scan";

/// A channel of an image in one registry.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelRow {
    /// The name of the image.
    pub image: String,
    /// The repository.
    pub repository: Repository,
    /// The tag of the channel.
    pub channel: Tag,
    /// The target as the spec names it: a version, or a tag.
    pub target: String,
    /// The version of the target, if the registry has it.
    pub version: Option<String>,
    /// The digest of the target.
    pub digest: Option<Digest>,
    /// The digest that the tag points to.
    pub previous: Option<Digest>,
    /// The state of the channel in the registry.
    #[serde(flatten)]
    pub state: ChannelState,
    #[serde(skip)]
    raw: Option<RawManifest>,
}

/// A change of a channel in the history of the spec.
#[derive(Debug, Clone, Serialize)]
pub struct ChannelChange {
    /// The time of the commit in RFC 3339.
    pub time: String,
    /// The commit that changed the spec.
    pub commit: String,
    /// The name of the image.
    pub image: String,
    /// The name of the channel, which is also its tag.
    pub channel: String,
    /// The target before the change; absent for a new channel.
    pub from: Option<String>,
    /// The target after the change; absent for a removed channel.
    pub to: Option<String>,
    /// The time at which the version was published, if a receipt has it.
    pub published: Option<String>,
}

/// Reads the channels of the selected images in each selected registry. Fails if a registry fails.
pub async fn channels(
    session: &Session,
    registries: &Registries,
) -> Result<Vec<ChannelRow>, Error> {
    let images = session.images.iter().filter(|one| one.selected);
    let mut images = images
        .map(|one| &one.image)
        .filter(|image| !image.channels.is_empty())
        .peekable();
    if images.peek().is_none() {
        return Ok(Vec::new());
    }
    let reader = ChannelReader::new(session, registries)?;
    let mut rows = Vec::new();
    for image in images {
        rows.extend(reader.of_image(image, &[]).await?);
    }
    Ok(rows)
}

/// Moves the channels that are behind. Fails if a registry fails.
pub async fn move_channels(
    session: &Session,
    registries: &Registries,
) -> Result<Vec<ChannelRow>, Error> {
    let mut rows = channels(session, registries).await?;
    for row in &mut rows {
        if let (ChannelState::Behind, Some(raw)) = (&row.state, &row.raw) {
            let repo = registries.repo(&row.repository);
            promote::point_all(&repo, raw, std::slice::from_ref(&row.channel)).await?;
            row.state = ChannelState::Moved;
        }
    }
    Ok(rows)
}

/// Plans the channels of each planned image, as they are after the planned publication. Requests
/// nothing if no selected image has a channel. Fails if a registry fails.
pub(super) async fn plan_channels(
    session: &Session,
    registries: &Registries,
    planned: &[Planned],
) -> Result<Vec<Vec<PlannedChannel>>, Error> {
    let has_channels = |one: &Planned| one.selected && !one.recipe.image.channels.is_empty();
    if session.destinations.is_empty() || !planned.iter().any(has_channels) {
        return Ok(vec![Vec::new(); planned.len()]);
    }
    let reader = ChannelReader::new(session, registries)?;
    let mut all = Vec::with_capacity(planned.len());
    for one in planned {
        let mut channels = Vec::new();
        if has_channels(one) {
            for row in reader.of_image(&one.recipe.image, planned).await? {
                channels.push(reader.planned(row).await?);
            }
        }
        all.push(channels);
    }
    Ok(all)
}

/// The target of a tag after a planned publication.
#[derive(Debug, Clone)]
enum PlannedTarget<'a> {
    /// An image that is built.
    Built(&'a Planned),
    /// An image that the repository already has.
    Existing {
        repository: Repository,
        digest: Digest,
        /// The artifacts that are attached to it.
        attach: Vec<RequiredArtifact>,
    },
    /// The target of the tag of another version.
    Version(String),
}

/// The tags of a repository that a planned publication creates, moves, or attaches artifacts to.
fn planned_tags<'a>(
    planned: &'a [Planned],
    repository: &Repository,
    expected: &[RequiredArtifact],
) -> BTreeMap<&'a Tag, PlannedTarget<'a>> {
    let mut tags = BTreeMap::new();
    for one in planned {
        let destinations = one.step.destinations.iter();
        for destination in destinations.filter(|to| to.repository == *repository) {
            let publish = one.step.publish.to_string();
            let content = match (&destination.content, &one.step.step) {
                (ContentSource::Published { digest }, _) => PlannedTarget::Existing {
                    repository: repository.clone(),
                    digest: digest.clone(),
                    attach: destination.attach.clone(),
                },
                (_, PlanStep::Copy { from, digest, .. }) => PlannedTarget::Existing {
                    repository: from.clone(),
                    digest: digest.clone(),
                    attach: expected.to_vec(),
                },
                (ContentSource::Upload | ContentSource::Nothing, _) => PlannedTarget::Built(one),
            };
            for planned in &destination.tags {
                let is_attached =
                    planned.action == PlannedAction::Same && !destination.attach.is_empty();
                if planned.role == TagRole::Original || !(planned.is_push() || is_attached) {
                    continue;
                }
                let target = match &planned.to {
                    Some(version) if *version != publish => PlannedTarget::Version(version.clone()),
                    _ => content.clone(),
                };
                tags.insert(&planned.tag, target);
            }
        }
    }
    tags
}

/// Reads the state of channels.
struct ChannelReader<'a> {
    session: &'a Session,
    registries: &'a Registries,
    lifecycle: LifecycleReader<'a>,
    receipts: Vec<Receipt>,
    /// The requirement of a signature.
    signed: Requirements,
    /// The artifacts that golden attaches to every image that it uploads.
    attached_to_uploads: Vec<RequiredArtifact>,
}

/// A channel to read.
struct ChannelRequest<'a> {
    image: &'a ResolvedImage,
    repo: Repo,
    /// The tags of the repository.
    tags: Vec<Tag>,
    /// The tags that a planned publication changes.
    planned: BTreeMap<&'a Tag, PlannedTarget<'a>>,
}

impl<'a> ChannelReader<'a> {
    fn new(session: &'a Session, registries: &'a Registries) -> Result<Self, Error> {
        let now = session.settings.now;
        Ok(Self {
            session,
            registries,
            lifecycle: LifecycleReader::of(Some(&session.workspace), registries, now)?,
            receipts: Receipt::all(&session.state)?,
            signed: Requirements::with(&session.workspace, &[RequiredArtifact::Signature])?,
            attached_to_uploads: Expected::of(&session.workspace.spec, None)
                .kinds()
                .collect(),
        })
    }

    /// Reads the channels of an image in each registry, as they are after the publication of
    /// `planned`.
    async fn of_image(
        &self,
        image: &ResolvedImage,
        planned: &[Planned],
    ) -> Result<Vec<ChannelRow>, Error> {
        let mut rows = Vec::new();
        for destination in &self.session.destinations {
            let repository = destination
                .repository(&image.name)
                .map_err(Error::invalid)?;
            let repo = self.registries.repo(&repository);
            let planned = planned_tags(planned, &repository, &self.attached_to_uploads);
            let request = ChannelRequest {
                tags: repo.tags().await?,
                image,
                repo,
                planned,
            };
            for (name, spec) in &image.channels {
                rows.push(self.read(&request, name, spec).await?);
            }
        }
        Ok(rows)
    }

    async fn read(
        &self,
        request: &ChannelRequest<'_>,
        name: &Tag,
        spec: &ChannelSpec,
    ) -> Result<ChannelRow, Error> {
        let ChannelRequest {
            image,
            repo,
            tags,
            planned,
        } = request;
        let variant = image.variant.as_ref();
        let channel: Tag = suffixed(name.as_str(), variant).parse()?;
        let list = TagList::new(tags.iter().chain(planned.keys().copied()), variant, &[]);
        let (target, written) = match spec {
            ChannelSpec::Version(version) => (newest_tag(&list, version), version.to_string()),
            ChannelSpec::Follow(FollowTable { follow, .. }) => {
                let tag = match (follow.as_str(), variant) {
                    ("latest", Some(variant)) => variant.to_string(),
                    (text, variant) => suffixed(text, variant),
                };
                (Some(tag.parse()?), follow.to_string())
            }
        };
        let target = target.map(|tag| match planned.get(&tag) {
            Some(PlannedTarget::Version(text)) => {
                let found = version(text)
                    .ok()
                    .and_then(|found| newest_tag(&list, &found));
                let tag = found.unwrap_or(tag);
                (planned.get(&tag).cloned(), tag)
            }
            target => (target.cloned(), tag),
        });
        let mut row = ChannelRow {
            image: image.name.to_string(),
            repository: repo.name().clone(),
            previous: repo.head(&channel).await?.map(|found| found.digest),
            channel,
            digest: None,
            version: None,
            state: ChannelState::Refused(format!("{written} is not published")),
            target: written,
            raw: None,
        };
        let now = self.session.settings.now;
        let (from, target, attach) = match target {
            None => return Ok(row),
            Some((Some(PlannedTarget::Built(one)), _)) => {
                let facts = self.facts_of_build(one, image, repo.name(), spec);
                row.version = Some(one.step.publish.to_string());
                row.state = channel_state(spec, &facts, &image.tags.withdrawn, now);
                return Ok(row);
            }
            Some((
                Some(PlannedTarget::Existing {
                    repository,
                    digest,
                    attach,
                }),
                _,
            )) => (
                self.registries.repo(&repository),
                Target::Digest(digest),
                attach,
            ),
            Some((Some(PlannedTarget::Version(_)) | None, tag)) => {
                (repo.clone(), Target::Tag(tag), Vec::new())
            }
        };
        let Some(raw) = from.manifest(&target).await? else {
            return Ok(row);
        };
        row.digest = Some(raw.digest.clone());
        let described = Described::load(&from, raw.clone()).await?;
        row.version = described.version().map(str::to_owned);
        row.state = if row.previous == row.digest {
            ChannelState::Current
        } else {
            let facts = self.facts(image, &from, &described, spec, &attach).await?;
            channel_state(spec, &facts, &image.tags.withdrawn, now)
        };
        row.raw = Some(raw);
        Ok(row)
    }

    /// The facts about an image that a registry has. The artifacts in `attach` count as attached.
    async fn facts(
        &self,
        image: &ResolvedImage,
        repo: &Repo,
        described: &Described,
        spec: &ChannelSpec,
        attach: &[RequiredArtifact],
    ) -> Result<ChannelTarget, Error> {
        let digest = &described.raw.digest;
        let version = match spec {
            ChannelSpec::Version(version) => Some(version.clone()),
            ChannelSpec::Follow(_) => described.version().and_then(|text| version(text).ok()),
        };
        let announced = self.lifecycle.state(repo.name(), digest).await?;
        let declared = version
            .as_ref()
            .and_then(|version| image.lifecycle.revocation(version));
        let published = self.published(repo.name(), digest).or(described.created());
        let mut target = ChannelTarget {
            published: published.and_then(seconds),
            revoked: declared.into_iter().chain(announced.revoked).collect(),
            end_of_life: image
                .lifecycle
                .end()
                .into_iter()
                .chain(announced.end_of_life)
                .collect(),
            version,
            ..ChannelTarget::default()
        };
        let signed = &self.signed;
        let has_key = signed.has_key(repo.name());
        let is_attached = |artifact: &RequiredArtifact| {
            attach.contains(artifact) && (has_key || *artifact != RequiredArtifact::Signature)
        };
        if has_key && !is_attached(&RequiredArtifact::Signature) {
            let unsigned = signed.of_digest(repo, digest).await?;
            target.unsigned = unsigned.into_iter().next();
        }
        let artifacts: Vec<RequiredArtifact> = required(spec)
            .filter_map(artifact)
            .filter(|artifact| !is_attached(artifact))
            .collect();
        if !artifacts.is_empty() {
            let required = self.signed.requiring(artifacts);
            target.lacking = required.of_digest(repo, digest).await?;
        }
        if required(spec).any(|one| one == ChannelRequirement::Scan)
            && !is_scanned(repo, described).await?
        {
            target.lacking.push(NOT_SCANNED.to_owned());
        }
        Ok(target)
    }

    /// The facts about an image that is built, once it is published.
    fn facts_of_build(
        &self,
        built: &Planned,
        image: &ResolvedImage,
        repository: &Repository,
        spec: &ChannelSpec,
    ) -> ChannelTarget {
        let version = built.step.publish.clone();
        let attached = &self.attached_to_uploads;
        let signed = &self.signed;
        let unsigned = if signed.has_key(repository) {
            signed.lacking_with(repository, attached)
        } else {
            Vec::new()
        };
        let artifacts: Vec<RequiredArtifact> = required(spec).filter_map(artifact).collect();
        let mut lacking = self
            .signed
            .requiring(artifacts)
            .lacking_with(repository, attached);
        if required(spec).any(|one| one == ChannelRequirement::Scan) {
            lacking.push(NOT_SCANNED.to_owned());
        }
        ChannelTarget {
            published: Some(self.session.settings.now),
            revoked: image.lifecycle.revocation(&version).into_iter().collect(),
            end_of_life: image.lifecycle.end().into_iter().collect(),
            unsigned: unsigned.into_iter().next(),
            lacking,
            version: Some(version),
        }
    }

    /// The planned action for a channel. Reads the version that the channel points to.
    async fn planned(&self, row: ChannelRow) -> Result<PlannedChannel, Error> {
        let from = match &row.previous {
            Some(digest) if row.state == ChannelState::Current => {
                Some(row.version.clone().unwrap_or_else(|| digest.short()))
            }
            Some(digest) => Some(self.name_of(&row.repository, digest).await?),
            None => None,
        };
        let (action, because) = ChannelAction::of(row.state, from.is_some());
        let to = row.version.or_else(|| Some(row.digest?.short()));
        Ok(PlannedChannel {
            repository: row.repository,
            channel: row.channel,
            target: row.target,
            action,
            from,
            to,
            because,
        })
    }

    /// The version in the labels of an image, or else its short digest.
    async fn name_of(&self, repository: &Repository, digest: &Digest) -> Result<String, Error> {
        let repo = self.registries.repo(repository);
        let Some(raw) = repo.manifest(digest).await? else {
            return Ok(digest.short());
        };
        let described = Described::load(&repo, raw).await?;
        let version = described.version().map(str::to_owned);
        Ok(version.unwrap_or_else(|| digest.short()))
    }

    /// The time at which a digest was published first, from the receipts.
    fn published(&self, repository: &Repository, digest: &Digest) -> Option<&str> {
        let receipts = self.receipts.iter();
        let of_digest =
            receipts.filter(|one| one.repository == *repository && one.digest == *digest);
        of_digest.map(|one| one.published.as_str()).min()
    }
}

/// The tag with the newest content of a version: the version tag, or else its highest revision.
fn newest_tag(list: &TagList, version: &Version) -> Option<Tag> {
    let same = list.versions().iter();
    let mut same = same.filter(|held| held.version.cmp_precedence(version).is_eq());
    // `1.2.3` points to the newest revision of the version.
    let plain = same.clone().find(|held| held.version.build.is_empty());
    plain
        .or_else(|| same.next_back())
        .map(|held| held.tag.clone())
}

/// The artifacts that a channel requires.
fn required(spec: &ChannelSpec) -> impl Iterator<Item = ChannelRequirement> + '_ {
    let table = match spec {
        ChannelSpec::Version(_) => None,
        ChannelSpec::Follow(table) => Some(table),
    };
    table
        .into_iter()
        .flat_map(|table| table.require.iter().copied())
}

const fn artifact(requirement: ChannelRequirement) -> Option<RequiredArtifact> {
    match requirement {
        ChannelRequirement::Signature => Some(RequiredArtifact::Signature),
        ChannelRequirement::Sbom => Some(RequiredArtifact::Sbom),
        ChannelRequirement::Provenance => Some(RequiredArtifact::Provenance),
        ChannelRequirement::Scan => None,
    }
}

/// True if an attestation about vulnerabilities is attached to the image, or to one of its platforms.
async fn is_scanned(repo: &Repo, described: &Described) -> Result<bool, Error> {
    let top = [&described.raw.digest];
    let images = described.images.iter().map(|image| &image.digest);
    for digest in top.into_iter().chain(images) {
        for referrer in repo.referrers(digest).await? {
            let Some(raw) = repo.manifest(&referrer.descriptor.digest).await? else {
                continue;
            };
            let manifest: Value = serde_json::from_slice(&raw.bytes).unwrap_or_default();
            let annotations = manifest["annotations"].as_object().into_iter().flatten();
            let mut predicates =
                annotations.filter(|(key, _)| key.to_ascii_lowercase().contains("predicate"));
            let is_scan = |text: &str| text.contains("vuln") || text.contains("scan");
            if predicates.any(|(_, value)| value.as_str().is_some_and(is_scan)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The changes of channels in the history of the specs, newest first.
pub async fn history(session: &Session) -> Result<Vec<ChannelChange>, Error> {
    let receipts = Receipt::all(&session.state)?;
    let root = &session.workspace.root;
    let environment = session.settings.environment();
    let mut changes = Vec::new();
    let mut files: Vec<(&Path, String)> = session
        .images
        .iter()
        .filter(|one| one.selected)
        .map(|one| (one.image.source.as_path(), one.image.name.to_string()))
        .collect();
    files.sort();
    files.dedup();
    for (file, image) in files {
        let name = file.to_string_lossy();
        let versions = git::versions(root, &name, MOST_COMMITS, &environment).await;
        let tables: Vec<BTreeMap<String, String>> =
            versions.iter().map(|one| targets(&one.text)).collect();
        let none = BTreeMap::new();
        for (n, version) in versions.iter().enumerate() {
            let (new, old) = (&tables[n], tables.get(n + 1).unwrap_or(&none));
            let names: std::collections::BTreeSet<&String> = new.keys().chain(old.keys()).collect();
            for channel in names
                .into_iter()
                .filter(|name| new.get(*name) != old.get(*name))
            {
                let to = new.get(channel).cloned();
                let published = receipts
                    .iter()
                    .filter(|one| one.image == image && Some(one.version.to_string()) == to);
                changes.push(ChannelChange {
                    time: rfc3339(version.time),
                    commit: version.commit.clone(),
                    image: image.clone(),
                    channel: channel.clone(),
                    from: old.get(channel).cloned(),
                    published: published.map(|one| one.published.clone()).min(),
                    to,
                });
            }
        }
    }
    changes.sort_by(|a, b| b.time.cmp(&a.time));
    Ok(changes)
}

/// The targets of the channels in the text of a spec, as they are written.
fn targets(text: &str) -> BTreeMap<String, String> {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let channels = table.get("channels").and_then(toml::Value::as_table);
    let channels = channels.into_iter().flatten();
    channels
        .filter_map(|(name, value)| {
            let target = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Table(table) => table.get("follow")?.as_str()?.to_owned(),
                _ => return None,
            };
            Some((name.clone(), target))
        })
        .collect()
}
