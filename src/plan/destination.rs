//! Plans one image in one registry: the source of its content, and the action for each tag.

use std::collections::BTreeSet;

use semver::Version;
use serde::Serialize;

use super::{PlanStep, Reason, RepositoryState};
use crate::config_files::policy::RequiredArtifact;
use crate::reference::{Digest, Repository, Tag};
use crate::render::Recipe;
use crate::tags::{
    self, Action, Move, MoveReason, OriginalTag, TagError, TagList, TagRole, TaggedVersion,
    VacatedTag, is_revision,
};

/// The planned changes in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedDestination {
    /// The name of the registry.
    pub registry: String,
    /// The repository in this registry.
    pub repository: Repository,
    /// The source of the content.
    #[serde(flatten)]
    pub content: ContentSource,
    /// Every tag of the fan-out, in the order of the push, then the tags that leave withdrawn
    /// versions.
    pub tags: Vec<PlannedMove>,
    /// The artifacts that are attached to content that exists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attach: Vec<RequiredArtifact>,
    /// The image that the most specific existing tag to move points to. It probably has most layers
    /// of a new version.
    #[serde(skip)]
    pub predecessor: Option<Digest>,
}

/// The source of the content of a destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "content", rename_all = "lowercase")]
pub enum ContentSource {
    /// The content is uploaded: the built image, or a copy from another registry.
    Upload,
    /// The content exists under the version tag.
    Published {
        /// The digest of the published image.
        digest: Digest,
    },
    /// The version is withdrawn and not published; only the tags of other versions may move.
    Nothing,
}

/// The planned action for a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedMove {
    /// The tag, with the suffix of the variant.
    pub tag: Tag,
    /// The role of the tag in the fan-out.
    pub role: TagRole,
    /// The action for the tag.
    pub action: PlannedAction,
    /// The current target: a version, or a digest if the version is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The planned target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The reason.
    pub because: MoveReason,
}

/// The kind of action for a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlannedAction {
    /// The tag is created.
    Create,
    /// The tag moves to the image.
    Move,
    /// The tag already points to the image.
    Same,
    /// The tag stays at another image.
    Keep,
    /// The tag must not change.
    Refuse,
}

impl PlannedMove {
    /// True if the tag would be created or moved.
    #[must_use]
    pub const fn is_push(&self) -> bool {
        matches!(self.action, PlannedAction::Create | PlannedAction::Move)
    }
}

impl PlannedMove {
    /// The same tag if the image is refused: the tag does not change.
    fn stopped(self) -> Self {
        let because = MoveReason::ImageRefused;
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
    /// True if nothing would be written.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.content != ContentSource::Upload && self.attach.is_empty() && !self.moves_tags()
    }

    /// True if a tag would be created or moved.
    pub(super) fn moves_tags(&self) -> bool {
        self.tags.iter().any(PlannedMove::is_push)
    }

    /// True if the content is uploaded under a version tag that does not exist yet.
    #[must_use]
    pub fn is_new(&self) -> bool {
        let creates = |planned: &PlannedMove| {
            planned.role == TagRole::Full && planned.action == PlannedAction::Create
        };
        self.content == ContentSource::Upload && self.tags.iter().any(creates)
    }

    /// The planned action for a tag; `None` if the plan does not name the tag.
    #[must_use]
    pub fn of(&self, tag: &Tag) -> Option<&PlannedMove> {
        self.tags.iter().find(|planned| planned.tag == *tag)
    }

    /// The same destination if the image is refused in any registry: nothing changes in all of
    /// them.
    pub(super) fn stopped(self) -> Self {
        let tags = self
            .tags
            .into_iter()
            .filter(|planned| planned.role != TagRole::Original);
        Self {
            tags: tags.map(PlannedMove::stopped).collect(),
            attach: Vec::new(),
            ..self
        }
    }

    pub(super) fn refusals(&self) -> impl Iterator<Item = Reason> + '_ {
        let refused = self
            .tags
            .iter()
            .filter(|planned| planned.action == PlannedAction::Refuse);
        refused
            .filter(|planned| planned.role == TagRole::Full)
            .map(|planned| Reason::of_tag(&self.repository, &planned.tag, &planned.because))
    }
}

/// The tag with the newest content of a version: its highest revision, or the version tag.
#[must_use]
pub fn current<'a>(version: &Version, existing: &'a TagList) -> Option<&'a TaggedVersion> {
    let is_current = |held: &&TaggedVersion| {
        held.version == *version
            || (version.build.is_empty()
                && held.version.cmp_precedence(version).is_eq()
                && is_revision(&held.version.build))
    };
    existing.versions().iter().rfind(is_current)
}

/// Plans one registry. `publish` is the version to publish; if `withdrawn` is true, it is not
/// published. Fails if a tag of the version is not valid.
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
    // A damaged image is compared by its digest after it is built again.
    let may_be_same = here.is_some() || state.is_damaged(publish);
    let published_content = if may_be_same {
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
    let withdrawn_digest = state.digests.get(out.full()).filter(|_| withdrawn);
    let digest = here.map(|published| &published.digest).or(withdrawn_digest);
    let view = RepositoryView {
        publish,
        state,
        digest,
        content: &content,
    };
    let decided = tags::decide(&out, &state.existing, &image.tags, published_content);
    let original = out.original(&state.all).filter(|_| !withdrawn);
    let original = original.map(|original| view.preserve(original));
    let mut tags: Vec<PlannedMove> = original
        .into_iter()
        .chain(decided.into_iter().map(|decided| view.planned(decided)))
        .collect();
    let mut moving = tags.iter().filter(|planned| planned.is_push());
    let predecessor = moving.find_map(|planned| state.digests.get(&planned.tag).cloned());
    let left = tags::vacated(&out, &state.all, &state.existing, &image.tags);
    tags.extend(left.iter().filter_map(|left| view.vacated(left)));
    let attach = match (&content, here) {
        (ContentSource::Published { .. }, Some(published)) => published.lacking.clone(),
        _ => BTreeSet::new(),
    };
    Ok(PlannedDestination {
        registry,
        repository: state.repository.clone(),
        content,
        tags,
        attach: attach.into_iter().collect(),
        predecessor,
    })
}

/// The state of a repository for planning the tags of a version.
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
            Action::Move if self.is_published() && named.is_some() && named == self.digest => {
                (PlannedAction::Same, to.clone(), to, MoveReason::InPlace)
            }
            Action::Move if self.is_published() => {
                (PlannedAction::Move, from, to, MoveReason::Elsewhere)
            }
            Action::Move => (PlannedAction::Move, from, to, because),
            Action::Keep {
                holder,
                tag: holding,
            } if self.points_elsewhere(role, named, &holding) => {
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

    /// Plans the move of a tag of other versions, if it points to a withdrawn one.
    fn vacated(&self, left: &VacatedTag) -> Option<PlannedMove> {
        let digest = |held: &TaggedVersion| self.state.digests.get(&held.tag);
        let named = self.state.digests.get(&left.tag)?;
        let expected = digest(&left.holder)?;
        let withdrawn = left.withdrawn.iter();
        // The holder may be another name of a withdrawn image.
        if withdrawn.clone().any(|held| digest(held) == Some(expected)) {
            return None;
        }
        let held = withdrawn.clone().find(|held| digest(held) == Some(named))?;
        Some(PlannedMove {
            tag: left.tag.clone(),
            role: left.role,
            action: PlannedAction::Move,
            from: Some(held.version.to_string()),
            to: Some(left.holder.version.to_string()),
            because: MoveReason::Withdrawn(held.version.clone()),
        })
    }

    /// Plans the tag that preserves the first content of a version.
    fn preserve(&self, original: OriginalTag) -> PlannedMove {
        let OriginalTag { tag, of } = original;
        let to = self.state.digests.get(&of).map(Digest::short);
        PlannedMove {
            tag,
            role: TagRole::Original,
            action: PlannedAction::Create,
            from: None,
            to,
            because: MoveReason::FirstMove(of),
        }
    }

    const fn is_published(&self) -> bool {
        matches!(self.content, ContentSource::Published { .. })
    }

    /// True if an existing tag that belongs to the version with the tag `holding` points to another
    /// image. An extra tag must also point to our version, which is withdrawn.
    fn points_elsewhere(&self, role: TagRole, named: Option<&Digest>, holding: &Tag) -> bool {
        let (Some(named), Some(expected)) = (named, self.state.digests.get(holding)) else {
            return false;
        };
        named != expected && (role != TagRole::Extra || Some(named) == self.digest)
    }

    /// The version that is published with a digest, or the short digest if no tag that was read has
    /// it.
    fn name_of(&self, digest: &Digest) -> String {
        let holds = |held: &&TaggedVersion| self.state.digests.get(&held.tag) == Some(digest);
        let held = self.state.all.versions().iter().rev().find(holds);
        held.map_or_else(|| digest.short(), |held| held.version.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(tag: &str, role: TagRole, action: PlannedAction) -> PlannedMove {
        PlannedMove {
            tag: tag.parse().unwrap(),
            role,
            action,
            from: None,
            to: Some("1.2.3".to_owned()),
            because: MoveReason::New,
        }
    }

    fn destination(content: ContentSource, tags: Vec<PlannedMove>) -> PlannedDestination {
        PlannedDestination {
            registry: "t".to_owned(),
            repository: "registry.example.com/app".parse().unwrap(),
            content,
            tags,
            attach: vec![RequiredArtifact::Signature],
            predecessor: None,
        }
    }

    #[test]
    fn a_destination_is_new_if_its_version_tag_is_created_with_an_upload() {
        use PlannedAction::{Create, Move, Same};
        let published = ContentSource::Published {
            digest: Digest::of(b"x"),
        };
        for (content, full, latest, expected) in [
            (ContentSource::Upload, Create, Create, true),
            (ContentSource::Upload, Create, Move, true),
            (ContentSource::Upload, Move, Create, false),
            (ContentSource::Upload, Same, Same, false),
            (published, Create, Create, false),
            (ContentSource::Nothing, Create, Move, false),
        ] {
            let tags = vec![
                planned("1.2.3", TagRole::Full, full),
                planned("latest", TagRole::Latest, latest),
            ];
            let destination = destination(content.clone(), tags);
            assert_eq!(
                destination.is_new(),
                expected,
                "{content:?} {full:?} {latest:?}"
            );
        }
    }

    #[test]
    fn the_action_for_a_tag_is_found_by_the_tag() {
        let tags = vec![
            planned("1.2.3", TagRole::Full, PlannedAction::Create),
            planned("latest", TagRole::Latest, PlannedAction::Keep),
        ];
        let destination = destination(ContentSource::Upload, tags);
        let action = |tag: &str| Some(destination.of(&tag.parse().unwrap())?.action);
        assert_eq!(action("1.2.3"), Some(PlannedAction::Create));
        assert_eq!(action("latest"), Some(PlannedAction::Keep));
        assert_eq!(action("1.2"), None);
    }

    #[test]
    fn a_refused_image_changes_nothing() {
        let tags = vec![
            planned("1.2.3", TagRole::Full, PlannedAction::Create),
            planned("1.2", TagRole::Minor, PlannedAction::Move),
            planned("latest", TagRole::Latest, PlannedAction::Same),
            planned("1.2.3_r0", TagRole::Original, PlannedAction::Create),
        ];
        let stopped = destination(ContentSource::Upload, tags).stopped();
        assert_eq!(stopped.attach, []);
        let lines: Vec<String> = stopped
            .tags
            .iter()
            .map(|planned| {
                let to = planned.to.as_deref().unwrap_or("-");
                format!(
                    "{} {:?} {to} {:?}",
                    planned.tag, planned.action, planned.because
                )
            })
            .collect();
        assert_eq!(
            lines,
            [
                "1.2.3 Refuse - ImageRefused",
                "1.2 Keep - ImageRefused",
                "latest Same 1.2.3 New",
            ]
        );
    }
}
