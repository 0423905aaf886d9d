//! A BuildKit daemon as its clients see it. No distribution packages buildkitd, but every Docker
//! Engine contains BuildKit and serves its API at `/grpc`. That BuildKit solves, reports progress
//! and sends requests to the client. It lacks an exporter that returns the image, so this daemon
//! adds one, with the engine's archive of the image.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{
    HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
};
use bollard::moby::buildkit::secrets::v1::secrets_client::SecretsClient;
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::buildkit::v1::control_server::{Control, ControlServer};
use bollard::moby::buildkit::v1::{
    BuildHistoryEvent, BuildHistoryRequest, BytesMessage, DiskUsageRequest, DiskUsageResponse,
    InfoRequest, InfoResponse, ListWorkersRequest, ListWorkersResponse, PruneRequest, SolveRequest,
    SolveResponse, StatusRequest, StatusResponse, UpdateBuildHistoryRequest,
    UpdateBuildHistoryResponse, UsageRecord,
};
use bollard::moby::filesync::v1::auth_client::AuthClient;
use bollard::moby::filesync::v1::auth_server::{Auth, AuthServer};
use bollard::moby::filesync::v1::file_send_client::FileSendClient;
use bollard::moby::filesync::v1::{
    BytesMessage as FileMessage, CredentialsRequest, CredentialsResponse, FetchTokenRequest,
    FetchTokenResponse, GetTokenAuthorityRequest, GetTokenAuthorityResponse,
    VerifyTokenAuthorityRequest, VerifyTokenAuthorityResponse,
};
use bollard::moby::upload::v1::BytesMessage as UploadMessage;
use bollard::moby::upload::v1::upload_client::UploadClient;
use bollard::moby::upload::v1::upload_server::{Upload, UploadServer};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use hyper::Uri;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::UnixStream;
use tokio_util::io::ReaderStream;
use tonic::codegen::Service;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

const BUFFER: usize = 256 * 1024;
const MESSAGE: usize = 16 << 20;

/// A daemon that runs until it is dropped.
pub(crate) struct Daemon {
    /// Its address, as `[[engine]]` has it.
    pub(crate) address: String,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Waiting for the thread would panic within another runtime, where some tests run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Daemon {
    /// Starts a daemon that forwards to the Docker Engine at `unix://…`.
    pub(crate) fn in_front_of(engine: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = format!("buildkit://{}", listener.local_addr().unwrap());
        let proxy = Proxy {
            engine: engine.to_owned(),
            sessions: Mutex::default(),
        };
        let service = ControlServer::new(proxy).max_decoding_message_size(MESSAGE);
        let incoming = stream::unfold(listener, |listener| async move {
            let accepted = listener.accept().await.map(|(stream, _)| stream);
            Some((accepted, listener))
        });
        drop(
            runtime.spawn(
                Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming),
            ),
        );
        Self {
            address,
            runtime: Some(runtime),
        }
    }
}

/// Makes a channel from an open stream.
struct OpenStream<S>(Arc<Mutex<Option<S>>>);

impl<S: Send + 'static> Service<Uri> for OpenStream<S> {
    type Response = TokioIo<S>;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<TokioIo<S>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        std::future::ready(
            taken
                .map(TokioIo::new)
                .ok_or_else(|| io::Error::other("the stream was used up")),
        )
    }
}

fn channel<S>(stream: S) -> Channel
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
{
    Endpoint::from_static("http://stream")
        .connect_with_connector_lazy(OpenStream(Arc::new(Mutex::new(Some(stream)))))
}

/// The API of the BuildKit in a Docker Engine.
async fn inner_buildkit(engine: &str) -> io::Result<ControlClient<Channel>> {
    let mut stream = UnixStream::connect(engine.trim_start_matches("unix://")).await?;
    stream
        .write_all(
            b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        )
        .await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    if !head.starts_with(b"HTTP/1.1 101") {
        return Err(io::Error::other(
            String::from_utf8_lossy(&head).into_owned(),
        ));
    }
    Ok(ControlClient::new(channel(stream)).max_decoding_message_size(MESSAGE))
}

struct Proxy {
    engine: String,
    /// Channels to the clients, by session name.
    sessions: Mutex<BTreeMap<String, Channel>>,
}

impl Proxy {
    async fn inner_buildkit(&self) -> Result<ControlClient<Channel>, Status> {
        inner_buildkit(&self.engine)
            .await
            .map_err(|error| Status::internal(error.to_string()))
    }

    /// Opens a session with the engine that forwards the engine's requests to the client.
    async fn pass_on(&self, client: &Channel) -> Result<(ControlClient<Channel>, String), Status> {
        let id: String = std::iter::repeat_with(|| fastrand::char('a'..='z'))
            .take(25)
            .collect();
        let (near, far) = tokio::io::duplex(BUFFER);
        let callbacks = Arc::new(ClientCallbacks(client.clone()));
        let server = Server::builder()
            .add_service(HealthServer::new(Healthy))
            .add_service(AuthServer::from_arc(callbacks.clone()))
            .add_service(SecretsServer::from_arc(callbacks.clone()))
            .add_service(UploadServer::from_arc(callbacks).max_decoding_message_size(MESSAGE))
            .serve_with_incoming(stream::once(async { Ok::<_, io::Error>(far) }));
        drop(tokio::spawn(server));
        let (read, write) = tokio::io::split(near);
        let mut request =
            Request::new(messages(read).filter_map(|message| std::future::ready(message.ok())));
        let headers = request.metadata_mut();
        headers.insert("x-docker-expose-session-uuid", id.parse().unwrap());
        for method in [
            "/moby.filesync.v1.Auth/Credentials",
            "/moby.buildkit.secrets.v1.Secrets/GetSecret",
            "/moby.upload.v1.Upload/Pull",
        ] {
            headers.append(
                "x-docker-expose-session-grpc-method",
                MetadataValue::from_static(method),
            );
        }
        let mut engine = self.inner_buildkit().await?;
        let answers = engine.session(request).await?.into_inner();
        drop(tokio::spawn(forward_messages(answers, write)));
        Ok((engine, id))
    }
}

/// Reads a stream as messages.
fn messages(
    read: tokio::io::ReadHalf<DuplexStream>,
) -> impl futures_util::Stream<Item = Result<BytesMessage, Status>> + Send {
    ReaderStream::with_capacity(read, BUFFER)
        .map_ok(|chunk: Bytes| BytesMessage { data: chunk.into() })
        .map_err(Status::from)
}

/// Writes messages to a stream until they end.
async fn forward_messages(
    mut messages: Streaming<BytesMessage>,
    mut to: tokio::io::WriteHalf<DuplexStream>,
) {
    while let Ok(Some(message)) = messages.message().await {
        if to.write_all(&message.data).await.is_err() {
            break;
        }
    }
}

#[tonic::async_trait]
impl Control for Proxy {
    type PruneStream = BoxStream<'static, Result<UsageRecord, Status>>;
    type StatusStream = BoxStream<'static, Result<StatusResponse, Status>>;
    type SessionStream = BoxStream<'static, Result<BytesMessage, Status>>;
    type ListenBuildHistoryStream = BoxStream<'static, Result<BuildHistoryEvent, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<BytesMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let id = request
            .metadata()
            .get("x-docker-expose-session-uuid")
            .and_then(|id| id.to_str().ok());
        let id = id
            .ok_or_else(|| Status::invalid_argument("a session without a name"))?
            .to_owned();
        let (near, far) = tokio::io::duplex(BUFFER);
        let (read, write) = tokio::io::split(near);
        drop(tokio::spawn(forward_messages(request.into_inner(), write)));
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, channel(far));
        Ok(Response::new(messages(read).boxed()))
    }

    async fn solve(
        &self,
        request: Request<SolveRequest>,
    ) -> Result<Response<SolveResponse>, Status> {
        let mut request = request.into_inner();
        if request.exporter_deprecated != "docker" {
            return Err(Status::invalid_argument(
                "only the exporter `docker` is supported",
            ));
        }
        let client = {
            let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.get(&request.session).cloned()
        };
        let client = client.ok_or_else(|| Status::not_found("no such session"))?;
        let (mut engine, session) = self.pass_on(&client).await?;
        request.session = session;
        "moby".clone_into(&mut request.exporter_deprecated);
        let mut answer = engine.solve(request).await?.into_inner();
        // The engine names images after their configs.
        let id = answer
            .exporter_response
            .get("containerimage.digest")
            .cloned();
        let id = id.ok_or_else(|| Status::internal("the engine made no image"))?;
        answer
            .exporter_response
            .insert("containerimage.config.digest".to_owned(), id.clone());
        let saving = tokio::process::Command::new("docker")
            .args(["-H", &self.engine, "save", &id])
            .stdout(std::process::Stdio::piped())
            .spawn()?;
        let archive = saving
            .stdout
            .ok_or_else(|| Status::internal("no archive"))?;
        let chunks = ReaderStream::with_capacity(archive, BUFFER)
            .filter_map(|chunk| std::future::ready(chunk.ok()))
            .map(|chunk| FileMessage { data: chunk.into() });
        // The stream of answers ends when the client has received all of them.
        let mut taken = FileSendClient::new(client)
            .diff_copy(chunks)
            .await?
            .into_inner();
        while taken.message().await?.is_some() {}
        Ok(Response::new(answer))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<Self::StatusStream>, Status> {
        let statuses = self
            .inner_buildkit()
            .await?
            .status(request.into_inner())
            .await?
            .into_inner();
        Ok(Response::new(statuses.boxed()))
    }

    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        self.inner_buildkit()
            .await?
            .list_workers(request.into_inner())
            .await
    }

    async fn disk_usage(
        &self,
        _: Request<DiskUsageRequest>,
    ) -> Result<Response<DiskUsageResponse>, Status> {
        Err(unsupported())
    }

    async fn prune(&self, _: Request<PruneRequest>) -> Result<Response<Self::PruneStream>, Status> {
        Err(unsupported())
    }

    async fn info(&self, _: Request<InfoRequest>) -> Result<Response<InfoResponse>, Status> {
        Err(unsupported())
    }

    async fn listen_build_history(
        &self,
        _: Request<BuildHistoryRequest>,
    ) -> Result<Response<Self::ListenBuildHistoryStream>, Status> {
        Err(unsupported())
    }

    async fn update_build_history(
        &self,
        _: Request<UpdateBuildHistoryRequest>,
    ) -> Result<Response<UpdateBuildHistoryResponse>, Status> {
        Err(unsupported())
    }
}

fn unsupported() -> Status {
    Status::unimplemented("golden does not ask for this")
}

/// Forwards the engine's requests to the client.
struct ClientCallbacks(Channel);

#[tonic::async_trait]
impl Auth for ClientCallbacks {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        AuthClient::new(self.0.clone())
            .credentials(request.into_inner())
            .await
    }

    async fn fetch_token(
        &self,
        request: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        AuthClient::new(self.0.clone())
            .fetch_token(request.into_inner())
            .await
    }

    async fn get_token_authority(
        &self,
        request: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        AuthClient::new(self.0.clone())
            .get_token_authority(request.into_inner())
            .await
    }

    async fn verify_token_authority(
        &self,
        request: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        AuthClient::new(self.0.clone())
            .verify_token_authority(request.into_inner())
            .await
    }
}

#[tonic::async_trait]
impl Secrets for ClientCallbacks {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        SecretsClient::new(self.0.clone())
            .get_secret(request.into_inner())
            .await
    }
}

#[tonic::async_trait]
impl Upload for ClientCallbacks {
    type PullStream =
        Pin<Box<dyn futures_util::Stream<Item = Result<UploadMessage, Status>> + Send>>;

    async fn pull(
        &self,
        request: Request<Streaming<UploadMessage>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let mut forward = Request::new(stream::pending::<UploadMessage>());
        if let Some(path) = request.metadata().get("urlpath") {
            forward.metadata_mut().insert("urlpath", path.clone());
        }
        let client = UploadClient::new(self.0.clone()).max_decoding_message_size(MESSAGE);
        let sent = { client }.pull(forward).await?.into_inner();
        Ok(Response::new(Box::pin(sent)))
    }
}

struct Healthy;

#[tonic::async_trait]
impl Health for Healthy {
    type WatchStream = stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(unsupported())
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(unsupported())
    }
}
