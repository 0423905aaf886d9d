//! Shows the images whose base is unavailable.

use super::context::Context;
use super::error::Failure;
use crate::app::Error;
use crate::app::unready::{Unready, UnreadyReason, skipped};
use crate::diagnostic::{Diagnostic, SourceMap};
use crate::observe;
use crate::resolve::image::SpecLocation;

/// The ID of the finding about an unavailable base.
const UNAVAILABLE: &str = "base.unavailable";

/// Converts an error of planning. If no image can be planned, the reasons are shown.
pub(super) fn failure(context: &Context, error: Error) -> Failure {
    match error {
        Error::NothingReady(nothing) => {
            show(nothing.unready, context, &nothing.sources);
            Failure::shown(Failure::from(nothing.error).exit)
        }
        error => error.into(),
    }
}

/// Shows the reason for each image that is not planned.
pub(super) fn show(unready: Vec<Unready>, context: &Context, sources: &SourceMap) {
    let (mut bases, mut skipped_images) = (Vec::new(), Vec::new());
    for Unready { image, why } in unready {
        match why {
            UnreadyReason::Base(error) => bases.push((error, image.locations.base)),
            UnreadyReason::Parent { parent, root } => {
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
pub(super) fn show_bases(
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
