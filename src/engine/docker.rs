//! The Docker Engine over its API, with bollard.
//!
//! The [`Recipe`] decides what is built. This module sends it to an engine and converts the
//! engine's messages to events and errors.

mod build;
mod container;
mod endpoint;
mod environment;
mod facts;
mod failure;
mod images;
mod load;
mod push;
mod session;
mod transport;
mod trees;
mod trial;
mod version;
mod workers;

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bollard::errors::Error as BollardError;
use futures_util::Stream;
use http_body_util::{Either, Full, StreamBody};
use hyper::body::{Bytes, Frame};

use crate::event::Events;
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::{Recipe, Syntax};

pub use self::container::ScriptOutput;
use self::endpoint::EngineEndpoint;
pub use self::endpoint::EngineSource;
pub use self::environment::DockerEnv;
use self::transport::Transport;
pub use self::trial::TrialImage;
pub use self::version::Builder;
use super::daemon::bounds::LastRefusal;
use super::daemon::tls;
use super::{BuildOptions, BuiltImage, Error};

/// The time limit of bollard for the first response. It is longer than the limits of every request,
/// which end the connection earlier.
const LONG_REQUEST: Duration = Duration::from_hours(24);

/// The type of bollard's request bodies. bollard does not export a name for it.
type RequestBody = Either<
    Full<Bytes>,
    StreamBody<Pin<Box<dyn Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send>>>,
>;

/// A connection to a Docker Engine, or to Podman, which offers the same API. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Docker {
    api: bollard::Docker,
    transport: Arc<Transport>,
    builder: Builder,
    syntax: Syntax,
    platform: Platform,
}

/// An image in an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalImage {
    /// The image ID: the digest of the image's config.
    pub id: Digest,
    /// The part of the config that the engine reports: platform, creation time, runtime part and
    /// layers.
    pub config: ImageConfig,
    /// The `repository@digest` references of the image in the engine.
    pub repo_digests: Vec<Reference>,
    /// The platform in the config.
    pub platform: Platform,
}

impl LocalImage {
    /// True if the engine reports more than the ID. The containerd store reports only the ID if it
    /// lacks a part of the content.
    pub(crate) fn is_complete(&self) -> bool {
        self.config.as_object().contains_key("architecture")
    }
}

impl Docker {
    /// Connects to the engine that the environment selects, and chooses a version of the API that
    /// both support. Fails if the address is invalid, no engine answers, or no common version
    /// exists.
    pub async fn connect(environment: &DockerEnv) -> Result<Self, Error> {
        let endpoint = EngineEndpoint::find(environment).await?;
        let tls = match &endpoint.tls {
            Some(settings) => Some(tls::Client::read(settings)?),
            None => None,
        };
        let transport = Arc::new(Transport {
            endpoint,
            tls,
            programs: environment.programs.clone(),
            timeouts: environment.timeouts,
            last_refusal: LastRefusal::default(),
            version: OnceLock::new(),
        });
        let sender = Arc::clone(&transport);
        let api = bollard::Docker::connect_with_custom_transport(
            move |request: hyper::Request<RequestBody>| {
                let sender = Arc::clone(&sender);
                async move { sender.send(request).await }
            },
            Some("http://docker"),
            LONG_REQUEST.as_secs(),
            bollard::API_DEFAULT_VERSION,
        );
        let address = transport.endpoint.address.to_string();
        let api = api.map_err(|error| failed("prepare the connection", error, &address))?;
        let version: version::EngineVersion = transport
            .get_json("/version")
            .await
            .map_err(|error| failed("report its version", transport.explained(error), &address))?;
        let agreed = version::agree(
            &version,
            environment.api_version.as_deref(),
            environment.buildkit,
        )?;
        transport.version.get_or_init(|| agreed.api.to_string());
        let text = |value: &Option<String>, otherwise: &str| {
            value.as_deref().unwrap_or(otherwise).to_owned()
        };
        let platform = Platform::new(
            &text(&version.os, "linux"),
            &text(&version.arch, "amd64"),
            None,
        );
        tracing::debug!(address, api = %agreed.api, builder = ?agreed.builder, "connected to the engine");
        Ok(Self {
            api,
            transport,
            builder: agreed.builder,
            syntax: agreed.syntax,
            platform,
        })
    }

    /// The address of the engine, for messages.
    #[must_use]
    pub fn address(&self) -> String {
        self.transport.endpoint.address.to_string()
    }

    /// The platform that the engine builds for by default.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The builder that executes Dockerfiles in this engine.
    #[must_use]
    pub const fn builder(&self) -> Builder {
        self.builder
    }

    /// The Dockerfile syntax of that builder.
    pub(super) const fn syntax(&self) -> Syntax {
        self.syntax
    }

    /// True if the image gets the directory that `WORKDIR` creates. Podman loses it if no later
    /// instruction changes a file.
    pub(super) const fn keeps_directory_of_workdir(&self) -> bool {
        !matches!(self.builder, Builder::Podman)
    }

    /// True if the engine's answer about an image has all parts of the config that golden needs.
    /// Podman omits the shell and the health check.
    pub(super) const fn reports_whole_config(&self) -> bool {
        !matches!(self.builder, Builder::Podman)
    }

    /// The base of a recipe in this engine; `None` for scratch. It is pulled if the engine lacks
    /// it.
    pub(super) async fn base_of(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<Option<LocalImage>, Error> {
        let image = recipe.image.display();
        let job = build::DockerBuild {
            docker: self,
            recipe,
            options,
            events,
            image: &image,
        };
        Ok(job
            .base(recipe.image.platforms.first())
            .await?
            .map(|(_, image)| image))
    }

    /// The error of the connection, if it failed or exceeded a limit; else the error of the
    /// request.
    fn connection_error(&self, error: BollardError) -> Result<Error, BollardError> {
        failure::connection(self.transport.explained(error), &self.address())
    }

    /// The error of a request that failed; `what` is a verb and its object.
    fn failed(&self, what: &str, error: BollardError) -> Error {
        let error = self.transport.explained(error);
        failed(what, error, &self.address())
    }
}

fn failed(what: &str, error: BollardError, address: &str) -> Error {
    match failure::connection(error, address) {
        Ok(error) => error,
        Err(error) => Error::Request {
            what: what.to_owned(),
            message: if failure::is_unreadable(&error) {
                format!("{} (engine: {address})", failure::message(&error))
            } else {
                failure::message(&error)
            },
        },
    }
}

impl Docker {
    /// Builds an image and sends its progress to `events`. Dropping the future cancels the build.
    ///
    /// # Errors
    ///
    /// Fails if the engine cannot be reached, lacks a feature that the recipe needs, or if the
    /// build itself fails.
    pub async fn build(
        &self,
        recipe: &Recipe,
        options: &BuildOptions,
        events: &Events,
    ) -> Result<BuiltImage, Error> {
        let image = recipe.image.display();
        build::DockerBuild {
            docker: self,
            recipe,
            options,
            events,
            image: &image,
        }
        .run()
        .await
    }
}
