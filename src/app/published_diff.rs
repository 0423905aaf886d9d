//! Compares the images that a run published with the versions before them.

use std::time::Duration;

use super::destinations::Destinations;
use super::diff::{self, ComparedImages};
use super::error::Error;
use super::located::{Finder, LocatedImage};
use super::names::WorkspaceNames;
use super::pipeline::{ImageOutcome, RunResult};
use super::prepare::Prepared;
use super::work::Work;
use crate::publish::Receipt;
use crate::reference::Reference;
use crate::tags::{TagList, TaggedVersion};

/// The most published images of a run that are compared.
pub const MOST_IMAGES: usize = 20;
/// The maximum size of a packed image that is compared, in bytes.
const MOST_BYTES: u64 = 1_000_000_000;
/// The maximum time to compare one image.
const MOST_TIME: Duration = Duration::from_mins(1);

/// The comparison of a published image with the version before it.
#[derive(Debug)]
pub struct PublishedDiff {
    /// The display name of the published image.
    pub image: String,
    /// The result.
    pub result: PublishedDiffResult,
}

/// The result of a comparison.
#[derive(Debug)]
pub enum PublishedDiffResult {
    /// The images were compared.
    Compared(Box<ComparedImages>),
    /// One of the images is larger than 1 GB.
    TooLarge,
    /// The comparison took longer than a minute.
    TooSlow,
    /// An image cannot be read.
    Failed(Error),
}

/// Compares each published image with the version before it, in the first registry that the run
/// changed, on the first platform of the image. An image without an earlier version is omitted.
/// Returns `None` if more than [`MOST_IMAGES`] images were published.
pub async fn published_diffs(prepared: &Prepared, ended: &RunResult) -> Option<Vec<PublishedDiff>> {
    let published = ended
        .reports
        .iter()
        .filter(|report| report.outcome == ImageOutcome::Published);
    let receipts: Vec<&Receipt> = published
        .filter_map(|report| report.receipts.first())
        .collect();
    if receipts.len() > MOST_IMAGES {
        return None;
    }
    let mut diffs = Vec::new();
    let session = &prepared.session;
    let destinations = Destinations {
        chosen: session.destinations.clone(),
        registries: session.registries.clone(),
    };
    for receipt in receipts {
        let Some(work) = prepared.work.iter().find(|work| is_of(work, receipt)) else {
            continue;
        };
        let compared = compare(prepared, &destinations, work, receipt);
        let result = match tokio::time::timeout(MOST_TIME, compared).await {
            Ok(Ok(None)) => continue,
            Ok(Ok(Some(result))) => result,
            Ok(Err(error)) => PublishedDiffResult::Failed(error),
            Err(_) => PublishedDiffResult::TooSlow,
        };
        let image = work.planned.image.clone();
        diffs.push(PublishedDiff { image, result });
    }
    Some(diffs)
}

/// True if a receipt is about an image of the run.
fn is_of(work: &Work, receipt: &Receipt) -> bool {
    let variant = work.planned.variant.as_ref();
    work.planned.name.as_str() == receipt.image
        && work.planned.publish == receipt.version
        && variant.map(ToString::to_string) == receipt.variant
}

/// Compares a published image with the version before it. Returns `None` if there is no earlier
/// version.
async fn compare(
    prepared: &Prepared,
    destinations: &Destinations,
    work: &Work,
    receipt: &Receipt,
) -> Result<Option<PublishedDiffResult>, Error> {
    let Some((from, to)) = versions(prepared, work, receipt).await? else {
        return Ok(None);
    };
    let settings = &prepared.session.settings;
    let finder = Finder {
        settings,
        destinations,
        names: &WorkspaceNames::default(),
        platform: work.recipe.image.platforms.first(),
    };
    let from = finder.find(&from.to_string()).await?;
    let to = finder.find(&to.to_string()).await?;
    if from.packed_size().max(to.packed_size()) > MOST_BYTES {
        return Ok(Some(PublishedDiffResult::TooLarge));
    }
    let content = async |image: LocatedImage| {
        let content = diff::content(&image, settings).await?;
        Ok::<_, Error>((image.reference, content))
    };
    let mut compared = ComparedImages::new(content(from).await?, content(to).await?);
    compared.mark_security(&prepared.session.workspace.lock);
    Ok(Some(PublishedDiffResult::Compared(Box::new(compared))))
}

/// The references of the version before the published one, and of the published one. Returns `None`
/// if there is no earlier version with other content.
async fn versions(
    prepared: &Prepared,
    work: &Work,
    receipt: &Receipt,
) -> Result<Option<(Reference, Reference)>, Error> {
    let image = &work.recipe.image;
    let repo = prepared.registries.repo(&receipt.repository);
    let tags = repo.tags().await?;
    let list = TagList::new(&tags, image.variant.as_ref(), &image.tags.withdrawn);
    let Some((own, earlier)) = split(list.versions(), receipt) else {
        return Ok(None);
    };
    for held in earlier {
        let found = repo.head(&held.tag).await?;
        // The tag of a version points to its newest revision.
        if found.is_some_and(|found| found.digest != receipt.digest) {
            let of = |held: &TaggedVersion| receipt.repository.tag(&held.tag);
            return Ok(Some((of(held), of(own))));
        }
    }
    Ok(None)
}

/// The published version, and the versions before it, from the highest. Pre-releases come before
/// pre-releases only.
fn split<'a>(
    versions: &'a [TaggedVersion],
    receipt: &Receipt,
) -> Option<(
    &'a TaggedVersion,
    impl Iterator<Item = &'a TaggedVersion> + use<'a>,
)> {
    let is_own = |held: &TaggedVersion| held.version == receipt.version;
    let position = versions.iter().position(is_own)?;
    let own = &versions[position];
    let accepts_pre = !own.version.pre.is_empty();
    let earlier = versions[..position].iter().rev();
    let earlier = earlier.filter(move |held| accepts_pre || held.version.pre.is_empty());
    // Revisions of one version are few; a damaged repository must not cause many requests.
    Some((own, earlier.take(3)))
}
