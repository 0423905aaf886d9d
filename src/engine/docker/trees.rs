//! The file trees of an image that an engine has, read from the archive that it saves.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::io::SyncIoBridge;

use super::super::daemon::trees;
use super::super::{Error, embedded};
use super::Docker;
use crate::assemble::tree::{LayerIndex, Tree, Unread};
use crate::assemble::{AssembleStop, owners};
use crate::reference::Digest;

impl Docker {
    /// The number that an image's own /etc/passwd gives a user, if it knows the name.
    pub async fn user_id(&self, id: &Digest, user: &str) -> Result<Option<u32>, Error> {
        self.read_trees(id, |tree| owners::user_id(tree, user))
            .await
    }

    /// Does `work` on the tree of an image.
    pub(in crate::engine) async fn read_trees<T>(
        &self,
        id: &Digest,
        work: impl Fn(Tree<'_>) -> Result<T, AssembleStop>,
    ) -> Result<T, Error> {
        let mut wanted = BTreeSet::new();
        loop {
            let layers = self.layer_trees(id, &wanted).await?;
            match work(Tree {
                layers: &layers,
                complete: true,
            }) {
                Ok(done) => return Ok(done),
                Err(AssembleStop::Unread(Unread::Content(path))) if wanted.insert(path.clone()) => {
                }
                Err(AssembleStop::Unread(_)) => {
                    let what = "a file of it is too large to be read".to_owned();
                    return Err(embedded::Error::from(crate::assemble::Error::Base(what)).into());
                }
                Err(AssembleStop::Refused(error)) => {
                    return Err(embedded::Error::from(error).into());
                }
            }
        }
    }

    /// The trees of an image's layers, the top one first. `wanted` are files whose content is to be kept as well.
    async fn layer_trees(
        &self,
        id: &Digest,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<Arc<LayerIndex>>, Error> {
        let (reader, wanted) = (SyncIoBridge::new(self.save(id)), wanted.clone());
        let reading = tokio::task::spawn_blocking(move || trees::of_archive(reader, &wanted));
        let read = reading
            .await
            .unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
        read.map_err(|error| Error::Request {
            what: format!("hand over the image {}", id.short()),
            message: error.to_string(),
        })
    }
}
