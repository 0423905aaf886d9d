//! The second decision: fresh tag lists, real digests, every registry, just before the first tag is written.

use futures_util::future::try_join_all;

use super::{Error, Job};
use crate::engine::Artifact;
use crate::observe;
use crate::oci::{Manifest, RawManifest};
use crate::plan::{Content, PlannedAction, PlannedDestination, Step};
use crate::reference::{Digest, Tag, Target};
use crate::registry::Registry;
use crate::tags::{self, Existing, FanOut, Move, Standing};

/// One registry in which something is to be done, and what is to be done there.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) registry: Registry,
    pub(super) planned: &'a PlannedDestination,
    pub(super) out: FanOut,
    pub(super) existing: Existing,
    pub(super) moves: Vec<Move>,
    /// The manifest, when the registry has it already.
    pub(super) there: Option<RawManifest>,
    /// What the immutable tag names before it is put.
    pub(super) was: Option<Digest>,
}

/// Reads every destination's tags anew and decides. A refusal anywhere, or a registry that cannot be read, stops the
/// image everywhere (7-rules 25).
pub(super) async fn decide<'a>(job: &Job<'a>) -> Result<Vec<Place<'a>>, Error> {
    let places = try_join_all(job.busy().map(|planned| place(job, planned))).await?;
    let because: Vec<String> = places.iter().flat_map(refusals).collect();
    if because.is_empty() {
        return Ok(places);
    }
    Err(Error::Refused { image: job.image().to_owned(), because })
}

impl Place<'_> {
    /// Reads the tags once more, for a release that comes long after the decision. The content is there by now, and
    /// only moving tags are still to be decided.
    pub(super) async fn refresh(&mut self, job: &Job<'_>) -> Result<(), Error> {
        let rules = &job.recipe.image.tags;
        let list = self.registry.tags(&self.planned.repository.path).await?;
        self.existing = Existing::new(&list, self.out.variant.as_ref(), &rules.withdrawn);
        self.moves = tags::decide(&self.out, &self.existing, rules, Standing::Same);
        Ok(())
    }
}

fn refusals<'a>(place: &'a Place<'_>) -> impl Iterator<Item = String> + 'a {
    let refused = place.moves.iter().filter(|decided| decided.is_refusal());
    refused.map(|decided| format!("{}:{}: {}", place.planned.repository, decided.tag, decided.because))
}

async fn place<'a>(job: &Job<'a>, planned: &'a PlannedDestination) -> Result<Place<'a>, Error> {
    let registry = job.registries.of(&planned.repository)?;
    let image = &job.recipe.image;
    let out = tags::fan_out(&job.planned.publish, image.variant.as_ref(), &image.tags)?;
    let list = registry.tags(&planned.repository.path).await?;
    let existing = Existing::new(&list, image.variant.as_ref(), &image.tags.withdrawn);
    let full = out.full();
    let found = if existing.has(full) {
        registry.get_manifest(&planned.repository.path, &Target::from(full)).await?
    } else {
        None
    };
    let was = found.as_ref().map(|found| found.digest.clone());
    let there = already_there(job, planned, &registry, full, found).await?;
    let standing = if there.is_some() { Standing::Same } else { Standing::Different };
    let moves = tags::decide(&out, &existing, &image.tags, standing);
    if let Some((decided, planned_move)) = moves
        .iter()
        .zip(&planned.tags)
        .find(|(decided, planned)| decided.is_push() && planned.action == PlannedAction::Keep)
    {
        let what =
            format!("it was to stay on {}", planned_move.from.as_deref().unwrap_or("a higher version"));
        return Err(Error::Raced { repository: planned.repository.clone(), tag: decided.tag.clone(), what });
    }
    Ok(Place { registry, planned, out, existing, moves, there, was })
}

/// The manifest under the immutable tag, when it is the content that is to be published.
async fn already_there(
    job: &Job<'_>,
    planned: &PlannedDestination,
    registry: &Registry,
    full: &Tag,
    found: Option<RawManifest>,
) -> Result<Option<RawManifest>, Error> {
    let raced =
        |what: String| Error::Raced { repository: planned.repository.clone(), tag: full.clone(), what };
    match (&planned.content, found) {
        (Content::Published { digest }, Some(found)) if found.digest == *digest => Ok(Some(found)),
        (Content::Published { digest }, Some(found)) => {
            Err(raced(format!("it named {digest} and now names {}", found.digest)))
        }
        (Content::Published { digest }, None) => Err(raced(format!("it named {digest} and now is gone"))),
        (Content::Upload, None) => Ok(None),
        (Content::Upload, Some(found)) => {
            let same =
                is_same(job, planned, &found)? || came_meanwhile(job, planned, registry, &found).await?;
            Ok(same.then_some(found))
        }
    }
}

/// Whether a published manifest is the very content that was built.
fn is_same(job: &Job<'_>, planned: &PlannedDestination, found: &RawManifest) -> Result<bool, Error> {
    match (job.built.map(|built| &built.artifact), &job.planned.step) {
        (Some(Artifact::Docker { id }), _) => {
            Ok(*id == found.digest || config_of(planned, found)?.as_ref() == Some(id))
        }
        (Some(Artifact::Assembled(assembled)), _) => Ok(assembled.top.digest == found.digest),
        (None, Step::Copy { digest, .. }) => Ok(*digest == found.digest),
        (None, _) => Ok(false),
    }
}

/// Whether somebody else published the same inputs since the plan was made: then theirs is the result.
async fn came_meanwhile(
    job: &Job<'_>,
    planned: &PlannedDestination,
    registry: &Registry,
    found: &RawManifest,
) -> Result<bool, Error> {
    if planned.tags.first().is_none_or(|full| full.action != PlannedAction::Create) {
        return Ok(false);
    }
    let labels = observe::labels_of(registry, &planned.repository, found).await?;
    Ok(labels.get("dev.golden.inputs").map(String::as_str) == Some(job.recipe.inputs.as_str()))
}

/// The config's digest, which a Docker Engine calls the image ID; none for an index.
pub(super) fn config_of(planned: &PlannedDestination, raw: &RawManifest) -> Result<Option<Digest>, Error> {
    let repository = || planned.repository.clone();
    match raw.parse().map_err(|source| Error::Manifest { repository: repository(), source })? {
        Manifest::Image(image) => Ok(Some(image.config.digest)),
        Manifest::Index(_) => Ok(None),
    }
}
