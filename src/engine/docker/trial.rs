//! Runs commands in containers of an image, and then removes the containers from the engine.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use bollard::query_parameters::RemoveImageOptions;
use http_body_util::Full;
use hyper::Request;
use hyper::body::{Bytes, Incoming};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::daemon::answers;
use super::super::{Error, TransferCause};
use super::container::{Created, Streams};
use super::transport::complete;
use super::{Builder, Docker, failure};
use crate::assemble::{Assembled, AssembledImage};
use crate::checks::{CommandPlan, ContainerEnd, ContainerExit};
use crate::image::Blobs;
use crate::reference::{Digest, Reference};
use crate::resolve::image_test::ContainerCommand;

/// The bytes of each output stream that are kept.
const KEPT: usize = 1 << 20;
/// The bytes of output after which a command is killed.
const FLOOD: u64 = 256 << 20;
/// The number of attempts to remove an image, which a container may still use.
const REMOVALS: usize = 8;
/// The time between these attempts.
const PAUSE: Duration = Duration::from_millis(200);

/// The containers and images that a trial added to an engine.
#[derive(Debug, Default)]
struct Traces {
    containers: Vec<String>,
    /// The names of images, in the order in which they were added.
    images: Vec<String>,
    /// True if an image is being loaded: the engine may still add it.
    is_loading: bool,
}

/// An image in an engine on which commands run. [`TrialImage::finish`] removes its containers and
/// images from the engine; if it is dropped earlier, they are removed in the background.
#[derive(Debug)]
pub struct TrialImage {
    docker: Docker,
    name: String,
    traces: Mutex<Traces>,
}

/// The exit status of a container.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ExitedContainer {
    status_code: i64,
}

impl Docker {
    /// Makes an image ready for commands. It is loaded under a temporary name, unless the engine has
    /// it already. Fails if a layer cannot be read, or if the engine refuses the image.
    pub async fn trial(&self, image: &AssembledImage, blobs: &Blobs) -> Result<TrialImage, Error> {
        let id = Digest::of(&image.config);
        let own = self.image_by_id(&id).await?;
        let mut trial = TrialImage {
            docker: self.clone(),
            name: id.to_string(),
            traces: Mutex::default(),
        };
        if own.is_some_and(|own| own.is_complete()) {
            return Ok(trial);
        }
        let name = format!("localhost/golden/test:{}", answers::session_id());
        let reference: Reference = name.parse().map_err(|_| Error::Base {
            reference: name.clone(),
            message: "the temporary name is invalid".to_owned(),
            cause: TransferCause::NoTransfer,
        })?;
        trial.note(|traces| {
            traces.images.push(name.clone());
            traces.is_loading = true;
        });
        trial.name = name;
        let assembled = Assembled::new(vec![image.clone()]);
        self.load_assembled(&assembled, &[reference], blobs).await?;
        trial.note(|traces| traces.is_loading = false);
        Ok(trial)
    }

    /// Removes containers, and then images.
    async fn clean(&self, traces: Traces) {
        for container in &traces.containers {
            self.remove_container(container).await;
            // The engine may still be creating it.
            tokio::time::sleep(PAUSE).await;
            self.remove_container(container).await;
        }
        for image in traces.images.iter().rev() {
            for _ in 0..REMOVALS {
                let options = None::<RemoveImageOptions>;
                let removed = self.api.remove_image(image, options, None).await;
                let is_gone = match &removed {
                    Ok(_) => true,
                    Err(error) => failure::is_not_found(error) && !traces.is_loading,
                };
                if is_gone {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

impl TrialImage {
    /// Runs the commands of a plan, each in a new container, and waits for the last one. A command
    /// that fails is not an error. Fails if the engine cannot be reached or refuses a container.
    pub async fn run(&self, plan: &CommandPlan) -> Result<ContainerEnd, Error> {
        let mut image = self.name.clone();
        for command in &plan.setup {
            let (end, changed) = self.run_on(&image, command, true).await?;
            match (end.exit, changed) {
                (ContainerExit::Status(_), Some(changed)) => image = changed,
                (exit, _) => return Ok(ContainerEnd { exit, ..end }),
            }
        }
        Ok(self.run_on(&image, &plan.command, false).await?.0)
    }

    /// Runs a command in a new container of an image. If `keeps` is true and the command ended by
    /// itself, the second result is a new image with the files of the container.
    async fn run_on(
        &self,
        image: &str,
        command: &ContainerCommand,
        keeps: bool,
    ) -> Result<(ContainerEnd, Option<String>), Error> {
        // The words can contain the value of a variable of the image, which may be a secret.
        let what = if keeps {
            "run a setup command of the test"
        } else {
            "run the command of the test"
        };
        let failed = |error| self.docker.failed(what, error);
        let id = self.create(image, command, keeps).await.map_err(failed)?;
        let ended = async {
            let end = self.start(&id, command).await?;
            let changed = match end.exit {
                ContainerExit::Status(_) if keeps => Some(self.commit(&id).await?),
                _ => None,
            };
            Ok((end, changed))
        };
        let ended = ended.await.map_err(failed);
        self.docker.remove_container(&id).await;
        self.note(|traces| traces.containers.retain(|other| *other != id));
        ended
    }

    /// Makes an image of a container that ended. Returns the ID.
    async fn commit(&self, container: &str) -> Result<String, BollardError> {
        let path = format!("/commit?container={container}");
        let answer = self.docker.post(&path, "{}".to_owned()).await?;
        let Created { id } =
            serde_json::from_slice(&answer).map_err(|err| BollardError::JsonSerdeError { err })?;
        self.note(|traces| traces.images.push(id.clone()));
        Ok(id)
    }

    /// Creates a container with a name that golden chooses, so that it can be removed even if the
    /// answer does not arrive. Returns the name.
    async fn create(
        &self,
        image: &str,
        command: &ContainerCommand,
        keeps: bool,
    ) -> Result<String, BollardError> {
        let name = format!("golden-test-{}", answers::session_id());
        self.note(|traces| traces.containers.push(name.clone()));
        let path = format!("/containers/create?name={name}");
        let body = container(image, command, keeps).to_string();
        self.docker.post(&path, body).await?;
        Ok(name)
    }

    /// Starts a container, and reads its output until it ends or is over a limit.
    async fn start(
        &self,
        id: &str,
        command: &ContainerCommand,
    ) -> Result<ContainerEnd, BollardError> {
        let mut streams = Streams::new(KEPT);
        let output = match self.docker.attach(id).await {
            Ok(output) => output,
            // Podman prepares the container already when its output is requested.
            Err(error) if self.docker.builder() == Builder::Podman => {
                return Ok(ContainerEnd {
                    exit: not_started(error)?,
                    stdout: streams.stdout,
                    stderr: streams.stderr,
                });
            }
            Err(error) => return Err(error),
        };
        // The engine answers with the headers at once, and with the body at the end of the container.
        let waiting = self.wait(id).await?;
        let start = format!("/containers/{id}/start");
        let exit = match self.docker.post(&start, String::new()).await {
            Ok(_) => {
                let reading = async {
                    streams
                        .read(output, FLOOD)
                        .await
                        .map_err(|err| BollardError::IOError { err })?;
                    if streams.is_flooded {
                        return Ok::<_, BollardError>(ContainerExit::Flooded(FLOOD));
                    }
                    let body = complete(waiting).await?;
                    let ended: ExitedContainer = serde_json::from_slice(&body)
                        .map_err(|err| BollardError::JsonSerdeError { err })?;
                    Ok(ContainerExit::Status(ended.status_code))
                };
                match tokio::time::timeout(command.timeout, reading).await {
                    Ok(exit) => exit?,
                    Err(_) => ContainerExit::TimedOut(command.timeout),
                }
            }
            Err(error) => not_started(error)?,
        };
        Ok(ContainerEnd {
            exit,
            stdout: streams.stdout,
            stderr: streams.stderr,
        })
    }

    /// Requests the exit status of a container, before the container is started.
    async fn wait(&self, id: &str) -> Result<hyper::Response<Incoming>, BollardError> {
        let request = Request::post(format!("/containers/{id}/wait?condition=next-exit"));
        let request = request.body(Full::new(Bytes::new()))?;
        self.docker.transport.send(request).await
    }

    /// Removes the containers and images of the trial from the engine.
    pub async fn finish(self) {
        if let Some(cleaning) = self.clean_in_background() {
            // The task continues even if no caller waits for it.
            drop(cleaning.await);
        }
    }

    fn note(&self, change: impl FnOnce(&mut Traces)) {
        change(&mut self.traces.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn clean_in_background(&self) -> Option<tokio::task::JoinHandle<()>> {
        let mut traces = self.traces.lock().unwrap_or_else(PoisonError::into_inner);
        let traces = std::mem::take(&mut *traces);
        if traces.containers.is_empty() && traces.images.is_empty() {
            return None;
        }
        let runtime = tokio::runtime::Handle::try_current().ok()?;
        let docker = self.docker.clone();
        Some(runtime.spawn(async move { docker.clean(traces).await }))
    }
}

impl Drop for TrialImage {
    fn drop(&mut self) {
        drop(self.clean_in_background());
    }
}

/// The end of a container that the engine refused to start because of its command. Docker answers
/// 400 if the image lacks the program, and 500 for an unknown user; Podman always answers 500. Fails
/// with every other error, which says nothing about the command.
fn not_started(error: BollardError) -> Result<ContainerExit, BollardError> {
    match error {
        BollardError::DockerResponseServerError {
            status_code: 400 | 500,
            message,
        } => Ok(ContainerExit::NotStarted(message)),
        other => Err(other),
    }
}

/// The container of a command, for Docker's API. With `keeps`, it still exists after its end.
fn container(image: &str, command: &ContainerCommand, keeps: bool) -> Value {
    let env: Vec<String> = command
        .env
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut host = json!({
        "AutoRemove": !keeps,
        "LogConfig": {"Type": "none", "Config": {}},
    });
    if !command.network {
        host["NetworkMode"] = "none".into();
    }
    if command.read_only {
        host["ReadonlyRootfs"] = true.into();
        host["Tmpfs"] = json!({"/tmp": "mode=1777"});
    }
    let mut container = json!({
        "Image": image,
        "Entrypoint": command.words,
        "Cmd": [],
        "Env": env,
        "Healthcheck": {"Test": ["NONE"]},
        "AttachStdout": true,
        "AttachStderr": true,
        "HostConfig": host,
    });
    if let Some(user) = &command.user {
        container["User"] = user.as_str().into();
    }
    container
}

#[cfg(test)]
mod tests;
