//! Pushes and pulls by the engine. The engine uses its own TLS settings, and `localhost` means the
//! engine's machine.

use bollard::auth::DockerCredentials;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder};
use futures_util::TryStreamExt as _;

use super::super::daemon::progress;
use super::super::{Error, TransferCause};
use super::{Docker, failure};
use crate::event::{Events, Step};
use crate::platform::Platform;
use crate::reference::{Reference, Tag};
use crate::registry::Credential;

impl Docker {
    /// Pushes a tag with the engine. `image` is the display name for events. Fails if the engine
    /// cannot be reached or the push fails.
    pub async fn push(
        &self,
        reference: &Reference,
        login: Option<&Credential>,
        image: &str,
        events: &Events,
    ) -> Result<(), Error> {
        let tag = reference
            .tag
            .as_ref()
            .map_or_else(|| Tag::latest().to_string(), Tag::to_string);
        let options = PushImageOptionsBuilder::new().tag(&tag).build();
        let name = reference.repository.to_string();
        let api = &self.api;
        let messages = api.push_image(&name, Some(options), login.map(credentials));
        let mut messages = Box::pin(failure::messages(messages));
        let failed = |error| match self.connection_error(error) {
            Ok(error) => error,
            Err(error) => {
                let message = failure::message(&error);
                Error::Push {
                    reference: reference.to_string(),
                    cause: TransferCause::of(&message),
                    message,
                }
            }
        };
        events.step(image, Step::PushThroughEngine(reference.to_string()));
        while let Some(info) = messages.try_next().await.map_err(failed)? {
            if let Some(detail) = &info.progress_detail {
                progress::bytes(events, image, "push".to_owned(), detail);
            }
        }
        Ok(())
    }

    /// Pulls an image with the engine.
    pub(super) async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        login: Option<&Credential>,
        image: &str,
        events: &Events,
    ) -> Result<(), Error> {
        let name = reference.to_string();
        let platform = platform.map(Platform::to_string).unwrap_or_default();
        let options = CreateImageOptionsBuilder::new()
            .from_image(&name)
            .platform(&platform)
            .build();
        let api = &self.api;
        let messages = api.create_image(Some(options), None, login.map(credentials));
        let mut messages = Box::pin(failure::messages(messages));
        let failed = |error| match self.connection_error(error) {
            Ok(error) => error,
            Err(error) => {
                let message = failure::message(&error);
                Error::Base {
                    reference: name.clone(),
                    cause: TransferCause::of(&message),
                    message,
                }
            }
        };
        events.step(image, Step::Pull(name.clone()));
        while let Some(info) = messages.try_next().await.map_err(failed)? {
            if let (Some(what), Some(detail)) = (info.id, info.progress_detail) {
                progress::bytes(events, image, what, &detail);
            }
        }
        Ok(())
    }
}

/// A login in the form of the Docker Engine API.
fn credentials(login: &Credential) -> DockerCredentials {
    let nothing = DockerCredentials::default();
    match login {
        Credential::Password { user, password } => DockerCredentials {
            username: Some(user.clone()),
            password: Some(password.expose().clone()),
            ..nothing
        },
        Credential::IdentityToken(token) => DockerCredentials {
            identitytoken: Some(token.expose().clone()),
            ..nothing
        },
        Credential::RegistryToken(token) => DockerCredentials {
            registrytoken: Some(token.expose().clone()),
            ..nothing
        },
    }
}
