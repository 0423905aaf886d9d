//! Images whose base is unavailable. They are removed from a run, together with the images that are
//! built on them. The other images are still built, and the summary lists the removed images as
//! well.

use std::collections::{BTreeMap, BTreeSet};

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use super::session::Session;
use crate::app::pipeline::{Ended, Engines, Failed, ImageOutcome, ImageReport};
use crate::diagnostic::{Diagnostic, SourceMap};
use crate::observe;
use crate::resolve::ResolvedImage;
use crate::resolve::image::SpecLocation;
use crate::resolve::pin::ParentIndex;
use crate::snapshot::Observed;

/// The ID of the finding about an unavailable base.
const UNAVAILABLE: &str = "base.unavailable";

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
    /// Its base image in the workspace is not ready either. Both are display names.
    Parent {
        /// The base image.
        parent: String,
        /// The image whose own base is unavailable.
        root: String,
    },
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
            let name = session.images[parent].display();
            let root = match unavailable.get(&parent) {
                Some(Why::Parent { root, .. }) => root.clone(),
                _ => name.clone(),
            };
            unavailable.insert(position, Why::Parent { parent: name, root });
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
        Why::Parent { .. } => None,
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
pub(crate) fn show(unready: Vec<Unready>, context: &Context, sources: &SourceMap) {
    let (mut bases, mut skipped_images) = (Vec::new(), Vec::new());
    for Unready { image, why } in unready {
        match why {
            Why::Base(error) => bases.push((error, image.locations.base)),
            Why::Parent { parent, root } => {
                skipped_images.push((image.display(), skipped(&parent, &root)));
            }
        }
    }
    show_bases(context, sources, &bases);
    for (image, why) in skipped_images {
        context.events.warn(Some(&image), format!("skipped: {why}"));
    }
}

/// Shows the unavailable bases, each once, with all places in the specs that name it.
pub(crate) fn show_bases(
    context: &Context,
    sources: &SourceMap,
    bases: &[(observe::Error, Option<SpecLocation>)],
) {
    let mut findings: Vec<(String, Diagnostic)> = Vec::new();
    for (error, location) in bases {
        let message = error.to_string();
        let known = findings.iter().position(|(other, _)| *other == message);
        let at = known.unwrap_or_else(|| {
            let finding = Diagnostic::error(UNAVAILABLE, message.as_str());
            let hints = error.hints();
            let finding = if hints.is_empty() {
                finding
            } else {
                finding.help(hints.join("\n"))
            };
            findings.push((message, finding));
            findings.len() - 1
        });
        let finding = &mut findings[at].1;
        let is_marked = |location: &SpecLocation| {
            let mut labels = finding.labels.iter();
            labels.any(|label| label.file == location.file && label.span == location.span)
        };
        // The rows of a matrix have one place.
        if let Some(location) = location.as_ref().filter(|location| !is_marked(location)) {
            *finding = finding
                .clone()
                .at(&location.file, location.span.clone(), "");
        }
    }
    for (_, finding) in findings {
        crate::report::finding(&context.out, &finding, sources);
    }
}

/// The reason why an image is skipped: its parent, or the base of its parent, is unavailable.
fn skipped(parent: &str, root: &str) -> String {
    if parent == root {
        format!("its base {parent} failed")
    } else {
        format!("its base {parent} was skipped, because {root} failed")
    }
}

/// Adds the removed images to the summary of a run.
pub(crate) fn put_back(unready: Vec<Unready>, ended: &mut Ended) {
    for Unready { image, why } in unready {
        let (outcome, because, failed) = match why {
            Why::Base(error) => (
                ImageOutcome::Failed,
                error.to_string(),
                Some(Failed::Base {
                    error,
                    location: image.locations.base,
                }),
            ),
            Why::Parent { parent, root } => (ImageOutcome::Skipped, skipped(&parent, &root), None),
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
            receipts: Vec::new(),
        });
    }
}
