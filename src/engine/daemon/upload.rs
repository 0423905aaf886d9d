//! Offers the build context over the session of a build, as `docker build -` does. BuildKit fetches
//! it when the build starts.
//!
//! The alternative, file synchronisation, is unsuitable: BuildKit compares the files that it has
//! with the offered ones by their size and time only, and all files of a context have the same time.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bollard::moby::upload::v1::BytesMessage;
use bollard::moby::upload::v1::upload_server::{Upload, UploadServer};
use futures_util::{Stream, TryStreamExt as _};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status, Streaming};

use super::context;
use crate::render::Recipe;

/// The largest message, in bytes. It is also BuildKit's limit.
pub(in crate::engine) const MESSAGE: usize = 16 << 20;

/// The context of one build.
#[derive(Debug)]
pub(in crate::engine) struct ContextUpload {
    /// The URL path of the context.
    path: String,
    recipe: Recipe,
    /// The result of each transfer: its error, if it failed.
    failures: Mutex<Vec<oneshot::Receiver<io::Error>>>,
}

impl ContextUpload {
    /// The gRPC method that the session has to announce.
    pub(in crate::engine) const METHOD: &str = "/moby.upload.v1.Upload/Pull";

    /// The context of a recipe, for the session with this ID.
    pub(in crate::engine) fn new(session: &str, recipe: &Recipe) -> Arc<Self> {
        Arc::new(Self {
            path: format!("/{session}"),
            recipe: recipe.clone(),
            failures: Mutex::default(),
        })
    }

    /// The URL of the context. BuildKit resolves this host name to the session.
    pub(in crate::engine) fn url(&self) -> String {
        format!("http://buildkit-session{}", self.path)
    }

    /// The gRPC service that sends the context.
    pub(in crate::engine) fn service(self: &Arc<Self>) -> UploadServer<Self> {
        UploadServer::from_arc(Arc::clone(self)).max_encoding_message_size(MESSAGE)
    }

    /// The error while the context was read, if there was one.
    pub(in crate::engine) fn failure(&self) -> Option<io::Error> {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures
            .iter_mut()
            .find_map(|failure| failure.try_recv().ok())
    }
}

#[tonic::async_trait]
impl Upload for ContextUpload {
    type PullStream = Pin<Box<dyn Stream<Item = Result<BytesMessage, Status>> + Send>>;

    async fn pull(
        &self,
        request: Request<Streaming<BytesMessage>>,
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
            .map_ok(|chunk| BytesMessage { data: chunk.into() });
        Ok(Response::new(Box::pin(
            messages.map_err(|error| Status::aborted(error.to_string())),
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bollard::moby::upload::v1::upload_client::UploadClient;
    use futures_util::stream;
    use tonic::Code;

    use super::*;
    use crate::oci::Content;
    use crate::oci::tar::{Entry, EntryKind};
    use crate::reference::Digest;
    use crate::render::{PinnedBase, Templates, render};
    use crate::resolve::ResolvedImage;
    use crate::resolve::image::{Base, Family};

    fn recipe(content: Content) -> Recipe {
        let image = ResolvedImage::empty(Family::Static, Base::Scratch);
        let mut rendered = render(&image, &Templates::builtin()).unwrap();
        rendered.context = vec![Entry {
            path: "file".to_owned(),
            mode: 0o4750,
            uid: 7,
            gid: 8,
            kind: EntryKind::File(content),
        }];
        Recipe {
            image,
            base: PinnedBase::Scratch,
            rendered,
            inputs: Digest::of(b"inputs"),
            spec_inputs: Digest::of(b"spec"),
            templates: Arc::default(),
        }
    }

    /// Fetches the content at a path of the session, as BuildKit does.
    async fn fetch(upload: &Arc<ContextUpload>, path: &str) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(stream::empty::<BytesMessage>());
        let path = path.parse().unwrap();
        request.metadata_mut().insert("urlpath", path);
        let mut client = UploadClient::new(upload.service());
        let mut messages = client.pull(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(message) = messages.message().await? {
            bytes.extend(message.data);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn the_session_offers_the_context_at_its_own_path_only() {
        let upload = ContextUpload::new("abc", &recipe(Content::inline(*b"text")));
        assert_eq!(upload.url(), "http://buildkit-session/abc");
        let first = fetch(&upload, "/abc").await.unwrap();
        assert_eq!(fetch(&upload, "/abc").await.unwrap(), first);
        let mut members = Vec::new();
        for entry in tar::Archive::new(first.as_slice()).entries().unwrap() {
            let entry = entry.unwrap();
            let (path, header) = (entry.path().unwrap(), entry.header());
            let owner = (header.uid().unwrap(), header.gid().unwrap());
            members.push(format!(
                "{} {:o} {owner:?}",
                path.display(),
                header.mode().unwrap()
            ));
        }
        assert_eq!(members, ["Dockerfile 644 (0, 0)", "file 4750 (7, 8)"]);
        for path in ["/", "/other", "/abc/file"] {
            let status = fetch(&upload, path).await.unwrap_err();
            assert_eq!(status.code(), Code::NotFound, "{path}");
        }
        assert!(upload.failure().is_none());
    }

    #[tokio::test]
    async fn a_context_that_cannot_be_read_ends_with_an_error() {
        let missing = Content::File {
            path: Path::new("/does/not/exist").to_owned(),
            len: 4,
            digest: Digest::of(b"text"),
        };
        let upload = ContextUpload::new("abc", &recipe(missing));
        let status = fetch(&upload, "/abc").await.unwrap_err();
        assert_eq!(status.message(), "the build context is incomplete");
        let failure = upload.failure().unwrap();
        assert_eq!(failure.kind(), io::ErrorKind::NotFound);
    }
}
