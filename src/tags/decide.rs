//! Decides which tags of a fan-out move. The decision is a pure function of the names of tags and
//! of [`PublishedContent`], which compares the published content with ours.

use semver::Version;
use serde::Serialize;

use super::reason::MoveReason;
use super::tag_list::is_withdrawn;
use super::{FanOut, Latest, PlannedTag, TagList, TagRole, TagRules, TaggedVersion};
use crate::reference::Tag;

/// The content that the version tag already points to, if it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedContent {
    /// It equals the content to publish: same inputs or same digest.
    Same,
    /// It differs from the content to publish, or it is unknown.
    Different,
}

/// The action for a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// Create the tag, which does not exist yet.
    Create,
    /// Move the existing tag to this version.
    Move,
    /// Leave the tag unchanged.
    Keep {
        /// The version that the tag points to.
        holder: Version,
        /// The version tag of that version.
        tag: Tag,
    },
    /// The tag must not change, so nothing is published.
    Refuse,
}

/// The decision about one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The tag, with the suffix of the variant.
    pub tag: Tag,
    /// The role of the tag in the fan-out.
    pub role: TagRole,
    /// The action for the tag.
    #[serde(flatten)]
    pub action: Action,
    /// The reason.
    pub because: MoveReason,
}

impl Move {
    /// True if the tag is created or moved.
    #[must_use]
    pub const fn is_push(&self) -> bool {
        matches!(self.action, Action::Create | Action::Move)
    }

    /// True if the tag prevents the publication.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.action, Action::Refuse)
    }
}

/// Decides about every tag of a fan-out, in its order. The order of the existing tags does not
/// matter. If the version is withdrawn, its moving tags belong to the highest version that is not
/// withdrawn.
#[must_use]
pub fn decide(
    fan_out: &FanOut,
    existing: &TagList,
    rules: &TagRules,
    published: PublishedContent,
) -> Vec<Move> {
    let ours = &fan_out.version;
    let is_ours_withdrawn = is_withdrawn(ours, &rules.withdrawn);
    let decide_one = |planned: &PlannedTag| {
        let (action, because) = match planned.role {
            _ if is_ours_withdrawn => withdrawn(planned, fan_out, existing),
            TagRole::Full | TagRole::Original => {
                full(&planned.tag, fan_out, existing, rules, published)
            }
            TagRole::Latest if rules.latest == Latest::Always => {
                present(planned, existing, MoveReason::LatestAlways)
            }
            TagRole::Patch | TagRole::Minor | TagRole::Major | TagRole::Latest => moving(
                planned,
                ours,
                existing,
                existing.highest(|other| planned.role.covers(ours, other)),
            ),
            TagRole::Extra => present(planned, existing, MoveReason::Extra),
        };
        Move {
            tag: planned.tag.clone(),
            role: planned.role,
            action,
            because,
        }
    };
    fan_out.tags.iter().map(decide_one).collect()
}

/// Decides about a tag of a withdrawn version.
fn withdrawn(planned: &PlannedTag, out: &FanOut, existing: &TagList) -> (Action, MoveReason) {
    let ours = &out.version;
    let itself = |because| {
        (
            Action::Keep {
                holder: ours.clone(),
                tag: out.full().clone(),
            },
            because,
        )
    };
    let holder = match planned.role {
        TagRole::Full | TagRole::Original => {
            return itself(MoveReason::OwnTagRemains(ours.clone()));
        }
        // An extra tag moves together with the moving tags.
        TagRole::Extra => existing.highest(|_| true),
        role => existing.highest(|other| role.covers(ours, other)),
    };
    match holder {
        Some(held) => keep(held, MoveReason::Withdrawn(ours.clone())),
        None => itself(MoveReason::OnlyWithdrawn(ours.clone())),
    }
}

/// Decides about the version tag.
fn full(
    tag: &Tag,
    out: &FanOut,
    existing: &TagList,
    rules: &TagRules,
    published: PublishedContent,
) -> (Action, MoveReason) {
    let ours = &out.version;
    let exists = existing.has(tag);
    // The tag of a plain version also moves to the same version with build metadata.
    let later = existing.highest(|v| v.cmp_precedence(ours).is_eq() && !v.build.is_empty());
    if ours.build.is_empty()
        && ours.pre.is_empty()
        && let Some(later) = later
    {
        let (tag, ours) = (later.tag.clone(), ours.clone());
        let because = match (exists, published) {
            (true, PublishedContent::Same) => return keep(later, MoveReason::Higher(tag)),
            (true, PublishedContent::Different) => MoveReason::PublishedAfter { later: tag, ours },
            (false, _) => MoveReason::PublishedAlone { later: tag, ours },
        };
        return (Action::Refuse, because);
    }
    match (exists, published) {
        (false, _) => (Action::Create, MoveReason::New),
        (true, PublishedContent::Same) => (Action::Move, MoveReason::Again),
        (true, PublishedContent::Different) if !rules.immutable => {
            (Action::Move, MoveReason::Mutable)
        }
        (true, PublishedContent::Different) => (Action::Refuse, MoveReason::Immutable(tag.clone())),
    }
}

/// Decides about a moving tag, which points to the highest stable version of its scope.
fn moving(
    planned: &PlannedTag,
    ours: &Version,
    existing: &TagList,
    highest: Option<&TaggedVersion>,
) -> (Action, MoveReason) {
    match highest {
        Some(held) if super::precedence(&held.version, ours).is_gt() => {
            keep(held, MoveReason::Higher(held.tag.clone()))
        }
        Some(held) if held.version != *ours => {
            present(planned, existing, MoveReason::Lower(held.tag.clone()))
        }
        _ => present(planned, existing, MoveReason::Highest),
    }
}

fn present(planned: &PlannedTag, existing: &TagList, because: MoveReason) -> (Action, MoveReason) {
    if existing.has(&planned.tag) {
        (Action::Move, because)
    } else {
        (Action::Create, MoveReason::New)
    }
}

fn keep(held: &TaggedVersion, because: MoveReason) -> (Action, MoveReason) {
    (
        Action::Keep {
            holder: held.version.clone(),
            tag: held.tag.clone(),
        },
        because,
    )
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
