//! Images whose base is unavailable. They are removed from a run, together with the images that are
//! built on them. The other images are still built, and the summary lists the removed images as
//! well.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::Session;
use crate::observe;
use crate::pipeline::{Ended, Engines, Failed, ImageOutcome, ImageReport};
use crate::resolve::ResolvedImage;
use crate::resolve::pin::ParentIndex;
use crate::snapshot::Observed;

/// An image that is not built, and the reason.
#[derive(Debug)]
pub(crate) struct Unready {
    image: ResolvedImage,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// Its base is unavailable.
    Base(observe::Error),
    /// Its base image in the workspace, given by its display name, is not ready either.
    Parent(String),
}

/// Reads every base separately. Removes the images whose base is unavailable, and the images built
/// on them, from `session`.
pub(crate) async fn take_out(session: &mut Session, engines: &Engines) -> Vec<Unready> {
    let mut observed = Observed::default();
    observe::from_lock(&session.images, &session.workspace.lock, &mut observed);
    let mut unavailable = BTreeMap::new();
    let parents = ParentIndex::new(&session.images);
    for (position, image) in session.images.iter().enumerate() {
        let parent = parents
            .of(image)
            .filter(|parent| unavailable.contains_key(parent));
        if let Some(parent) = parent {
            unavailable.insert(position, Why::Parent(session.images[parent].display()));
            continue;
        }
        let alone = std::slice::from_ref(image);
        let docker = match observe::bases(alone, &engines.embedded, None, &mut observed).await {
            Ok(()) => continue,
            Err(observe::Error::NoBase { .. }) => engines.docker().await.ok(),
            Err(_) => None,
        };
        if let Err(error) = observe::bases(alone, &engines.embedded, docker, &mut observed).await {
            unavailable.insert(position, Why::Base(error));
        }
    }
    let kept: Vec<usize> = (0..session.images.len())
        .filter(|n| !unavailable.contains_key(n))
        .collect();
    let selected = kept
        .iter()
        .enumerate()
        .filter(|(_, was)| session.selected.contains(was));
    let selected: BTreeSet<usize> = selected.map(|(now, _)| now).collect();
    session.selected = selected;
    session.bases = kept.iter().map(|n| session.bases[*n].clone()).collect();
    let all = std::mem::take(&mut session.images).into_iter().enumerate();
    let mut unready = Vec::new();
    for (position, image) in all {
        match unavailable.remove(&position) {
            Some(why) => unready.push(Unready { image, why }),
            None => session.images.push(image),
        }
    }
    unready
}

/// Fails if the base of an image is unavailable. It is for `--atomic`, which moves no tag unless
/// all images are ready.
pub(crate) fn refuse_any(unready: &[Unready]) -> Result<(), Failure> {
    let error = unready.iter().find_map(|unready| match &unready.why {
        Why::Base(error) => Some(error),
        Why::Parent(_) => None,
    });
    error.map_or(Ok(()), |error| {
        let failure = Failure::new(
            Exit::Failed,
            anyhow::anyhow!("{error}; with --atomic, no build starts"),
        );
        Err(error.hints().into_iter().fold(failure, Failure::hint))
    })
}

/// Shows the reason for each image that is not planned.
pub(crate) fn show(unready: Vec<Unready>, context: &Context) {
    for Unready { image, why } in unready {
        let (error, hints) = match why {
            Why::Base(error) => {
                let hints = error.hints();
                (anyhow::Error::new(error).context(image.display()), hints)
            }
            Why::Parent(parent) => (
                anyhow::anyhow!("{}: {parent} cannot be planned", image.display()),
                Vec::new(),
            ),
        };
        let failure = Failure::new(Exit::Failed, error);
        hints.into_iter().fold(failure, Failure::hint).show(context);
    }
}

/// Adds the removed images to the summary of a run.
pub(crate) fn put_back(unready: Vec<Unready>, ended: &mut Ended) {
    for Unready { image, why } in unready {
        let (outcome, because, failed) = match why {
            Why::Base(error) => (
                ImageOutcome::Failed,
                error.to_string(),
                Some(Failed::Base(error)),
            ),
            Why::Parent(parent) => (
                ImageOutcome::Skipped,
                format!("its base {parent} failed"),
                None,
            ),
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
            receipts: Vec::new(),
        });
    }
}
