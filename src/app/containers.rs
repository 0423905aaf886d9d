//! Runs the commands of tests in containers of an image.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::OnceCell;

use super::readable::ReadableImage;
use crate::checks::{Attempt, CommandPlan, plan};
use crate::engine::docker::TrialImage;
use crate::engine::{Docker, DockerEnv, Error};
use crate::image::Blobs;
use crate::resolve::image::ResolvedTest;

/// An attempt to run the command of a test, and its duration.
pub(super) type Timed = (Attempt, Duration);

/// Runs commands in a Docker Engine. It is connected at its first use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Containers {
    environment: DockerEnv,
    docker: Arc<OnceCell<Result<Docker, String>>>,
    blobs: Blobs,
}

impl Containers {
    /// The engine of an environment, for images whose layers are in `blobs`.
    #[must_use]
    pub fn new(environment: DockerEnv, blobs: Blobs) -> Self {
        Self {
            environment,
            docker: Arc::default(),
            blobs,
        }
    }

    /// Runs the commands of the tests, one after the other. Returns the results by the positions of
    /// the tests.
    pub(super) async fn run(
        &self,
        image: &ReadableImage,
        tests: &[ResolvedTest],
    ) -> BTreeMap<usize, Timed> {
        let commands = tests.iter().enumerate();
        let commands: Vec<(usize, CommandPlan)> = commands
            .filter_map(|(number, test)| Some((number, plan(test, &image.config)?)))
            .collect();
        if commands.is_empty() {
            return BTreeMap::new();
        }
        let trial = match self.trial(image).await {
            Ok(trial) => trial,
            Err(attempt) => {
                let all = commands.into_iter();
                return all
                    .map(|(number, _)| (number, (attempt.clone(), Duration::ZERO)))
                    .collect();
            }
        };
        let mut results = BTreeMap::new();
        for (number, plan) in commands {
            let start = Instant::now();
            let attempt = match trial.run(&plan).await {
                Ok(end) => Attempt::Ran(end),
                Err(error) => Attempt::Failed(explained(&error, error.hints())),
            };
            results.insert(number, (attempt, start.elapsed()));
        }
        trial.finish().await;
        results
    }

    /// The image in the engine, or the reason why no command can run.
    async fn trial(&self, image: &ReadableImage) -> Result<TrialImage, Attempt> {
        let connect = async || {
            let connected = Docker::connect(&self.environment).await;
            let needed = "a test of `run` needs an engine";
            connected.map_err(|error| explained(&error, error.hints_because(needed)))
        };
        let docker = self.docker.get_or_init(connect).await;
        let docker = docker
            .as_ref()
            .map_err(|because| Attempt::Failed(because.clone()))?;
        let (own, other) = (docker.platform(), &image.platform);
        if (&own.os, &own.architecture) != (&other.os, &other.architecture) {
            return Err(Attempt::Skipped(format!("the engine runs {own}")));
        }
        let trial = docker.trial(&image.assembled(), &self.blobs).await;
        trial.map_err(|error| Attempt::Failed(explained(&error, error.hints())))
    }
}

/// An error with its hints.
fn explained(error: &Error, hints: Vec<String>) -> String {
    let message = std::iter::once(error.to_string());
    message.chain(hints).collect::<Vec<_>>().join("; ")
}
