//! What `plan`, `build` and `push` begin with: bases and registries are asked, and everything is decided.

use super::error::Failure;
use super::session::Session;
use crate::event::Events;
use crate::observe::{self, ConfigCache};
use crate::pipeline::{Engines, families};
use crate::plan::{self, Plan, PlanOptions};
use crate::registry::Registries;
use crate::render::{Recipe, Templates};
use crate::snapshot::Observed;

/// What is known before anything is done.
#[derive(Debug)]
pub struct Survey {
    /// What was asked.
    pub observed: Observed,
    /// One for each image of the session, in its order.
    pub recipes: Vec<Recipe>,
    /// One image for each recipe, in the same order.
    pub plan: Plan,
}

/// Asks and plans. An engine is asked only for a base that no registry tells.
pub async fn survey(
    session: &mut Session,
    registries: &Registries,
    engines: &Engines,
    options: &PlanOptions,
    events: &Events,
) -> Result<Survey, Failure> {
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
    let warnings =
        families::settle(&mut session.images, &observed, &engines.embedded, events).await?;
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
    let plan = plan::plan(&recipes, &observed, options)?;
    for (position, warnings) in warnings {
        let planned = &plan.images[position];
        for warning in warnings.into_iter().filter(|_| planned.step.is_build()) {
            events.warn(Some(&planned.image), warning);
        }
    }
    Ok(Survey {
        observed,
        recipes,
        plan,
    })
}
