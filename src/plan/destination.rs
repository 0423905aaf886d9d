//! One image in one registry: where its content comes from, and what happens to each tag.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Standing, State, Step};
use crate::reference::{Digest, Repository, Tag};
use crate::render::Recipe;
use crate::tags::{self, Action, Existing, Held, Move, Role, TagError, is_revision};

/// What would happen in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDestination {
    /// The registry's name.
    pub registry: String,
    /// The repository.
    pub repository: Repository,
    /// Where the content comes from.
    #[serde(flatten)]
    pub content: Content,
    /// Every tag, in the order that they are pushed.
    pub tags: Vec<PlannedMove>,
}

/// Where the content of a destination comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "lowercase")]
pub enum Content {
    /// It is uploaded: what is built, or a copy from another registry.
    Upload,
    /// It is there, under the immutable tag.
    Published {
        /// Its digest.
        digest: Digest,
    },
}

/// What would happen to a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// The tag.
    pub tag: Tag,
    /// What it stands for.
    pub role: Role,
    /// What happens to it.
    pub action: PlannedAction,
    /// What it names now: a version, or a digest when no version tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What it would name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Why.
    pub because: String,
}

/// What would happen to a tag, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// It is made.
    Create,
    /// It moves.
    Move,
    /// It names the image already.
    Same,
    /// It stays with a higher version.
    Keep,
    /// It may not be touched.
    Refuse,
}

impl PlannedMove {
    /// Whether the tag would be written.
    #[must_use]
    pub const fn is_push(&self) -> bool {
        matches!(self.action, PlannedAction::Create | PlannedAction::Move)
    }
}

impl PlannedMove {
    /// The same tag of an image that is refused: it stays where it is.
    fn stopped(self) -> Self {
        let because = "the image is refused".to_owned();
        match self.action {
            PlannedAction::Create => Self { action: PlannedAction::Refuse, to: None, because, ..self },
            PlannedAction::Move => Self { action: PlannedAction::Keep, to: None, because, ..self },
            PlannedAction::Same | PlannedAction::Keep | PlannedAction::Refuse => self,
        }
    }
}

impl PlannedDestination {
    /// Whether anything would be written.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        matches!(self.content, Content::Published { .. }) && !self.tags.iter().any(PlannedMove::is_push)
    }

    /// The same of an image that is refused somewhere: nothing happens anywhere.
    pub(super) fn stopped(self) -> Self {
        Self { tags: self.tags.into_iter().map(PlannedMove::stopped).collect(), ..self }
    }

    pub(super) fn refusals(&self) -> impl Iterator<Item = String> + '_ {
        let refused = self.tags.iter().filter(|planned| planned.action == PlannedAction::Refuse);
        refused
            .filter(|planned| planned.role == Role::Full)
            .map(|planned| format!("{}:{}: {}", self.repository, planned.tag, planned.because))
    }
}

/// The tag that holds the newest content of a version: its highest revision, else the version itself.
#[must_use]
pub fn current<'a>(version: &Version, existing: &'a Existing) -> Option<&'a Held> {
    let of = |held: &&Held| {
        held.version == *version
            || (version.build.is_empty()
                && held.version.cmp_precedence(version).is_eq()
                && is_revision(&held.version.build))
    };
    existing.versions().iter().rfind(of)
}

pub(super) fn plan(
    recipe: &Recipe,
    publish: &Version,
    registry: String,
    state: &State<'_>,
    step: &Step,
    force: bool,
) -> Result<PlannedDestination, TagError> {
    let image = &recipe.image;
    let out = tags::fan_out(publish, image.variant.as_ref(), &image.tags)?;
    let here = match &state.standing {
        Standing::Same(version, published) if version == publish => Some(*published),
        _ => None,
    };
    let standing = if here.is_some() { tags::Standing::Same } else { tags::Standing::Different };
    let decided = tags::decide(&out, &state.existing, &image.tags, standing);
    let content = match here {
        Some(published) if !force && !step.is_refusal() && state.existing.has(out.full()) => {
            Content::Published { digest: published.digest.clone() }
        }
        _ => Content::Upload,
    };
    let unchanged = match &content {
        Content::Published { digest } => Some(digest),
        Content::Upload => None,
    };
    let tags = decided.into_iter().map(|decided| planned_move(decided, publish, state, unchanged)).collect();
    Ok(PlannedDestination { registry, repository: state.repository.clone(), content, tags })
}

/// A tag whose digest nobody read names what the least specific tag names: tags are moved in this order alone.
fn planned_move(
    decided: Move,
    publish: &Version,
    state: &State<'_>,
    unchanged: Option<&Digest>,
) -> PlannedMove {
    let Move { tag, role, action, because } = decided;
    let named = state.published.get(&tag).map(|published| &published.digest);
    let same = unchanged.is_some_and(|digest| named.is_none_or(|named| named == digest));
    let from = || version_of(&tag, role, publish, state).or_else(|| named.map(Digest::short));
    let to = Some(publish.to_string());
    let (action, from, to, because) = match action {
        Action::Create => (PlannedAction::Create, None, to, because),
        Action::Move if same => (PlannedAction::Same, to.clone(), to, "names it already".to_owned()),
        Action::Move if unchanged.is_some() => {
            (PlannedAction::Move, named.map(Digest::short), to, "is behind".to_owned())
        }
        Action::Move => (PlannedAction::Move, from(), to, because),
        Action::Keep { holder, .. } => (PlannedAction::Keep, Some(holder.to_string()), None, because),
        Action::Refuse => (PlannedAction::Refuse, from(), None, because),
    };
    PlannedMove { tag, role, action, from, to, because }
}

/// The version that a moving tag should name by now, by the names of the tags.
fn version_of(tag: &Tag, role: Role, publish: &Version, state: &State<'_>) -> Option<String> {
    let scope = |v: &Version| match role {
        Role::Full | Role::Patch => v.cmp_precedence(publish).is_eq(),
        Role::Minor => v.major == publish.major && v.minor == publish.minor,
        Role::Major => v.major == publish.major,
        Role::Latest => true,
        Role::Extra => false,
    };
    let highest = state.existing.highest(scope)?;
    state.existing.has(tag).then(|| highest.version.to_string())
}
