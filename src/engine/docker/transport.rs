//! Sends requests to an engine, each over its own connection. Dropping a request closes its
//! connection; this is how a build is cancelled.
//!
//! bollard creates the requests. This module corrects three things that bollard does differently:
//! - bollard omits the API version from the path.
//! - bollard encodes logins in standard base64, but engines expect base64url.
//! - For a BuildKit build, bollard requires its own session. golden therefore requests a classic
//!   build from bollard, and this module sets the builder to BuildKit.

use std::sync::{OnceLock, PoisonError};

use bollard::errors::Error as BollardError;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::daemon::bounds::{BoundedStream, LastRefusal, RequestKind, Timeouts};
use super::super::daemon::dial::{Duplex, dial};
use super::super::daemon::tls;
use super::super::error::with_sources;
use super::endpoint::EngineEndpoint;
use crate::process::Environment;

/// The header that carries a login.
const LOGIN: &str = "x-registry-auth";

/// The body of an answer that refuses a request.
#[derive(Deserialize)]
struct RefusalBody {
    message: String,
}

/// The transport to one engine.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) endpoint: EngineEndpoint,
    pub(super) tls: Option<tls::Client>,
    pub(super) programs: Environment,
    pub(super) timeouts: Timeouts,
    pub(super) last_refusal: LastRefusal,
    /// The chosen version of the API. Requests before the choice have no version in their path.
    pub(super) version: OnceLock<String>,
}

impl Transport {
    /// Sends a request and waits for the headers of the answer. Fails if the connection fails.
    /// The limits of the connection depend on the kind of request.
    pub(super) async fn send<B>(
        &self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, BollardError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + Unpin
            + 'static,
    {
        let stream = dial(&self.endpoint.address, self.tls.as_ref(), &self.programs).await?;
        let kind = RequestKind::of(request.uri().path());
        let stream = BoundedStream::new(stream, kind, self.timeouts, self.last_refusal.clone());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The connection ends with its request. An error of the connection reaches the request or
        // its answer.
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(self.prepare(request)?).await?)
    }

    /// The error of a request, or the exceeded limit, if golden closed the connection because of
    /// it.
    pub(super) fn explained(&self, error: BollardError) -> BollardError {
        let mut last = self
            .last_refusal
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match last.take() {
            Some(err) => BollardError::IOError { err },
            None => error,
        }
    }

    /// Sends a GET request and parses the JSON answer. `T` requires only the fields that golden
    /// needs: bollard's own types reject answers that lack other fields.
    pub(super) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<T, BollardError> {
        let response = self
            .send(Request::get(path).body(Empty::<Bytes>::new())?)
            .await?;
        let status_code = response.status().as_u16();
        let unreadable = |error: String| BollardError::DockerStreamError {
            error: format!("the answer to GET {path} could not be read: {error}"),
        };
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| unreadable(with_sources(error.to_string(), &error)))?;
        let body = body.to_bytes();
        if status_code >= 400 {
            return Err(BollardError::DockerResponseServerError {
                status_code,
                message: String::from_utf8_lossy(&body).into_owned(),
            });
        }
        serde_json::from_slice(&body).map_err(|error| unreadable(error.to_string()))
    }

    /// Sends a request that upgrades its connection to a raw stream. Fails if the engine does not
    /// switch protocols; the error is the engine's message if it has one.
    pub(super) async fn upgrade<B>(
        &self,
        request: Request<B>,
    ) -> Result<impl Duplex + use<B>, BollardError>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + Unpin
            + 'static,
    {
        let response = self.send(request).await?;
        let status = response.status();
        if status == hyper::StatusCode::SWITCHING_PROTOCOLS {
            return Ok(TokioIo::new(hyper::upgrade::on(response).await?));
        }
        if status.is_client_error() || status.is_server_error() {
            complete(response).await?;
        }
        // The body of any other answer may be the stream itself, which stays open for hours.
        Err(BollardError::DockerResponseServerError {
            status_code: status.as_u16(),
            message: format!(
                "the engine did not open a session (HTTP {}); a proxy may have removed the header `Upgrade`",
                status.as_u16()
            ),
        })
    }

    /// Sets the path, the host and the login header that the engine expects.
    fn prepare<B>(&self, mut request: Request<B>) -> Result<Request<B>, BollardError> {
        let path = request
            .uri()
            .path_and_query()
            .map_or("/", |path| path.as_str());
        let path = with_builder(path);
        let path = match self.version.get() {
            Some(version) if !path.starts_with("/v1.") => format!("/v{version}{path}"),
            _ => path,
        };
        *request.uri_mut() = path.parse::<Uri>()?;
        request
            .headers_mut()
            .insert(HOST, HeaderValue::from_static("docker"));
        if let Some(value) = request.headers_mut().get_mut(LOGIN) {
            *value = base64url(value)?;
        }
        Ok(request)
    }
}

/// The body of an answer. Fails if the engine refuses the request.
pub(super) async fn complete(response: Response<Incoming>) -> Result<Bytes, BollardError> {
    let status_code = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    if status_code < 400 {
        return Ok(body);
    }
    let refusal = serde_json::from_slice::<RefusalBody>(&body);
    let text = || String::from_utf8_lossy(&body).into_owned();
    Err(BollardError::DockerResponseServerError {
        status_code,
        message: refusal.map_or_else(|_| text(), |refusal| refusal.message),
    })
}

/// Sets the builder to BuildKit in the path of a build that has a session.
fn with_builder(path: &str) -> String {
    match path.split_once('?') {
        Some(("/build", query)) if query.split('&').any(|pair| pair.starts_with("session=")) => {
            let pairs = query.split('&').map(|pair| {
                if pair == "version=1" {
                    "version=2"
                } else {
                    pair
                }
            });
            format!("/build?{}", pairs.collect::<Vec<_>>().join("&"))
        }
        _ => path.to_owned(),
    }
}

/// Converts standard base64 to base64url, which the Docker Engine API requires.
fn base64url(value: &HeaderValue) -> Result<HeaderValue, BollardError> {
    let bytes = value.as_bytes().iter().map(|byte| match byte {
        b'+' => b'-',
        b'/' => b'_',
        other => *other,
    });
    let mut value =
        HeaderValue::from_bytes(&bytes.collect::<Vec<u8>>()).map_err(hyper::http::Error::from)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::EngineSource;
    use super::*;
    use crate::config_files::engine_address::EngineAddress;

    #[test]
    fn requests_get_the_api_version_and_a_base64url_login() {
        let endpoint = EngineEndpoint {
            address: EngineAddress::default_socket(),
            tls: None,
            source: EngineSource::Default,
        };
        let transport = Transport {
            endpoint,
            tls: None,
            programs: Environment::default(),
            timeouts: Timeouts::default(),
            last_refusal: LastRefusal::default(),
            version: OnceLock::new(),
        };
        let request = || {
            Request::post("http://docker/images/a/push?tag=1")
                .header("X-Registry-Auth", "a+b/c==")
                .body(())
                .unwrap()
        };
        assert_eq!(
            transport.prepare(request()).unwrap().uri(),
            "/images/a/push?tag=1"
        );
        transport.version.set("1.41".to_owned()).unwrap();
        let request = transport.prepare(request()).unwrap();
        assert_eq!(request.uri(), "/v1.41/images/a/push?tag=1");
        assert_eq!(request.headers()["x-registry-auth"], "a-b_c==");
        assert_eq!(request.headers()["host"], "docker");
    }

    #[test]
    fn a_build_with_a_session_uses_buildkit() {
        for (path, sent) in [
            (
                "/build?q=false&version=1&session=abc",
                "/build?q=false&version=2&session=abc",
            ),
            ("/build?q=false&version=1", "/build?q=false&version=1"),
            ("/images/a/json", "/images/a/json"),
        ] {
            assert_eq!(with_builder(path), sent);
        }
    }
}
