//! Garbage collection: removes blobs that no manifest needs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Error;
use super::manifests::ManifestView;
use super::store::Store;
use crate::reference::Digest;

/// The minimum age of a removed blob. The manifest of a younger one may not be uploaded yet.
const YOUNG: Duration = Duration::from_hours(1);

/// The blobs that no image needs.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Collected {
    /// The number of removed blobs.
    pub blobs: usize,
    /// Their total size in bytes.
    pub bytes: u64,
    /// The number of blobs that are kept because they are younger than an hour.
    pub kept_blobs: usize,
    /// Their total size in bytes.
    pub kept_bytes: u64,
}

impl Store {
    /// Removes every blob that is older than an hour and that no entry of `index.json` needs. Other
    /// writers wait until it is done. Fails if a file cannot be read or removed.
    pub fn collect(&self) -> Result<Collected, Error> {
        let failed = |source| Error::File {
            action: "clean up",
            path: self.root().to_owned(),
            source,
        };
        self.change(|index| {
            let needed = self.needed(index.digests().collect())?;
            self.remove_all_but(&needed)
        })
        .map_err(failed)
    }

    /// All manifests and blobs that are reachable from these manifests.
    fn needed(&self, mut waiting: Vec<Digest>) -> std::io::Result<BTreeSet<Digest>> {
        let mut needed = BTreeSet::new();
        while let Some(digest) = waiting.pop() {
            if !needed.insert(digest.clone()) {
                continue;
            }
            let Some(view) = self
                .manifest(&digest)?
                .and_then(|bytes| ManifestView::parse(&bytes))
            else {
                continue;
            };
            needed.extend(view.blobs().map(|blob| blob.digest.clone()));
            waiting.extend(view.children().map(|child| child.digest.clone()));
        }
        Ok(needed)
    }

    fn remove_all_but(&self, needed: &BTreeSet<Digest>) -> std::io::Result<Collected> {
        let mut collected = Collected::default();
        for algorithm in ["sha256", "sha384", "sha512"] {
            let Ok(files) = std::fs::read_dir(self.root().join("blobs").join(algorithm)) else {
                continue;
            };
            for file in files {
                let file = file?;
                let digest =
                    format!("{algorithm}:{}", file.file_name().to_string_lossy()).parse::<Digest>();
                let data = file.metadata()?;
                let is_old = data.modified()?.elapsed().is_ok_and(|age| age > YOUNG);
                // A file whose name is not a digest is left by an interrupted program; it stays.
                if digest.is_err() || digest.is_ok_and(|digest| needed.contains(&digest)) {
                    continue;
                }
                if is_old {
                    std::fs::remove_file(file.path())?;
                    collected.blobs += 1;
                    collected.bytes += data.len();
                } else {
                    collected.kept_blobs += 1;
                    collected.kept_bytes += data.len();
                }
            }
        }
        Ok(collected)
    }
}
