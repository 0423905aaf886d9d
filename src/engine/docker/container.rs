//! Runs a script in a container that is removed at its end.

use bollard::errors::Error as BollardError;
use http_body_util::{Empty, Full};
use hyper::Request;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::super::Error;
use super::transport::complete;
use super::{Builder, Docker, LocalImage};
use crate::checks::Captured;
use crate::event::Events;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::Credential;

/// The most output of a script that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// The header of a piece of output: the stream, and the length at its end.
const HEADER: usize = 8;
/// The bytes that are read at once.
const PIECE: usize = 64 << 10;

/// The output of a script.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScriptOutput {
    /// The standard output.
    pub stdout: String,
    /// The standard error.
    pub stderr: String,
}

/// The answer that creates a container or an image.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Created {
    /// The ID that the engine chose.
    pub(super) id: String,
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
            let stream = self.attach(&id).await?;
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
        let output = script_output(stream).await;
        // The image can be removed only after the container. An error means that it is removed.
        let gone = format!("/containers/{id}/wait?condition=removed");
        drop(self.post(&gone, String::new()).await);
        output.map_err(|error| Error::Request {
            what,
            message: error.to_string(),
        })
    }

    /// Opens the stream with the output of a container.
    pub(super) async fn attach(&self, id: &str) -> Result<impl AsyncRead + use<>, BollardError> {
        let path = format!("/containers/{id}/attach?stream=1&stdout=1&stderr=1");
        let request = Request::post(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "tcp")
            .body(Empty::<Bytes>::new())?;
        self.transport.upgrade(request).await
    }

    /// Kills and removes a container. A container that does not exist is not an error.
    pub(super) async fn remove_container(&self, id: &str) {
        if self.builder() == Builder::Podman {
            // Podman gives the container 10 seconds to end by itself before it removes it.
            let path = format!("/containers/{id}/kill");
            let killed = self.post(&path, String::new()).await;
            tracing::debug!(id, killed = killed.is_ok(), "Podman kills a container");
        }
        let request = Request::delete(format!("/containers/{id}?force=1&v=1"));
        if let Ok(request) = request.body(Empty::<Bytes>::new()) {
            let removed = self.transport.send(request).await;
            tracing::debug!(
                id,
                removed = removed.is_ok(),
                "the engine removes a container"
            );
        }
    }

    /// Sends a POST request with a JSON body, and returns the body of the answer.
    pub(super) async fn post(&self, path: &str, body: String) -> Result<Bytes, BollardError> {
        let request = Request::post(path).header("Content-Type", "application/json");
        let request = request.body(Full::new(Bytes::from(body)))?;
        complete(self.transport.send(request).await?).await
    }
}

/// Reads the output of a script. Fails if it is too long.
async fn script_output(stream: impl AsyncRead) -> std::io::Result<ScriptOutput> {
    let mut streams = Streams::new(LONGEST);
    streams.read(stream, LONGEST as u64).await?;
    if streams.is_flooded {
        return Err(std::io::Error::other("its output is too long"));
    }
    let text = |captured: Captured| String::from_utf8_lossy(&captured.bytes).into_owned();
    Ok(ScriptOutput {
        stdout: text(streams.stdout),
        stderr: text(streams.stderr),
    })
}

/// The two streams of a container's output.
#[derive(Debug)]
pub(super) struct Streams {
    /// The standard output.
    pub(super) stdout: Captured,
    /// The standard error.
    pub(super) stderr: Captured,
    /// True if the container wrote more than the limit for both streams together.
    pub(super) is_flooded: bool,
    /// The limit for each stream, in bytes.
    limit: usize,
}

impl Streams {
    /// Streams that keep at most `limit` bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            stdout: Captured::default(),
            stderr: Captured::default(),
            is_flooded: false,
            limit,
        }
    }

    /// Separates the streams, and drops what is over their limits. Stops after `most` bytes
    /// (<https://docs.docker.com/reference/api/engine/version/v1.47/#tag/Container/operation/ContainerAttach>).
    pub(super) async fn read(&mut self, stream: impl AsyncRead, most: u64) -> std::io::Result<()> {
        let mut stream = std::pin::pin!(stream);
        let (mut header, mut all) = ([0; HEADER], 0_u64);
        let mut piece = vec![0; PIECE];
        loop {
            match stream.read_exact(&mut header).await {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                read => drop(read?),
            }
            let [kind, _, _, _, length @ ..] = header;
            let mut left = u32::from_be_bytes(length) as usize;
            all += left as u64;
            if all > most {
                self.is_flooded = true;
                return Ok(());
            }
            let limit = self.limit;
            let out = if kind == 2 {
                &mut self.stderr
            } else {
                &mut self.stdout
            };
            while left > 0 {
                let wanted = left.min(PIECE);
                let read = stream.read(&mut piece[..wanted]).await?;
                if read == 0 {
                    return Ok(());
                }
                left -= read;
                let kept = read.min(limit - out.bytes.len());
                out.bytes.extend_from_slice(&piece[..kept]);
                out.is_cut |= kept < read;
            }
        }
    }
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
        let read = script_output(bytes.as_slice()).await.unwrap();
        assert_eq!(
            (read.stdout.as_str(), read.stderr.as_str()),
            ("a\nb", "warning")
        );
        let cut = script_output(&bytes[..bytes.len() - 9]).await.unwrap();
        assert_eq!(cut.stdout, "a\n");

        let mut streams = Streams::new(4);
        streams.read(bytes.as_slice(), 100).await.unwrap();
        let (stdout, stderr) = (&streams.stdout, &streams.stderr);
        assert_eq!(
            (stdout.bytes.as_slice(), stdout.is_cut),
            (b"a\nb".as_slice(), false)
        );
        assert_eq!(
            (stderr.bytes.as_slice(), stderr.is_cut),
            (b"warn".as_slice(), true)
        );
        assert!(!streams.is_flooded);
        let mut streams = Streams::new(4);
        streams.read(bytes.as_slice(), 5).await.unwrap();
        assert!(streams.is_flooded);
    }
}
