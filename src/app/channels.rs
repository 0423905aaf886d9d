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
use crate::config_files::channel::{ChannelRequirement, ChannelSpec, FollowTable};
use crate::config_files::policy::RequiredArtifact;
use crate::image::Described;
use crate::oci::lifecycle::seconds;
use crate::oci::{RawManifest, rfc3339};
use crate::publish::{Receipt, promote};
use crate::reference::{Digest, Repository, Tag};
use crate::registry::{Registries, Repo};
use crate::resolve::ResolvedImage;
use crate::tags::{self, TagList, suffixed, version};
use crate::workspace::git;

/// The maximum number of commits of a spec that are read.
const MOST_COMMITS: usize = 200;

/// The state of a channel in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "because", rename_all = "lowercase")]
pub enum ChannelState {
    /// The tag points to the target.
    Current,
    /// The tag will move with the next publication.
    Behind,
    /// The tag has moved.
    Moved,
    /// The tag will move later: the version is too new, or lacks an artifact.
    Waiting(String),
    /// golden refuses to move the tag.
    Refused(String),
}

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
    /// The state.
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
    /// The commit.
    pub commit: String,
    /// The name of the image.
    pub image: String,
    /// The channel.
    pub channel: String,
    /// The target before; absent for a new channel.
    pub from: Option<String>,
    /// The target after; absent for a removed channel.
    pub to: Option<String>,
    /// The time at which the version was published, if a receipt has it.
    pub published: Option<String>,
}

/// Reads the channels of the selected images in each selected registry. Fails if a registry fails.
pub async fn channels(
    session: &Session,
    registries: &Registries,
) -> Result<Vec<ChannelRow>, Error> {
    let has_channels = |image: &ResolvedImage| !image.channels.is_empty();
    if !session
        .images
        .iter()
        .any(|one| one.selected && has_channels(&one.image))
    {
        return Ok(Vec::new());
    }
    let reader = ChannelReader {
        session,
        lifecycle: LifecycleReader::of(Some(&session.workspace), registries, session.settings.now)?,
        receipts: Receipt::all(&session.state)?,
        signed: Requirements::with(&session.workspace, &[RequiredArtifact::Signature])?,
    };
    let mut rows = Vec::new();
    for image in session.images.iter().filter(|one| one.selected) {
        let image = &image.image;
        for destination in &session.destinations {
            if image.channels.is_empty() {
                continue;
            }
            let repository = destination
                .repository(&image.name)
                .map_err(Error::invalid)?;
            let repo = registries.repo(&repository);
            let tags = repo.tags().await?;
            for (name, spec) in &image.channels {
                rows.push(reader.read(image, &repo, &tags, name, spec).await?);
            }
        }
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

/// Reads the state of channels.
struct ChannelReader<'a> {
    session: &'a Session,
    lifecycle: LifecycleReader<'a>,
    receipts: Vec<Receipt>,
    /// The requirement of a signature.
    signed: Requirements,
}

impl ChannelReader<'_> {
    async fn read(
        &self,
        image: &ResolvedImage,
        repo: &Repo,
        tags: &[Tag],
        name: &Tag,
        spec: &ChannelSpec,
    ) -> Result<ChannelRow, Error> {
        let variant = image.variant.as_ref();
        let channel: Tag = suffixed(name.as_str(), variant).parse()?;
        let list = TagList::new(tags, image.variant.as_ref(), &[]);
        let target = match spec {
            ChannelSpec::Version(version) => {
                let same = list.versions().iter();
                let mut same = same.filter(|held| held.version.cmp_precedence(version).is_eq());
                // `1.2.3` points to the newest revision of the version.
                let plain = same.clone().find(|held| held.version.build.is_empty());
                plain
                    .or_else(|| same.next_back())
                    .map(|held| held.tag.clone())
            }
            ChannelSpec::Follow(FollowTable { follow, .. }) => {
                let tag = match (follow.as_str(), variant) {
                    ("latest", Some(variant)) => variant.to_string(),
                    (text, variant) => suffixed(text, variant),
                };
                Some(tag.parse()?)
            }
        };
        let written = match spec {
            ChannelSpec::Version(version) => version.to_string(),
            ChannelSpec::Follow(FollowTable { follow, .. }) => follow.to_string(),
        };
        let raw = match &target {
            Some(tag) => repo.manifest(tag).await?,
            None => None,
        };
        let previous = repo.head(&channel).await?.map(|found| found.digest);
        let mut row = ChannelRow {
            image: image.name.to_string(),
            repository: repo.name().clone(),
            channel,
            digest: raw.as_ref().map(|raw| raw.digest.clone()),
            previous,
            version: None,
            state: ChannelState::Refused(format!("{written} is not published")),
            target: written,
            raw: None,
        };
        let Some(raw) = raw else { return Ok(row) };
        let described = Described::load(repo, raw.clone()).await?;
        row.version = described.version().map(str::to_owned);
        row.state = if row.previous == row.digest {
            ChannelState::Current
        } else {
            self.judge(image, repo, &described, spec).await?
        };
        row.raw = Some(raw);
        Ok(row)
    }

    /// The decision to move a channel to an image.
    async fn judge(
        &self,
        image: &ResolvedImage,
        repo: &Repo,
        described: &Described,
        spec: &ChannelSpec,
    ) -> Result<ChannelState, Error> {
        let now = self.session.settings.now;
        let digest = &described.raw.digest;
        let version = match spec {
            ChannelSpec::Version(version) => Some(version.clone()),
            ChannelSpec::Follow(_) => described.version().and_then(|text| version(text).ok()),
        };
        let declared = version
            .as_ref()
            .and_then(|version| image.lifecycle.revocation(version));
        let announced = self.lifecycle.state(repo.name(), digest).await?;
        // What counts now comes before what is planned.
        let mut revoked = [declared, announced.revoked].into_iter().flatten();
        if let Some(one) = revoked.find(|one| one.counts(now)) {
            let reason = one.reason.unwrap_or_default();
            return Ok(ChannelState::Refused(format!("it is revoked: {reason}")));
        }
        let is_gone = |version: &Version| tags::is_withdrawn(version, &image.tags.withdrawn);
        if version.as_ref().is_some_and(is_gone) {
            return Ok(ChannelState::Refused("it is withdrawn".to_owned()));
        }
        let mut ends = [image.lifecycle.end(), announced.end_of_life]
            .into_iter()
            .flatten();
        if let Some(one) = ends.find(|one| one.counts(now)) {
            let day = one.from.unwrap_or_default();
            return Ok(ChannelState::Refused(format!(
                "it reached its end of life on {day}"
            )));
        }
        if self.signed.has_key(repo.name())
            && let Some(unsigned) = self.signed.of_digest(repo, digest).await?.first()
        {
            return Ok(ChannelState::Refused(format!("it {unsigned}")));
        }
        let ChannelSpec::Follow(FollowTable { after, require, .. }) = spec else {
            return Ok(ChannelState::Behind);
        };
        if let Some(after) = after {
            let published = self.published(repo.name(), digest).or(described.created());
            let published = published.and_then(seconds).unwrap_or(now);
            if now - published < after.0 {
                let ready = rfc3339(published + after.0);
                return Ok(ChannelState::Waiting(format!(
                    "it is too new until {ready}"
                )));
            }
        }
        let artifacts = require.iter().copied().filter_map(artifact);
        let required = self.signed.requiring(artifacts.collect());
        if let Some(lacking) = required.of_digest(repo, digest).await?.first() {
            return Ok(ChannelState::Waiting(format!("it {lacking}")));
        }
        if require.contains(&ChannelRequirement::Scan) && !is_scanned(repo, described).await? {
            let reason = "it has no attestation of a scan".to_owned();
            return Ok(ChannelState::Waiting(reason));
        }
        Ok(ChannelState::Behind)
    }

    /// The time at which a digest was published first, from the receipts.
    fn published(&self, repository: &Repository, digest: &Digest) -> Option<&str> {
        let receipts = self.receipts.iter();
        let of_digest =
            receipts.filter(|one| one.repository == *repository && one.digest == *digest);
        of_digest.map(|one| one.published.as_str()).min()
    }
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
