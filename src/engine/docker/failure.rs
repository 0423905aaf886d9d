//! Converts bollard's errors to engine errors.

use std::io::ErrorKind;

use bollard::errors::Error as BollardError;

use super::super::Error;
use super::super::error::with_sources;

/// The message of the engine, without bollard's own text.
pub(super) fn message(error: &BollardError) -> String {
    match error {
        BollardError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        BollardError::DockerStreamError { error } => error.trim().to_owned(),
        BollardError::RequestTimeoutError => "it did not answer in time".to_owned(),
        BollardError::JsonDataError { .. } | BollardError::JsonSerdeError { .. } => {
            format!("the engine's answer could not be read: {error}")
        }
        other => with_sources(other.to_string(), other),
    }
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
