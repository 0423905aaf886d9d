//! One Docker build: pull and inspect the base, send the context, report progress, tag the result.

use std::io;

use bollard::models::BuildInfo;
use bollard::query_parameters::BuildImageOptions;
use futures_util::{Stream, TryStreamExt as _};
use hyper::body::Bytes;
use tokio::sync::oneshot;

use super::super::daemon::progress::Progress;
use super::super::daemon::steps::BuildSteps;
use super::super::daemon::{arguments, context};
use super::super::{BuildOptions, BuildOutput, BuiltImage, EngineKind, Error, TransferCause};
use super::session::DockerSession;
use super::version::Builder;
use super::{Docker, LocalImage, failure};
use crate::event::Events;
use crate::image::Unfit;
use crate::platform::Platform;
use crate::reference::{Digest, Reference};
use crate::render::{PinnedBase, Recipe};

/// The build argument that stores the build cache in the config of the image.
const INLINE_CACHE: &str = "BUILDKIT_INLINE_CACHE";

/// The parameters of one build.
pub(super) struct DockerBuild<'a> {
    pub(super) docker: &'a Docker,
    pub(super) recipe: &'a Recipe,
    pub(super) options: &'a BuildOptions,
    pub(super) events: &'a Events,
    /// The image's display name.
    pub(super) image: &'a str,
}

impl DockerBuild<'_> {
    /// Builds the image.
    pub(super) async fn run(&self) -> Result<BuiltImage, Error> {
        self.refuse_unsupported()?;
        let platform = self.recipe.image.platforms.first();
        let base = self.base(platform).await?;
        let id = self.execute(self.request(platform, base.as_ref())).await?;
        let removed = || Error::Build {
            message: format!(
                "the image {} was removed right after it was built",
                id.short()
            ),
        };
        let image = self.docker.image_by_id(&id).await?.ok_or_else(removed)?;
        Ok(BuiltImage {
            inputs: self.recipe.inputs.clone(),
            engine: EngineKind::Docker,
            platforms: vec![image.platform],
            config: image.config,
            output: BuildOutput::Docker { id: image.id },
        })
    }

    /// Checks the recipe before anything is sent. Fails if this engine or its builder cannot build
    /// it.
    fn refuse_unsupported(&self) -> Result<(), Error> {
        let unsupported = |what| {
            Err(Error::Unsupported {
                what,
                engine: EngineKind::Docker,
            })
        };
        if self.recipe.image.platforms.len() > 1 {
            return unsupported("one Docker Engine builds for one platform at a time".to_owned());
        }
        if self.docker.builder != Builder::BuildKit
            && let Some(need) = self.recipe.image.step_needs().next()
        {
            return Err(Error::NeedsBuildKit { need });
        }
        // Podman splits `KEY=VALUE` at the first `=`, so the label would get another key.
        let mut keys = self.recipe.rendered.api_labels.keys();
        if self.docker.builder == Builder::Podman
            && let Some(key) = keys.find(|key| key.contains('='))
        {
            return unsupported(format!(
                "Podman cannot set the label `{key}`, because its key contains `=`; Docker with \
                 BuildKit can, and the embedded engine can"
            ));
        }
        arguments::refuse_unsupported(self.recipe, self.options)
    }

    /// The base in the engine, and the reference to build on; `None` for scratch. Pulls the base if
    /// the engine lacks it.
    pub(super) async fn base(
        &self,
        platform: Option<&Platform>,
    ) -> Result<Option<(String, LocalImage)>, Error> {
        let reference = match (&self.recipe.base, &self.options.parent) {
            (PinnedBase::Scratch, _) => return Ok(None),
            (
                PinnedBase::Registry {
                    reference, digest, ..
                },
                _,
            ) => reference.at(digest.clone()),
            (PinnedBase::Local { reference, .. }, _) => reference.clone(),
            (PinnedBase::Layout(layout), _) => {
                return self.docker.layout_base(layout, platform).await.map(Some);
            }
            (PinnedBase::Workspace { .. }, Some(parent)) => parent.clone(),
            (PinnedBase::Workspace { parent, .. }, None) => {
                return Err(no_base(
                    parent,
                    "it was neither built nor published".to_owned(),
                ));
            }
        };
        // Without `platforms`, the image is for the platform of the engine.
        let wanted = platform.unwrap_or_else(|| self.docker.platform());
        let is_for = |image: &LocalImage| {
            (&wanted.os, &wanted.architecture) == (&image.platform.os, &image.platform.architecture)
        };
        let is_local = matches!(self.recipe.base, PinnedBase::Local { .. });
        let usable = |image: &LocalImage| {
            is_local
                || image.is_complete()
                    && platform
                        .map_or_else(|| is_for(image), |platform| *platform == image.platform)
        };
        let mut image = match self.docker.image(&reference).await? {
            Some(image) if usable(&image) => image,
            _ => self.pull(&reference, platform).await?,
        };
        if let PinnedBase::Local { id, .. } = &self.recipe.base
            && image.id != *id
        {
            let why = format!("it was {} and is now {}", id.short(), image.id.short());
            return Err(no_base(&reference.to_string(), why));
        }
        match &self.options.base_config {
            // The containerd store describes only one platform of an image that has several.
            Some(config) => {
                image.config = config.clone();
                image.platform = config.platform();
            }
            None if image.is_complete() => {}
            None => {
                let why = "the engine does not report its user, and its registry cannot be read"
                    .to_owned();
                return Err(no_base(&reference.to_string(), why));
            }
        }
        // A builder accepts a base that has only another platform. BuildKit then labels the result
        // with the requested platform, which would be wrong.
        if !is_for(&image) {
            return Err(super::super::embedded::Error::Unfit {
                reference: reference.to_string(),
                unfit: Unfit::Platform {
                    wanted: wanted.clone(),
                    has: image.platform.to_string(),
                },
            }
            .into());
        }
        Ok(Some((reference.to_string(), image)))
    }

    async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<LocalImage, Error> {
        let login = self.options.logins.get(&reference.repository.host);
        let pull = || {
            self.docker
                .pull(reference, platform, login, self.image, self.events)
        };
        match pull().await {
            // Docker's own store has the image of one platform under the digest of an index.
            Err(Error::Base {
                cause: TransferCause::OtherPlatform,
                ..
            }) => {
                self.docker.remove(reference).await?;
                pull().await?;
            }
            pulled => pulled?,
        }
        let image = self.docker.image(reference).await?;
        image.ok_or_else(|| {
            no_base(
                &reference.to_string(),
                "it does not exist after the pull".to_owned(),
            )
        })
    }

    fn request(
        &self,
        platform: Option<&Platform>,
        base: Option<&(String, LocalImage)>,
    ) -> BuildImageOptions {
        let base = base.map(|(reference, image)| (reference.as_str(), &image.config));
        let mut build_args = arguments::build_args(self.recipe, self.options, base);
        let cache = self.options.cache.as_ref();
        let cache = cache.filter(|_| self.docker.builder == Builder::BuildKit);
        if cache.is_some() {
            build_args.insert(INLINE_CACHE.to_owned(), "1".to_owned());
        }
        BuildImageOptions {
            cachefrom: cache.map(|images| images.iter().map(Reference::to_string).collect()),
            dockerfile: "Dockerfile".to_owned(),
            nocache: self.options.no_cache,
            rm: true,
            forcerm: true,
            buildargs: Some(build_args.into_iter().collect()),
            labels: Some(
                arguments::labels(self.recipe, self.options)
                    .into_iter()
                    .collect(),
            ),
            platform: platform.map(Platform::to_string).unwrap_or_default(),
            ..Default::default()
        }
    }

    fn names(&self) -> BuildSteps<'_> {
        BuildSteps::new(&self.recipe.rendered.dockerfile, &self.recipe.image)
    }

    /// Sends the build and follows it to its end. Dropping the future closes the connection, and
    /// the engine cancels the build.
    async fn execute(&self, mut request: BuildImageOptions) -> Result<Digest, Error> {
        let docker = self.docker;
        let (body, mut context) = match docker.builder {
            Builder::Classic | Builder::Podman => {
                let context = context::stream(self.recipe);
                let body = bollard::body_try_stream(context.bytes);
                (body, SentContext::Body(context.failure))
            }
            Builder::BuildKit => {
                let opened =
                    DockerSession::open(&docker.transport, self.recipe, self.options).await;
                let session =
                    opened.map_err(|error| docker.failed("open a build session", error))?;
                request.session = Some(session.id().to_owned());
                request.remote = Some(session.context().url());
                (
                    bollard::body_full(Bytes::new()),
                    SentContext::Session(session),
                )
            }
        };
        let messages = failure::messages(docker.api.build_image(request, None, Some(body)));
        let mut progress = Progress::new(self.image, self.events, self.names());
        match follow(messages, &mut progress).await {
            Ok(()) => {}
            Err(error) => {
                if let Some(error) = context.failure() {
                    return Err(Error::Context(error));
                }
                return Err(match docker.connection_error(error) {
                    Ok(error) => error.during_build(),
                    Err(error) => progress.failure(failure::message(&error)),
                });
            }
        }
        progress.finish();
        let no_image = || Error::Build {
            message: "the build ended without an image ID".to_owned(),
        };
        progress.image_id().cloned().ok_or_else(no_image)
    }
}

/// The way on which the context is sent. The session must live as long as the build.
enum SentContext {
    /// In the body of the request. Receives the error if the context could not be read.
    Body(oneshot::Receiver<io::Error>),
    /// Over the session. Docker Engine 26.1 with the containerd store does not accept a body for
    /// BuildKit.
    Session(DockerSession),
}

impl SentContext {
    /// The error while the context was read, if there was one.
    fn failure(&mut self) -> Option<io::Error> {
        match self {
            Self::Body(failure) => failure.try_recv().ok(),
            Self::Session(session) => session.context().failure(),
        }
    }
}

/// Processes all messages of a build.
async fn follow(
    messages: impl Stream<Item = Result<BuildInfo, bollard::errors::Error>>,
    progress: &mut Progress<'_>,
) -> Result<(), bollard::errors::Error> {
    let mut messages = std::pin::pin!(messages);
    while let Some(info) = messages.try_next().await? {
        progress.take(info);
    }
    Ok(())
}

fn no_base(reference: &str, message: String) -> Error {
    Error::Base {
        reference: reference.to_owned(),
        message,
        cause: TransferCause::NoTransfer,
    }
}
