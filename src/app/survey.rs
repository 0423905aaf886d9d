//! The survey of `plan`, `build` and `push`: reads bases and registries, and plans the images.

use super::error::Error;
use super::pipeline::{Engines, families};
use super::session::Session;

use crate::observe::{self, ConfigCache};
use crate::plan::{self, Plan, PlanOptions};
use crate::publish::InputsRecord;
use crate::registry::Registries;
use crate::render::{Recipe, Templates};
use crate::snapshot::Observed;

/// The result of the survey, before any build starts.
#[derive(Debug)]
pub struct Survey {
    /// One recipe for each image of the session, in the same order.
    pub recipes: Vec<Recipe>,
    /// The plan, with one image for each recipe, in the same order.
    pub plan: Plan,
}

/// Surveys and plans. It reads a base from an engine only if no registry has the base. Fails if a
/// base or a registry cannot be read.
pub async fn survey(
    session: &mut Session,
    registries: &Registries,
    engines: &Engines,
    options: &PlanOptions,
) -> Result<Survey, Error> {
    let mut observed = Observed::default();
    observe::from_lock(&session.images, &session.workspace.lock, &mut observed);
    if let Err(error) =
        observe::bases(&session.images, &engines.embedded, None, &mut observed).await
    {
        let observe::Error::NoBase { .. } = &error else {
            return Err(error.into());
        };
        let Ok(docker) = engines.docker().await else {
            return Err(error.into());
        };
        observe::bases(
            &session.images,
            &engines.embedded,
            Some(docker),
            &mut observed,
        )
        .await?;
    }
    let warnings = families::settle(
        &mut session.images,
        &observed,
        &engines.embedded,
        &session.settings.events,
    )
    .await?;
    let templates = Templates::from(session.templates.clone());
    let recipes = plan::recipes(&session.images, &observed, &templates)?;
    let cache = ConfigCache::of(session.state.clone());
    observe::repositories(
        &recipes,
        &options.destinations,
        registries,
        &cache,
        &mut observed,
    )
    .await?;
    for published in observed
        .repositories
        .values_mut()
        .flat_map(|repository| repository.published.values_mut())
    {
        let inputs = published.inputs.as_ref();
        published.parts = inputs.and_then(|inputs| InputsRecord::read(&session.state, inputs));
    }
    let plan = plan::plan(&recipes, &observed, options)?;
    for (position, warnings) in warnings {
        let planned = &plan.images[position];
        for warning in warnings.into_iter().filter(|_| planned.step.is_build()) {
            session.settings.events.warn(Some(&planned.image), warning);
        }
    }
    Ok(Survey { recipes, plan })
}
