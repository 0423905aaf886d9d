//! The embedded engine: no daemon, no root, no network beyond the registry. It reads the base's manifest and
//! config (and, where certificates or folders ask for it, the layers that it must), and leaves the rest to
//! [`assemble`](crate::assemble).

use std::path::PathBuf;

use super::{BuildOptions, BuiltImage, Engine, EngineKind, Error};
use crate::event::Events;
use crate::registry::Registries;
use crate::render::Recipe;

/// The embedded engine. Cheap to clone; clones share what they have read.
#[derive(Debug, Clone)]
pub struct Embedded {
    #[expect(dead_code, reason = "the engine is being written")]
    registries: Registries,
    #[expect(dead_code, reason = "the engine is being written")]
    cache: PathBuf,
}

impl Embedded {
    /// An engine that reads bases from `registries` and keeps what it has read under `cache` (`.golden/cache`).
    #[must_use]
    pub const fn new(registries: Registries, cache: PathBuf) -> Self {
        Self { registries, cache }
    }
}

#[async_trait::async_trait]
impl Engine for Embedded {
    fn kind(&self) -> EngineKind {
        EngineKind::Embedded
    }

    async fn build(&self, _: &Recipe, _: &BuildOptions, _: &Events) -> Result<BuiltImage, Error> {
        todo!()
    }
}
