//! The survey of `plan`, `build` and `push`: reads bases and registries, and plans the images.

use super::error::Error;
use super::pipeline::{Engines, families};
use super::session::Session;
use super::work::Planned;

use crate::observe::{self, ConfigCache};
use crate::plan::{self, PlanOptions};
use crate::publish::InputsRecord;
use crate::registry::Registries;
use crate::render::Templates;
use crate::resolve::ResolvedImage;
use crate::signing::{Expected, KeyReader};
use crate::snapshot::Observed;
use crate::trust::PublicKey;

/// Adds the external bases of `images` to `observed`. It reads a base from an engine only if no
/// registry has the base. Fails if a base cannot be found or used.
pub(super) async fn external_bases(
    images: &[ResolvedImage],
    engines: &Engines,
    observed: &mut Observed,
) -> Result<(), observe::Error> {
    let missing = match observe::bases(images, &engines.embedded, None, observed).await {
        Err(error @ observe::Error::NoBase { .. }) => error,
        other => return other,
    };
    match engines.docker().await {
        Ok(docker) => observe::bases(images, &engines.embedded, Some(docker), observed).await,
        Err(error) => Err(missing.without_engine(&error)),
    }
}

/// The artifacts that the published images must have; nothing if nothing is published.
async fn expected(session: &Session, options: &PlanOptions) -> Expected {
    if options.destinations.is_empty() {
        return Expected::default();
    }
    Expected::of(&session.workspace.spec, signing_key(session).await)
}

/// The public part of the signing key; `None` if nothing is signed, or if the key cannot be read. A
/// plan does not need the password of the key: then a signature by any key counts.
async fn signing_key(session: &Session) -> Option<PublicKey> {
    if let Some(signing) = &session.signing {
        return Some(signing.signer.public().clone());
    }
    let source = session.workspace.spec.signing.key.as_ref()?;
    let reader = KeyReader {
        root: &session.workspace.root,
        variables: &session.settings.env,
        ask: None,
    };
    let signer = reader.read(source).await.ok()?;
    Some(signer.public().clone())
}

/// Surveys and plans. It reads a base from an engine only if no registry has the base. Fails if a
/// base or a registry cannot be read.
pub async fn survey(
    session: &Session,
    registries: &Registries,
    engines: &Engines,
    options: &PlanOptions,
) -> Result<Vec<Planned>, Error> {
    let mut images: Vec<ResolvedImage> = session.resolved().cloned().collect();
    let mut observed = Observed::default();
    observe::from_lock(&images, &session.workspace.lock, &mut observed);
    external_bases(&images, engines, &mut observed).await?;
    let warnings = families::settle(
        &mut images,
        &observed,
        &engines.embedded,
        &session.settings.events,
    )
    .await?;
    let templates = Templates::from(session.templates.clone());
    let recipes = plan::recipes(&images, &observed, &templates)?;
    let cache = ConfigCache::of(session.state.clone());
    observe::repositories(
        &recipes,
        &options.destinations,
        registries,
        &cache,
        &mut observed,
    )
    .await?;
    let expected = expected(session, options).await;
    observe::artifacts(&recipes, &expected, registries, &cache, &mut observed).await?;
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
    let planned = session.images.iter().zip(recipes).zip(plan.images);
    Ok(planned
        .map(|((image, recipe), step)| Planned {
            recipe,
            selected: image.selected,
            step,
        })
        .collect())
}
