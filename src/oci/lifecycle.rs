//! Announcements of the lifecycle of published images: end of life, revocation, and restoration.
//!
//! An end of life is announced as Microsoft does, so that other scanners read it. A revocation is an
//! artifact with annotations. The same facts in a signed statement count where a key is trusted for
//! the image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::artifact::{empty_config, referring_manifest};
use super::{Descriptor, RawManifest, rfc3339};

/// The artifact type of an announcement with annotations.
pub const ANNOUNCEMENT: &str = "application/vnd.golden.lifecycle.v1+json";
/// The artifact type of the end of life by Microsoft.
pub const END_OF_LIFE: &str = "application/vnd.microsoft.artifact.lifecycle";
/// The annotation with the date of the end of life by Microsoft.
const END_OF_LIFE_DATE: &str = "vnd.microsoft.artifact.lifecycle.end-of-life.date";
const CREATED: &str = "org.opencontainers.image.created";
const PREFIX: &str = "dev.golden.lifecycle.";
/// The seconds of a day.
const DAY: i64 = 86_400;

/// The status that an announcement gives to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifecycleStatus {
    /// The image may be used again.
    Active,
    /// The image must not be used.
    Revoked,
    /// The image gets no more updates from a day on.
    EndOfLife,
}

impl LifecycleStatus {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
            Self::EndOfLife => "end-of-life",
        }
    }
}

/// The content of an announcement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Announcement {
    /// The status.
    pub status: LifecycleStatus,
    /// The reason of a revocation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The version to use instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
    /// The first day on which the status counts, such as 2026-12-01.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The revoked image that this one is built on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inherited_from: Option<String>,
}

/// An announcement that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundAnnouncement {
    /// The time of the announcement, in seconds since 1970.
    pub time: i64,
    /// The content of the announcement.
    pub content: Announcement,
    /// True if a trusted key signed it.
    pub is_signed: bool,
}

/// The state of an image: the newest announcements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LifecycleState {
    /// The revocation, unless a newer announcement restores the image.
    pub revoked: Option<Announcement>,
    /// The end of life.
    pub end_of_life: Option<Announcement>,
}

impl Announcement {
    /// An announcement without further facts.
    #[must_use]
    pub const fn new(status: LifecycleStatus) -> Self {
        Self {
            status,
            reason: None,
            replacement: None,
            from: None,
            inherited_from: None,
        }
    }

    /// A revocation, from a day on if there is one.
    #[must_use]
    pub fn revocation(
        reason: Option<String>,
        replacement: Option<String>,
        from: Option<impl std::fmt::Display>,
    ) -> Self {
        Self {
            reason,
            replacement,
            from: from.map(|day| day.to_string()),
            ..Self::new(LifecycleStatus::Revoked)
        }
    }

    /// True if the status counts at a time, in seconds since 1970. It does if it has no valid day.
    #[must_use]
    pub fn counts(&self, now: i64) -> bool {
        let from = self.from.as_deref().and_then(seconds);
        from.is_none_or(|from| from <= now)
    }

    /// The number of whole days until the status counts; 0 if it counts now.
    #[must_use]
    pub fn days_until(&self, now: i64) -> i64 {
        let from = self.from.as_deref().and_then(seconds).unwrap_or(now);
        ((from - now) + DAY - 1).max(0) / DAY
    }

    /// The predicate of a signed announcement at a time.
    #[must_use]
    pub fn predicate(&self, now: i64) -> Value {
        let mut predicate = json!(self);
        predicate["time"] = rfc3339(now).into();
        predicate
    }

    /// The manifest that attaches the announcement to `subject`, without a signature.
    #[must_use]
    pub fn manifest(&self, subject: &Descriptor, now: i64) -> RawManifest {
        let mut annotations = BTreeMap::from([(CREATED.to_owned(), rfc3339(now))]);
        let artifact_type = if self.status == LifecycleStatus::EndOfLife {
            let date = self.from.clone().unwrap_or_default();
            annotations.insert(END_OF_LIFE_DATE.to_owned(), date);
            END_OF_LIFE
        } else {
            let facts = [
                ("status", Some(self.status.as_str().to_owned())),
                ("reason", self.reason.clone()),
                ("replacement", self.replacement.clone()),
                ("from", self.from.clone()),
                ("inherited-from", self.inherited_from.clone()),
            ];
            for (key, value) in facts {
                annotations.extend(value.map(|value| (format!("{PREFIX}{key}"), value)));
            }
            ANNOUNCEMENT
        };
        referring_manifest(artifact_type, &empty_config(), subject, &annotations)
    }
}

/// The unsigned announcement in the manifest of an artifact.
#[must_use]
pub fn unsigned(raw: &RawManifest) -> Option<FoundAnnouncement> {
    let manifest: Value = serde_json::from_slice(&raw.bytes).ok()?;
    let annotations = manifest["annotations"].as_object()?;
    let text = |key: &str| {
        let text = annotations.get(key).and_then(Value::as_str);
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let own = |key: &str| text(&format!("{PREFIX}{key}"));
    let kind = manifest["artifactType"]
        .as_str()
        .filter(|kind| !kind.is_empty())
        .or(manifest["config"]["mediaType"].as_str())?;
    let content = match kind {
        END_OF_LIFE => Announcement {
            from: Some(text(END_OF_LIFE_DATE)?),
            ..Announcement::new(LifecycleStatus::EndOfLife)
        },
        ANNOUNCEMENT => Announcement {
            status: serde_json::from_value(own("status")?.into()).ok()?,
            reason: own("reason"),
            replacement: own("replacement"),
            from: own("from"),
            inherited_from: own("inherited-from"),
        },
        _ => return None,
    };
    Some(FoundAnnouncement {
        time: text(CREATED).as_deref().and_then(seconds).unwrap_or(0),
        content,
        is_signed: false,
    })
}

/// The state that announcements give. Only signed ones count if `requires_signature` is true; the
/// newest one wins.
#[must_use]
pub fn state(found: &[FoundAnnouncement], requires_signature: bool) -> LifecycleState {
    let newest = |of_end_of_life: bool| {
        let counted = found.iter().filter(|one| {
            let is_end = one.content.status == LifecycleStatus::EndOfLife;
            is_end == of_end_of_life && (one.is_signed || !requires_signature)
        });
        counted.max().map(|one| &one.content)
    };
    LifecycleState {
        revoked: newest(false)
            .filter(|one| one.status == LifecycleStatus::Revoked)
            .cloned(),
        end_of_life: newest(true).cloned(),
    }
}

/// A day, or a time in RFC 3339, in seconds since 1970.
#[must_use]
pub fn seconds(text: &str) -> Option<i64> {
    let time = if text.len() == "2026-12-01".len() {
        OffsetDateTime::parse(&format!("{text}T00:00:00Z"), &Rfc3339)
    } else {
        OffsetDateTime::parse(text, &Rfc3339)
    };
    time.ok().map(OffsetDateTime::unix_timestamp)
}

#[cfg(test)]
mod tests {
    use super::super::media;
    use super::*;

    const NOON: i64 = 1_796_083_200 + 43_200;

    fn announcement(status: LifecycleStatus, from: Option<&str>) -> Announcement {
        Announcement {
            from: from.map(str::to_owned),
            reason: Some("CVE-2026-1234 in openssl".to_owned()),
            replacement: Some("1.2.5".to_owned()),
            ..Announcement::new(status)
        }
    }

    fn subject() -> Descriptor {
        Descriptor::of(media::OCI_MANIFEST, b"image")
    }

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        let revoked = announcement(LifecycleStatus::Revoked, Some("2026-12-01"));
        let raw = revoked.manifest(&subject(), NOON);
        let found = unsigned(&raw).unwrap();
        assert_eq!(
            (&found.content, found.time, found.is_signed),
            (&revoked, NOON, false)
        );
        let end = Announcement {
            from: Some("2027-06-30".to_owned()),
            ..Announcement::new(LifecycleStatus::EndOfLife)
        };
        let raw = end.manifest(&subject(), NOON);
        let text = String::from_utf8(raw.bytes.to_vec()).unwrap();
        assert!(
            text.contains("\"vnd.microsoft.artifact.lifecycle.end-of-life.date\":\"2027-06-30\""),
            "{text}"
        );
        assert_eq!(unsigned(&raw).unwrap().content, end);
        assert_eq!(
            unsigned(&RawManifest::new(media::OCI_MANIFEST, b"{}".to_vec())),
            None
        );
    }

    #[test]
    fn the_newest_announcement_wins_and_a_signature_may_be_required() {
        use LifecycleStatus::{Active, EndOfLife, Revoked};
        let one = |time, status, is_signed| FoundAnnouncement {
            time,
            content: announcement(status, None),
            is_signed,
        };
        for (found, requires_signature, is_revoked) in [
            (vec![one(1, Revoked, false)], false, true),
            (vec![one(1, Revoked, false)], true, false),
            (
                vec![one(2, Active, true), one(1, Revoked, true)],
                true,
                false,
            ),
            (
                vec![one(2, Revoked, true), one(1, Active, true)],
                true,
                true,
            ),
            (
                vec![one(3, Active, false), one(2, Revoked, true)],
                true,
                true,
            ),
            (
                vec![one(9, EndOfLife, true), one(1, Revoked, true)],
                true,
                true,
            ),
            // At the same time, the revocation counts.
            (
                vec![one(1, Revoked, true), one(1, Active, true)],
                true,
                true,
            ),
            (vec![], false, false),
        ] {
            let state = state(&found, requires_signature);
            assert_eq!(state.revoked.is_some(), is_revoked, "{found:?}");
        }
    }

    #[test]
    fn a_status_counts_from_the_start_of_its_day_in_utc() {
        for (from, counts, days) in [
            (None, true, 0),
            (Some("2026-12-01"), true, 0),
            (Some("2026-12-02"), false, 1),
            (Some("2026-11-30"), true, 0),
            (Some("2026-12-01T13:00:00Z"), false, 1),
            (Some("2027-01-01"), false, 31),
            (Some("soon"), true, 0),
        ] {
            let one = announcement(LifecycleStatus::Revoked, from);
            assert_eq!(
                (one.counts(NOON), one.days_until(NOON)),
                (counts, days),
                "{from:?}"
            );
        }
    }
}
