//! Build records: what was built, kept under `.golden/builds/NAME/TAG.json` for `push` (7-rules 19).

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::engine::EngineKind;
use crate::engine::fleet::Part;
use crate::platform::Platform;
use crate::reference::{Digest, RepositoryPath, Tag};
use crate::workspace::state::{Error, State};

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
    pub parts: Vec<Part>,
}

impl BuildRecord {
    fn file(image: &RepositoryPath, tag: &Tag) -> PathBuf {
        PathBuf::from("builds").join(image.as_str()).join(format!("{tag}.json"))
    }

    /// The record of an image; none when it was not built here, or when the record cannot be read any more.
    pub fn read(state: &State, image: &RepositoryPath, tag: &Tag) -> Result<Option<Self>, Error> {
        let bytes = state.read(Self::file(image, tag))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Writes the record, as a whole or not at all.
    pub fn write(&self, state: &State) -> Result<(), Error> {
        // Every value is plain, so that this is always JSON.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        state.write(Self::file(&self.image, &self.tag), &bytes)
    }
}
