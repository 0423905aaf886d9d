//! Reads the file trees and the config of an image in an engine, from the archive that the engine
//! exports.

use std::collections::BTreeSet;
use std::io::{self, Read};
use std::sync::Arc;

use tokio_util::io::SyncIoBridge;

use super::super::daemon::{archive, trees};
use super::super::{Error, embedded};
use super::Docker;
use crate::assemble::tree::{FileTree, LayerIndex, Unread};
use crate::assemble::{AssembleStop, owners};
use crate::oci::ImageConfig;
use crate::reference::Digest;

impl Docker {
    /// The user ID of a user in the image's /etc/passwd; `None` if the file does not list the user.
    /// Fails if the engine cannot export the image.
    pub async fn user_id(&self, id: &Digest, user: &str) -> Result<Option<u32>, Error> {
        self.read_trees(id, |tree| owners::user_id(tree, user))
            .await
    }

    /// Calls `work` with the tree of an image. If `work` needs the content of a file, the image is
    /// read again. Fails if the image cannot be exported or `work` fails.
    pub(in crate::engine) async fn read_trees<T>(
        &self,
        id: &Digest,
        work: impl Fn(FileTree<'_>) -> Result<T, AssembleStop>,
    ) -> Result<T, Error> {
        let mut wanted = BTreeSet::new();
        loop {
            let layers = self.layer_trees(id, &wanted).await?;
            match work(FileTree {
                layers: &layers,
                complete: true,
            }) {
                Ok(done) => return Ok(done),
                Err(AssembleStop::Unread(Unread::Content(path))) if wanted.insert(path.clone()) => {
                }
                Err(AssembleStop::Unread(_)) => {
                    let what = "one of its files is too large to read".to_owned();
                    return Err(embedded::Error::from(crate::assemble::Error::Base(what)).into());
                }
                Err(AssembleStop::Refused(error)) => {
                    return Err(embedded::Error::from(error).into());
                }
            }
        }
    }

    /// The trees of an image's layers, the top layer first. `wanted` are the files whose content is
    /// also kept.
    async fn layer_trees(
        &self,
        id: &Digest,
        wanted: &BTreeSet<String>,
    ) -> Result<Vec<Arc<LayerIndex>>, Error> {
        let wanted = wanted.clone();
        self.exported(id, move |reader| trees::of_archive(reader, &wanted))
            .await
    }

    /// The config of an image, from the archive that the engine exports. Fails if the engine cannot
    /// export the image.
    pub(in crate::engine) async fn saved_config(&self, id: &Digest) -> Result<ImageConfig, Error> {
        self.exported(id, archive::config).await
    }

    /// Calls `read` with the archive of an image, in a thread that may block.
    async fn exported<T: Send + 'static>(
        &self,
        id: &Digest,
        read: impl FnOnce(Box<dyn Read + Send>) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let reader = Box::new(SyncIoBridge::new(self.save(id)));
        let reading = tokio::task::spawn_blocking(move || read(reader));
        let read = reading
            .await
            .unwrap_or_else(|stopped| Err(io::Error::other(stopped)));
        read.map_err(|error| Error::Request {
            what: format!("export the image {}", id.short()),
            message: error.to_string(),
        })
    }
}
