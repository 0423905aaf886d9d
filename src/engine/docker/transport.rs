//! Requests to an engine: one connection each, so that dropping a request hangs up, which is how a build is
//! cancelled.
//!
//! bollard makes the requests; sending them here makes up for what it does not do: it drops the API version out of
//! the path, it encodes logins in standard base64 where engines read base64url, and for a BuildKit build it insists
//! on a session of its own, so that it is told of a classic one and the builder is put in here.

use std::sync::OnceLock;
use std::time::Duration;

use bollard::errors::Error as BollardError;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::daemon::dial::{Duplex, dial};
use super::super::daemon::tls;
use super::endpoint::EngineEndpoint;
use crate::process::Environment;

/// The header that carries a login.
const LOGIN: &str = "x-registry-auth";

/// The largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 16 << 20;
/// How long an engine may take to answer a question.
pub(super) const ANSWER: Duration = Duration::from_mins(1);

/// The way to one engine.
#[derive(Debug)]
pub(super) struct Transport {
    pub(super) endpoint: EngineEndpoint,
    pub(super) tls: Option<tls::Client>,
    pub(super) programs: Environment,
    /// The version of the API that was agreed on; requests before that go without.
    pub(super) version: OnceLock<String>,
}

impl Transport {
    /// Sends a request and waits for the head of the answer.
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
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // The connection ends with its request; what went wrong on it reaches the request or its answer.
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(self.prepare(request)?).await?)
    }

    /// Asks for something in JSON. `T` requires only what golden needs: bollard's own types refuse an answer for the lack
    /// of fields that golden does not read.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, BollardError> {
        let asking = async {
            let response = self
                .send(Request::get(path).body(Empty::<Bytes>::new())?)
                .await?;
            let status_code = response.status().as_u16();
            let unreadable = |error: &dyn std::fmt::Display| BollardError::DockerStreamError {
                error: format!("its answer to GET {path} cannot be read: {error}"),
            };
            let body = Limited::new(response.into_body(), LARGEST_ANSWER)
                .collect()
                .await;
            let body = body.map_err(|error| unreadable(&error))?.to_bytes();
            if status_code >= 400 {
                return Err(BollardError::DockerResponseServerError {
                    status_code,
                    message: refusal(&body),
                });
            }
            serde_json::from_slice(&body).map_err(|error| unreadable(&error))
        };
        let timeout = tokio::time::timeout(ANSWER, asking);
        timeout
            .await
            .unwrap_or(Err(BollardError::RequestTimeoutError))
    }

    /// Sends a request that turns its connection into a raw stream.
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
        if response.status() != hyper::StatusCode::SWITCHING_PROTOCOLS {
            let status_code = response.status().as_u16();
            return Err(BollardError::DockerResponseServerError {
                status_code,
                message: "the engine would not open a session".to_owned(),
            });
        }
        Ok(TokioIo::new(hyper::upgrade::on(response).await?))
    }

    /// Gives a request the path, the host and the headers that an engine wants.
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

/// What the engine says in a refusal: its message, or the body as it is.
fn refusal(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct ErrorBody {
        message: String,
    }
    match serde_json::from_slice::<ErrorBody>(body) {
        Ok(refusal) => refusal.message,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// The path of a build that has a session, with the builder that has sessions.
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

/// The same bytes in base64url, as moby's API has it: `+` and `/` are what it refuses.
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
    use super::*;
    use crate::engine::daemon::address::Address;

    #[test]
    fn requests_get_the_version_and_a_login_that_engines_can_read() {
        let endpoint = EngineEndpoint {
            address: Address::default_socket(),
            tls: None,
        };
        let transport = Transport {
            endpoint,
            tls: None,
            programs: Environment::default(),
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
    fn a_build_with_a_session_is_one_for_buildkit() {
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
