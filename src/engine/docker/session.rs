//! The session of a BuildKit build in a Docker Engine. The engine sends its requests for the
//! context, secrets and logins over this connection.

use std::sync::Arc;

use bollard::errors::Error as BollardError;
use http_body_util::Empty;
use hyper::Request;
use hyper::body::Bytes;

use super::super::BuildOptions;
use super::super::daemon::answers;
use super::super::daemon::upload::ContextUpload;
use super::transport::Transport;
use crate::render::Recipe;

/// The buffer between the connection and its gRPC server, in bytes.
const BUFFER: usize = 64 * 1024;

/// An open session. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct DockerSession {
    id: String,
    context: Arc<ContextUpload>,
    task: tokio::task::JoinHandle<()>,
}

impl DockerSession {
    /// Opens a session that offers a build's context, secrets and logins. Fails if the engine
    /// refuses the session.
    pub(super) async fn open(
        transport: &Transport,
        recipe: &Recipe,
        options: &BuildOptions,
    ) -> Result<Self, BollardError> {
        let id = answers::session_id();
        let context = ContextUpload::new(&id, recipe);
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
            .chain([ContextUpload::METHOD])
            .fold(request, announce)
            .body(Empty::<Bytes>::new())?;
        let mut connection = transport.upgrade(request).await?;

        let (mut client_end, server_end) = tokio::io::duplex(BUFFER);
        let incoming = futures_util::stream::once(async { Ok::<_, std::io::Error>(server_end) });
        let server = answers::services(options)
            .add_service(context.service())
            .serve_with_incoming(incoming);
        let task = tokio::spawn(async move {
            // Errors are only logged: a build that needs the session fails itself.
            let (served, copied) = tokio::join!(
                server,
                tokio::io::copy_bidirectional(&mut connection, &mut client_end)
            );
            tracing::debug!(?served, ?copied, "the build session ended");
        });
        Ok(Self { id, context, task })
    }

    /// The ID that the build request refers to.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The build context that the session offers.
    pub(super) fn context(&self) -> &ContextUpload {
        &self.context
    }
}

impl Drop for DockerSession {
    fn drop(&mut self) {
        self.task.abort();
    }
}
