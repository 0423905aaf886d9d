//! The build context as a stream: made while it is sent, so that memory stays flat whatever it holds.

use std::io;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::oneshot;
use tokio_util::io::{ReaderStream, SyncIoBridge};

use crate::oci::tar;
use crate::render::{self, Recipe};

/// Bytes that may wait to be sent.
const BUFFER: usize = 256 * 1024;

/// The body that bollard takes; the type has no public name of its own.
pub(super) type Body =
    Either<Full<Bytes>, StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, io::Error>> + Send>>>>;

/// A context on its way.
pub(super) struct Context {
    /// The tar, as a body.
    pub(super) body: Body,
    /// Resolves to what went wrong while the tar was made; to nothing when it was made well.
    pub(super) failure: oneshot::Receiver<io::Error>,
}

/// The context of a recipe: its Dockerfile and its entries.
pub(super) fn stream(recipe: &Recipe) -> Context {
    let entries = render::context::entries(recipe);
    let mtime = u64::try_from(recipe.image.provenance.created).unwrap_or_default();

    let (near, far) = tokio::io::duplex(BUFFER);
    let writing = tokio::task::spawn_blocking(move || {
        tar::write(&entries, mtime, SyncIoBridge::new(near), |path| std::fs::File::open(path)).map(drop)
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
    let body = ReaderStream::with_capacity(far, BUFFER).chain(end.filter_map(std::future::ready));
    Context { body: bollard::body_try_stream(body), failure }
}
