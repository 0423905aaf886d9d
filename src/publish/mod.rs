//! Publishing: one upload and one manifest; every tag is put with the same bytes.
//!
//! There are two steps, so that a run can upload all images before it moves any moving tag.
//! [`upload`] sends the content by digest, reads the current tag lists, decides for every registry,
//! asks the [`Gatekeeper`], signs the image and puts the immutable tag. [`release`] moves the other
//! tags and verifies them. Both steps can be interrupted at any point; running the same command
//! again completes the work.

mod artifacts;
pub mod attached;
mod decide;
pub mod delete;
mod error;
mod gatekeeper;
mod hold;
mod lifecycle;
pub mod promote;
pub mod prune;
pub mod receipt;
pub mod records;
mod release;
mod removal;
pub mod rollback;
mod settle;
mod sign;
mod superseded;
pub mod untag;
mod upload;

use std::collections::BTreeMap;

pub use artifacts::Attachments;
pub use error::Error;
pub use gatekeeper::Gatekeeper;
pub use hold::{Cause, Unsettled};
pub use lifecycle::announce;
pub use receipt::Receipt;
pub use records::{BuildRecord, InputsRecord};
pub use release::release;
pub use settle::{Correction, Settled, settle};
pub use sign::{attach_bundle, attest, sign};
pub use upload::{UploadedImage, upload};

use crate::engine::{BuiltImage, Docker};
use crate::event::Events;
use crate::observe::ConfigCache;
use crate::plan::{PlannedDestination, PlannedImage};
use crate::reference::Host;
use crate::registry::Credential;
use crate::registry::Registries;
use crate::render::Recipe;
use crate::workspace::state::StateDirectory;

/// An image to publish, and everything that publishing needs.
#[derive(Debug, Clone, Copy)]
pub struct PublishJob<'a> {
    /// The recipe that the image was built from.
    pub recipe: &'a Recipe,
    /// The planned steps for the image.
    pub planned: &'a PlannedImage,
    /// The build result; `None` if the plan says skip or copy.
    pub built: Option<&'a BuiltImage>,
    /// The registries of the run.
    pub registries: &'a Registries,
    /// The engine that has the image, if an engine built it.
    pub docker: Option<&'a Docker>,
    /// The logins for the engine, by host.
    pub logins: &'a BTreeMap<Host, Credential>,
    /// The artifacts that the image must have.
    pub attachments: Attachments<'a>,
    /// The cache of configs, which saves reads in the next plan.
    pub cache: &'a ConfigCache,
    /// The directory for receipts.
    pub state: &'a StateDirectory,
    /// The current time in seconds since 1970, for the receipt.
    pub now: i64,
    /// The duration of earlier phases such as `build`, in milliseconds.
    pub durations: &'a BTreeMap<String, u64>,
    /// The channel for progress events and warnings.
    pub events: &'a Events,
}

impl PublishJob<'_> {
    fn image(&self) -> &str {
        &self.planned.image
    }

    /// True if the version is withdrawn, so that only tags of other versions may move.
    const fn is_withdrawn(&self) -> bool {
        self.planned.withdrawn.is_some()
    }
}

impl<'a> PublishJob<'a> {
    /// The registries that require a change.
    fn busy(&self) -> impl Iterator<Item = &'a PlannedDestination> {
        self.planned
            .destinations
            .iter()
            .filter(|planned| !planned.is_up_to_date())
    }
}
