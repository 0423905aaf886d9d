//! The session of a BuildKit build in a Docker Engine: over one connection the engine asks back.

use bollard::errors::Error as BollardError;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;

use super::super::BuildOptions;
use super::super::daemon::answers;
use super::transport::Transport;

/// Bytes on their way between the connection and the server of it.
const BUFFER: usize = 64 * 1024;

/// An open session; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct DockerSession {
    id: String,
    task: tokio::task::JoinHandle<()>,
}

impl DockerSession {
    /// Opens a session that offers a build's secrets and logins.
    pub(super) async fn open(
        transport: &Transport,
        options: &BuildOptions,
    ) -> Result<Self, BollardError> {
        let id = answers::session_id();
        let request = Request::post("/session")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "golden");
        let announce = |request: hyper::http::request::Builder, method| {
            request.header("X-Docker-Expose-Session-Grpc-Method", method)
        };
        let request = answers::METHODS
            .into_iter()
            .fold(request, announce)
            .body(Empty::<Bytes>::new())?;
        let mut connection = transport.upgrade(request).await?;

        let (mut near, far) = tokio::io::duplex(BUFFER);
        let incoming = futures_util::stream::once(async { Ok::<_, std::io::Error>(far) });
        let server = answers::services(options).serve_with_incoming(incoming);
        let task = tokio::spawn(async move {
            // How the session ends is the build's affair: a build that misses it says so.
            let (served, copied) = tokio::join!(
                server,
                tokio::io::copy_bidirectional(&mut connection, &mut near)
            );
            tracing::debug!(?served, ?copied, "the build session ended");
        });
        Ok(Self { id, task })
    }

    /// The name under which the build finds the session.
    pub(super) fn id(&self) -> &str {
        &self.id
    }
}

impl Drop for DockerSession {
    fn drop(&mut self) {
        self.task.abort();
    }
}
