//! Uploads an image: the blobs by digest, then, after a decision on current tag lists, the manifest
//! under the immutable tag.

use std::collections::BTreeSet;
use std::time::Instant;

use super::artifacts::{Attachments, attach};
use super::decide::{PublishTarget, config_of, decide};
use super::receipt::milliseconds;
use super::{Error, Gatekeeper, PublishJob};
use crate::engine::BuildOutput;
use crate::event::Step;
use crate::image::{Predecessor, UploadSet};
use crate::oci::RawManifest;
use crate::plan::{ContentSource, PlanStep};
use crate::reference::{Digest, Reference, Tag};
use crate::registry::Polling;
use crate::tags;

/// An image that every registry has under its immutable tag.
#[derive(Debug)]
pub struct UploadedImage<'a> {
    pub(super) job: PublishJob<'a>,
    /// Each registry with the manifest for the tags; `None` if the version is withdrawn and not
    /// published.
    pub(super) destinations: Vec<(PublishTarget<'a>, Option<RawManifest>)>,
    pub(super) milliseconds: u64,
}

impl UploadedImage<'_> {
    /// The content as `repository@digest`, one reference per changed registry.
    #[must_use]
    pub fn references(&self) -> Vec<Reference> {
        let reference = |(destination, raw): &(PublishTarget<'_>, Option<RawManifest>)| {
            Some(destination.repo.name().digest(&raw.as_ref()?.digest))
        };
        self.destinations.iter().filter_map(reference).collect()
    }

    /// Decides again on current tag lists, for an image that waited for the upload of others. Fails
    /// if a list cannot be read.
    pub async fn refreshed(mut self) -> Result<Self, Error> {
        for (destination, _) in &mut self.destinations {
            destination.refresh(&self.job).await?;
        }
        Ok(self)
    }
}

/// Uploads an image to every registry that lacks it, and puts its immutable tag. Fails if any
/// registry refuses or cannot be reached, or if the gatekeeper does not admit the image.
///
/// The blobs are sent first: they have no tag, so no reader sees them. Then all tag lists are read
/// and everything is decided for every registry before the first tag is written, so that the
/// decision does not depend on how long the blobs took.
pub async fn upload<'a>(
    job: PublishJob<'a>,
    gatekeeper: Option<&dyn Gatekeeper>,
) -> Result<UploadedImage<'a>, Error> {
    if let PlanStep::Refuse { because, help } = &job.planned.step {
        let (because, help) = (because.clone(), help.clone());
        return Err(Error::Refused {
            image: job.image().to_owned(),
            because,
            help,
        });
    }
    let start = Instant::now();
    let content = content_of(&job).await?;
    for planned in job.busy().filter(|planned| planned.is_new()) {
        let pushed = planned.repository.tag(&full_tag(&job)?);
        job.events.step(job.image(), Step::Push(pushed));
        if let Some(content) = &content {
            let repo = job.registries.repo(&planned.repository);
            let predecessor = match &planned.predecessor {
                Some(digest) => Predecessor::read(&repo, digest, content).await,
                None => Predecessor::default(),
            };
            content
                .send_new(job.registries, &repo, &predecessor)
                .await?;
        }
    }
    let mut destinations = decide(&job).await?;
    if let Some(gatekeeper) = gatekeeper.filter(|_| !job.is_withdrawn()) {
        let mut admitted = BTreeSet::new();
        // The conditions can take minutes, in which another publisher may write.
        while admit(
            &job,
            &destinations,
            content.as_ref(),
            gatekeeper,
            &mut admitted,
        )
        .await?
        {
            destinations = decide(&job).await?;
        }
    }
    let mut done = Vec::new();
    for mut destination in destinations {
        let raw = match destination.published.take() {
            Some(raw) => {
                let is_republished = destination.planned.content == ContentSource::Upload
                    && !destination.planned.is_new();
                // An image that was built again from equal inputs may be incomplete in the
                // registry: a blob may have been lost.
                if let Some(content) = content
                    .as_ref()
                    .filter(|content| is_republished && content.top.digest == raw.digest)
                {
                    content.send(job.registries, &destination.repo).await?;
                }
                attach_missing(&job, &destination, &raw).await?;
                Some(raw)
            }
            None if job.is_withdrawn() => None,
            None => {
                preserve(&job, &destination).await?;
                Some(put_immutable_tag(&job, &destination, content.as_ref()).await?)
            }
        };
        done.push((destination, raw));
    }
    Ok(UploadedImage {
        job,
        destinations: done,
        milliseconds: milliseconds(start),
    })
}

/// Puts the image by digest into every registry that lacks it, and asks the gatekeeper about each
/// image that is not in `admitted`. Returns false if it was asked about none. Fails if it does not
/// admit an image.
async fn admit(
    job: &PublishJob<'_>,
    destinations: &[PublishTarget<'_>],
    content: Option<&UploadSet>,
    gatekeeper: &dyn Gatekeeper,
    admitted: &mut BTreeSet<Digest>,
) -> Result<bool, Error> {
    let mut present = Vec::new();
    for destination in destinations {
        let repo = &destination.repo;
        let raw = match (&destination.published, content) {
            (Some(raw), _) => raw,
            (None, Some(content)) => &content.top,
            (None, _) => continue,
        };
        if admitted.contains(&raw.digest) {
            continue;
        }
        if let (None, Some(content)) = (&destination.published, content) {
            if !destination.planned.is_new() {
                content.send(job.registries, repo).await?;
            }
            content.put(job.registries, repo, &raw.digest, raw).await?;
        }
        present.push((repo, raw));
    }
    for (repo, raw) in &present {
        if admitted.insert(raw.digest.clone()) {
            let admission = gatekeeper.admit(repo, raw).await;
            admission.map_err(|because| Error::Blocked { because })?;
        }
    }
    Ok(!present.is_empty())
}

fn full_tag(job: &PublishJob<'_>) -> Result<Tag, Error> {
    let image = &job.recipe.image;
    Ok(
        tags::fan_out(&job.planned.publish, image.variant.as_ref(), &image.tags)?
            .full()
            .clone(),
    )
}

/// Puts the tag that keeps the first content of a version reachable, before the tag of that version
/// moves.
async fn preserve(job: &PublishJob<'_>, destination: &PublishTarget<'_>) -> Result<(), Error> {
    let Some((tag, raw)) = &destination.original else {
        return Ok(());
    };
    let step = Step::Tag {
        repository: destination.planned.repository.clone(),
        tags: vec![tag.clone()],
    };
    job.events.step(job.image(), step);
    let put = destination.repo.put(tag, raw).await;
    match put {
        Err(error) if error.misses_content() => {
            let warning = format!(
                "{tag} was not created, because the registry lost a part of the first content"
            );
            job.events.warn(Some(job.image()), warning);
            Ok(())
        }
        done => Ok(done?),
    }
}

/// Puts the content under the immutable tag only, after its required artifacts are attached. An
/// engine can push only to a tag, so it pushes only images that nothing is attached to; the caller
/// exports the others.
async fn put_immutable_tag(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    content: Option<&UploadSet>,
) -> Result<RawManifest, Error> {
    let Some(content) = content else {
        let built = job.built.map(|built| &built.output);
        let id = pushed_by_engine(built, &job.attachments, job.image())?;
        return through_engine(job, destination, id).await;
    };
    if !destination.planned.is_new() {
        let pushed = destination.planned.repository.tag(destination.out.full());
        job.events.step(job.image(), Step::Push(pushed));
        content.send(job.registries, &destination.repo).await?;
    }
    let (to, top) = (&destination.repo, &content.top);
    if !job.attachments.is_empty() {
        // No tag ever points to an image that lacks a required artifact.
        content.put(job.registries, to, &top.digest, top).await?;
        attach_missing(job, destination, top).await?;
    }
    let full = destination.out.full();
    content.put(job.registries, to, full, top).await?;
    Ok(top.clone())
}

/// The ID of the image that an engine pushes, if there is no content to send. Fails if artifacts are
/// attached to the image: the engine would put its tag before them.
fn pushed_by_engine<'a>(
    built: Option<&'a BuildOutput>,
    attachments: &Attachments<'_>,
    image: &str,
) -> Result<&'a Digest, Error> {
    match built {
        Some(BuildOutput::Docker { id }) if attachments.is_empty() => Ok(id),
        Some(BuildOutput::Docker { .. }) => Err(Error::NotExported(image.to_owned())),
        Some(BuildOutput::Assembled(_)) | None => Err(Error::NotBuilt(image.to_owned())),
    }
}

/// Attaches the artifacts that an image in the registry lacks.
async fn attach_missing(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    raw: &RawManifest,
) -> Result<(), Error> {
    let attached = attach(job, &destination.repo, raw).await?;
    if !attached.is_empty() {
        let kinds: Vec<String> = attached.iter().map(ToString::to_string).collect();
        let step = Step::Attach {
            artifacts: kinds.join(", "),
            image: destination.planned.repository.digest(&raw.digest),
        };
        job.events.step(job.image(), step);
    }
    Ok(())
}

/// Lets the engine push the immutable tag, and verifies that the registry has the image of the
/// engine.
async fn through_engine(
    job: &PublishJob<'_>,
    destination: &PublishTarget<'_>,
    id: &Digest,
) -> Result<RawManifest, Error> {
    let Some(docker) = job.docker else {
        return Err(Error::NotBuilt(job.image().to_owned()));
    };
    let repository = &destination.planned.repository;
    let full = destination.out.full();
    let reference = repository.tag(full);
    docker.tag(id, &reference).await?;
    docker
        .push(
            &reference,
            job.logins.get(&repository.host),
            job.image(),
            job.events,
        )
        .await?;
    let reference = &reference;
    let read = move || async move {
        let found = destination.repo.manifest(full).await?;
        pushed(reference, found, id, destination.previous.as_ref())
    };
    until_pushed(destination.repo.registry().polling(), read).await
}

/// Reads a tag until it points to the image that the engine pushed.
async fn until_pushed<F>(mut polling: Polling, read: impl Fn() -> F) -> Result<RawManifest, Error>
where
    F: Future<Output = Result<EnginePush, Error>>,
{
    loop {
        let error = match read().await? {
            EnginePush::Done(raw) => return Ok(raw),
            EnginePush::Late(error) => error,
        };
        if !polling.again().await {
            return Err(error);
        }
    }
}

/// A reading of a tag after an engine pushed it.
#[derive(Debug)]
enum EnginePush {
    /// The tag points to the image.
    Done(RawManifest),
    /// The registry may not show the push yet; the error if it never does.
    Late(Error),
}

/// Compares the manifest that a tag points to with the image `id` that the engine pushed to it.
/// `previous` is the digest that the tag pointed to before. Fails if another image was pushed.
fn pushed(
    reference: &Reference,
    found: Option<RawManifest>,
    id: &Digest,
    previous: Option<&Digest>,
) -> Result<EnginePush, Error> {
    let Some(raw) = found else {
        return Ok(EnginePush::Late(Error::Vanished(reference.clone())));
    };
    match config_of(&reference.repository, &raw)? {
        Some(config) if config != *id && raw.digest != *id => {
            let error = Error::OtherContent {
                reference: reference.to_string(),
                found: config,
                expected: id.clone(),
            };
            if previous == Some(&raw.digest) {
                Ok(EnginePush::Late(error))
            } else {
                Err(error)
            }
        }
        _ => Ok(EnginePush::Done(raw)),
    }
}

/// The content to send; `None` if the engine sends it or if there is nothing to send.
async fn content_of(job: &PublishJob<'_>) -> Result<Option<UploadSet>, Error> {
    match (job.built.map(|built| &built.output), &job.planned.step) {
        (Some(BuildOutput::Assembled(assembled)), _) => Ok(Some(UploadSet::assembled(assembled))),
        (None, PlanStep::Copy { from, digest, .. }) => {
            let repo = job.registries.repo(from);
            let found = repo.manifest(digest).await?;
            let top = found.ok_or_else(|| Error::Vanished(from.digest(digest)))?;
            Ok(Some(UploadSet::published(&repo, top).await?))
        }
        (Some(BuildOutput::Docker { .. }) | None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config_files::SbomFormat;
    use crate::image::{Blobs, FileReader};
    use crate::oci::{Descriptor, media};
    use crate::registry::{Registries, RegistryEnv};
    use crate::workspace::user_cache::UserCache;

    #[test]
    fn an_engine_pushes_only_images_that_nothing_is_attached_to() {
        let id = Digest::of(b"config");
        let docker = BuildOutput::Docker { id: id.clone() };
        let registries = Registries::new(Vec::new(), RegistryEnv::from_vars(&BTreeMap::new()));
        let files = FileReader::new(Blobs::new(registries), UserCache::default());
        let pushed = |built, sbom: &[SbomFormat]| {
            let attachments = Attachments {
                signing: None,
                sbom,
                provenance: None,
                files: &files,
            };
            let found = pushed_by_engine(built, &attachments, "app:1.2.3");
            found.cloned().map_err(|error| error.to_string())
        };
        assert_eq!(pushed(Some(&docker), &[]), Ok(id));
        let not_exported = "app:1.2.3 was not exported from the engine, which would put its tag \
                            before signatures and statements are attached";
        let sbom = [SbomFormat::Spdx];
        assert_eq!(pushed(Some(&docker), &sbom), Err(not_exported.to_owned()));
        let not_built = "app:1.2.3 was not built, so there is nothing to upload";
        assert_eq!(pushed(None, &sbom), Err(not_built.to_owned()));
    }

    #[test]
    fn a_push_of_an_engine_is_complete_when_the_tag_has_its_image() {
        let config = Descriptor::of(media::OCI_CONFIG, b"config");
        let image = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] });
        let image = RawManifest::new(media::OCI_MANIFEST, image.to_string().into_bytes());
        let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        let index = RawManifest::new(media::OCI_INDEX, index);
        let other = Digest::of(b"other");
        let reference: Reference = "h.example/app:1.2.3".parse().unwrap();
        let foreign = format!(
            "h.example/app:1.2.3 has the config {}, but the image in the engine has {other}",
            config.digest
        );
        let vanished = "h.example/app:1.2.3 was pushed, but the registry does not have it";
        let done = |raw: &RawManifest| format!("done {}", raw.digest);
        for (found, id, previous, expected) in [
            (Some(&image), &config.digest, None, done(&image)),
            (Some(&image), &image.digest, None, done(&image)),
            (
                Some(&image),
                &config.digest,
                Some(&image.digest),
                done(&image),
            ),
            // An engine that stores indexes pushes one whose ID is another digest.
            (Some(&index), &other, None, done(&index)),
            (Some(&image), &other, None, format!("failed {foreign}")),
            (
                Some(&image),
                &other,
                Some(&other),
                format!("failed {foreign}"),
            ),
            (
                Some(&image),
                &other,
                Some(&image.digest),
                format!("late {foreign}"),
            ),
            (None, &other, None, format!("late {vanished}")),
        ] {
            let result = match pushed(&reference, found.cloned(), id, previous) {
                Ok(EnginePush::Done(raw)) => done(&raw),
                Ok(EnginePush::Late(error)) => format!("late {error}"),
                Err(error) => format!("failed {error}"),
            };
            assert_eq!(result, expected, "{found:?} {id} {previous:?}");
        }
    }

    #[tokio::test]
    async fn a_push_of_an_engine_that_the_registry_shows_late_is_awaited() {
        let raw = RawManifest::new(media::OCI_MANIFEST, b"{}".to_vec());
        let host = "h.example".parse().unwrap();
        for (settle, reads_until_shown, expected) in [(30, 2, true), (0, u32::MAX, false)] {
            let mut env = RegistryEnv::from_vars(&BTreeMap::new());
            env.retry_policy.settle = std::time::Duration::from_secs(settle);
            let polling = Registries::new(Vec::new(), env).at(&host).polling();
            let reads = std::cell::Cell::new(0);
            let read = || {
                reads.set(reads.get() + 1);
                let is_shown = reads.get() >= reads_until_shown;
                std::future::ready(Ok(if is_shown {
                    EnginePush::Done(raw.clone())
                } else {
                    EnginePush::Late(Error::NotBuilt("app:1.2.3".to_owned()))
                }))
            };
            assert_eq!(until_pushed(polling, read).await.is_ok(), expected);
        }
    }
}
