//! Build records: what was built, kept under `.golden/builds/NAME/TAG.json` for `push`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::EngineKind;
use crate::engine::fleet::PlatformBuild;
use crate::platform::Platform;
use crate::reference::{Digest, RepositoryPath, Tag};
use crate::workspace::state::{Error, StateDirectory};

/// What was built, and where it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// Version of this format.
    pub schema: u32,
    /// The image's name in the workspace.
    pub image: RepositoryPath,
    /// Its most specific tag.
    pub tag: Tag,
    /// Its inputs.
    pub inputs: Digest,
    /// Who built it.
    pub engine: EngineKind,
    /// The image ID in the engine, or the digest of the assembled manifest.
    pub id: Digest,
    /// For which platforms.
    pub platforms: Vec<Platform>,
    /// The parts in the engines of `[[engine]]`, when those built it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PlatformBuild>,
}

impl BuildRecord {
    fn file(image: &RepositoryPath, tag: &Tag) -> PathBuf {
        PathBuf::from("builds")
            .join(image.as_str())
            .join(format!("{tag}.json"))
    }

    /// The record of an image; none when it was not built here, or when the record cannot be read any more. What an
    /// engine built is proven by the user's cache; what golden assembles is assembled again from its inputs.
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

    /// Writes the record, as a whole or not at all.
    pub fn write(&self, state: &StateDirectory) -> Result<(), Error> {
        // Every value is plain, so that this is always JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        state.user_cache().write(proof(&bytes), b"");
        state.write(Self::file(&self.image, &self.tag), &bytes)
    }
}

/// The file of the user's cache that proves that the user wrote a record, which decides what `push` uploads.
fn proof(record: &[u8]) -> PathBuf {
    PathBuf::from("records").join(Digest::of(record).hex())
}
