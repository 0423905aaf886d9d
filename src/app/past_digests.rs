//! The earlier digests of a base: in golden.lock and its history, and in the receipts.

use std::collections::BTreeSet;

use super::error::Error;
use super::settings::Settings;
use crate::publish::Receipt;
use crate::reference::{Digest, Reference};
use crate::workspace::lock::{FILE, Lock};
use crate::workspace::state::StateDirectory;
use crate::workspace::{Workspace, git};

/// The maximum number of commits of golden.lock that are read.
const MOST_COMMITS: usize = 100;

/// The records of a workspace.
#[derive(Debug, Clone, Copy)]
pub(super) struct PastDigests<'a> {
    pub(super) workspace: &'a Workspace,
    pub(super) settings: &'a Settings,
}

impl PastDigests<'_> {
    /// The digests that a tag pointed to, or those of every tag if the reference has none. Fails if
    /// a receipt cannot be read.
    pub(super) async fn of(&self, reference: &Reference) -> Result<BTreeSet<Digest>, Error> {
        let mut digests = locked(&self.workspace.lock, reference);
        let environment = self.settings.environment();
        let root = &self.workspace.root;
        for version in git::versions(root, FILE, MOST_COMMITS, &environment).await {
            // An old lock file may have another format, or two digests of one reference.
            if let Ok(lock) = Lock::parse(&version.text) {
                digests.extend(locked(&lock, reference));
            }
        }
        let state = StateDirectory::of(root);
        for receipt in Receipt::all(&state)? {
            if receipt.repository != reference.repository {
                continue;
            }
            let tags = receipt.tags.iter();
            let tags = tags.filter(|one| reference.tag.as_ref().is_none_or(|tag| *tag == one.tag));
            digests.extend(
                tags.flat_map(|one| [one.previous.clone(), one.digest.clone()])
                    .flatten(),
            );
            if reference.tag.is_none() {
                digests.insert(receipt.digest);
            }
        }
        Ok(digests)
    }
}

fn locked(lock: &Lock, reference: &Reference) -> BTreeSet<Digest> {
    let bases = lock.bases.values().filter(|base| {
        base.reference.repository == reference.repository
            && (reference.tag.is_none() || base.reference.tag == reference.tag)
    });
    bases.map(|base| base.digest.clone()).collect()
}
