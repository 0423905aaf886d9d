//! Copies an image from one repository to another: by mounting within one registry, by streaming
//! between registries.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::Tree;
use crate::event::{BlobTransfer, Events, Step};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::{Error, RemoteBlob, Repo};

/// The number of blobs that are copied concurrently.
const CONCURRENCY: usize = 4;

/// The number of copied blobs, by outcome.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BlobCounts {
    /// The number of blobs that already existed.
    pub present: usize,
    /// The number of blobs that the registry mounted from another repository.
    pub mounted: usize,
    /// The number of blobs that were sent.
    pub sent: usize,
    /// The size of the sent blobs in bytes.
    pub bytes: u64,
}

impl BlobCounts {
    fn count(&mut self, how: BlobTransfer) {
        match how {
            BlobTransfer::Present => self.present += 1,
            BlobTransfer::Mounted => self.mounted += 1,
            BlobTransfer::Sent(bytes) => {
                self.sent += 1;
                self.bytes += bytes;
            }
        }
    }
}

/// Copies a manifest by digest with everything that it references: first the blobs, then the images
/// of an index, then the manifest itself. Fails if the source lacks a referenced manifest.
pub async fn copy(
    from: &Repo,
    to: &Repo,
    raw: &RawManifest,
    events: &Events,
) -> Result<BlobCounts, Error> {
    let mut copied = BlobCounts::default();
    let tree = Tree::whole(from, raw.clone()).await?;
    let mut uploads = stream::iter(tree.blobs(from)?)
        .map(|blob| copy_blob(from, to, blob))
        .buffered(CONCURRENCY);
    while let Some((digest, how)) = uploads.try_next().await? {
        events.step(&to.name().to_string(), Step::Copied { digest, how });
        copied.count(how);
    }
    for manifest in &tree.below {
        to.put(&manifest.digest, manifest).await?;
    }
    Ok(copied)
}

/// Counts the blobs that [`copy`] would transfer, without writing anything. Fails as [`copy`] does.
pub async fn would_copy(from: &Repo, to: &Repo, raw: &RawManifest) -> Result<BlobCounts, Error> {
    let mut copied = BlobCounts::default();
    let mountable = is_mountable(from, to);
    let blobs = Tree::whole(from, raw.clone()).await?.blobs(from)?;
    let checks = stream::iter(blobs).map(async |blob| {
        let found = to.has_blob(&blob.digest).await?;
        Ok::<_, Error>((blob, found))
    });
    let checks: Vec<_> = checks.buffered(CONCURRENCY).try_collect().await?;
    for (blob, found) in checks {
        copied.count(match (found, mountable) {
            (true, _) => BlobTransfer::Present,
            (false, true) => BlobTransfer::Mounted,
            (false, false) => BlobTransfer::Sent(blob.size),
        });
    }
    Ok(copied)
}

/// True if both repositories are on one registry, so that it can mount blobs.
fn is_mountable(from: &Repo, to: &Repo) -> bool {
    from.registry().host() == to.registry().host() && from.path() != to.path()
}

async fn copy_blob(
    from: &Repo,
    to: &Repo,
    blob: Descriptor,
) -> Result<(Digest, BlobTransfer), Error> {
    let source = RemoteBlob {
        repo: from.clone(),
        descriptor: blob.clone(),
    };
    let upload = if is_mountable(from, to) {
        to.push_blob_or_mount(&blob, from.path(), &source).await?
    } else {
        to.push_blob(&blob, &source).await?
    };
    Ok((blob.digest, upload))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::registry::{Registries, RegistryEnv};

    #[test]
    fn the_blobs_of_a_copy_are_counted_by_outcome() {
        let mut copied = BlobCounts::default();
        for upload in [
            BlobTransfer::Present,
            BlobTransfer::Mounted,
            BlobTransfer::Sent(3),
            BlobTransfer::Mounted,
            BlobTransfer::Sent(4),
            BlobTransfer::Mounted,
            BlobTransfer::Sent(5),
            BlobTransfer::Sent(6),
        ] {
            copied.count(upload);
        }
        let BlobCounts {
            present,
            mounted,
            sent,
            bytes,
        } = copied;
        assert_eq!((present, mounted, sent, bytes), (1, 3, 4, 18));
    }

    #[test]
    fn a_blob_is_mounted_from_another_repository_of_the_same_registry() {
        let env = RegistryEnv::from_vars(&BTreeMap::new());
        let registries = Registries::new(Vec::new(), env);
        let repo = |name: &str| registries.repo(&name.parse().unwrap());
        let to = repo("registry.example.com/app");
        for (from, expected) in [
            ("registry.example.com/dev/app", true),
            ("registry.example.com/app", false),
            ("elsewhere.example.com/dev/app", false),
            ("elsewhere.example.com/app", false),
        ] {
            assert_eq!(is_mountable(&repo(from), &to), expected, "{from}");
        }
    }
}
