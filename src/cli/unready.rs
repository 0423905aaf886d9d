//! Shows the images whose base is unavailable.

use super::context::Context;
use super::error::Failure;
use crate::app::Error;
use crate::app::unready::{UnreadyImage, UnreadyReason, skipped};
use crate::diagnostic::SourceMap;

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
pub(super) fn show(unready: Vec<UnreadyImage>, context: &Context, sources: &SourceMap) {
    let (mut bases, mut skipped_images) = (Vec::new(), Vec::new());
    for UnreadyImage { image, why } in unready {
        match why {
            UnreadyReason::Base(error) => bases.push((error, image.locations.base)),
            UnreadyReason::Parent { parent, root } => {
                skipped_images.push((image.display(), skipped(&parent, &root)));
            }
        }
    }
    crate::report::unavailable(&context.out, sources, &bases);
    for (image, why) in skipped_images {
        context.events.warn(Some(&image), format!("skipped: {why}"));
    }
}
