//! The build context as a stream. It is created while it is sent, so that the memory use does not
//! depend on its size.

use std::io;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt as _};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::oci::tar;
use crate::render::{self, Recipe};

/// The buffer between the tar writer and the connection, in bytes.
const BUFFER: usize = 256 * 1024;

/// A build context that is being sent.
pub(in crate::engine) struct Context {
    /// The tar archive. The stream ends with an error if the archive is incomplete.
    pub(in crate::engine) bytes: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    /// Resolves to the error if the archive could not be created. Closed without a value on
    /// success.
    pub(in crate::engine) failure: oneshot::Receiver<io::Error>,
}

/// Streams the context of a recipe: its Dockerfile and its files.
pub(in crate::engine) fn stream(recipe: &Recipe) -> Context {
    let entries = render::context::entries(recipe);
    let mtime = u64::try_from(recipe.image.provenance.created).unwrap_or_default();

    let (input, output) = tokio::io::duplex(BUFFER);
    let writing = tokio::task::spawn_blocking(move || {
        tar::write(
            &entries,
            mtime,
            SyncIoBridge::new(input),
            crate::workspace::fs::open_real,
        )
        .map(drop)
    });
    let (sender, failure) = oneshot::channel();
    // An incomplete archive must not look complete: the body ends with an error as well.
    let end = stream::once(async move {
        let error = match writing.await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        let incomplete = io::Error::other("the build context is incomplete");
        // Sending fails only if the build was cancelled; the reason is then not needed.
        drop(sender.send(error));
        Some(Err(incomplete))
    });
    let bytes =
        ReaderStream::with_capacity(output, BUFFER).chain(end.filter_map(std::future::ready));
    Context {
        bytes: Box::pin(bytes),
        failure,
    }
}
