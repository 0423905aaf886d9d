//! The engines of a run. Docker is connected when it is first needed, once.

use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::engine::docker::DockerEnv;
use crate::engine::embedded::Embedded;
use crate::engine::{Docker, Error};

/// The engines of a run.
#[derive(Debug)]
pub struct Engines {
    environment: DockerEnv,
    docker: OnceCell<Result<Docker, Arc<Error>>>,
    /// golden's own engine.
    pub embedded: Embedded,
}

impl Engines {
    /// The engines of these surroundings; nothing is connected yet.
    #[must_use]
    pub fn new(environment: DockerEnv, embedded: Embedded) -> Self {
        Self { environment, docker: OnceCell::new(), embedded }
    }

    /// The Docker Engine. It is asked once; what it said holds for the whole run.
    pub async fn docker(&self) -> Result<&Docker, Arc<Error>> {
        let connect = async || Docker::connect(&self.environment).await.map_err(Arc::new);
        self.docker.get_or_init(connect).await.as_ref().map_err(Arc::clone)
    }

    /// Whether a Docker Engine answers.
    pub async fn docker_answers(&self) -> bool {
        self.docker().await.is_ok()
    }
}
