//! Shows the bases that are unavailable.

use super::context::Context;
use super::error::Failure;
use super::exit::Exit;
use crate::app::bases::UnavailableBase;

/// Shows the unavailable bases, with hints.
pub(super) fn show_unavailable(context: &Context, lost: Vec<UnavailableBase>) {
    for lost in lost {
        let failure = Failure::new(Exit::Failed, anyhow::anyhow!(lost.error));
        let failure = lost.hints.into_iter().fold(failure, Failure::hint);
        failure
            .hint(format!("affected images: {}", lost.images.join(", ")))
            .show(context);
    }
}
