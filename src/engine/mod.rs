//! Engines: what turns a [`Recipe`] into an image. Two of them, one interface.

pub mod buildkit;
mod daemon;
pub mod docker;
pub mod embedded;
mod error;
pub mod fit;
pub mod fleet;
mod trust;

use std::collections::BTreeMap;

pub use self::buildkit::BuildKit;
pub use self::docker::{Docker, DockerEnv};
pub use self::embedded::Embedded;
pub use self::error::{Error, StepOutput};
pub use self::fleet::Fleet;
pub use self::trust::EngineTrust;
pub use crate::assemble::{Assembled, AssembledImage, Layer, LayerSource};

use serde::{Deserialize, Serialize};

use crate::event::Events;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Host, Reference};
use crate::registry::Credential;
use crate::render::Recipe;
use crate::secret::Secret;

/// Which engine.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The cheapest one that can reach the destination.
    Auto,
    /// The Docker Engine over its API.
    Docker,
    /// golden itself, without a daemon.
    Embedded,
}

impl From<crate::spec::workspace::EngineName> for EngineKind {
    fn from(name: crate::spec::workspace::EngineName) -> Self {
        use crate::spec::workspace::EngineName;
        match name {
            EngineName::Auto => Self::Auto,
            EngineName::Docker => Self::Docker,
            EngineName::Embedded => Self::Embedded,
        }
    }
}

impl EngineKind {
    /// The name as command lines and files write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Docker => "docker",
            Self::Embedded => "embedded",
        }
    }
}

/// What a build may be told beyond its recipe.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Every local reference that the image gets (the whole fan-out, most specific first).
    pub local_tags: Vec<Reference>,
    /// Secrets by name, for steps that ask for them.
    pub secrets: BTreeMap<String, Secret<Vec<u8>>>,
    /// Build steps anew even if the engine remembers them.
    pub no_cache: bool,
    /// Docker's predefined proxy build arguments (7-rules 17).
    pub proxy_args: BTreeMap<String, String>,
    /// Where the base is by now, when it is an image of this workspace: the parent's most specific local tag, or
    /// `repository@digest` when the parent was not built in this run. Not looked at for other bases.
    pub parent: Option<Reference>,
    /// Where that parent is published, by digest: for the label that names it, and for who has no other way to it.
    pub published_parent: Option<Reference>,
    /// No other image will be built on it in this run, so that it need not be kept for that.
    pub childless: bool,
    /// The base's config as its registry has it. What an engine tells of an image can be incomplete.
    pub base_config: Option<ImageConfig>,
    /// Logins for the registries that the engine pulls the base from.
    pub logins: BTreeMap<Host, Credential>,
}

impl BuildOptions {
    /// The digest under which the parent is published.
    #[must_use]
    pub fn parent_digest(&self) -> Option<&Digest> {
        self.published_parent.as_ref()?.digest.as_ref()
    }
}

/// What an engine made.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The image's inputs, as in its recipe.
    pub inputs: Digest,
    /// Who made it.
    pub engine: EngineKind,
    /// For which platforms.
    pub platforms: Vec<Platform>,
    /// The image's config (of the first platform), to audit what was really built.
    pub config: ImageConfig,
    /// Where it is.
    pub artifact: Artifact,
}

/// Where a built image is.
#[derive(Debug, Clone)]
pub enum Artifact {
    /// In a Docker Engine, under this image ID (the digest of its config).
    Docker {
        /// The image ID.
        id: Digest,
    },
    /// Assembled by golden: nothing is stored anywhere until it is published or written.
    Assembled(Assembled),
}

/// An engine.
#[async_trait::async_trait]
pub trait Engine: Send + Sync {
    /// Which one.
    fn kind(&self) -> EngineKind;

    /// Builds an image. What happens meanwhile is told to `events`. Dropping the future cancels the build.
    async fn build(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<BuiltImage, Error>;
}
