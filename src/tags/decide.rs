//! Which tags of a fan-out may move (2-tags). A pure function of names; what is known of the content comes in as a
//! [`PublishedContent`].

use semver::Version;
use serde::{Deserialize, Serialize};

use super::tag_list::is_withdrawn;
use super::{FanOut, Latest, PlannedTag, TagList, TagRole, TagRules, TaggedVersion};
use crate::reference::Tag;

/// What is known of the content that the immutable tag names already, if it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishedContent {
    /// It is the content that is to be published (same inputs, or same digest).
    Same,
    /// It is something else, or nobody knows.
    Different,
}

/// What happens to a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum Action {
    /// It does not exist yet.
    Create,
    /// It exists and may name this version.
    Move,
    /// It stays where it is.
    Keep {
        /// The version that holds it.
        holder: Version,
        /// The tag of that version.
        tag: Tag,
    },
    /// It may not be touched, and so nothing is published.
    Refuse,
}

/// The decision about one tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The tag.
    pub tag: Tag,
    /// What it stands for.
    pub role: TagRole,
    /// What happens to it.
    #[serde(flatten)]
    pub action: Action,
    /// Why, for people.
    pub because: String,
}

impl Move {
    /// Whether the tag is to be written.
    #[must_use]
    pub const fn is_push(&self) -> bool {
        matches!(self.action, Action::Create | Action::Move)
    }

    /// Whether the tag stops the publishing.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.action, Action::Refuse)
    }
}

/// Decides for every tag of a fan-out, in its order. The same tags in another order give the same decisions. The tags of
/// a version that is withdrawn belong to whichever version counts in its place.
#[must_use]
pub fn decide(
    fan_out: &FanOut,
    existing: &TagList,
    rules: &TagRules,
    standing: PublishedContent,
) -> Vec<Move> {
    let ours = &fan_out.version;
    let gone = is_withdrawn(ours, &rules.withdrawn);
    let decide_one = |planned: &PlannedTag| {
        let (action, because) = match planned.role {
            _ if gone => withdrawn(planned, fan_out, existing),
            TagRole::Full | TagRole::Original => {
                full(&planned.tag, fan_out, existing, rules, standing)
            }
            TagRole::Latest if rules.latest == Latest::Always => {
                present(planned, existing, "`latest` is `always`")
            }
            TagRole::Patch | TagRole::Minor | TagRole::Major | TagRole::Latest => moving(
                planned,
                ours,
                existing,
                existing.highest(|other| planned.role.covers(ours, other)),
            ),
            TagRole::Extra => present(planned, existing, "an extra tag always moves"),
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

/// A tag of a version that is withdrawn.
fn withdrawn(planned: &PlannedTag, out: &FanOut, existing: &TagList) -> (Action, String) {
    let ours = &out.version;
    let itself = |because: String| {
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
            return itself(format!("{ours} is withdrawn; its own tag remains"));
        }
        // An extra tag goes along with the moving tags.
        TagRole::Extra => existing.highest(|_| true),
        role => existing.highest(|other| role.covers(ours, other)),
    };
    match holder {
        Some(held) => keep(held, format!("{ours} is withdrawn")),
        None => itself(format!("{ours} is withdrawn, and no other version remains")),
    }
}

/// The immutable tag.
fn full(
    tag: &Tag,
    out: &FanOut,
    existing: &TagList,
    rules: &TagRules,
    standing: PublishedContent,
) -> (Action, String) {
    let ours = &out.version;
    let exists = existing.has(tag);
    // A plain version shares its tag with the moving form of the same version with build metadata.
    let later = existing.highest(|v| v.cmp_precedence(ours).is_eq() && !v.build.is_empty());
    if ours.build.is_empty()
        && ours.pre.is_empty()
        && let Some(later) = later
    {
        return match (exists, standing) {
            (true, PublishedContent::Same) => keep(later, higher(later)),
            (true, PublishedContent::Different) => (
                Action::Refuse,
                format!("{ours} is published, and {} after it", later.tag),
            ),
            (false, _) => (
                Action::Refuse,
                format!("{} is published without it", later.tag),
            ),
        };
    }
    match (exists, standing) {
        (false, _) => (Action::Create, "does not exist yet".to_owned()),
        (true, PublishedContent::Same) => (Action::Move, "published again".to_owned()),
        (true, PublishedContent::Different) if !rules.immutable => {
            (Action::Move, "`immutable` is false".to_owned())
        }
        (true, PublishedContent::Different) => (
            Action::Refuse,
            format!("{tag} is published already, and a version is immutable"),
        ),
    }
}

/// A tag that moves to the highest stable version of its scope.
fn moving(
    planned: &PlannedTag,
    ours: &Version,
    existing: &TagList,
    highest: Option<&TaggedVersion>,
) -> (Action, String) {
    match highest {
        Some(held) if super::precedence(&held.version, ours).is_gt() => keep(held, higher(held)),
        Some(held) if held.version != *ours => {
            present(planned, existing, &format!("{} is lower", held.tag))
        }
        _ => present(planned, existing, "no stable version is higher"),
    }
}

fn present(planned: &PlannedTag, existing: &TagList, because: &str) -> (Action, String) {
    if existing.has(&planned.tag) {
        (Action::Move, because.to_owned())
    } else {
        (Action::Create, "does not exist yet".to_owned())
    }
}

fn keep(held: &TaggedVersion, because: String) -> (Action, String) {
    (
        Action::Keep {
            holder: held.version.clone(),
            tag: held.tag.clone(),
        },
        because,
    )
}

fn higher(held: &TaggedVersion) -> String {
    format!("{} is the higher version", held.tag)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
