//! Releases the images of a run that share moving tags one after another. A registry has no
//! compare-and-swap, so the decision of one image must see the version that another one released.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

use crate::plan::PlannedImage;
use crate::reference::Repository;
use crate::tags::Variant;

/// The versions of one variant in one repository share the moving tags.
type MovingTags = (Repository, Option<Variant>);

/// The moving tags that several images of a run can move. An image that changes nothing in a
/// repository does not count.
#[derive(Debug, Default)]
pub(super) struct Releases(BTreeMap<MovingTags, SharedTags>);

#[derive(Debug, Default)]
struct SharedTags {
    lock: Mutex<()>,
    /// The number of releases that have started.
    started: AtomicU64,
}

/// The state of the shared tags before an image decides which tags it moves.
#[derive(Debug)]
pub(super) struct BeforeDecision<'a>(Vec<(&'a SharedTags, u64)>);

/// The permission to move shared tags. It ends when it is dropped.
#[derive(Debug)]
pub(super) struct ReleaseTurn<'a> {
    /// True if another image was released since the decision, so that it must be made again.
    pub(super) is_outdated: bool,
    _guards: Vec<MutexGuard<'a, ()>>,
}

impl Releases {
    /// Finds the moving tags that several of `images` share.
    pub(super) fn new<'a>(images: impl Iterator<Item = &'a PlannedImage>) -> Self {
        let mut seen = BTreeSet::new();
        let mut shared = BTreeMap::new();
        for key in images.flat_map(keys) {
            if !seen.insert(key.clone()) {
                shared.insert(key, SharedTags::default());
            }
        }
        Self(shared)
    }

    /// Must be called before the decision about the tags of `image`.
    pub(super) fn before_decision(&self, image: &PlannedImage) -> BeforeDecision<'_> {
        // The tags are locked in the order of their keys, so that two images cannot wait for each
        // other.
        let keys: BTreeSet<MovingTags> = keys(image).collect();
        let shared = keys.iter().filter_map(|key| self.0.get(key));
        BeforeDecision(
            shared
                .map(|tags| (tags, tags.started.load(Ordering::SeqCst)))
                .collect(),
        )
    }
}

impl<'a> BeforeDecision<'a> {
    /// Waits until no other image moves the same tags.
    pub(super) async fn turn(self) -> ReleaseTurn<'a> {
        let mut guards = Vec::new();
        let mut is_outdated = false;
        for (tags, before) in self.0 {
            guards.push(tags.lock.lock().await);
            is_outdated |= tags.started.fetch_add(1, Ordering::SeqCst) != before;
        }
        ReleaseTurn {
            is_outdated,
            _guards: guards,
        }
    }
}

fn keys(image: &PlannedImage) -> impl Iterator<Item = MovingTags> + '_ {
    let changed = image.destinations.iter();
    let changed = changed.filter(|planned| !planned.is_up_to_date());
    changed.map(|planned| (planned.repository.clone(), image.variant.clone()))
}
