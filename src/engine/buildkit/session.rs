//! The session of a build in a BuildKit daemon. Over one API call, the daemon requests secrets and
//! logins, fetches the context, and sends the built image.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bollard::moby::buildkit::v1::BytesMessage;
use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::filesync::v1::BytesMessage as FileMessage;
use bollard::moby::filesync::v1::file_send_server::{FileSend, FileSendServer};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use hyper::body::Bytes;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::super::BuildOptions;
use super::super::daemon::answers;
use super::super::daemon::archive::{self, Members};
use super::super::daemon::upload::{ContextUpload, MESSAGE};
use crate::render::Recipe;

/// The gRPC methods that the session offers in addition to [`answers::METHODS`].
const METHODS: [&str; 2] = [ContextUpload::METHOD, "/moby.filesync.v1.FileSend/DiffCopy"];
/// The buffer between the API call and the gRPC server, in bytes.
const BUFFER: usize = 256 * 1024;

/// An open session. Dropping it ends the session.
#[derive(Debug)]
pub(super) struct BuildKitSession {
    id: String,
    context: Arc<ContextUpload>,
    export: Arc<Export>,
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
        let context = ContextUpload::new(&id, recipe);
        let export = Arc::new(Export {
            directory: directory.to_owned(),
            received: Mutex::default(),
        });
        let receive =
            FileSendServer::from_arc(Arc::clone(&export)).max_decoding_message_size(MESSAGE);
        let (client_end, server_end) = tokio::io::duplex(BUFFER);
        let incoming = stream::once(async { Ok::<_, io::Error>(server_end) });
        let server = answers::services(options)
            .add_service(context.service())
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
        Ok(Self {
            id,
            context,
            export,
            task,
        })
    }

    /// The ID that the build request refers to.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The build context that the session offers.
    pub(super) fn context(&self) -> &ContextUpload {
        &self.context
    }

    /// The files of the archive that the daemon sent. Fails if it sent none.
    pub(super) fn received(&self) -> io::Result<Members> {
        let mut received = self
            .export
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

/// The image that the daemon sends.
#[derive(Debug)]
struct Export {
    directory: PathBuf,
    received: Mutex<Option<Members>>,
}

#[tonic::async_trait]
impl FileSend for Export {
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
