//! Runs a script in a container that is removed at its end.

use bollard::errors::Error as BollardError;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::Request;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::super::Error;
use super::{Docker, LocalImage};
use crate::event::Events;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Credential;

/// The most output of a script that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// The header of a piece of output: the stream, and the length at its end.
const HEADER: usize = 8;

/// The output of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScriptOutput {
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

/// The body of an answer that refuses a request.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

impl Docker {
    /// An image of a registry in this engine, and true if it was pulled because the engine lacked
    /// it. `display` is the name of the image for events.
    pub async fn image_of_registry(
        &self,
        reference: &Reference,
        platform: &Platform,
        login: Option<&Credential>,
        display: &str,
        events: &Events,
    ) -> Result<(LocalImage, bool), Error> {
        if let Some(image) = self.image(reference).await? {
            return Ok((image, false));
        }
        let name = reference.to_string();
        self.pull(reference, Some(platform), login, display, events)
            .await?;
        let missing = || Error::Request {
            what: format!("find the image {name}"),
            message: "it does not exist after the pull".to_owned(),
        };
        let image = self.image(reference).await?.ok_or_else(missing)?;
        Ok((image, true))
    }

    /// Runs a shell script as root in a new container of an image. The engine removes the
    /// container when the script ends, even if golden is stopped. Fails if the image has no shell.
    pub async fn run_script(
        &self,
        image: &LocalImage,
        script: &str,
        env: &[String],
    ) -> Result<ScriptOutput, Error> {
        let what = format!("run a command in the image {}", image.id.short());
        let failed = |error| self.failed(&what, error);
        let container = json!({
            "Image": image.id,
            "Entrypoint": ["/bin/sh", "-c"],
            "Cmd": [script],
            "User": "0:0",
            "WorkingDir": "/",
            "Env": env,
            "Healthcheck": {"Test": ["NONE"]},
            "AttachStdout": true,
            "AttachStderr": true,
            "HostConfig": {"AutoRemove": true},
        });
        let created = self.post("/containers/create", container.to_string()).await;
        let created = created.map_err(failed)?;
        let Created { id } = serde_json::from_slice(&created).map_err(|error| Error::Request {
            what: what.clone(),
            message: error.to_string(),
        })?;
        let attached = async {
            let path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
            let request = Request::post(path)
                .header("Connection", "Upgrade")
                .header("Upgrade", "tcp")
                .body(Empty::<Bytes>::new())?;
            let stream = self.transport.upgrade(request).await?;
            self.post(&format!("/containers/{id}/start"), String::new())
                .await?;
            Ok::<_, BollardError>(stream)
        };
        let stream = match attached.await {
            Ok(stream) => stream,
            Err(error) => {
                let error = failed(error);
                self.remove_container(&id).await;
                return Err(error);
            }
        };
        let output = output(stream).await;
        // The image can be removed only after the container. An error means that it is removed.
        let gone = format!("/containers/{id}/wait?condition=removed");
        drop(self.post(&gone, String::new()).await);
        output.map_err(|error| Error::Request {
            what,
            message: error.to_string(),
        })
    }

    /// Removes a container that was not started.
    async fn remove_container(&self, id: &str) {
        let request = Request::delete(format!("/containers/{id}?force=1&v=1"));
        if let Ok(request) = request.body(Empty::<Bytes>::new()) {
            let removed = self.transport.send(request).await;
            tracing::debug!(
                id,
                removed = removed.is_ok(),
                "container that did not start"
            );
        }
    }

    /// Sends a POST request with a JSON body, and returns the body of the answer.
    async fn post(&self, path: &str, body: String) -> Result<Bytes, BollardError> {
        let request = Request::post(path).header("Content-Type", "application/json");
        let request = request.body(Full::new(Bytes::from(body)))?;
        let response = self.transport.send(request).await?;
        let status_code = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        if status_code < 400 {
            return Ok(body);
        }
        let refusal = serde_json::from_slice::<Refusal>(&body);
        let text = || String::from_utf8_lossy(&body).into_owned();
        Err(BollardError::DockerResponseServerError {
            status_code,
            message: refusal.map_or_else(|_| text(), |refusal| refusal.message),
        })
    }
}

/// Separates the two streams of a container's output
/// (<https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerAttach>).
async fn output(mut stream: impl AsyncRead + Unpin) -> std::io::Result<ScriptOutput> {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut header = [0; HEADER];
    loop {
        match stream.read_exact(&mut header).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
            read => drop(read?),
        }
        let [kind, _, _, _, length @ ..] = header;
        let length = u32::from_be_bytes(length);
        let out = if kind == 2 { &mut stderr } else { &mut stdout };
        let read = (&mut stream).take(length.into()).read_to_end(out).await?;
        if read < length as usize {
            break;
        }
        if stdout.len() + stderr.len() > LONGEST {
            return Err(std::io::Error::other("its output is too long"));
        }
    }
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ScriptOutput {
        stdout: text(stdout),
        stderr: text(stderr),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_streams_of_a_container_are_separated() {
        let piece = |kind: u8, text: &str| {
            let length = u32::try_from(text.len()).unwrap().to_be_bytes();
            [&[kind, 0, 0, 0], length.as_slice(), text.as_bytes()].concat()
        };
        let bytes = [
            piece(1, "a\n"),
            piece(2, "warning"),
            piece(1, "b"),
            piece(1, ""),
        ]
        .concat();
        let read = output(bytes.as_slice()).await.unwrap();
        assert_eq!(
            (read.stdout.as_str(), read.stderr.as_str()),
            ("a\nb", "warning")
        );
        let cut = output(&bytes[..bytes.len() - 9]).await.unwrap();
        assert_eq!(cut.stdout, "a\n");
    }
}
