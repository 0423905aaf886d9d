//! Plans what a build and its publication would do.

use super::base_lifecycle;
use super::base_signatures::{self, CheckedBase, Programs};
use super::channels::plan_channels;
use super::error::Error;
use super::pipeline::{Engines, Goal, choose};
use super::plan_diff::{self, PlannedDiff};
use super::prepare::{requested_engine, require_locked, survey_ready};
use super::registries;
use super::session::Session;
use super::unready::UnreadyImage;
use super::work::Planned;
use crate::diagnostic::SourceMap;
use crate::engine::EngineKind;
use crate::engine::docker::DockerEnv;
use crate::plan::{Plan, PlanOptions, PlannedImage};

/// The request to plan images.
#[derive(Debug)]
pub struct PlanRequest {
    /// The engine; `None` if golden.toml or golden chooses it.
    pub engine: Option<EngineKind>,
    /// Plan a build even if the inputs are unchanged.
    pub force: bool,
    /// Fail if golden.lock would have to change.
    pub locked: bool,
    /// Compare the images to build with the published ones.
    pub diff: bool,
}

/// The plan of a session.
#[derive(Debug)]
pub struct PlannedSession {
    /// The plan of the selected images.
    pub plan: Plan,
    /// The comparisons with the published images; empty unless they are requested.
    pub diffs: Vec<PlannedDiff>,
    /// Images that are not planned because their base is unavailable.
    pub unready: Vec<UnreadyImage>,
    /// The texts of the spec files.
    pub sources: SourceMap,
}

/// Plans the images of a session. Fails if a base or a registry cannot be read.
pub async fn plan(mut session: Session, request: &PlanRequest) -> Result<PlannedSession, Error> {
    require_locked(&session, request.locked)?;
    let registries = registries::of_session(&session)?;
    let embedded = session.embedded(registries.clone());
    let engines = Engines::new(
        DockerEnv::from_vars(&session.settings.env),
        embedded,
        session.state.path("cache/engines"),
    );
    let options = PlanOptions {
        destinations: session.destinations.clone(),
        force: request.force,
    };
    let (planned, unready) = survey_ready(&mut session, &registries, &engines, &options).await?;
    let bases = planned
        .iter()
        .filter_map(|planned| CheckedBase::of(&planned.recipe.base));
    let programs = Programs::Skip;
    base_signatures::require(&session, &registries, bases.clone(), programs).await?;
    base_lifecycle::require(&session, &registries, bases).await?;
    base_lifecycle::warn_of_own(&session);
    let goal = if options.destinations.is_empty() {
        Goal::Local
    } else {
        Goal::Publish
    };
    let requested = requested_engine(&session, request.engine);
    let mut chosen: Vec<Option<EngineKind>> = Vec::with_capacity(planned.len());
    for Planned { recipe, step, .. } in &planned {
        let engine = if step.step.is_build() {
            let choice = choose(requested, goal, &recipe.image, async || {
                engines.docker_answers().await
            });
            Some(choice.await.engine)
        } else {
            None
        };
        chosen.push(engine);
    }
    let diffs = if request.diff {
        plan_diff::compare(&session, &engines, &registries, &planned, &chosen).await?
    } else {
        Vec::new()
    };
    let channels = plan_channels(&session, &registries, &planned).await?;
    let images = planned.into_iter().zip(chosen).zip(channels);
    let images = images.map(|((planned, engine), channels)| {
        let engine = engine.map(|engine| engine.as_str().to_owned());
        PlannedImage {
            engine: engine.or(planned.step.engine.clone()),
            channels,
            ..planned.step
        }
    });
    Ok(PlannedSession {
        plan: Plan {
            images: images.collect(),
        },
        diffs,
        unready,
        sources: session.sources,
    })
}
