//! Engines build an image from a [`Recipe`](crate::render::Recipe): the Docker Engine, BuildKit
//! daemons, a fleet of both, and the embedded engine.

pub mod buildkit;
mod daemon;
pub mod docker;
pub mod embedded;
mod error;
mod facts;
pub mod fit;
pub mod fleet;
mod trust;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use self::buildkit::BuildKit;
pub use self::daemon::bounds::Timeouts;
pub use self::daemon::tls::TlsDirectory;
pub use self::docker::{Docker, DockerEnv};
pub use self::embedded::Embedded;
pub use self::error::{BuildStep, Error, StepCause, StepName, StepOutput, TransferCause};
pub use self::facts::EngineFacts;
pub use self::fleet::{Fleet, FleetEngine};
pub use self::trust::EngineTrust;
pub use crate::assemble::{Assembled, AssembledImage, Layer, LayerSource};
pub use crate::config_files::workspace::EngineKind;

use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Host, Reference};
use crate::registry::Credential;
use crate::secret::Secret;

/// Options of a build that are not part of the recipe.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// Secrets by name, for the steps that require them.
    pub secrets: BTreeMap<String, Secret<Vec<u8>>>,
    /// The socket of the ssh agent, for the steps that require it.
    pub ssh: Option<PathBuf>,
    /// Run every step again, even if the engine has its result in the cache.
    pub no_cache: bool,
    /// The images with the results of earlier builds, for BuildKit. `None` neither reads nor writes
    /// a build cache.
    pub cache: Option<Vec<Reference>>,
    /// Docker's predefined proxy build arguments, such as `HTTP_PROXY`.
    pub proxy_args: BTreeMap<String, String>,
    /// The reference of the parent, if the base is an image of this workspace: its most specific
    /// local tag, or `repository@digest` if it was not built in this run. Ignored for other bases.
    pub parent: Option<Reference>,
    /// The parent's published digest: used for the base label, and by engines that can only pull.
    pub published_parent: Option<Reference>,
    /// True if no other image of this run is built on this image. It is then not kept in memory.
    pub childless: bool,
    /// The config of the base as the registry has it. The config that an engine reports can be
    /// incomplete.
    pub base_config: Option<ImageConfig>,
    /// Logins for the registries from which the engine pulls the base.
    pub logins: BTreeMap<Host, Credential>,
}

impl BuildOptions {
    /// The published digest of the parent, if the parent is published.
    #[must_use]
    pub fn parent_digest(&self) -> Option<&Digest> {
        self.published_parent.as_ref()?.digest.as_ref()
    }
}

/// An image that an engine built.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// The inputs digest of the recipe.
    pub inputs: Digest,
    /// The engine that built the image; never `Auto`.
    pub engine: EngineKind,
    /// The platforms of the image, in the order of the spec.
    pub platforms: Vec<Platform>,
    /// The config of the first platform. The policy is checked against it.
    pub config: ImageConfig,
    /// The built image.
    pub output: BuildOutput,
}

/// The result of a build: an image in a Docker Engine, or its content in memory and in the cache.
#[derive(Debug, Clone)]
pub enum BuildOutput {
    /// The image is in a Docker Engine.
    Docker {
        /// The image ID: the digest of the config.
        id: Digest,
    },
    /// golden assembled the image. It is not stored until it is published or written.
    Assembled(Assembled),
}
