//! Converts bollard's errors to engine errors.

use std::io::ErrorKind;

use bollard::errors::Error as BollardError;
use futures_util::{Stream, StreamExt as _, future};

use super::super::Error;
use super::super::error::with_sources;

/// Removes an error that is not one from the end of an engine's messages. bollard returns a message
/// before its line break has arrived. If the line break of the last message arrives later, bollard
/// reports it as an incomplete message. For an answer that is really incomplete, hyper reports an
/// error.
pub(super) fn messages<T>(
    stream: impl Stream<Item = Result<T, BollardError>>,
) -> impl Stream<Item = Result<T, BollardError>> {
    stream.take_while(|message| {
        let is_line_break = matches!(message, Err(BollardError::IOError { err })
            if err.kind() == ErrorKind::Other && err.to_string() == "bytes remaining on stream");
        future::ready(!is_line_break)
    })
}

/// The message of the engine, without bollard's own text.
pub(super) fn message(error: &BollardError) -> String {
    match error {
        BollardError::DockerResponseServerError { message, .. } => plain_text(message),
        BollardError::DockerStreamError { error } => plain_text(error),
        BollardError::RequestTimeoutError => "it did not answer in time".to_owned(),
        BollardError::JsonDataError { message, .. } => unreadable(message),
        BollardError::JsonSerdeError { err } => unreadable(err),
        other => with_sources(other.to_string(), other),
    }
}

/// True if the engine's answer does not have the expected form.
pub(super) const fn is_unreadable(error: &BollardError) -> bool {
    matches!(
        error,
        BollardError::JsonDataError { .. } | BollardError::JsonSerdeError { .. }
    )
}

fn unreadable(cause: impl std::fmt::Display) -> String {
    format!("the engine's answer could not be read: {cause}")
}

/// The text of an engine's message. Podman answers with the JSON object of a progress message,
/// which contains the text.
fn plain_text(message: &str) -> String {
    let message = message.trim();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    serde_json::from_str::<serde_json::Value>(message)
        .ok()
        .and_then(|json| {
            ["/errorDetail/message", "/error", "/message", "/cause"]
                .iter()
                .find_map(|path| json.pointer(path).and_then(text))
        })
        .unwrap_or_else(|| message.to_owned())
}

/// True if the engine answered 404 Not Found.
pub(super) const fn is_not_found(error: &BollardError) -> bool {
    matches!(
        error,
        BollardError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// Converts a failed connection to an engine error. Returns any other error unchanged.
pub(super) fn connection(error: BollardError, address: &str) -> Result<Error, BollardError> {
    let address = address.to_owned();
    match error {
        BollardError::IOError { err } if err.kind() == ErrorKind::PermissionDenied => {
            Ok(Error::PermissionDenied {
                address,
                source: err.into(),
            })
        }
        BollardError::IOError { err } => Ok(Error::Unreachable {
            address,
            source: err.into(),
        }),
        BollardError::HyperResponseError { err } => Ok(Error::Unreachable {
            address,
            source: err.into(),
        }),
        BollardError::RequestTimeoutError => Ok(Error::Unreachable {
            address,
            source: "it did not answer in time".into(),
        }),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Starts a server that answers one request with these chunks, each after a pause.
    async fn engine(chunks: &'static [&'static str]) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            assert_ne!(client.read(&mut request).await.unwrap(), 0);
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            client.write_all(head.as_bytes()).await.unwrap();
            for chunk in chunks {
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                let chunk = format!("{:x}\r\n{chunk}\r\n", chunk.len());
                client.write_all(chunk.as_bytes()).await.unwrap();
            }
            client.write_all(b"0\r\n\r\n").await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn a_line_break_that_arrives_late_is_the_end_of_the_messages() {
        for chunks in [
            &["{\"stream\":\"a\"}\r\n{\"stream\":\"b\"}", "\r\n"][..],
            &["{\"stream\":\"a\"}", "\r\n{\"stream\":\"b\"}", "\r\n"],
            &["{\"stream\":\"a\"}\r\n{\"stream\":\"b\"}\r\n"],
        ] {
            let address = engine(chunks).await;
            let api = bollard::Docker::connect_with_custom_transport(
                move |request: hyper::Request<_>| async move {
                    let stream = tokio::net::TcpStream::connect(address).await?;
                    let stream = hyper_util::rt::TokioIo::new(stream);
                    let (mut sender, connection) =
                        hyper::client::conn::http1::handshake(stream).await?;
                    tokio::spawn(connection);
                    Ok(sender.send_request(request).await?)
                },
                Some("http://docker"),
                10,
                bollard::API_DEFAULT_VERSION,
            );
            let options = bollard::query_parameters::BuildImageOptions::default();
            let api = api.unwrap();
            let all: Vec<_> = messages(api.build_image(
                options,
                None,
                Some(bollard::body_full(hyper::body::Bytes::new())),
            ))
            .collect()
            .await;
            let texts: Vec<String> = all
                .into_iter()
                .map(|message| message.unwrap().stream.unwrap())
                .collect();
            assert_eq!(texts, ["a", "b"], "{chunks:?}");
        }
    }

    #[test]
    fn the_text_of_a_message_of_podman_is_read_from_its_json() {
        for (answer, message) in [
            (
                r#"{"errorDetail":{"message":"no such image"},"error":"x"}"#,
                "no such image",
            ),
            (r#"{"error":"unauthorized"}"#, "unauthorized"),
            (
                r#"{"cause":"x","message":"no such image","response":404}"#,
                "no such image",
            ),
            ("plain words\n", "plain words"),
            ("[1]", "[1]"),
        ] {
            assert_eq!(plain_text(answer), message);
        }
    }
}
