//! The engines of a run. The Docker Engine is connected once, at its first use.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::engine::docker::DockerEnv;
use crate::engine::embedded::Embedded;
use crate::engine::{Docker, Error, Fleet, FleetEngine};
use crate::resolve::ResolvedImage;

/// The engines that a run can use.
#[derive(Debug)]
pub struct Engines {
    environment: DockerEnv,
    docker: OnceCell<Result<Docker, Arc<Error>>>,
    /// The embedded engine.
    pub embedded: Embedded,
    fleet: Option<Fleet>,
    /// The Docker Engine, for images with several platforms, and to export images.
    alone: Fleet,
}

impl Engines {
    /// The engines for this environment. Nothing is connected yet. Layers are stored under `spool`
    /// until they are published or written.
    #[must_use]
    pub fn new(environment: DockerEnv, embedded: Embedded, spool: PathBuf) -> Self {
        let docker = FleetEngine::of_all_platforms(environment.clone());
        Self {
            environment,
            docker: OnceCell::new(),
            fleet: None,
            alone: Fleet::new(vec![docker], embedded.clone(), spool),
            embedded,
        }
    }

    /// The same engines, and those of `[[engine]]` for images that list their platforms.
    #[must_use]
    pub fn with_fleet(self, fleet: Option<Fleet>) -> Self {
        Self { fleet, ..self }
    }

    /// Exports images of the Docker Engine.
    #[must_use]
    pub const fn exporter(&self) -> &Fleet {
        &self.alone
    }

    /// The engines of `[[engine]]`, if the image lists its platforms; without them, the Docker
    /// Engine for all platforms of an image that has several.
    #[must_use]
    pub fn fleet(&self, image: &ResolvedImage) -> Option<&Fleet> {
        match image.platforms.len() {
            0 => None,
            1 => self.fleet.as_ref(),
            _ => Some(self.fleet.as_ref().unwrap_or(&self.alone)),
        }
    }

    /// The Docker Engine. It is connected once; the result, also an error, applies to the whole
    /// run.
    pub async fn docker(&self) -> Result<&Docker, Arc<Error>> {
        let connect = async || Docker::connect(&self.environment).await.map_err(Arc::new);
        self.docker
            .get_or_init(connect)
            .await
            .as_ref()
            .map_err(Arc::clone)
    }

    /// True if a Docker Engine answers.
    pub async fn docker_answers(&self) -> bool {
        self.docker().await.is_ok()
    }
}
