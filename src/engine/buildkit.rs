//! A client of a BuildKit daemon (buildkitd) without a Docker Engine.
//!
//! The API is gRPC (buildkit `api/services/control/control.proto`). Over an open session, the
//! daemon fetches the context, logins and secrets, and sends the image as a docker archive. One
//! call runs the build, another one reports its progress. This module uses bollard's message types,
//! but not its drivers: they hold the whole context in memory and report no progress.

mod connection;
mod session;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bollard::moby::buildkit::v1::control_client::ControlClient;
use bollard::moby::buildkit::v1::types::WorkerRecord;
use bollard::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, ListWorkersRequest, SolveRequest, SolveResponse, StatusRequest,
};
use serde_json::{Value, json};
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::daemon::bounds::Timeouts;
use super::daemon::progress::Progress;
use super::daemon::steps::BuildSteps;
use super::daemon::tls::TlsDirectory;
use super::daemon::upload::MESSAGE;
use super::daemon::{answers, archive, arguments};
use super::error::with_sources;
use super::{BuildOptions, Embedded, EngineFacts, EngineKind, Error, fit};
use crate::assemble::AssembledImage;
use crate::config_files::engine_address::BUILDKIT;
use crate::event::Events;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::{PinnedBase, Recipe, Syntax};

use self::session::BuildKitSession;

/// The time limit for the remaining progress messages after a build has ended.
const LAST_PROGRESS: Duration = Duration::from_secs(2);

/// A connection to a BuildKit daemon. Cheap to clone.
#[derive(Debug, Clone)]
pub struct BuildKit {
    control: ControlClient<Channel>,
    address: String,
    platform: Platform,
    syntax: Syntax,
    timeouts: Timeouts,
}

impl BuildKit {
    /// True if an address has the scheme `buildkit://`.
    #[must_use]
    pub fn is_at(address: &str) -> bool {
        Self::location(address).is_some()
    }

    /// The path or `HOST:PORT` in the address of a BuildKit daemon. `None` for another scheme.
    pub(super) fn location(address: &str) -> Option<&str> {
        address.strip_prefix(BUILDKIT)
    }

    /// Connects to a daemon and reads the platform of its worker, with TLS if `certs` is
    /// given. Fails if the daemon cannot be reached or has no worker.
    pub async fn connect(
        address: &str,
        certs: Option<&TlsDirectory>,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let connecting = Self::ask_for_workers(address, certs, timeouts);
        let timed_out = || Error::Unreachable {
            address: address.to_owned(),
            source: format!(
                "it did not answer within {} s",
                timeouts.answer.as_secs_f32()
            )
            .into(),
        };
        let connected = tokio::time::timeout(timeouts.answer, connecting).await;
        connected.unwrap_or_else(|_| Err(timed_out()))
    }

    async fn ask_for_workers(
        address: &str,
        certs: Option<&TlsDirectory>,
        timeouts: Timeouts,
    ) -> Result<Self, Error> {
        let channel = connection::connect(address, certs, timeouts).await?;
        let mut control = ControlClient::new(channel)
            .max_decoding_message_size(MESSAGE)
            .max_encoding_message_size(MESSAGE);
        let failed = |status: Status| failed("list its workers", &status, address);
        let workers = control
            .list_workers(ListWorkersRequest::default())
            .await
            .map_err(failed)?
            .into_inner();
        // Workers report a version since BuildKit 0.11.
        let is_current = workers
            .record
            .iter()
            .any(|worker| worker.buildkit_version.is_some());
        let syntax = if is_current {
            Syntax::Current
        } else {
            Syntax::Older
        };
        let platform = workers.record.iter().flat_map(platforms).next();
        let none = || Error::Request {
            what: "build".to_owned(),
            message: "it has no worker".to_owned(),
        };
        let platform = platform.ok_or_else(none)?;
        tracing::debug!(address, %platform, "connected to the BuildKit daemon");
        Ok(Self {
            control,
            address: address.to_owned(),
            platform,
            syntax,
            timeouts,
        })
    }

    /// The platform that the daemon builds for without emulation.
    #[must_use]
    pub const fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The facts about the daemon.
    #[must_use]
    pub fn facts(&self) -> EngineFacts {
        EngineFacts {
            address: self.address.clone(),
            source: None,
            program: "BuildKit",
            version: None,
            api: None,
            builder: "BuildKit",
            store: None,
            platform: self.platform.clone(),
        }
    }

    /// Builds a recipe for one platform. `embedded` reads the base; its layers keep their source
    /// and are not downloaded. The new layers are stored in `directory`. Dropping the future
    /// cancels the build. Fails if the base is not in a registry, or if the build or the export
    /// fails.
    pub async fn build(
        &self,
        recipe: &Recipe,
        embedded: &Embedded,
        options: &BuildOptions,
        events: &Events,
        directory: &Path,
    ) -> Result<AssembledImage, Error> {
        arguments::refuse_unsupported(recipe, options)?;
        let reference = base_reference(recipe, options)?;
        let platform = recipe.image.platforms.first().unwrap_or(&self.platform);
        let base = embedded.base_of(recipe, options, platform).await?;
        let recipe = &fit::on_base(embedded, recipe, &base, self.syntax, events).await?;
        let named = reference
            .as_deref()
            .map(|reference| (reference, &base.config));
        let build_args = arguments::build_args(recipe, options, named);

        let opening = BuildKitSession::open(self.control.clone(), recipe, options, directory);
        let timed_out = |_| Err(Status::deadline_exceeded("it did not answer in time"));
        let opened = tokio::time::timeout(self.timeouts.answer, opening).await;
        let session = opened
            .unwrap_or_else(timed_out)
            .map_err(|status| failed("open a build session", &status, &self.address))?;
        let mut attributes = BTreeMap::from([
            ("context".to_owned(), session.context().url()),
            ("filename".to_owned(), "Dockerfile".to_owned()),
            ("platform".to_owned(), platform.to_string()),
        ]);
        attributes.extend(
            build_args
                .into_iter()
                .map(|(name, value)| (format!("build-arg:{name}"), value)),
        );
        let labels = arguments::labels(recipe, options);
        attributes.extend(
            labels
                .into_iter()
                .map(|(name, value)| (format!("label:{name}"), value)),
        );
        if options.no_cache {
            attributes.insert("no-cache".to_owned(), String::new());
        }
        attributes.extend(cache_imports(options.cache.as_deref()));
        let cache = cache_exports(options.cache.as_deref());
        let solved = self
            .solve(attributes, cache, &session, recipe, events)
            .await?;

        let broken = |message: String| Error::Request {
            what: "export the image".to_owned(),
            message,
        };
        let mut members = session
            .received()
            .map_err(|error| broken(error.to_string()))?;
        let (own, platform) = (directory.to_owned(), platform.clone());
        let composing = tokio::task::spawn_blocking(move || {
            archive::compose(&mut members, platform, &base, &own)
        });
        let composed = composing
            .await
            .unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
        let image = composed.map_err(|error| broken(error.to_string()))?;
        let config = Digest::of(&image.config);
        match solved.exporter_response.get("containerimage.config.digest") {
            Some(reported) if *reported != config.to_string() => {
                return Err(broken(format!(
                    "its config is {config}, but the daemon reported {reported}"
                )));
            }
            _ => {}
        }
        archive::keep_image(&image, directory).map_err(crate::store::Error::from)?;
        Ok(image)
    }

    /// Runs the build and reports its progress.
    async fn solve(
        &self,
        attributes: BTreeMap<String, String>,
        cache: CacheOptions,
        session: &BuildKitSession,
        recipe: &Recipe,
        events: &Events,
    ) -> Result<SolveResponse, Error> {
        let reference = answers::session_id();
        let request = SolveRequest {
            r#ref: reference.clone(),
            session: session.id().to_owned(),
            frontend: "dockerfile.v0".to_owned(),
            frontend_attrs: attributes.into_iter().collect(),
            exporter_deprecated: "docker".to_owned(),
            cache: Some(cache),
            ..Default::default()
        };
        let image = recipe.image.display();
        let mut progress = Progress::new(
            &image,
            events,
            BuildSteps::new(&recipe.rendered.dockerfile, &recipe.image),
        );
        let (mut solve_client, mut status_client) = (self.control.clone(), self.control.clone());
        let solved = {
            let mut progress_stream = std::pin::pin!(async {
                let mut messages = status_client
                    .status(StatusRequest { r#ref: reference })
                    .await?
                    .into_inner();
                while let Some(status) = messages.message().await? {
                    progress.take_status(status);
                }
                Ok::<_, Status>(())
            });
            let mut solve = std::pin::pin!(solve_client.solve(request));
            // A broken progress stream does not fail the build.
            tokio::select! {
                solved = &mut solve => {
                    let ended = tokio::time::timeout(LAST_PROGRESS, progress_stream).await;
                    tracing::debug!(?ended, "the build has ended");
                    solved
                }
                ended = &mut progress_stream => {
                    tracing::debug!(?ended, "the progress stream has ended");
                    solve.await
                }
            }
        };
        match solved {
            Ok(response) => {
                progress.finish();
                Ok(response.into_inner())
            }
            Err(status) => Err(match session.context().failure() {
                Some(error) => Error::Context(error),
                None if is_connection(&status) => {
                    unreachable(&self.address, &status).during_build()
                }
                None => progress.failure(message(&status)),
            }),
        }
    }
}

/// The platforms of a worker: its own, then those that it emulates.
pub(super) fn platforms(worker: &WorkerRecord) -> Vec<Platform> {
    let platforms = worker.platforms.iter().map(|platform| {
        let variant = Some(platform.variant.as_str()).filter(|variant| !variant.is_empty());
        Platform::new(&platform.os, &platform.architecture, variant)
    });
    platforms.collect()
}

/// The attribute that lists the images with the build cache. A frontend ignores the imports of the
/// request itself; BuildKit's own client sends this attribute.
fn cache_imports(images: Option<&[Reference]>) -> Option<(String, String)> {
    let import =
        |image: &Reference| json!({"Type": "registry", "Attrs": {"ref": image.to_string()}});
    let imports: Vec<Value> = images?.iter().map(import).collect();
    (!imports.is_empty()).then(|| ("cache-imports".to_owned(), Value::from(imports).to_string()))
}

/// The daemon stores the build cache in the config of the new image.
fn cache_exports(images: Option<&[Reference]>) -> CacheOptions {
    let inline = |_| CacheOptionsEntry {
        r#type: "inline".to_owned(),
        ..CacheOptionsEntry::default()
    };
    CacheOptions {
        exports: images.map(inline).into_iter().collect(),
        ..CacheOptions::default()
    }
}

/// The reference from which the daemon pulls the base; `None` for scratch.
fn base_reference(recipe: &Recipe, options: &BuildOptions) -> Result<Option<String>, Error> {
    let unsupported = |what: String| Error::Unsupported {
        what: format!("a BuildKit daemon pulls its base from a registry, but {what}"),
        engine: EngineKind::Docker,
    };
    match (&recipe.base, &options.published_parent) {
        (PinnedBase::Scratch, _) => Ok(None),
        (
            PinnedBase::Registry {
                reference, digest, ..
            },
            _,
        ) => Ok(Some(reference.at(digest.clone()).to_string())),
        (PinnedBase::Workspace { .. }, Some(parent)) => Ok(Some(parent.to_string())),
        (PinnedBase::Workspace { parent, .. }, None) => Err(unsupported(format!(
            "{parent} is not published: `golden build --push` publishes parents before their children are built"
        ))),
        (PinnedBase::Local { reference, .. }, _) => Err(unsupported(format!(
            "{reference} is only in a Docker Engine"
        ))),
        (PinnedBase::Layout(_), _) => Err(unsupported("this base is an OCI layout".to_owned())),
    }
}

/// The message of a daemon's error answer.
fn message(status: &Status) -> String {
    let text = status.message().trim();
    if text.is_empty() {
        status.code().description().to_owned()
    } else {
        text.to_owned()
    }
}

/// True if the connection failed, and not the request itself.
fn is_connection(status: &Status) -> bool {
    let source = std::error::Error::source(status);
    status.code() == Code::Unavailable
        || source.is_some_and(<dyn std::error::Error>::is::<tonic::transport::Error>)
}

fn unreachable(address: &str, status: &Status) -> Error {
    let cause = with_sources(message(status), status);
    Error::Unreachable {
        address: address.to_owned(),
        source: cause.into(),
    }
}

/// The error of a request that failed; `what` is a verb and its object.
fn failed(what: &str, status: &Status, address: &str) -> Error {
    if is_connection(status) {
        unreachable(address, status)
    } else {
        Error::Request {
            what: what.to_owned(),
            message: message(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_build_cache_is_read_by_the_frontend_and_stored_in_the_image() {
        let image: Reference = "registry.example/app:buildcache".parse().unwrap();
        assert_eq!(cache_imports(None), None);
        assert_eq!(cache_imports(Some(&[])), None);
        let (name, value) = cache_imports(Some(&[image])).unwrap();
        assert_eq!(name, "cache-imports");
        let value: Value = serde_json::from_str(&value).unwrap();
        let expected = json!([{
            "Type": "registry", "Attrs": {"ref": "registry.example/app:buildcache"},
        }]);
        assert_eq!(value, expected);
        assert!(cache_exports(None).exports.is_empty());
        assert_eq!(cache_exports(Some(&[])).exports[0].r#type, "inline");
    }
}
