//! The engines of a run. Docker is connected when it is first needed, once.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::engine::docker::DockerEnv;
use crate::engine::embedded::Embedded;
use crate::engine::{Docker, Error, Fleet};
use crate::resolve::ResolvedImage;

/// The engines of a run.
#[derive(Debug)]
pub struct Engines {
    environment: DockerEnv,
    docker: OnceCell<Result<Docker, Arc<Error>>>,
    /// golden's own engine.
    pub embedded: Embedded,
    fleet: Option<Fleet>,
}

impl Engines {
    /// The engines of these surroundings; nothing is connected yet.
    #[must_use]
    pub fn new(environment: DockerEnv, embedded: Embedded) -> Self {
        Self {
            environment,
            docker: OnceCell::new(),
            embedded,
            fleet: None,
        }
    }

    /// The same engines, and those of `[[engine]]` for images that name their platforms.
    #[must_use]
    pub fn with_fleet(self, fleet: Option<Fleet>) -> Self {
        Self { fleet, ..self }
    }

    /// The engines of `[[engine]]`, when an image is theirs to build.
    #[must_use]
    pub fn fleet(&self, image: &ResolvedImage) -> Option<&Fleet> {
        self.fleet.as_ref().filter(|_| !image.platforms.is_empty())
    }

    /// The Docker Engine. It is asked once; what it said holds for the whole run.
    pub async fn docker(&self) -> Result<&Docker, Arc<Error>> {
        let connect = async || Docker::connect(&self.environment).await.map_err(Arc::new);
        self.docker
            .get_or_init(connect)
            .await
            .as_ref()
            .map_err(Arc::clone)
    }

    /// Whether a Docker Engine answers.
    pub async fn docker_answers(&self) -> bool {
        self.docker().await.is_ok()
    }
}
