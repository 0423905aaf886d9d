//! The integrity of an image in a repository.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Follow, Tree, children};
use crate::oci::{Descriptor, RawManifest};
use crate::reference::Digest;
use crate::registry::{Error, Repo};

/// The number of manifests or blobs that are read concurrently.
const CONCURRENT: usize = 8;

/// A blob or manifest below a manifest that is missing or damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The digest of the blob or manifest.
    pub digest: Digest,
    /// The problem, as a clause.
    pub problem: String,
}

impl Damage {
    fn missing(digest: &Digest) -> Self {
        Self {
            digest: digest.clone(),
            problem: "the image of the index does not exist".to_owned(),
        }
    }
}

/// Finds the entries of an index that the repository does not have, without reading them.
pub async fn missing(repo: &Repo, raw: &RawManifest) -> Result<Vec<Damage>, Error> {
    let entries = children(raw).into_iter().map(|child| child.digest);
    let entries: BTreeSet<Digest> = entries.collect();
    let heads = stream::iter(entries).map(async |child| {
        let found = repo.head(&child).await?;
        Ok::<_, Error>(found.is_none().then(|| Damage::missing(&child)))
    });
    let found: Vec<Option<Damage>> = heads.buffered(CONCURRENT).try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// Reads and hashes everything that a manifest references, also through nested indexes. Fails if a
/// manifest is invalid or cannot be read.
pub async fn check(repo: &Repo, raw: &RawManifest) -> Result<Vec<Damage>, Error> {
    let tree = Tree::load(repo, raw.clone(), Follow::All).await?;
    let mut damage: Vec<Damage> = tree.missing.iter().map(Damage::missing).collect();
    let mut blobs = tree.blobs(repo)?;
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    let read = stream::iter(&blobs).map(async |blob| {
        let problem = read_through(repo, blob).await.err()?;
        let digest = blob.digest.clone();
        Some(Damage { digest, problem })
    });
    let found: Vec<Option<Damage>> = read.buffered(CONCURRENT).collect().await;
    damage.extend(found.into_iter().flatten());
    Ok(damage)
}

async fn read_through(repo: &Repo, blob: &Descriptor) -> Result<(), String> {
    let reader = repo.read(blob, 0).await;
    let mut reader = reader.map_err(|error| error.to_string())?;
    let copied = tokio::io::copy(&mut reader, &mut tokio::io::sink()).await;
    copied.map(drop).map_err(|error| error.to_string())
}
