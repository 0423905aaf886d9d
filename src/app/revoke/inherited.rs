//! Decides which revocation an image inherits when an image that it is built on is revoked or
//! restored.

use std::collections::BTreeMap;
use std::fmt;

use crate::oci::lifecycle::{Announcement, LifecycleStatus, seconds};
use crate::reference::Reference;

/// The outcome for an image that is built on a revoked or restored image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Inheritance {
    /// It is revoked or restored with the base.
    Inherited(Announcement),
    /// It was not revoked, so it is not restored.
    NotRevoked,
    /// It keeps its own revocation, which takes effect no later.
    KeepsOwn(Announcement),
    /// It keeps its own reason, and is revoked as early as the base.
    OwnEarlier(Announcement),
    /// It keeps the revocation that it inherits from another base.
    KeepsOther(Announcement),
    /// The restored base was not the reason of its revocation.
    OtherReason {
        /// The restored base.
        base: String,
    },
    /// Another image that it is built on is still revoked, and becomes the reason.
    StillRevoked(Announcement),
}

impl Inheritance {
    /// The announcement to make.
    pub(super) const fn announcement(&self) -> Option<&Announcement> {
        match self {
            Self::Inherited(one) | Self::OwnEarlier(one) | Self::StillRevoked(one) => Some(one),
            Self::NotRevoked
            | Self::KeepsOwn(_)
            | Self::KeepsOther(_)
            | Self::OtherReason { .. } => None,
        }
    }

    /// True if the user would expect another outcome.
    pub(super) const fn is_noted(&self) -> bool {
        !matches!(self, Self::Inherited(_) | Self::NotRevoked)
    }
}

/// Writes the end of a sentence about the image, such as `remains revoked because of HOST/base:1`.
impl fmt::Display for Inheritance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = |one: &Announcement| one.reason.clone().unwrap_or_else(unknown_reason);
        let other = |one: &Announcement| one.inherited_from.clone().unwrap_or_default();
        match self {
            Self::Inherited(_) => write!(f, "has the status of its base"),
            Self::NotRevoked => write!(f, "is not revoked"),
            Self::KeepsOwn(own) => write!(f, "keeps its own revocation: {}", reason(own)),
            Self::OwnEarlier(own) => write!(
                f,
                "keeps its own revocation, which takes effect earlier: {}",
                reason(own)
            ),
            Self::KeepsOther(one) => write!(f, "remains revoked because of {}", other(one)),
            Self::OtherReason { base } => {
                write!(f, "remains revoked, because {base} was not the reason")
            }
            Self::StillRevoked(one) => {
                write!(f, "remains revoked, because {} is revoked", other(one))
            }
        }
    }
}

fn unknown_reason() -> String {
    "without a reason".to_owned()
}

/// The outcome if a base is revoked. `current` is the revocation of the image; `new` names the base.
/// `is_other_revoked` is true if the other base that `current` names is still revoked. `now` is in
/// seconds since 1970.
pub(super) fn revoked(
    current: Option<&Announcement>,
    new: &Announcement,
    is_other_revoked: bool,
    now: i64,
) -> Inheritance {
    let start = |one: &Announcement| {
        let from = one.from.as_deref().and_then(seconds);
        from.map_or(now, |from| from.max(now))
    };
    let Some(current) = current else {
        return Inheritance::Inherited(new.clone());
    };
    let is_no_later = start(current) <= start(new);
    match &current.inherited_from {
        None if is_no_later => Inheritance::KeepsOwn(current.clone()),
        // An announcement replaces the earlier one, so its reason would be lost.
        None => Inheritance::OwnEarlier(Announcement {
            from: new.from.clone(),
            ..current.clone()
        }),
        base if *base != new.inherited_from && is_other_revoked && is_no_later => {
            Inheritance::KeepsOther(current.clone())
        }
        Some(_) => Inheritance::Inherited(new.clone()),
    }
}

/// The outcome if a base is restored. `new` names the base. `remaining` is the revocation that the
/// image inherits from another image that it is built on.
pub(super) fn restored(
    current: Option<&Announcement>,
    new: &Announcement,
    remaining: Option<Announcement>,
) -> Inheritance {
    let Some(current) = current else {
        return Inheritance::NotRevoked;
    };
    if current.inherited_from != new.inherited_from {
        let base = new.inherited_from.clone().unwrap_or_default();
        return Inheritance::OtherReason { base };
    }
    match remaining {
        Some(remaining) => Inheritance::StillRevoked(remaining),
        None => Inheritance::Inherited(new.clone()),
    }
}

/// The revocation that images inherit from an image with this one.
pub(super) fn passed_on(revocation: &Announcement, reference: &Reference) -> Announcement {
    let origin = revocation.inherited_from.clone();
    Announcement {
        // The replacement is a version of the base, and not of the image.
        replacement: None,
        inherited_from: Some(origin.unwrap_or_else(|| reference.to_string())),
        ..revocation.clone()
    }
}

/// The images that are built on a base, with their revocations after the command.
#[derive(Debug, Default)]
pub(super) struct RevokedTree {
    images: BTreeMap<Reference, (Option<Reference>, Option<Announcement>)>,
}

impl RevokedTree {
    /// Adds an image after the image that it is built on, its `parent`.
    pub(super) fn add(
        &mut self,
        image: Reference,
        parent: Option<Reference>,
        announcement: Option<Announcement>,
    ) {
        let revocation = announcement.filter(|one| one.status == LifecycleStatus::Revoked);
        self.images.insert(image, (parent, revocation));
    }

    /// The revocation that an image inherits from the nearest revoked image between it and the base.
    pub(super) fn inherited(&self, parent: Option<&Reference>) -> Option<Announcement> {
        let mut next = parent;
        while let Some(reference) = next {
            let (parent, revocation) = self.images.get(reference)?;
            if let Some(revocation) = revocation {
                return Some(passed_on(revocation, reference));
            }
            next = parent.as_ref();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_796_083_200;

    fn revocation(from: Option<&str>, base: Option<&str>) -> Announcement {
        Announcement {
            reason: Some(base.map_or_else(|| "own".to_owned(), |base| format!("of {base}"))),
            from: from.map(str::to_owned),
            inherited_from: base.map(str::to_owned),
            ..Announcement::new(LifecycleStatus::Revoked)
        }
    }

    #[test]
    fn a_revoked_base_replaces_only_a_revocation_that_no_longer_counts_or_starts_later() {
        let late = Some("2999-01-01");
        let new = revocation(None, Some("a"));
        let (own, planned) = (revocation(None, None), revocation(late, None));
        let (other, late_other) = (revocation(None, Some("b")), revocation(late, Some("b")));
        let inherited = Inheritance::Inherited(new.clone());
        for (current, is_other_revoked, expected) in [
            (None, false, inherited.clone()),
            (Some(&own), false, Inheritance::KeepsOwn(own.clone())),
            (Some(&planned), false, Inheritance::OwnEarlier(own.clone())),
            (Some(&other), true, Inheritance::KeepsOther(other.clone())),
            (Some(&other), false, inherited.clone()),
            (Some(&late_other), true, inherited.clone()),
            (Some(&new), true, inherited.clone()),
        ] {
            let outcome = revoked(current, &new, is_other_revoked, NOW);
            assert_eq!(outcome, expected, "{current:?}");
        }
        let planned_base = revocation(late, Some("a"));
        let outcome = revoked(Some(&planned), &planned_base, false, NOW);
        assert_eq!(outcome, Inheritance::KeepsOwn(planned));
    }

    #[test]
    fn a_restored_base_restores_what_no_other_base_revokes() {
        let new = Announcement {
            inherited_from: Some("a".to_owned()),
            ..Announcement::new(LifecycleStatus::Active)
        };
        let (of_a, of_b) = (revocation(None, Some("a")), revocation(None, Some("b")));
        let restored = |current: &Announcement, remaining: Option<&Announcement>| {
            restored(Some(current), &new, remaining.cloned())
        };
        let other = Inheritance::OtherReason {
            base: "a".to_owned(),
        };
        let absent = super::restored(None, &new, Some(of_b.clone()));
        assert_eq!(absent, Inheritance::NotRevoked);
        assert_eq!(restored(&of_b, None), other);
        assert_eq!(restored(&revocation(None, None), None), other);
        let inherited = Inheritance::Inherited(new.clone());
        assert_eq!(restored(&of_a, None), inherited);
        let still = Inheritance::StillRevoked(of_b.clone());
        assert_eq!(restored(&of_a, Some(&of_b)), still);
    }

    #[test]
    fn the_nearest_revoked_image_passes_its_reason_on() {
        let reference = |text: &str| text.parse::<Reference>().unwrap();
        let [java, app, web] = ["h.example/java:1", "h.example/app:1", "h.example/web:1"];
        let mut tree = RevokedTree::default();
        tree.add(reference(java), None, Some(revocation(None, None)));
        let active = Announcement::new(LifecycleStatus::Active);
        tree.add(reference(app), Some(reference(java)), Some(active));
        let of_java = Announcement {
            reason: Some("own".to_owned()),
            ..revocation(None, Some(java))
        };
        assert_eq!(tree.inherited(None), None);
        assert_eq!(
            tree.inherited(Some(&reference(java))),
            Some(of_java.clone())
        );
        assert_eq!(tree.inherited(Some(&reference(app))), Some(of_java));
        let of_base = revocation(None, Some("h.example/base:1"));
        tree.add(reference(web), Some(reference(app)), Some(of_base.clone()));
        assert_eq!(tree.inherited(Some(&reference(web))), Some(of_base));
    }
}
