//! The second decision, just before the first tag is written: it reads the current tag lists and
//! digests of every registry.

use std::time::Duration;

use futures_util::future::try_join_all;

use super::{Error, PublishJob};
use crate::engine::BuildOutput;
use crate::observe;
use crate::oci::{Manifest, RawManifest};
use crate::plan::{ContentSource, PlanStep, PlannedAction, PlannedDestination, Reason};
use crate::reference::{Digest, Repository, Tag};
use crate::registry::Repo;
use crate::render::INPUTS;
use crate::tags::{
    self, FanOut, Move, OriginalTag, PublishedContent, TagList, TagRole, TaggedVersion, VacatedTag,
};

/// The pauses between reads of a tag that is listed but cannot be read, before its manifest counts
/// as missing.
const READ_PAUSES: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// A registry to publish to, with the decided tag moves.
#[derive(Debug)]
pub(super) struct PublishTarget<'a> {
    pub(super) repo: Repo,
    pub(super) planned: &'a PlannedDestination,
    pub(super) out: FanOut,
    pub(super) existing: TagList,
    pub(super) moves: Vec<Move>,
    /// The manifest under the immutable tag, if the registry already has it.
    pub(super) published: Option<RawManifest>,
    /// The digest that the immutable tag points to before the push.
    pub(super) previous: Option<Digest>,
    /// The first content of the version, and the tag that keeps it reachable.
    pub(super) original: Option<(Tag, RawManifest)>,
    /// The moves of tags of other versions away from withdrawn versions.
    pub(super) vacated: Vec<VacatedMove>,
}

/// The move of a tag from a withdrawn version to the version that it belongs to.
#[derive(Debug)]
pub(super) struct VacatedMove {
    pub(super) tag: Tag,
    pub(super) role: TagRole,
    pub(super) withdrawn: TaggedVersion,
}

impl VacatedMove {
    /// The move of a tag, if the plan has the same move.
    fn planned(left: VacatedTag, planned: &PlannedDestination) -> Option<Self> {
        let VacatedTag {
            tag,
            role,
            withdrawn,
            holder: _,
        } = left;
        let planned = planned.of(&tag).filter(|planned| planned.is_push())?;
        let is_left = |held: &TaggedVersion| {
            planned.from.as_deref() == Some(held.version.to_string().as_str())
        };
        let withdrawn = withdrawn.into_iter().find(is_left)?;
        Some(Self {
            tag,
            role,
            withdrawn,
        })
    }
}

/// Reads the tags of every destination again and decides. Fails for all registries if one refuses
/// or cannot be read.
pub(super) async fn decide<'a>(job: &PublishJob<'a>) -> Result<Vec<PublishTarget<'a>>, Error> {
    let destinations = try_join_all(job.busy().map(|planned| examine(job, planned))).await?;
    let because: Vec<Reason> = destinations.iter().flat_map(refusals).collect();
    if because.is_empty() {
        return Ok(destinations);
    }
    let image = &job.recipe.image;
    let existing = destinations.iter().map(|destination| &destination.existing);
    let next = tags::next_free(&image.version, existing, &image.tags.withdrawn);
    let help = vec![image.version_hint(&next)];
    Err(Error::Refused {
        image: job.image().to_owned(),
        because,
        help,
    })
}

impl PublishTarget<'_> {
    /// Reads the tags again, for a release long after the decision. The content is already
    /// uploaded; only the moving tags are decided.
    pub(super) async fn refresh(&mut self, job: &PublishJob<'_>) -> Result<(), Error> {
        let rules = &job.recipe.image.tags;
        let list = tags_for(&self.repo, &self.out).await?;
        self.existing = TagList::new(&list, self.out.variant.as_ref(), &rules.withdrawn);
        self.moves = tags::decide(&self.out, &self.existing, rules, PublishedContent::Same);
        Ok(())
    }
}

/// Reads the tag list of a destination, for a decision about the tags of `out`.
async fn tags_for(repo: &Repo, out: &FanOut) -> Result<Vec<Tag>, Error> {
    let tags = out.tags.iter().map(|planned| &planned.tag);
    Ok(repo.complete_tags_again(out.full(), tags).await?)
}

fn refusals<'a>(destination: &'a PublishTarget<'_>) -> impl Iterator<Item = Reason> + 'a {
    let refused = destination
        .moves
        .iter()
        .filter(|decided| decided.is_refusal());
    refused.map(|decided| {
        Reason::of_tag(
            &destination.planned.repository,
            &decided.tag,
            &decided.because,
        )
    })
}

async fn examine<'a>(
    job: &PublishJob<'a>,
    planned: &'a PlannedDestination,
) -> Result<PublishTarget<'a>, Error> {
    let repo = job.registries.repo(&planned.repository);
    let image = &job.recipe.image;
    let out = tags::fan_out(&job.planned.publish, image.variant.as_ref(), &image.tags)?;
    // This is read before the list. If the list then has no revision, no publisher had moved the
    // tag when it was read.
    let plain = plain(&repo, &out).await?;
    let mut list = tags_for(&repo, &out).await?;
    let full = out.full();
    let found = if list.contains(full) {
        read_listed(&repo, full).await?
    } else {
        None
    };
    if found.is_none() {
        // Publishing repairs a tag without a manifest.
        list.retain(|tag| tag != full);
    }
    let all = TagList::new(&list, image.variant.as_ref(), &[]);
    let existing = TagList::new(&list, image.variant.as_ref(), &image.tags.withdrawn);
    let original = out.original(&all).filter(|_| !job.is_withdrawn());
    let original = original
        .zip(plain)
        .map(|(OriginalTag { tag, .. }, raw)| (tag, raw));
    let vacated = tags::vacated(&out, &all, &existing, &image.tags).into_iter();
    let vacated = vacated.filter_map(|left| VacatedMove::planned(left, planned));
    let vacated = vacated.collect();
    let previous = found.as_ref().map(|found| found.digest.clone());
    let published = already_there(job, planned, &repo, full, found).await?;
    let content = if published.is_some() {
        PublishedContent::Same
    } else {
        PublishedContent::Different
    };
    let moves = tags::decide(&out, &existing, &image.tags, content);
    for decided in moves.iter().filter(|decided| decided.is_push()) {
        if let Some(kept) = planned
            .of(&decided.tag)
            .filter(|planned| planned.action == PlannedAction::Keep)
        {
            let change = format!(
                "the plan keeps it on {}",
                kept.from.as_deref().unwrap_or("a higher version")
            );
            return Err(Error::Raced {
                repository: planned.repository.clone(),
                tag: decided.tag.clone(),
                what: change,
            });
        }
    }
    Ok(PublishTarget {
        repo,
        planned,
        out,
        existing,
        moves,
        published,
        previous,
        original,
        vacated,
    })
}

/// The manifest of the plain tag `1.2.3`, when the revision `1.2.3_r1` is to be published.
async fn plain(repo: &Repo, out: &FanOut) -> Result<Option<RawManifest>, Error> {
    match out
        .tags
        .iter()
        .find(|planned| planned.role == TagRole::Patch)
    {
        Some(plain) => Ok(repo.manifest(&plain.tag).await?),
        None => Ok(None),
    }
}

/// Reads the manifest of a listed tag. Another publisher may be writing it, so it is read several
/// times before it counts as missing.
async fn read_listed(repo: &Repo, tag: &Tag) -> Result<Option<RawManifest>, Error> {
    for pause in READ_PAUSES {
        if let Some(found) = repo.manifest(tag).await? {
            return Ok(Some(found));
        }
        tokio::time::sleep(pause).await;
    }
    Ok(repo.manifest(tag).await?)
}

/// Returns the manifest under the immutable tag if it has the content to be published. Fails if the
/// content changed since the plan was made.
async fn already_there(
    job: &PublishJob<'_>,
    planned: &PlannedDestination,
    repo: &Repo,
    full: &Tag,
    found: Option<RawManifest>,
) -> Result<Option<RawManifest>, Error> {
    let raced = |what: String| Error::Raced {
        repository: planned.repository.clone(),
        tag: full.clone(),
        what,
    };
    match (&planned.content, found) {
        (ContentSource::Published { digest }, Some(found)) if found.digest == *digest => {
            Ok(Some(found))
        }
        (ContentSource::Published { digest }, Some(found)) => Err(raced(format!(
            "it pointed to {digest} and now points to {}",
            found.digest
        ))),
        (ContentSource::Published { digest }, None) => Err(raced(format!(
            "it pointed to {digest} and no longer exists"
        ))),
        (ContentSource::Nothing, found) => Ok(found),
        (ContentSource::Upload, None) => Ok(None),
        (ContentSource::Upload, Some(found)) => {
            let built = job.built.map(|built| &built.output);
            let same = is_same(built, &job.planned.step, &planned.repository, &found)?
                || (planned.is_new() && has_inputs(job, repo, &found).await?);
            Ok(same.then_some(found))
        }
    }
}

/// True if the published manifest has exactly the content that was built or is to be copied.
fn is_same(
    built: Option<&BuildOutput>,
    step: &PlanStep,
    repository: &Repository,
    found: &RawManifest,
) -> Result<bool, Error> {
    match (built, step) {
        (Some(BuildOutput::Docker { id }), _) => {
            Ok(*id == found.digest || config_of(repository, found)?.as_ref() == Some(id))
        }
        (Some(BuildOutput::Assembled(assembled)), _) => Ok(assembled.top.digest == found.digest),
        (None, PlanStep::Copy { digest, .. }) => Ok(*digest == found.digest),
        (None, _) => Ok(false),
    }
}

/// True if the manifest was built from the same inputs. If another publisher published them after
/// the plan was made, that manifest is the result.
pub(super) async fn has_inputs(
    job: &PublishJob<'_>,
    repo: &Repo,
    found: &RawManifest,
) -> Result<bool, Error> {
    let labels = observe::labels_of(repo, found).await?;
    Ok(labels.get(INPUTS).map(String::as_str) == Some(job.recipe.inputs.as_str()))
}

/// The digest of the config, which a Docker Engine calls the image ID; `None` for an index.
pub(super) fn config_of(
    repository: &Repository,
    raw: &RawManifest,
) -> Result<Option<Digest>, Error> {
    let manifest = raw.parse().map_err(|source| Error::Manifest {
        repository: repository.clone(),
        source,
    })?;
    match manifest {
        Manifest::Image(image) => Ok(Some(image.config.digest)),
        Manifest::Index(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::{Descriptor, media};

    #[test]
    fn content_is_published_already_if_the_manifest_or_its_config_is_the_one_to_publish() {
        let config = Descriptor::of(media::OCI_CONFIG, b"config");
        let image = serde_json::json!({ "schemaVersion": 2, "config": config, "layers": [] });
        let image = RawManifest::new(media::OCI_MANIFEST, image.to_string().into_bytes());
        let index = br#"{"schemaVersion":2,"manifests":[]}"#.to_vec();
        let index = RawManifest::new(media::OCI_INDEX, index);
        let other = Digest::of(b"other");
        let repository: Repository = "h.example/app".parse().unwrap();
        let build = PlanStep::Build {
            because: Vec::new(),
        };
        let copy = |digest: &Digest| PlanStep::Copy {
            from: repository.clone(),
            digest: digest.clone(),
            because: Vec::new(),
        };
        let docker = |id: &Digest| Some(BuildOutput::Docker { id: id.clone() });
        for (built, step, found, expected) in [
            // A Docker Engine calls the digest of the config or of the manifest the image ID.
            (docker(&config.digest), &build, &image, true),
            (docker(&image.digest), &build, &image, true),
            (docker(&index.digest), &build, &index, true),
            (docker(&other), &build, &image, false),
            (docker(&other), &build, &index, false),
            (None, &copy(&image.digest), &image, true),
            (None, &copy(&config.digest), &image, false),
            (None, &build, &image, false),
        ] {
            let same = is_same(built.as_ref(), step, &repository, found).unwrap();
            assert_eq!(same, expected, "{built:?} {step:?} {found:?}");
        }
    }
}
