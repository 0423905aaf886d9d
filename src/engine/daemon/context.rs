//! The build context as a stream: made while it is sent, so that memory stays flat whatever it holds.

use std::io;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt as _};
use hyper::body::Bytes;
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::oci::tar;
use crate::render::{self, Recipe};

/// Bytes that may wait to be sent.
const BUFFER: usize = 256 * 1024;

/// A context on its way.
pub(in crate::engine) struct Context {
    /// The tar. It ends with an error when it could not be made to its end: it must not look whole.
    pub(in crate::engine) bytes: Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>,
    /// Resolves to what went wrong while the tar was made; to nothing when it was made well.
    pub(in crate::engine) failure: oneshot::Receiver<io::Error>,
}

/// The context of a recipe: its Dockerfile and its entries.
pub(in crate::engine) fn stream(recipe: &Recipe) -> Context {
    let entries = render::context::entries(recipe);
    let mtime = u64::try_from(recipe.image.provenance.created).unwrap_or_default();

    let (near, far) = tokio::io::duplex(BUFFER);
    let writing = tokio::task::spawn_blocking(move || {
        tar::write(
            &entries,
            mtime,
            SyncIoBridge::new(near),
            crate::workspace::fs::open,
        )
        .map(drop)
    });
    let (sender, failure) = oneshot::channel();
    // An archive that ends early must not look whole: the body ends with an error, too.
    let end = stream::once(async move {
        let error = match writing.await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => error,
            Err(error) => io::Error::other(error),
        };
        let told = io::Error::other("the build context broke off");
        // Nobody waits for the reason when the build was given up.
        drop(sender.send(error));
        Some(Err(told))
    });
    let bytes = ReaderStream::with_capacity(far, BUFFER).chain(end.filter_map(std::future::ready));
    Context {
        bytes: Box::pin(bytes),
        failure,
    }
}
