//! Images whose base is unavailable. They are removed from a run, together with the images that are
//! built on them. The other images are still built, and the summary lists the removed images as
//! well.

use std::collections::BTreeMap;

use super::error::Error;
use super::pipeline::{Engines, Failed, ImageOutcome, ImageReport, RunResult};
use super::session::Session;
use super::survey::external_bases;
use super::unready::{UnreadyImage, UnreadyReason, skipped};
use crate::observe;
use crate::resolve::ResolvedImage;
use crate::resolve::pin::ParentIndex;
use crate::snapshot::Observed;

/// Reads every base separately. Removes the images whose base is unavailable, and the images built
/// on them, from `session`.
pub(super) async fn take_out(session: &mut Session, engines: &Engines) -> Vec<UnreadyImage> {
    let mut observed = Observed::default();
    let images: Vec<ResolvedImage> = session.resolved().cloned().collect();
    observe::from_lock(&images, &session.workspace.lock, &mut observed);
    let mut unavailable = BTreeMap::new();
    let parents = ParentIndex::new(&images);
    for (position, image) in images.iter().enumerate() {
        let parent = parents
            .of(image)
            .filter(|parent| unavailable.contains_key(parent));
        if let Some(parent) = parent {
            let name = images[parent].display();
            let root = match unavailable.get(&parent) {
                Some(UnreadyReason::Parent { root, .. }) => root.clone(),
                _ => name.clone(),
            };
            unavailable.insert(position, UnreadyReason::Parent { parent: name, root });
            continue;
        }
        let alone = std::slice::from_ref(image);
        if let Err(error) = external_bases(alone, engines, &mut observed).await {
            unavailable.insert(position, UnreadyReason::Base(error));
        }
    }
    let all = std::mem::take(&mut session.images).into_iter().enumerate();
    let mut unready = Vec::new();
    for (position, image) in all {
        match unavailable.remove(&position) {
            Some(why) => unready.push(UnreadyImage {
                image: image.image,
                why,
            }),
            None => session.images.push(image),
        }
    }
    unready
}

/// Fails if the base of an image is unavailable. It is for `--atomic`, which moves no tag unless
/// all images are ready.
pub(super) fn refuse_any(unready: &[UnreadyImage]) -> Result<(), Error> {
    let error = unready.iter().find_map(|unready| match &unready.why {
        UnreadyReason::Base(error) => Some(error),
        UnreadyReason::Parent { .. } => None,
    });
    error.map_or(Ok(()), |error| {
        let failed = Error::failed(format!("{error}; with --atomic, no build starts"));
        Err(error.hints().into_iter().fold(failed, Error::hint))
    })
}

/// Adds the removed images to the summary of a run.
pub(super) fn put_back(unready: Vec<UnreadyImage>, ended: &mut RunResult) {
    for UnreadyImage { image, why } in unready {
        let (outcome, because, failed) = match why {
            UnreadyReason::Base(error) => (
                ImageOutcome::Failed,
                error.to_string(),
                Some(Failed::Base {
                    error,
                    location: image.locations.base,
                }),
            ),
            UnreadyReason::Parent { parent, root } => {
                (ImageOutcome::Skipped, skipped(&parent, &root), None)
            }
        };
        if let Some(failed) = failed {
            ended.failures.push((ended.reports.len(), failed));
        }
        ended.reports.push(ImageReport {
            image: image.name.to_string(),
            version: image.version,
            variant: image.variant.map(|variant| variant.to_string()),
            outcome,
            because,
            engine: None,
            inputs: None,
            digest: None,
            local: Vec::new(),
            durations: BTreeMap::new(),
            in_place: Vec::new(),
            tests: Vec::new(),
            gates: Vec::new(),
            receipts: Vec::new(),
        });
    }
}
