//! The Docker Engine over its API, with bollard.
//!
//! What this is not: an idea of what to build. A [`Recipe`](crate::render::Recipe) says that; here it is handed to an engine, and what the
//! engine says is turned into events and errors.

mod environment;

use crate::event::Events;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::Recipe;

pub use self::environment::DockerEnv;
use super::{BuildOptions, BuiltImage, Engine, EngineKind, Error, Login};

/// A connection to a Docker Engine (or to Podman, whose socket speaks the same API). Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {}

/// An image that an engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// The image ID: the digest of the image's config.
    pub id: Digest,
    /// The config as far as the engine tells it: platform, creation time, runtime part and layers.
    pub config: ImageConfig,
    /// The `repository@digest` references that the engine knows it by.
    pub repo_digests: Vec<Reference>,
    /// Its platform.
    pub platform: Platform,
}

impl Docker {
    /// Connects to the engine that the surroundings name, asks it for its version, and agrees on one of the API.
    pub async fn connect(_environment: &DockerEnv) -> Result<Self, Error> {
        todo!()
    }

    /// The image that a reference names in this engine, if it has it.
    pub async fn image(&self, _reference: &Reference) -> Result<Option<LocalImage>, Error> {
        todo!()
    }

    /// The image with this ID, if the engine has it.
    pub async fn image_by_id(&self, _id: &Digest) -> Result<Option<LocalImage>, Error> {
        todo!()
    }

    /// Gives an image another name in this engine.
    pub async fn tag(&self, _id: &Digest, _reference: &Reference) -> Result<(), Error> {
        todo!()
    }

    /// Takes a name away from an image in this engine, and removes the image with its last name.
    pub async fn remove(&self, _reference: &Reference) -> Result<(), Error> {
        todo!()
    }

    /// Pushes a tag through the engine, with the engine's TLS settings and its own view of `localhost`. `image` is
    /// the display name that events carry.
    pub async fn push(
        &self,
        _reference: &Reference,
        _login: Option<&Login>,
        _image: &str,
        _events: &Events,
    ) -> Result<(), Error> {
        todo!()
    }

    /// Loads a docker archive (or, where the engine takes it, an OCI layout) from a stream of tar.
    pub async fn load(&self, _archive: impl tokio::io::AsyncRead + Send + 'static) -> Result<(), Error> {
        todo!()
    }

    /// The platform that the engine builds for when nobody names one.
    pub async fn platform(&self) -> Result<Platform, Error> {
        todo!()
    }
}

#[async_trait::async_trait]
impl Engine for Docker {
    fn kind(&self) -> EngineKind {
        EngineKind::Docker
    }

    async fn build(
        &self,
        _recipe: &Recipe,
        _options: &BuildOptions,
        _events: &Events,
    ) -> Result<BuiltImage, Error> {
        todo!()
    }
}
