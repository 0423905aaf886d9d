//! Plans what a build and its publication would do.

use super::base_signatures::{self, CheckedBase};
use super::error::Error;
use super::pipeline::{Engines, Goal, choose};
use super::prepare::{requested_engine, require_locked, survey_ready};
use super::registries;
use super::session::Session;
use super::unready::Unready;
use super::work::Planned;
use crate::diagnostic::SourceMap;
use crate::engine::EngineKind;
use crate::engine::docker::DockerEnv;
use crate::plan::{Plan, PlanOptions};

/// The request to plan images.
#[derive(Debug)]
pub struct PlanRequest {
    /// The engine; `None` if golden.toml or golden chooses it.
    pub engine: Option<EngineKind>,
    /// Plan a build even if the inputs are unchanged.
    pub force: bool,
    /// Fail if golden.lock would have to change.
    pub locked: bool,
}

/// The plan of a session.
#[derive(Debug)]
pub struct PlannedSession {
    /// The plan.
    pub plan: Plan,
    /// Images that are not planned because their base is unavailable.
    pub unready: Vec<Unready>,
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
    base_signatures::require(&session, &registries, bases).await?;
    let goal = if options.destinations.is_empty() {
        Goal::Local
    } else {
        Goal::Publish
    };
    let requested = requested_engine(&session, request.engine);
    let mut images = Vec::with_capacity(planned.len());
    for Planned {
        recipe, mut step, ..
    } in planned
    {
        if step.step.is_build() {
            let choice = choose(requested, goal, &recipe.image, async || {
                engines.docker_answers().await
            })
            .await;
            step.engine = Some(choice.engine.as_str().to_owned());
        }
        images.push(step);
    }
    Ok(PlannedSession {
        plan: Plan { images },
        unready,
        sources: session.sources,
    })
}
