//! HTTP responses: the statuses, headers and error bodies of the OCI distribution spec.

use futures_util::Stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

/// The body of every request and response.
pub(super) type Body = UnsyncBoxBody<Bytes, std::io::Error>;
/// An HTTP response.
pub(super) type Answer = Response<Body>;

/// The header with the digest of a manifest or blob.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A response with a body.
pub(super) fn with_body(status: StatusCode, media_type: &str, body: impl Into<Bytes>) -> Answer {
    let body: Bytes = body.into();
    let mut answer = Response::new(
        Full::new(body)
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    *answer.status_mut() = status;
    set(&mut answer, CONTENT_TYPE, media_type);
    answer
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(
        Full::default()
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    *answer.status_mut() = status;
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        answer
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    answer
}

/// A response whose body is read while it is sent.
pub(super) fn streamed(
    status: StatusCode,
    length: u64,
    content: impl Stream<Item = std::io::Result<Bytes>> + Send + 'static,
) -> Answer {
    use futures_util::StreamExt as _;
    let frames = content.map(|chunk| chunk.map(Frame::data));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    set(&mut answer, CONTENT_TYPE, "application/octet-stream");
    answer
}

/// A response with a JSON body.
pub(super) fn document(value: &Value) -> Answer {
    with_body(StatusCode::OK, "application/json", value.to_string())
}

/// Sets a header. Ignores a value that no header can hold; this registry writes no such value.
pub(super) fn set(answer: &mut Answer, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        answer.headers_mut().insert(name, value);
    }
}

/// Adds a header, also if one with this name exists.
pub(super) fn add(answer: &mut Answer, name: HeaderName, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        answer.headers_mut().append(name, value);
    }
}

/// The reason why a request is refused, with an error code of the distribution spec.
#[derive(Debug)]
pub(super) struct RequestRefusal {
    pub(super) status: StatusCode,
    code: &'static str,
    message: String,
    /// Headers that the status requires.
    pub(super) headers: Vec<(HeaderName, String)>,
}

impl RequestRefusal {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// Adds a header.
    pub(super) fn header(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The response with the error as JSON.
    pub(super) fn into_answer(self) -> Answer {
        let body = json!({ "errors": [{ "code": self.code, "message": self.message }] });
        let mut answer = with_body(self.status, "application/json", body.to_string());
        for (name, value) in self.headers {
            set(&mut answer, name, value);
        }
        answer
    }
}

impl From<std::io::Error> for RequestRefusal {
    fn from(error: std::io::Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "UNKNOWN",
            format!("the storage failed: {error}"),
        )
    }
}
