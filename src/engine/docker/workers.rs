//! The platforms that BuildKit in a Docker Engine builds for: its own, and those for which the
//! machine has an emulator.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};

use bollard::moby::buildkit::v1::ListWorkersRequest;
use bollard::moby::buildkit::v1::control_client::ControlClient;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tonic::codegen::Service;
use tonic::transport::Endpoint;

use super::super::Error;
use super::super::buildkit::platforms;
use super::super::daemon::dial::Duplex;
use super::super::error::with_sources;
use super::{Builder, Docker};
use crate::platform::Platform;

impl Docker {
    /// The platforms for which the engine executes steps. Without BuildKit, only its own is known.
    /// Fails if the engine does not answer.
    pub(in crate::engine) async fn executable_platforms(&self) -> Result<Vec<Platform>, Error> {
        if self.builder != Builder::BuildKit {
            return Ok(vec![self.platform.clone()]);
        }
        let what = "list the platforms that it builds for";
        let request = Request::post("/grpc")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.failed(what, error.into()))?;
        let connection = self.transport.upgrade(request).await;
        let connection = connection.map_err(|error| self.failed(what, error))?;
        let failed = |message| Error::Request {
            what: what.to_owned(),
            message,
        };
        let channel = Endpoint::from_static("http://buildkit")
            .connect_with_connector(Opened(Some(Box::new(connection))))
            .await
            .map_err(|error| failed(with_sources(error.to_string(), &error)))?;
        let workers = ControlClient::new(channel)
            .list_workers(ListWorkersRequest::default())
            .await
            .map_err(|status| failed(status.message().to_owned()))?;
        let workers = workers.into_inner().record;
        Ok(workers.iter().flat_map(platforms).collect())
    }
}

/// A connection that is open already, for one client.
struct Opened(Option<Box<dyn Duplex>>);

impl Service<Uri> for Opened {
    type Response = TokioIo<Box<dyn Duplex>>;
    type Error = io::Error;
    type Future = Ready<io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let closed = || io::Error::from(io::ErrorKind::NotConnected);
        ready(self.0.take().map(TokioIo::new).ok_or_else(closed))
    }
}
