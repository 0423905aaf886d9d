//! One image in one registry: where its content comes from, and what happens to each tag.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{PlanStep, RepositoryState};
use crate::reference::{Digest, Repository, Tag};
use crate::render::Recipe;
use crate::tags::{
    self, Action, Move, Original, TagError, TagList, TagRole, TaggedVersion, is_revision,
};

/// What would happen in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedDestination {
    /// The registry's name.
    pub registry: String,
    /// The repository.
    pub repository: Repository,
    /// Where the content comes from.
    #[serde(flatten)]
    pub content: ContentSource,
    /// Every tag, in the order that they are pushed.
    pub tags: Vec<PlannedMove>,
}

/// Where the content of a destination comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "content", rename_all = "lowercase")]
pub enum ContentSource {
    /// It is uploaded: what is built, or a copy from another registry.
    Upload,
    /// It exists under the immutable tag.
    Published {
        /// Its digest.
        digest: Digest,
    },
    /// It is withdrawn and not published, so that only the tags of other versions may move.
    Nothing,
}

/// What would happen to a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// The tag.
    pub tag: Tag,
    /// What it stands for.
    pub role: TagRole,
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
    /// It points to the image already.
    Same,
    /// It stays where it is.
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
            PlannedAction::Create => Self {
                action: PlannedAction::Refuse,
                to: None,
                because,
                ..self
            },
            PlannedAction::Move => Self {
                action: PlannedAction::Keep,
                to: None,
                because,
                ..self
            },
            PlannedAction::Same | PlannedAction::Keep | PlannedAction::Refuse => self,
        }
    }
}

impl PlannedDestination {
    /// Whether nothing would be written.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.content != ContentSource::Upload && !self.tags.iter().any(PlannedMove::is_push)
    }

    /// Whether the content is uploaded under a tag that does not exist yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        let creates = |planned: &PlannedMove| {
            planned.role == TagRole::Full && planned.action == PlannedAction::Create
        };
        self.content == ContentSource::Upload && self.tags.iter().any(creates)
    }

    /// What would happen to a tag.
    #[must_use]
    pub fn of(&self, tag: &Tag) -> Option<&PlannedMove> {
        self.tags.iter().find(|planned| planned.tag == *tag)
    }

    /// The same for an image that is refused in one of its registries: nothing happens in any of them.
    pub(super) fn stopped(self) -> Self {
        let tags = self
            .tags
            .into_iter()
            .filter(|planned| planned.role != TagRole::Original);
        Self {
            tags: tags.map(PlannedMove::stopped).collect(),
            ..self
        }
    }

    pub(super) fn refusals(&self) -> impl Iterator<Item = String> + '_ {
        let refused = self
            .tags
            .iter()
            .filter(|planned| planned.action == PlannedAction::Refuse);
        refused
            .filter(|planned| planned.role == TagRole::Full)
            .map(|planned| format!("{}:{}: {}", self.repository, planned.tag, planned.because))
    }
}

/// The tag that holds the newest content of a version: its highest revision, else the version itself.
#[must_use]
pub fn current<'a>(version: &Version, existing: &'a TagList) -> Option<&'a TaggedVersion> {
    let of = |held: &&TaggedVersion| {
        held.version == *version
            || (version.build.is_empty()
                && held.version.cmp_precedence(version).is_eq()
                && is_revision(&held.version.build))
    };
    existing.versions().iter().rfind(of)
}

/// Plans one registry. `publish` is the version that is published, and `withdrawn` says that it is not.
pub(super) fn plan(
    recipe: &Recipe,
    publish: &Version,
    registry: String,
    state: &RepositoryState<'_>,
    step: &PlanStep,
    withdrawn: bool,
) -> Result<PlannedDestination, TagError> {
    let image = &recipe.image;
    let out = tags::fan_out(publish, image.variant.as_ref(), &image.tags)?;
    let here = state.same_as(publish);
    // Whether a damaged image is the same is decided by its digest, once it is built again.
    let may_be_same = here.is_some() || state.is_damaged(publish);
    let standing = if may_be_same {
        tags::PublishedContent::Same
    } else {
        tags::PublishedContent::Different
    };
    let content = match here {
        Some(published) if !step.is_build() && !step.is_refusal() && state.all.has(out.full()) => {
            ContentSource::Published {
                digest: published.digest.clone(),
            }
        }
        _ if withdrawn => ContentSource::Nothing,
        _ => ContentSource::Upload,
    };
    let withheld = state.digests.get(out.full()).filter(|_| withdrawn);
    let digest = here.map(|published| &published.digest).or(withheld);
    let view = RepositoryView {
        publish,
        state,
        digest,
        content: &content,
    };
    let decided = tags::decide(&out, &state.existing, &image.tags, standing);
    let original = out.original(&state.all).filter(|_| !withdrawn);
    let original = original.map(|original| view.preserve(original));
    let tags = original
        .into_iter()
        .chain(decided.into_iter().map(|decided| view.planned(decided)))
        .collect();
    Ok(PlannedDestination {
        registry,
        repository: state.repository.clone(),
        content,
        tags,
    })
}

/// What is known of a repository when the tags of a version are planned.
struct RepositoryView<'a> {
    publish: &'a Version,
    state: &'a RepositoryState<'a>,
    /// The digest under which the version is published or withdrawn.
    digest: Option<&'a Digest>,
    content: &'a ContentSource,
}

impl RepositoryView<'_> {
    fn planned(&self, decided: Move) -> PlannedMove {
        let Move {
            tag,
            role,
            action,
            because,
        } = decided;
        let named = self.state.digests.get(&tag);
        let from = named.map(|named| self.name_of(named));
        let to = Some(self.publish.to_string());
        let (action, from, to, because) = match action {
            Action::Create => (PlannedAction::Create, None, to, because),
            Action::Move if self.is_published() && named.is_some() && named == self.digest => (
                PlannedAction::Same,
                to.clone(),
                to,
                "points to it already".to_owned(),
            ),
            Action::Move if self.is_published() => (
                PlannedAction::Move,
                from,
                to,
                "points to another image".to_owned(),
            ),
            Action::Move => (PlannedAction::Move, from, to, because),
            Action::Keep {
                holder,
                tag: holding,
            } if self.strays(role, named, &holding) => {
                (PlannedAction::Move, from, Some(holder.to_string()), because)
            }
            Action::Keep { .. } => (PlannedAction::Keep, from, None, because),
            Action::Refuse => (PlannedAction::Refuse, from, None, because),
        };
        PlannedMove {
            tag,
            role,
            action,
            from,
            to,
            because,
        }
    }

    /// The tag that keeps the first content of a version reachable.
    fn preserve(&self, original: Original) -> PlannedMove {
        let Original { tag, of } = original;
        let to = self.state.digests.get(&of).map(Digest::short);
        let because = format!("{of} moves for the first time");
        PlannedMove {
            tag,
            role: TagRole::Original,
            action: PlannedAction::Create,
            from: None,
            to,
            because,
        }
    }

    const fn is_published(&self) -> bool {
        matches!(self.content, ContentSource::Published { .. })
    }

    /// Whether a tag that belongs to the version under `holding` points to another image. A tag that does not exist does
    /// not have to; an extra tag goes along only if it points to this version, which is withdrawn.
    fn strays(&self, role: TagRole, named: Option<&Digest>, holding: &Tag) -> bool {
        let (Some(named), Some(expected)) = (named, self.state.digests.get(holding)) else {
            return false;
        };
        named != expected && (role != TagRole::Extra || Some(named) == self.digest)
    }

    /// The version that a digest is published as, as far as its tag was read; else the digest.
    fn name_of(&self, digest: &Digest) -> String {
        let holds = |held: &&TaggedVersion| self.state.digests.get(&held.tag) == Some(digest);
        let held = self.state.all.versions().iter().rev().find(holds);
        held.map_or_else(|| digest.short(), |held| held.version.to_string())
    }
}
