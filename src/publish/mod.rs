//! Publishing: one upload, one manifest, and every tag put as the same bytes (2-tags).
//!
//! Two steps, so that a run can hold all images before any moving tag moves: [`upload`] sends the content, reads fresh
//! tag lists, decides for every registry and puts the immutable tag; [`release`] moves the rest and verifies. Each
//! can be interrupted anywhere; the same command again finishes.

pub mod attached;
mod cosign;
mod decide;
pub mod delete;
mod error;
mod hold;
pub mod promote;
pub mod prune;
pub mod receipt;
pub mod records;
mod release;
pub mod rollback;
mod settle;
pub mod untag;
mod upload;

use std::collections::BTreeMap;

pub use error::Error;
pub use hold::{Cause, Unsettled};
pub use receipt::Receipt;
pub use records::BuildRecord;
pub use release::release;
pub use settle::{Correction, Settled, settle};
pub use upload::{Uploaded, upload};

use crate::engine::{BuiltImage, Docker};
use crate::event::Events;
use crate::observe::ConfigCache;
use crate::plan::{PlannedDestination, PlannedImage};
use crate::reference::Host;
use crate::registry::Credential;
use crate::registry::Registries;
use crate::render::Recipe;
use crate::workspace::state::StateDirectory;

/// An image to publish, with all that is needed for it.
#[derive(Debug, Clone, Copy)]
pub struct PublishJob<'a> {
    /// What it was made from.
    pub recipe: &'a Recipe,
    /// What the plan says about it.
    pub planned: &'a PlannedImage,
    /// What was built; none when the plan says skip or copy.
    pub built: Option<&'a BuiltImage>,
    /// The registries.
    pub registries: &'a Registries,
    /// The engine that holds the image, when one does.
    pub docker: Option<&'a Docker>,
    /// What the engine logs in with, by host.
    pub logins: &'a BTreeMap<Host, Credential>,
    /// The configs of what is published, for the next plan.
    pub cache: &'a ConfigCache,
    /// Where receipts go.
    pub state: &'a StateDirectory,
    /// Seconds since 1970, for the receipt.
    pub now: i64,
    /// Milliseconds that earlier phases took, such as `build`.
    pub durations: &'a BTreeMap<String, u64>,
    /// Where events go.
    pub events: &'a Events,
}

impl PublishJob<'_> {
    fn image(&self) -> &str {
        &self.planned.image
    }

    /// Whether the version is withdrawn, so that only the tags of other versions may move.
    const fn is_withdrawn(&self) -> bool {
        self.planned.withdrawn.is_some()
    }
}

impl<'a> PublishJob<'a> {
    /// The registries in which something is to be done.
    fn busy(&self) -> impl Iterator<Item = &'a PlannedDestination> {
        self.planned
            .destinations
            .iter()
            .filter(|planned| !planned.is_quiet())
    }
}

/// Publishes one image to all its registries. The receipts are those of the registries in which something was written.
pub async fn publish(job: PublishJob<'_>) -> Result<Vec<Receipt>, Error> {
    release(upload(job).await?).await
}
