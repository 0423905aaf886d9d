//! bollard's errors, sorted into ours.

use std::io::ErrorKind;

use bollard::errors::Error as BollardError;

use super::super::Error;
use super::super::error::with_sources;

/// What the engine said, without bollard's own words around it.
pub(super) fn message(error: &BollardError) -> String {
    match error {
        BollardError::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        BollardError::DockerStreamError { error } => error.trim().to_owned(),
        BollardError::RequestTimeoutError => "it did not answer in time".to_owned(),
        BollardError::JsonDataError { .. } | BollardError::JsonSerdeError { .. } => {
            format!("its answer cannot be read: {error}")
        }
        other => with_sources(other.to_string(), other),
    }
}

/// Whether the engine knows no such thing.
pub(super) const fn is_not_found(error: &BollardError) -> bool {
    matches!(
        error,
        BollardError::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// The error of a connection that failed, if it is one.
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
