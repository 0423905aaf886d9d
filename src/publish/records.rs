//! Build records: local build results, stored as `.golden/builds/NAME/TAG.json` for `push`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::EngineKind;
use crate::engine::fleet::PlatformBuild;
use crate::platform::Platform;
use crate::reference::{Digest, RepositoryPath, Tag};
use crate::snapshot::InputParts;
use crate::workspace::state::{Error, StateDirectory};

/// A build result and its location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// The version of this format.
    pub schema: u32,
    /// The name of the image in the workspace.
    pub image: RepositoryPath,
    /// Its most specific tag.
    pub tag: Tag,
    /// Its inputs digest.
    pub inputs: Digest,
    /// The engine that built it.
    pub engine: EngineKind,
    /// The image ID in the engine, or the digest of the assembled manifest.
    pub id: Digest,
    /// The platforms that it was built for.
    pub platforms: Vec<Platform>,
    /// The parts per platform, if engines of `[[engine]]` built them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PlatformBuild>,
}

impl BuildRecord {
    fn file(image: &RepositoryPath, tag: &Tag) -> PathBuf {
        PathBuf::from("builds")
            .join(image.as_str())
            .join(format!("{tag}.json"))
    }

    /// Reads the record of an image. Returns `None` if the image was not built here or the record
    /// has another format. The record of an engine's build counts only if the user's cache has a
    /// proof of it; an image that golden assembles is assembled again from its inputs. Fails if the
    /// file cannot be read.
    pub fn read(
        state: &StateDirectory,
        image: &RepositoryPath,
        tag: &Tag,
    ) -> Result<Option<Self>, Error> {
        let Some(bytes) = state.read(Self::file(image, tag))? else {
            return Ok(None);
        };
        let record: Option<Self> = serde_json::from_slice(&bytes).ok();
        let is_own = || state.user_cache().has(proof(&bytes)) != Some(false);
        Ok(record.filter(|record| record.engine == EngineKind::Embedded || is_own()))
    }

    /// Writes the record atomically. Fails if the file cannot be written.
    pub fn write(&self, state: &StateDirectory) -> Result<(), Error> {
        // The struct has only plain values, so that serialization cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        state.user_cache().write(proof(&bytes), b"");
        state.write(Self::file(&self.image, &self.tag), &bytes)
    }
}

/// The parts of an image's inputs, stored as `.golden/inputs/DIGEST.json`, so that a later plan can
/// name the part that changed. Losing it loses only that text.
#[derive(Debug)]
pub struct InputsRecord;

impl InputsRecord {
    fn file(inputs: &Digest) -> PathBuf {
        PathBuf::from("inputs").join(format!("{}.json", inputs.hex()))
    }

    /// Reads the parts of inputs with this digest. Returns `None` if they are not recorded.
    #[must_use]
    pub fn read(state: &StateDirectory, inputs: &Digest) -> Option<InputParts> {
        let bytes = state.read(Self::file(inputs)).ok()??;
        serde_json::from_slice(&bytes).ok()
    }

    /// Records the parts of inputs with this digest. Fails if the file cannot be written.
    pub fn write(state: &StateDirectory, inputs: &Digest, parts: &InputParts) -> Result<(), Error> {
        // Only strings and digests, so that serialization cannot fail.
        let bytes = serde_json::to_vec_pretty(parts).unwrap_or_default();
        state.write(Self::file(inputs), &bytes)
    }
}

/// The file in the user's cache that proves that the user wrote a record. It is needed because the
/// record decides what `push` uploads.
fn proof(record: &[u8]) -> PathBuf {
    PathBuf::from("records").join(Digest::of(record).hex())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::user_cache::UserCache;

    #[test]
    fn the_record_of_an_engine_counts_only_if_this_user_wrote_it() {
        let directory = tempfile::tempdir().unwrap();
        let of_user = |user: &str| UserCache::at(directory.path().join(user));
        let state = |cache: UserCache| StateDirectory::of(directory.path()).with_user_cache(cache);
        for (engine, is_needed) in [(EngineKind::Docker, true), (EngineKind::Embedded, false)] {
            let record = BuildRecord {
                schema: 1,
                image: "team/app".parse().unwrap(),
                tag: "1.2.3".parse().unwrap(),
                inputs: Digest::of(b"inputs"),
                engine,
                id: Digest::of(b"id"),
                platforms: vec!["linux/amd64".parse().unwrap()],
                parts: Vec::new(),
            };
            let read = |cache| BuildRecord::read(&state(cache), &record.image, &record.tag);
            record.write(&state(of_user("ann"))).unwrap();
            let if_not_needed = (!is_needed).then(|| record.clone());
            assert_eq!(read(of_user("ann")).unwrap(), Some(record.clone()));
            assert_eq!(read(of_user("bob")).unwrap(), if_not_needed);
            // Without a cache there are no proofs.
            assert_eq!(read(UserCache::default()).unwrap(), Some(record.clone()));
            // Another program changes the record.
            let other = BuildRecord {
                id: Digest::of(b"other"),
                ..record.clone()
            };
            other.write(&state(UserCache::default())).unwrap();
            let found = read(of_user("ann")).unwrap();
            assert_eq!(found, (!is_needed).then_some(other));
        }
        let (image, tag) = ("team/app".parse().unwrap(), "1.2.4".parse().unwrap());
        let found = BuildRecord::read(&state(of_user("ann")), &image, &tag);
        assert_eq!(found.unwrap(), None);
    }
}
