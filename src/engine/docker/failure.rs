//! Converts bollard's errors to engine errors.

use std::io::ErrorKind;

use bollard::errors::Error as BollardError;

use super::super::Error;
use super::super::error::with_sources;

/// The message of the engine, without bollard's own text.
pub(super) fn message(error: &BollardError) -> String {
    match error {
        BollardError::DockerResponseServerError { message, .. } => words(message),
        BollardError::DockerStreamError { error } => words(error),
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

/// The words of an engine's message. Podman answers with the JSON object of a progress message.
fn words(message: &str) -> String {
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
    use super::*;

    #[test]
    fn the_message_of_podman_is_taken_out_of_its_json() {
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
            assert_eq!(words(answer), message);
        }
    }
}
