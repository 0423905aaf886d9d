//! Copies an image by digest to another repository.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::base_lifecycle::LifecycleReader;
use super::build;
use super::destinations::Destinations;
use super::error::Error;
use super::gates::{self, GateSubject, Gates};
use super::notify::{MovedTags, notify};
use super::readable::published;
use super::registries;
use super::scope::CommandScope;
use crate::config_files::gate_table::{GateEvent, GateTable};
use crate::config_files::notify_table::NotifyEvent;
use crate::gates::GateReport;
use crate::image::{self, BlobCounts};
use crate::observe::Absent;
use crate::oci::RawManifest;
use crate::publish::{self, promote};
use crate::reference::{Digest, Reference, Tag, Target};
use crate::registry::Repo;
use crate::signing::Signing;
use crate::tags::Move;

/// The request to promote an image.
#[derive(Debug)]
pub struct PromoteRequest {
    /// The image to copy: a reference, or the name of a workspace image.
    pub source: String,
    /// The destination: a repository, a reference with a tag, or the name of a workspace image.
    pub destination: String,
    /// True if the other tags of the same digest are copied too.
    pub tags: bool,
    /// True if the artifacts that refer to the image are copied too, except announcements of its end
    /// of life.
    pub referrers: bool,
    /// True if nothing is written.
    pub dry_run: bool,
}

/// The result of a promotion.
#[derive(Debug, Serialize)]
pub struct Promotion {
    /// True if nothing was written.
    pub dry_run: bool,
    /// The image.
    pub source: Reference,
    /// The repository that has the copy.
    pub destination: String,
    /// The digest of the image.
    pub digest: Digest,
    /// The decision about each tag.
    pub tags: Vec<Move>,
    /// The blobs, by outcome.
    pub blobs: BlobCounts,
    /// The digests of the artifacts that refer to the image.
    pub referrers: Vec<Digest>,
    /// True if signatures for the destination were added.
    pub signed: bool,
    /// The results of the gates.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateReport>,
}

/// Copies an image, or reports what would be copied. The gates of the workspace run before the first
/// tag is put. Fails if the destination has the version with other content, or if a gate fails.
pub async fn promote(
    request: &PromoteRequest,
    signing: Option<&Signing>,
    scope: &CommandScope,
) -> Result<Promotion, Error> {
    let CommandScope {
        settings,
        workspace,
        destinations,
        names,
    } = scope;
    let workspace = workspace.as_ref();
    let source = names.reference(&request.source)?;
    let destination = names.reference(&request.destination)?;
    if destination.digest.is_some() {
        return Err(Error::invalid(
            "the destination must be a repository or a tag; its digest is that of the source",
        ));
    }
    // A login that is not bound to a registry is for the destination, but only if the command line
    // names its host.
    let registries = if names.has(&request.destination) {
        registries::open(settings, destinations, &[])?
    } else {
        registries::open_to(settings, destinations, &destination.repository.host)?
    };
    let from = registries.repo(&source.repository);
    let to = registries.repo(&destination.repository);

    let found = from.manifest(source.target()).await?;
    let Some(raw) = found else {
        return Err(Box::new(Absent::find(&from, &source).await).into());
    };
    let reader = LifecycleReader::of(workspace, &registries, settings.now)?;
    let place = (source.repository.clone(), raw.digest.clone());
    let images = BTreeMap::from([(format!("image {source}"), place)]);
    reader.require(images, &settings.events).await?;
    let tags = requested_tags(request, &source, &destination, &from, &raw.digest).await?;
    let decide = async || match destination.tag {
        Some(_) => promote::decide_tags(&to, &raw.digest, &tags).await,
        None => promote::decide_copied_tags(&from, &to, &raw.digest, &tags).await,
    };
    let mut moves = decide().await?;
    let known_as = names_of([&to, &from], destinations);
    let attached = if request.referrers {
        promote::attached(&from, &raw).await?
    } else {
        Vec::new()
    };
    let (mut signed, mut is_moved) = (false, false);
    let mut reports = Vec::new();
    let (copied, referrers) = if request.dry_run {
        let digests: BTreeSet<Digest> = attached
            .iter()
            .map(|attached| attached.digest().clone())
            .collect();
        let copied = image::would_copy(&from, &to, &raw).await?;
        (copied, digests.into_iter().collect())
    } else {
        let copied = image::copy(&from, &to, &raw, &settings.events).await?;
        let gates = workspace.map(|workspace| {
            let examiner = build::examiner(settings, &registries);
            build::gates(settings, workspace, &registries, examiner)
        });
        let applied: Vec<_> = gates
            .iter()
            .flat_map(|gates| gates.of(GateEvent::Promote, &known_as))
            .collect();
        if !attached.is_empty() || signing.is_some() || !applied.is_empty() {
            // Referrers and gates come before tags, so that no tag points to an image that lacks
            // them.
            to.put(&raw.digest, &raw).await?;
        }
        if let (Some(gates), false) = (&gates, applied.is_empty()) {
            reports = examine(gates, &applied, known_as[0], &to, &raw, &moves).await?;
        }
        let referrers = promote::copy_attached(&from, &to, attached, &settings.events).await?;
        if let Some(signing) = signing {
            let manifests = publish::sign(&to, &raw, signing, settings.now).await?;
            signed = manifests.iter().any(|(_, added)| !added.is_empty());
        }
        // Another publisher may have moved tags while the content was copied and the gates ran.
        moves = decide().await?;
        is_moved = promote::put(&to, &raw, &moves).await?;
        (copied, referrers)
    };
    let promotion = Promotion {
        dry_run: request.dry_run,
        destination: to.name().to_string(),
        digest: raw.digest,
        tags: moves,
        blobs: copied,
        referrers,
        signed,
        gates: reports,
        source,
    };
    if let Some(workspace) = workspace.filter(|_| is_moved) {
        let moved = MovedTags {
            names: known_as.into_iter().map(str::to_owned).collect(),
            repository: to.name().clone(),
            digest: promotion.digest.clone(),
            data: serde_json::to_value(&promotion).unwrap_or_default(),
        };
        notify(settings, workspace, NotifyEvent::Promote, &[moved]).await;
    }
    Ok(promotion)
}

/// The names of the image for the globs of gates, in the destination and in the source: below the
/// namespace of each known registry, and whole.
fn names_of<'a>(repos: [&'a Repo; 2], destinations: &Destinations) -> Vec<&'a str> {
    let known = || destinations.chosen.iter().chain(&destinations.registries);
    repos
        .into_iter()
        .flat_map(|repo| {
            let below = known().filter_map(|one| one.image_in(repo.name()));
            below.chain([repo.name().path.as_str()])
        })
        .collect()
}

/// Runs gates on a copy that no tag points to. Fails if one does not pass.
async fn examine(
    gates: &Gates,
    applied: &[&GateTable],
    name: &str,
    to: &Repo,
    raw: &RawManifest,
    moves: &[Move],
) -> Result<Vec<GateReport>, Error> {
    let repository = to.name();
    let version = match moves.first() {
        Some(decided) => decided.tag.to_string(),
        None => raw.digest.to_string(),
    };
    let image = published(to, raw.clone()).await?;
    let subject = GateSubject {
        display: &format!("{repository}:{version}"),
        name,
        version: &version,
        reference: &repository.digest(&raw.digest),
        image: &image,
    };
    let reports = gates.run(applied, &subject).await.map_err(|problem| {
        Error::failed(format!(
            "the gates could not be run: {problem}; no tag was moved"
        ))
    })?;
    match gates::failure(&reports) {
        None => Ok(reports),
        Some(because) => {
            let failed = reports.iter().filter(|report| !report.passed);
            let output: Vec<&str> = failed.map(|report| report.output.trim_end()).collect();
            Err(Error::failed(format!(
                "{because}; no tag was moved\n{}",
                output.join("\n")
            )))
        }
    }
}

/// The tags to create in the destination.
async fn requested_tags(
    request: &PromoteRequest,
    source: &Reference,
    destination: &Reference,
    from: &Repo,
    digest: &Digest,
) -> Result<Vec<Tag>, Error> {
    let mut tags: Vec<Tag> = destination.tag.iter().cloned().collect();
    if let (true, Target::Tag(tag)) = (tags.is_empty(), source.target()) {
        tags.push(tag);
    }
    if request.tags {
        for tag in promote::tags_of(from, digest).await? {
            if !tags.contains(&tag) {
                tags.push(tag);
            }
        }
    }
    Ok(tags)
}
