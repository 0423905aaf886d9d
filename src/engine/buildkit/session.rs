//! The session of a build in a BuildKit daemon. Over one API call, the daemon requests secrets and
//! logins, fetches the context, and sends the built image.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::moby::buildkit::v1::BytesMessage;
use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::filesync::v1::BytesMessage as FileMessage;
use bollard::moby::filesync::v1::file_send_server::{FileSend, FileSendServer};
use bollard::moby::upload::v1::BytesMessage as UploadMessage;
use bollard::moby::upload::v1::upload_server::{Upload, UploadServer};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::super::BuildOptions;
use super::super::daemon::archive::{self, Members};
use super::super::daemon::{answers, context};
use super::MESSAGE;
use crate::render::Recipe;

/// The gRPC methods that the session offers in addition to [`answers::METHODS`].
const METHODS: [&str; 2] = [
    "/moby.upload.v1.Upload/Pull",
    "/moby.filesync.v1.FileSend/DiffCopy",
];
/// The buffer between the API call and the gRPC server, in bytes.
const BUFFER: usize = 256 * 1024;

/// An open session. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct BuildKitSession {
    id: String,
    exchange: Arc<Exchange>,
    task: tokio::task::JoinHandle<()>,
}

impl BuildKitSession {
    /// Opens a session that offers a build's context, secrets and logins, and receives the built
    /// image. The layers are stored in `directory`. Fails if the daemon refuses the session.
    pub(super) async fn open(
        mut control: ControlClient<Channel>,
        recipe: &Recipe,
        options: &BuildOptions,
        directory: &Path,
    ) -> Result<Self, Status> {
        let id = answers::session_id();
        let exchange = Arc::new(Exchange {
            path: format!("/{id}"),
            recipe: recipe.clone(),
            directory: directory.to_owned(),
            failures: Mutex::default(),
            received: Mutex::default(),
        });
        let upload =
            UploadServer::from_arc(Arc::clone(&exchange)).max_encoding_message_size(MESSAGE);
        let receive =
            FileSendServer::from_arc(Arc::clone(&exchange)).max_decoding_message_size(MESSAGE);
        let (client_end, server_end) = tokio::io::duplex(BUFFER);
        let incoming = stream::once(async { Ok::<_, io::Error>(server_end) });
        let server = answers::services(options)
            .add_service(upload)
            .add_service(receive)
            .serve_with_incoming(incoming);

        let (read, mut write) = tokio::io::split(client_end);
        let chunks = ReaderStream::with_capacity(read, BUFFER)
            .filter_map(|chunk| std::future::ready(chunk.ok()));
        let outgoing = chunks.map(|chunk: Bytes| BytesMessage { data: chunk.into() });
        let answer = control
            .session(announce(&id, outgoing)?)
            .await?
            .into_inner();
        let chunks = answer
            .map_ok(|message| Bytes::from(message.data))
            .map_err(io::Error::other);
        let mut requests = StreamReader::new(chunks);
        let task = tokio::spawn(async move {
            // Errors are only logged: a build that needs the session fails itself.
            let (served, copied) = tokio::join!(server, tokio::io::copy(&mut requests, &mut write));
            tracing::debug!(?served, ?copied, "the build session ended");
        });
        Ok(Self { id, exchange, task })
    }

    /// The ID that the build request refers to.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The URL of the build context. BuildKit resolves this host name to the session.
    pub(super) fn context(&self) -> String {
        format!("http://buildkit-session{}", self.exchange.path)
    }

    /// The error while the context was read, if there was one.
    pub(super) fn context_failure(&self) -> Option<io::Error> {
        let mut failures = self
            .exchange
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failures
            .iter_mut()
            .find_map(|failure| failure.try_recv().ok())
    }

    /// The files of the archive that the daemon sent. Fails if it sent none.
    pub(super) fn received(&self) -> io::Result<Members> {
        let mut received = self
            .exchange
            .received
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        received
            .take()
            .ok_or_else(|| io::Error::other("the build succeeded, but the daemon sent no image"))
    }
}

impl Drop for BuildKitSession {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The request that opens a session and lists the offered methods.
fn announce<T>(id: &str, outgoing: T) -> Result<Request<T>, Status> {
    let mut request = Request::new(outgoing);
    let text = |text: &str| MetadataValue::try_from(text).map_err(|_| Status::internal("a header"));
    let headers = request.metadata_mut();
    headers.insert("x-docker-expose-session-uuid", text(id)?);
    headers.insert("x-docker-expose-session-name", text("golden")?);
    for method in answers::METHODS.into_iter().chain(METHODS) {
        headers.append("x-docker-expose-session-grpc-method", text(method)?);
    }
    Ok(request)
}

/// The data that a session exchanges with the daemon.
#[derive(Debug)]
struct Exchange {
    /// The URL path of the context.
    path: String,
    recipe: Recipe,
    directory: PathBuf,
    /// The result of each transfer of the context: its error, if it failed.
    failures: Mutex<Vec<oneshot::Receiver<io::Error>>>,
    received: Mutex<Option<Members>>,
}

#[tonic::async_trait]
impl Upload for Exchange {
    type PullStream = Pin<Box<dyn Stream<Item = Result<UploadMessage, Status>> + Send>>;

    async fn pull(
        &self,
        request: Request<Streaming<UploadMessage>>,
    ) -> Result<Response<Self::PullStream>, Status> {
        let requested = request
            .metadata()
            .get("urlpath")
            .and_then(|path| path.to_str().ok());
        if requested != Some(&self.path) {
            return Err(Status::not_found(format!(
                "{} does not exist",
                requested.unwrap_or("an empty path")
            )));
        }
        let context = context::stream(&self.recipe);
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(context.failure);
        let messages = context
            .bytes
            .map_ok(|chunk| UploadMessage { data: chunk.into() });
        Ok(Response::new(Box::pin(
            messages.map_err(|error| Status::aborted(error.to_string())),
        )))
    }
}

#[tonic::async_trait]
impl FileSend for Exchange {
    type DiffCopyStream = stream::Empty<Result<FileMessage, Status>>;

    async fn diff_copy(
        &self,
        request: Request<Streaming<FileMessage>>,
    ) -> Result<Response<Self::DiffCopyStream>, Status> {
        let messages = request.into_inner();
        let chunks = messages
            .map_ok(|message| Bytes::from(message.data))
            .map_err(io::Error::other);
        let directory = self.directory.clone();
        let mut reader = SyncIoBridge::new(StreamReader::new(Box::pin(chunks)));
        let unpacking = tokio::task::spawn_blocking(move || {
            let members = archive::unpack(&mut reader, &directory)?;
            // The padding is read as well: the daemon waits until everything is read.
            io::copy(&mut reader, &mut io::sink())?;
            Ok::<_, io::Error>(members)
        });
        let unpacked = unpacking
            .await
            .map_err(|stopped| Status::internal(stopped.to_string()))?;
        let members = unpacked.map_err(|error| Status::internal(error.to_string()))?;
        *self.received.lock().unwrap_or_else(PoisonError::into_inner) = Some(members);
        Ok(Response::new(stream::empty()))
    }
}
