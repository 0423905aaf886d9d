//! Connects to a BuildKit daemon: parses its address and opens HTTP/2 over a stream to it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

use super::super::Error;
use super::super::daemon::bounds::{BoundedStream, LastRefusal, RequestKind, Timeouts};
use super::super::daemon::dial::{Duplex, dial};
use super::super::daemon::tls::{self, TlsDirectory};
use crate::config_files::engine_address::EngineAddress;
use crate::process::Environment;

/// The HTTP/2 window, in bytes. Contexts and layers are large, so it is larger than the default.
const WINDOW: u32 = 4 << 20;

/// Connects to the daemon at `address`, with TLS if `certs` has the files for it. Fails if the
/// address or the TLS files are invalid, or if the daemon cannot be reached.
pub(super) async fn connect(
    address: &str,
    certs: Option<&TlsDirectory>,
    timeouts: Timeouts,
) -> Result<Channel, Error> {
    let target = EngineAddress::of_buildkit(address).map_err(|what| Error::Address { what })?;
    let tls = match certs {
        Some(directory) => {
            let settings = tls::Settings {
                directory: Some(directory.clone()),
                verify: true,
            };
            Some(tls::Client::read(&settings)?.for_http2())
        }
        None => None,
    };
    Endpoint::from_static("http://buildkit")
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .connect_with_connector(Connector {
            target,
            tls,
            timeouts,
        })
        .await
        .map_err(|error| Error::Unreachable {
            address: address.to_owned(),
            source: error.into(),
        })
}

/// Opens the connections for HTTP/2, also after a connection is lost.
#[derive(Clone)]
struct Connector {
    target: EngineAddress,
    tls: Option<tls::Client>,
    timeouts: Timeouts,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<BoundedStream<Box<dyn Duplex>>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self {
            target,
            tls,
            timeouts,
        } = self.clone();
        // BuildKit addresses do not use ssh, so no program is started.
        let programs = Environment::default();
        Box::pin(async move {
            let stream = dial(&target, tls.as_ref(), &programs).await?;
            // The connection also transfers the built image, so the limits for an archive apply.
            Ok(TokioIo::new(BoundedStream::new(
                stream,
                RequestKind::Archive,
                timeouts,
                LastRefusal::default(),
            )))
        })
    }
}
