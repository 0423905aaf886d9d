//! The decision about an image: build, skip, copy or refuse, and as which version.

use semver::Version;

use super::state::{PlanComparison, RepositoryState};
use super::{PlanStep, PlannedParents, current, reasons};
use crate::render::Recipe;
use crate::snapshot::Published;
use crate::tags::{self, Rebuild, is_withdrawn, next_free};

/// The label that names an image's version.
const VERSION: &str = "org.opencontainers.image.version";

/// What is done with an image.
pub(super) struct PlanChoice {
    /// The version that is published.
    pub(super) publish: Version,
    /// What is done.
    pub(super) step: PlanStep,
    /// The next free version, if the version is withdrawn.
    pub(super) withdrawn: Option<Version>,
}

impl PlanChoice {
    fn new(publish: &Version, step: PlanStep) -> Self {
        Self {
            publish: publish.clone(),
            step,
            withdrawn: None,
        }
    }
}

/// Decides for all registries of an image at once.
pub(super) fn choose(
    recipe: &Recipe,
    states: &[RepositoryState<'_>],
    force: bool,
    parents: &PlannedParents,
) -> PlanChoice {
    if let Some(version) = withdrawn(recipe, states) {
        let because = vec![format!("{version} is withdrawn")];
        let next = next_version(recipe, states);
        return PlanChoice {
            publish: version,
            step: PlanStep::Skip { because },
            withdrawn: Some(next),
        };
    }
    let image = &recipe.image;
    if image.tags.immutable
        && let Some(refused) = states
            .iter()
            .find_map(|state| overwritten(recipe, state, states))
    {
        return refused;
    }
    let version = &image.version;
    let best = states.iter().filter_map(|state| match &state.standing {
        PlanComparison::Same(version, published) => Some((version, *published, state)),
        _ => None,
    });
    let best = best.max_by(|a, b| tags::precedence(a.0, b.0));
    let behind = |of: &Version, published: &Published| {
        best.as_ref().is_some_and(|(best, ..)| {
            revises(recipe, published) && tags::precedence(of, best).is_lt()
        })
    };
    let changed: Vec<(&Version, &Published)> = states
        .iter()
        .filter_map(|state| match &state.standing {
            PlanComparison::Changed(version, published) if !behind(version, published) => {
                Some((version, *published))
            }
            _ => None,
        })
        .collect();
    let decisive = changed
        .iter()
        .find(|(_, published)| !revises(recipe, published))
        .or(changed.first());
    if let Some((was, published)) = decisive {
        return changed_content(recipe, states, was, published, parents);
    }
    match best {
        Some((version, ..)) if force => PlanChoice::new(
            version,
            PlanStep::Build {
                because: vec!["--force".to_owned()],
            },
        ),
        Some((version, published, state)) => {
            let because = vec![format!("{version} is published with the same inputs")];
            let everywhere = states
                .iter()
                .all(|state| state.same_as(version).is_some() && state.has_tag_of(version, image));
            let (from, digest) = (state.repository.clone(), published.digest.clone());
            let step = if everywhere {
                PlanStep::Skip { because }
            } else {
                PlanStep::Copy {
                    from,
                    digest,
                    because,
                }
            };
            PlanChoice::new(version, step)
        }
        None if states
            .iter()
            .any(|state| matches!(state.standing, PlanComparison::Damaged(_))) =>
        {
            damaged(recipe, states)
        }
        None if states.is_empty() => PlanChoice::new(
            version,
            PlanStep::Build {
                because: vec!["nothing is published in this run".to_owned()],
            },
        ),
        None => PlanChoice::new(
            version,
            PlanStep::Build {
                because: vec![format!("{version} is not published yet")],
            },
        ),
    }
}

/// The image's version, or the revision of it that has the recipe's content, if it is withdrawn and would be published.
fn withdrawn(recipe: &Recipe, states: &[RepositoryState<'_>]) -> Option<Version> {
    let image = &recipe.image;
    let same = |state: &RepositoryState<'_>| match &state.standing {
        PlanComparison::Same(version, _) => Some(version.clone()),
        _ => None,
    };
    let of_state = |state: &RepositoryState<'_>| {
        same(state).or_else(|| current(&image.version, &state.all).map(|held| held.version.clone()))
    };
    let found = if is_withdrawn(&image.version, &image.tags.withdrawn) && !states.is_empty() {
        let highest = states.iter().filter_map(of_state).max_by(tags::precedence);
        Some(highest.unwrap_or_else(|| image.version.clone()))
    } else {
        states.iter().filter_map(same).max_by(tags::precedence)
    };
    found.filter(|version| is_withdrawn(version, &image.tags.withdrawn))
}

/// Refuses an image if the tag of its version, or that of another version, was overwritten with the image of the other
/// one.
fn overwritten(
    recipe: &Recipe,
    state: &RepositoryState<'_>,
    states: &[RepositoryState<'_>],
) -> Option<PlanChoice> {
    let version = &recipe.image.version;
    let refuse = |was: &Version, what: String, help: String| {
        let because = vec![format!(
            "{}: {what}: its tag was overwritten",
            state.repository
        )];
        PlanChoice::new(
            was,
            PlanStep::Refuse {
                because,
                help: vec![help],
            },
        )
    };
    match &state.standing {
        PlanComparison::Absent | PlanComparison::Damaged(_) => None,
        PlanComparison::Same(was, published) => {
            let other = state.overwritten_with(&published.digest, version)?;
            let help = format!(
                "point {} to its own image again, or add withdrawn = [\"{}\"] to [tags] of {}",
                other.tag,
                other.version,
                recipe.image.source.display()
            );
            Some(refuse(
                was,
                format!("{} points to the image of {was}", other.tag),
                help,
            ))
        }
        PlanComparison::Changed(was, published) => {
            published.inputs.as_ref()?;
            let named: Version = published.labels.get(VERSION)?.parse().ok()?;
            let is_own = recipe.image.labels.get(VERSION) == published.labels.get(VERSION);
            let exists = state
                .all
                .versions()
                .iter()
                .any(|held| held.version.cmp_precedence(&named).is_eq());
            if is_own || named.cmp_precedence(version).is_eq() || !exists {
                return None;
            }
            Some(refuse(
                was,
                format!("{was} points to the image of {named}"),
                other_version(recipe, states),
            ))
        }
    }
}

/// Decides about an image whose version is published with other inputs.
fn changed_content(
    recipe: &Recipe,
    states: &[RepositoryState<'_>],
    was: &Version,
    published: &Published,
    parents: &PlannedParents,
) -> PlanChoice {
    let image = &recipe.image;
    let mut because = reasons::changed(recipe, published, parents);
    if revises(recipe, published) {
        return PlanChoice::new(&next_revision(recipe, states), PlanStep::Build { because });
    }
    if !image.tags.immutable {
        return PlanChoice::new(&image.version, PlanStep::Build { because });
    }
    because.insert(
        0,
        format!("{was} is published with other inputs, and a version is immutable"),
    );
    let mut help = vec![other_version(recipe, states)];
    help.extend(other_rebuild(recipe, states, published));
    PlanChoice::new(was, PlanStep::Refuse { because, help })
}

/// Decides about an image of which the registry lost a part. The same content repairs it; other content is refused when it
/// is built, unless it may be a revision.
fn damaged(recipe: &Recipe, states: &[RepositoryState<'_>]) -> PlanChoice {
    let image = &recipe.image;
    let damaged = states.iter().filter_map(|state| match &state.standing {
        PlanComparison::Damaged(version) => Some(version),
        _ => None,
    });
    let was = damaged
        .max_by(|a, b| tags::precedence(a, b))
        .unwrap_or(&image.version);
    let because = vec![format!(
        "{was} is published, and the registry lost a part of it"
    )];
    let step = PlanStep::Build { because };
    if image.tags.rebuild == Rebuild::Revise && image.version.build.is_empty() {
        return PlanChoice::new(&next_revision(recipe, states), step);
    }
    PlanChoice::new(was, step)
}

/// The version after all revisions in all registries, withdrawn ones included.
fn next_revision(recipe: &Recipe, states: &[RepositoryState<'_>]) -> Version {
    let version = &recipe.image.version;
    let last = states
        .iter()
        .map(|state| state.all.revisions(version))
        .max()
        .unwrap_or(0);
    tags::revision(version, last + 1)
}

/// Whether `rebuild` publishes a revision in place of what is published.
fn revises(recipe: &Recipe, published: &Published) -> bool {
    let rules = &recipe.image.tags;
    let allowed = match rules.rebuild {
        Rebuild::Refuse => false,
        Rebuild::Base => reasons::only_below(recipe, published),
        Rebuild::Revise => true,
    };
    allowed && recipe.image.version.build.is_empty()
}

fn next_version(recipe: &Recipe, states: &[RepositoryState<'_>]) -> Version {
    let image = &recipe.image;
    next_free(
        &image.version,
        states.iter().map(|state| &state.all),
        &image.tags.withdrawn,
    )
}

/// The version that would be accepted.
pub(super) fn other_version(recipe: &Recipe, states: &[RepositoryState<'_>]) -> String {
    format!(
        "set version = \"{}\" in {}",
        next_version(recipe, states),
        recipe.image.source.display()
    )
}

/// The value of `rebuild` that would allow the change.
fn other_rebuild(
    recipe: &Recipe,
    states: &[RepositoryState<'_>],
    published: &Published,
) -> Option<String> {
    if !recipe.image.version.build.is_empty() {
        return None;
    }
    let value = if reasons::only_below(recipe, published) {
        "base"
    } else {
        "revise"
    };
    Some(format!(
        "or set rebuild = \"{value}\" under [tags], to publish the change as {}",
        next_revision(recipe, states)
    ))
}
