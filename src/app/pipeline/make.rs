//! Makes one image of a run: finds an earlier build or builds it, checks the policy, tags and
//! records it.

use super::failed::Failed;
use super::run::{BuiltReferences, ImageRelatives, Run, id_of};
use crate::app::work::Work;
use crate::diagnostic::Diagnostics;
use crate::engine::{self, BuildOptions, BuildOutput, BuiltImage, EngineKind};
use crate::event::{Event, ReportedFinding};
use crate::policy::{self, FinishedImage};
use crate::publish::{BuildRecord, InputsRecord};
use crate::reference::Reference;
use crate::render::Recipe;

impl Run<'_> {
    /// The image of an earlier `golden build`, if its record has the same inputs and the image
    /// still exists.
    pub(super) async fn recorded(
        &self,
        work: &Work,
        relatives: ImageRelatives<'_>,
    ) -> Result<Option<BuiltImage>, Failed> {
        if !self.options.push || self.options.rebuild {
            return Ok(None);
        }
        let recipe = &work.recipe;
        let record = BuildRecord::read(self.state, &recipe.image.name, &work.version_tag)?;
        let Some(record) = record.filter(|record| record.inputs == recipe.inputs) else {
            return Ok(None);
        };
        if record.engine != EngineKind::Docker {
            // golden assembles the same image again, which is cheaper than storing it.
            return Ok(if self.options.only_push {
                Some(self.assemble(work, relatives).await?)
            } else {
                None
            });
        }
        if work.engine.engine != EngineKind::Docker && !self.options.only_push {
            return Ok(None);
        }
        if !record.parts.is_empty() {
            let Some(fleet) = self.engines.fleet(&recipe.image) else {
                return Ok(None);
            };
            let options = self.build_options(relatives, |parent| parent.published.clone());
            return Ok(fleet
                .built_before(recipe, &record.parts, &options, self.events)
                .await?);
        }
        let docker = self.engines.docker().await?;
        let Some(image) = docker.image_by_id(&record.id).await? else {
            return Ok(None);
        };
        Ok(Some(BuiltImage {
            inputs: record.inputs,
            engine: EngineKind::Docker,
            platforms: record.platforms,
            config: image.config,
            output: BuildOutput::Docker { id: record.id },
        }))
    }

    pub(super) async fn build(
        &self,
        work: &Work,
        relatives: ImageRelatives<'_>,
    ) -> Result<BuiltImage, Failed> {
        let choice = &work.engine;
        let display = &work.planned.image;
        self.events.note(
            Some(display),
            format!("engine: {} ({})", choice.engine.as_str(), choice.because),
        );
        let recipe = &work.recipe;
        if choice.engine == EngineKind::Embedded {
            match self.assemble(work, relatives).await {
                Err(Failed::Engine(engine::Error::Embedded(error)))
                    if choice.docker_may
                        && error.needs_docker()
                        && self.docker_can(recipe).await =>
                {
                    self.events
                        .note(Some(display), format!("engine: docker ({error})"));
                }
                assembled => return assembled,
            }
        }
        let options = BuildOptions {
            cache: self.cached_builds(work).await,
            ..self.build_options(relatives, |parent| {
                parent.local.clone().or(parent.published.clone())
            })
        };
        if let Some(fleet) = self.engines.fleet(&recipe.image) {
            return Ok(fleet.build(recipe, &options, self.events).await?);
        }
        let docker = self.engines.docker().await.map_err(|error| {
            match crate::assemble::can_assemble(&recipe.image) {
                Err(needs) => Failed::NoEngine { error, needs },
                Ok(()) => Failed::Docker(error),
            }
        })?;
        let platform = recipe
            .image
            .platforms
            .first()
            .unwrap_or_else(|| docker.platform());
        let base_config = self
            .engines
            .embedded
            .base_config(&recipe.base, platform)
            .await;
        let options = BuildOptions {
            base_config: base_config.map_err(engine::Error::from)?,
            ..options
        };
        // Boxed, because the compiler limits the nesting depth of futures.
        let fitting = engine::fit::for_docker(
            docker,
            &self.engines.embedded,
            recipe,
            &options,
            self.events,
        );
        let fitted = Box::pin(fitting).await?;
        Ok(docker.build(&fitted, &options, self.events).await?)
    }

    /// True if Docker Engines can build all platforms of an image.
    async fn docker_can(&self, recipe: &Recipe) -> bool {
        let image = &recipe.image;
        self.engines.fleet(image).is_some()
            || (image.platforms.len() < 2 && self.engines.docker_answers().await)
    }

    async fn assemble(
        &self,
        work: &Work,
        relatives: ImageRelatives<'_>,
    ) -> Result<BuiltImage, Failed> {
        let options = self.build_options(relatives, |parent| parent.published.clone());
        Ok(self
            .engines
            .embedded
            .build(&work.recipe, &options, self.events)
            .await?)
    }

    pub(super) fn build_options(
        &self,
        relatives: ImageRelatives<'_>,
        parent_reference: fn(&BuiltReferences) -> Option<Reference>,
    ) -> BuildOptions {
        BuildOptions {
            // The image is tagged after the policy check.
            secrets: self.options.secrets.clone(),
            ssh: self
                .options
                .ssh
                .as_ref()
                .map(|agent| agent.socket().to_owned()),
            no_cache: self.options.no_cache,
            proxy_args: self.options.proxy_args.clone(),
            parent: relatives.parent.and_then(parent_reference),
            published_parent: relatives.parent.and_then(|parent| parent.published.clone()),
            childless: relatives.childless,
            logins: self.options.logins.clone(),
            base_config: None,
            cache: None,
        }
    }

    /// Checks the policy on the built image. Fails if it violates the policy.
    pub(super) async fn check_policy(&self, work: &Work, built: &BuiltImage) -> Result<(), Failed> {
        let image = &work.recipe.image;
        let display = image.display();
        let user_id = self.user_id(built, &display).await?;
        let found = policy::check_built(
            self.policy,
            &FinishedImage {
                name: &display,
                known_as: &[image.name.to_string()],
                now: self.now,
                lacking: &[],
                config: &built.config,
                user_id,
                image: Some(image),
                is_foreign: false,
            },
        );
        self.settle(&display, found)
    }

    /// Reports the warnings of the policy. Fails if there are errors.
    pub(super) fn settle(&self, display: &str, found: Diagnostics) -> Result<(), Failed> {
        for finding in found.iter() {
            let finding = ReportedFinding::new(finding, None);
            self.events.send(Event::Finding(finding));
        }
        if found.has_errors() {
            return Err(Failed::Policy {
                image: display.to_owned(),
                found,
            });
        }
        for warning in found {
            self.events.warn(Some(display), warning.message);
        }
        Ok(())
    }

    /// The user ID of a built image's user, if the policy needs it and only the image's /etc/passwd
    /// has it.
    async fn user_id(&self, built: &BuiltImage, display: &str) -> Result<Option<u32>, Failed> {
        let is_needed = self.policy.config.deny_root;
        let Some(user) = policy::named_user(built.config.user()).filter(|_| is_needed) else {
            return Ok(None);
        };
        match &built.output {
            BuildOutput::Docker { id } => {
                Ok(self.engines.docker().await?.user_id(id, user).await?)
            }
            BuildOutput::Assembled(assembled) => {
                let image = &assembled.images[0];
                let reading = self
                    .engines
                    .embedded
                    .user_id_of(image, user, display, self.events);
                let found = Box::pin(reading).await;
                Ok(found.map_err(engine::Error::from)?)
            }
        }
    }

    /// Tags an image in the Docker Engine. An assembled image is loaded first if `--load` requests
    /// it. Returns the most specific reference, if the engine has the image.
    pub(super) async fn tag_locally(
        &self,
        work: &Work,
        built: &BuiltImage,
    ) -> Result<Option<Reference>, Failed> {
        let names = &work.local;
        match &built.output {
            BuildOutput::Docker { id } => {
                let docker = self.engines.docker().await?;
                for name in names {
                    docker.tag(id, name).await?;
                }
            }
            BuildOutput::Assembled(assembled) if self.options.load => {
                let docker = self.engines.docker().await;
                let docker = docker.map_err(Failed::NoEngineToLoad)?;
                super::load::load(docker, assembled, names, self.registries).await?;
            }
            BuildOutput::Assembled(_) => match self.engines.fleet(&work.recipe.image) {
                Some(fleet)
                    if built.engine == EngineKind::Docker
                        && fleet.tag(&built.inputs, names).await? => {}
                _ => return Ok(None),
            },
        }
        Ok(names.first().cloned())
    }

    pub(super) fn record(&self, work: &Work, built: &BuiltImage) -> Result<(), Failed> {
        let of_fleet = match (&built.output, built.engine) {
            (BuildOutput::Assembled(_), EngineKind::Docker) => {
                self.engines.fleet(&work.recipe.image)
            }
            _ => None,
        };
        let record = BuildRecord {
            schema: 1,
            image: work.recipe.image.name.clone(),
            tag: work.version_tag.clone(),
            inputs: built.inputs.clone(),
            engine: built.engine,
            id: id_of(built),
            platforms: built.platforms.clone(),
            parts: of_fleet
                .map(|fleet| fleet.parts(&built.inputs))
                .unwrap_or_default(),
        };
        let parts = crate::plan::parts(&work.recipe);
        InputsRecord::write(self.state, &built.inputs, &parts)?;
        Ok(record.write(self.state)?)
    }
}
