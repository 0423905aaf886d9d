//! Forwards the user's ssh agent over the session of a build, for steps with `ssh = true`. Each
//! connection of a step to its agent socket becomes one call.

use std::path::PathBuf;
use std::pin::Pin;

use bollard::moby::sshforward::v1::ssh_server::{Ssh, SshServer};
use bollard::moby::sshforward::v1::{BytesMessage, CheckAgentRequest, CheckAgentResponse};
use futures_util::{Stream, TryStreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;
use tonic::{Request, Response, Status, Streaming};

/// The gRPC methods that the session offers.
pub(super) const METHODS: [&str; 2] = [
    "/moby.sshforward.v1.SSH/CheckAgent",
    "/moby.sshforward.v1.SSH/ForwardAgent",
];
/// The metadata key with the ID of the requested agent.
const ID: &str = "buildkit.ssh.id";
/// The only ID. A mount without an ID requests it.
const DEFAULT: &str = "default";

/// The agent of one build.
#[derive(Debug)]
pub(super) struct AgentForwarding {
    /// The path of the agent's socket; `None` without an agent.
    socket: Option<PathBuf>,
}

impl AgentForwarding {
    /// The service that forwards the agent with this socket.
    pub(super) fn service(socket: Option<PathBuf>) -> SshServer<Self> {
        SshServer::new(Self { socket })
    }

    /// The socket of the agent with this ID. Fails if there is none.
    fn socket(&self, id: &str) -> Result<&PathBuf, Status> {
        let is_offered = id.is_empty() || id == DEFAULT;
        let socket = self.socket.as_ref().filter(|_| is_offered);
        socket.ok_or_else(|| Status::not_found(format!("the ssh agent `{id}` was not passed")))
    }
}

#[tonic::async_trait]
impl Ssh for AgentForwarding {
    type ForwardAgentStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn check_agent(
        &self,
        request: Request<CheckAgentRequest>,
    ) -> Result<Response<CheckAgentResponse>, Status> {
        self.socket(&request.into_inner().id)?;
        Ok(Response::new(CheckAgentResponse {}))
    }

    async fn forward_agent(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::ForwardAgentStream>, Status> {
        let id = request
            .metadata()
            .get(ID)
            .and_then(|id| id.to_str().ok())
            .unwrap_or(DEFAULT);
        let socket = self.socket(id)?;
        let refused = |error: std::io::Error| {
            Status::unavailable(format!(
                "cannot connect to the ssh agent at {}: {error}",
                socket.display()
            ))
        };
        let (read, mut write) = UnixStream::connect(socket)
            .await
            .map_err(refused)?
            .into_split();
        let mut messages = request.into_inner();
        // The task ends with the call. The agent then sees the end of the connection.
        drop(tokio::spawn(async move {
            while let Ok(Some(message)) = messages.message().await {
                if write.write_all(&message.data).await.is_err() {
                    break;
                }
            }
        }));
        let answers = ReaderStream::new(read)
            .map_ok(|chunk| BytesMessage { data: chunk.into() })
            .map_err(|error| Status::aborted(error.to_string()));
        Ok(Response::new(Box::pin(answers)))
    }
}
