//! Decides about an image: build, skip, copy or refuse, and the version to publish.

use semver::Version;

use super::state::{PlanComparison, RepositoryState};
use super::{PlanStep, PlannedParents, Reason, current, reasons};
use crate::render::Recipe;
use crate::snapshot::Published;
use crate::tags::{self, Rebuild, is_withdrawn, next_free};

/// The label with the version of an image.
pub(super) const VERSION: &str = "org.opencontainers.image.version";

/// The decision about an image.
pub(super) struct PlanChoice {
    /// The version to publish.
    pub(super) publish: Version,
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
        let because = vec![Reason::Withdrawn(version.clone())];
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
    let best = states.iter().filter_map(|state| match &state.comparison {
        PlanComparison::Same(version, published) => Some((version, *published, state)),
        _ => None,
    });
    let best = best.max_by(|a, b| tags::precedence(a.0, b.0));
    let is_outdated = |version: &Version, published: &Published| {
        best.as_ref().is_some_and(|(best, ..)| {
            revises(recipe, published) && tags::precedence(version, best).is_lt()
        })
    };
    let changed: Vec<(&Version, &Published)> = states
        .iter()
        .filter_map(|state| match &state.comparison {
            PlanComparison::Changed(version, published) if !is_outdated(version, published) => {
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
                because: vec![Reason::Forced],
            },
        ),
        Some((version, published, state)) => {
            let because = vec![Reason::SameInputs(version.clone())];
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
            .any(|state| matches!(state.comparison, PlanComparison::Damaged(_))) =>
        {
            damaged(recipe, states)
        }
        None if states.is_empty() => PlanChoice::new(
            version,
            PlanStep::Build {
                because: vec![Reason::NothingPublished],
            },
        ),
        None => PlanChoice::new(
            version,
            PlanStep::Build {
                because: vec![Reason::NewVersion],
            },
        ),
    }
}

/// The version to publish, or its revision with the recipe's content, if that version is withdrawn.
fn withdrawn(recipe: &Recipe, states: &[RepositoryState<'_>]) -> Option<Version> {
    let image = &recipe.image;
    let same = |state: &RepositoryState<'_>| match &state.comparison {
        PlanComparison::Same(version, _) => Some(version.clone()),
        _ => None,
    };
    let same_or_current = |state: &RepositoryState<'_>| {
        same(state).or_else(|| current(&image.version, &state.all).map(|held| held.version.clone()))
    };
    let found = if is_withdrawn(&image.version, &image.tags.withdrawn) && !states.is_empty() {
        let highest = states
            .iter()
            .filter_map(same_or_current)
            .max_by(tags::precedence);
        Some(highest.unwrap_or_else(|| image.version.clone()))
    } else {
        states.iter().filter_map(same).max_by(tags::precedence)
    };
    found.filter(|version| is_withdrawn(version, &image.tags.withdrawn))
}

/// Refuses an image if a version tag was overwritten: its own tag with the image of another
/// version, or the tag of another version with its image.
fn overwritten(
    recipe: &Recipe,
    state: &RepositoryState<'_>,
    states: &[RepositoryState<'_>],
) -> Option<PlanChoice> {
    let version = &recipe.image.version;
    let refuse = |was: &Version, tag: String, image: &Version, help: String| {
        let because = vec![Reason::Overwritten {
            repository: state.repository.clone(),
            tag,
            image: image.clone(),
        }];
        PlanChoice::new(
            was,
            PlanStep::Refuse {
                because,
                help: vec![help],
            },
        )
    };
    match &state.comparison {
        PlanComparison::Absent | PlanComparison::Damaged(_) => None,
        PlanComparison::Same(was, published) => {
            let other = state.overwritten_with(&published.digest, version)?;
            let help = format!(
                "point {} to its own image again, or add withdrawn = [\"{}\"] to [tags] of {}",
                other.tag,
                other.version,
                recipe.image.source.display()
            );
            Some(refuse(was, other.tag.to_string(), was, help))
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
            let help = other_version(recipe, states);
            Some(refuse(was, was.to_string(), &named, help))
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
    let mut because = reasons::changed(recipe, was, published, parents);
    if revises(recipe, published) {
        return PlanChoice::new(&next_revision(recipe, states), PlanStep::Build { because });
    }
    if !image.tags.immutable {
        return PlanChoice::new(&image.version, PlanStep::Build { because });
    }
    because.insert(0, Reason::OtherInputs(was.clone()));
    let mut help = vec![other_version(recipe, states)];
    help.extend(other_rebuild(recipe, states, published));
    PlanChoice::new(was, PlanStep::Refuse { because, help })
}

/// Decides about an image of which the registry lost a part. A build with the same content repairs
/// it. A build with other content is refused after the build, unless it may be a revision.
fn damaged(recipe: &Recipe, states: &[RepositoryState<'_>]) -> PlanChoice {
    let image = &recipe.image;
    let damaged = states.iter().filter_map(|state| match &state.comparison {
        PlanComparison::Damaged(version) => Some(version),
        _ => None,
    });
    let was = damaged
        .max_by(|a, b| tags::precedence(a, b))
        .unwrap_or(&image.version);
    let because = vec![Reason::Damaged(was.clone())];
    let step = PlanStep::Build { because };
    if image.tags.rebuild == Rebuild::Revise && image.version.build.is_empty() {
        return PlanChoice::new(&next_revision(recipe, states), step);
    }
    PlanChoice::new(was, step)
}

/// The revision after all existing revisions in all registries, including withdrawn ones.
fn next_revision(recipe: &Recipe, states: &[RepositoryState<'_>]) -> Version {
    let version = &recipe.image.version;
    let last = states
        .iter()
        .map(|state| state.all.revisions(version))
        .max()
        .unwrap_or(0);
    tags::revision(version, last + 1)
}

/// True if the rule `rebuild` allows a new revision of the published image.
fn revises(recipe: &Recipe, published: &Published) -> bool {
    let rules = &recipe.image.tags;
    let allowed = match rules.rebuild {
        Rebuild::Refuse => false,
        Rebuild::Base => reasons::only_base_or_packages_changed(recipe, published),
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

/// A hint with the version that would be accepted.
pub(super) fn other_version(recipe: &Recipe, states: &[RepositoryState<'_>]) -> String {
    recipe.image.version_hint(&next_version(recipe, states))
}

/// A hint with the value of `rebuild` that would allow the change.
fn other_rebuild(
    recipe: &Recipe,
    states: &[RepositoryState<'_>],
    published: &Published,
) -> Option<String> {
    if !recipe.image.version.build.is_empty() {
        return None;
    }
    let value = if reasons::only_base_or_packages_changed(recipe, published) {
        "base"
    } else {
        "revise"
    };
    Some(format!(
        "or set rebuild = \"{value}\" under [tags], to publish the change as {}",
        next_revision(recipe, states)
    ))
}
