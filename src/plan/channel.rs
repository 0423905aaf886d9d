//! Decides about channels: moving tags whose target the spec names.

use semver::Version;
use serde::Serialize;

use crate::config_files::channel::{ChannelSpec, FollowTable};
use crate::oci::lifecycle::Announcement;
use crate::oci::rfc3339;
use crate::reference::{Repository, Tag};
use crate::tags::{self, Withdrawn};

/// The state of a channel in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", content = "because", rename_all = "lowercase")]
pub enum ChannelState {
    /// The tag points to the target.
    Current,
    /// The tag will move with the next publication.
    Behind,
    /// The tag has moved.
    Moved,
    /// The tag will move later: the version is too new, or lacks an artifact.
    Waiting(String),
    /// golden refuses to move the tag.
    Refused(String),
}

/// The facts about the target of a channel that is behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelTarget {
    /// The version, if it is known.
    pub version: Option<Version>,
    /// The time of the first publication, in seconds since 1970.
    pub published: Option<i64>,
    /// The revocations that the spec and the registry declare.
    pub revoked: Vec<Announcement>,
    /// The ends of life that the spec and the registry declare.
    pub end_of_life: Vec<Announcement>,
    /// The reason why no signature is accepted, as the end of a sentence about the target. `None`
    /// if one is accepted, or if no key is trusted for the repository.
    pub unsigned: Option<String>,
    /// A text for each artifact that the channel requires and the target lacks, such as `is not
    /// signed`.
    pub lacking: Vec<String>,
}

/// The planned action for a channel in one registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedChannel {
    /// The repository.
    pub repository: Repository,
    /// The tag of the channel.
    pub channel: Tag,
    /// The target as the spec names it: a version, or a tag.
    pub target: String,
    /// The planned action.
    pub action: ChannelAction,
    /// The version that the channel points to, or a short digest if the version is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The version of the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The reason to wait or to refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// The kind of action for a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelAction {
    /// The tag is created.
    Create,
    /// The tag moves to the target.
    Move,
    /// The tag already points to the target.
    Same,
    /// The tag moves with a later publication.
    Wait,
    /// The tag must not move to the target.
    Refuse,
}

impl ChannelAction {
    /// The action for a state, and its reason. `exists` is true if the registry has the tag.
    #[must_use]
    pub fn of(state: ChannelState, exists: bool) -> (Self, Option<String>) {
        match state {
            ChannelState::Current => (Self::Same, None),
            ChannelState::Behind | ChannelState::Moved if exists => (Self::Move, None),
            ChannelState::Behind | ChannelState::Moved => (Self::Create, None),
            ChannelState::Waiting(because) => (Self::Wait, Some(because)),
            ChannelState::Refused(because) => (Self::Refuse, Some(because)),
        }
    }

    /// The name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Move => "move",
            Self::Same => "same",
            Self::Wait => "wait",
            Self::Refuse => "refuse",
        }
    }
}

/// The state of a channel that does not point to its target. `withdrawn` are the withdrawn versions
/// of the image, and `now` is in seconds since 1970.
#[must_use]
pub fn channel_state(
    spec: &ChannelSpec,
    target: &ChannelTarget,
    withdrawn: &[Withdrawn],
    now: i64,
) -> ChannelState {
    // A status that counts now comes before a planned one.
    if let Some(one) = target.revoked.iter().find(|one| one.counts(now)) {
        let reason = one.reason.as_deref().unwrap_or_default();
        return ChannelState::Refused(format!("it is revoked: {reason}"));
    }
    let version = target.version.as_ref();
    if version.is_some_and(|version| tags::is_withdrawn(version, withdrawn)) {
        return ChannelState::Refused("it is withdrawn".to_owned());
    }
    if let Some(one) = target.end_of_life.iter().find(|one| one.counts(now)) {
        let day = one.from.as_deref().unwrap_or_default();
        return ChannelState::Refused(format!("it reached its end of life on {day}"));
    }
    if let Some(unsigned) = &target.unsigned {
        return ChannelState::Refused(format!("it {unsigned}"));
    }
    if let ChannelSpec::Follow(FollowTable {
        after: Some(after), ..
    }) = spec
    {
        let published = target.published.unwrap_or(now);
        if now - published < after.0 {
            let ready = rfc3339(published + after.0);
            return ChannelState::Waiting(format!("it is too new until {ready}"));
        }
    }
    match target.lacking.first() {
        Some(lacking) => ChannelState::Waiting(format!("it {lacking}")),
        None => ChannelState::Behind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_files::values::Age;
    use crate::oci::lifecycle::LifecycleStatus;

    const NOW: i64 = 1_000_000;

    fn spec(after: Option<i64>) -> ChannelSpec {
        ChannelSpec::Follow(FollowTable {
            follow: "latest".parse().unwrap(),
            after: after.map(Age),
            require: Vec::new(),
        })
    }

    fn announced(status: LifecycleStatus, from: &str) -> Announcement {
        Announcement {
            from: Some(from.to_owned()),
            reason: Some("bad".to_owned()),
            ..Announcement::new(status)
        }
    }

    #[test]
    fn a_channel_is_refused_before_it_waits() {
        let revoked = announced(LifecycleStatus::Revoked, "1970-01-01");
        let planned = announced(LifecycleStatus::Revoked, "2030-01-01");
        let ended = announced(LifecycleStatus::EndOfLife, "1970-01-02");
        let mut target = ChannelTarget {
            version: Some(Version::new(1, 2, 3)),
            published: Some(NOW - 10),
            revoked: vec![planned, revoked],
            end_of_life: vec![ended],
            unsigned: Some("is not signed".to_owned()),
            lacking: vec!["has no bill of materials".to_owned()],
        };
        let withdrawn = [Withdrawn::from(Version::new(1, 2, 3))];
        let state = |target: &ChannelTarget, withdrawn: &[Withdrawn]| {
            channel_state(&spec(Some(20)), target, withdrawn, NOW)
        };
        let refused = |reason: &str| ChannelState::Refused(reason.to_owned());
        let waiting = |reason: &str| ChannelState::Waiting(reason.to_owned());
        assert_eq!(state(&target, &withdrawn), refused("it is revoked: bad"));
        target.revoked.pop();
        assert_eq!(state(&target, &withdrawn), refused("it is withdrawn"));
        let ended = refused("it reached its end of life on 1970-01-02");
        assert_eq!(state(&target, &[]), ended);
        target.end_of_life.clear();
        assert_eq!(state(&target, &[]), refused("it is not signed"));
        target.unsigned = None;
        let new = waiting("it is too new until 1970-01-12T13:46:50Z");
        assert_eq!(state(&target, &[]), new);
        target.published = Some(NOW - 20);
        assert_eq!(state(&target, &[]), waiting("it has no bill of materials"));
        target.lacking.clear();
        assert_eq!(state(&target, &[]), ChannelState::Behind);
    }

    #[test]
    fn an_unknown_age_is_new() {
        let target = ChannelTarget::default();
        let state = channel_state(&spec(Some(1)), &target, &[], NOW);
        assert!(matches!(state, ChannelState::Waiting(_)), "{state:?}");
        assert_eq!(
            channel_state(&spec(Some(0)), &target, &[], NOW),
            ChannelState::Behind
        );
    }
}
