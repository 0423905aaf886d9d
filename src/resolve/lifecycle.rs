//! The lifecycle of an image in its spec: end of life, and revoked versions.

use semver::Version;

use crate::config_files::values::Day;
use crate::oci::lifecycle::{Announcement, LifecycleStatus};
use crate::tags::{Requirement, Withdrawn};

/// The lifecycle in a spec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LifecycleRules {
    /// The day from which no version gets updates.
    pub end_of_life: Option<Day>,
    /// The number of days before the end of life in which golden warns.
    pub warn_before: u32,
    /// The revoked versions.
    pub revoked: Vec<RevokedVersions>,
}

/// Versions that must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedVersions {
    /// The versions that are revoked.
    pub versions: Requirement,
    /// The reason for the revocation.
    pub reason: String,
    /// The version to use instead.
    pub replacement: Option<Version>,
    /// The first day of a planned revocation.
    pub from: Option<Day>,
}

impl LifecycleRules {
    /// True if the spec says nothing about the lifecycle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end_of_life.is_none() && self.revoked.is_empty()
    }

    /// The versions that no moving tag may point to today. `now` is in seconds since 1970.
    pub fn withdrawn(&self, now: i64) -> impl Iterator<Item = Withdrawn> {
        let revoked = self.revoked.iter();
        let effective = revoked.filter(move |one| one.announcement().counts(now));
        effective.map(|one| Withdrawn::Matching(one.versions.clone()))
    }

    /// The revocation of a version, if there is one. The first matching table counts.
    #[must_use]
    pub fn revocation(&self, version: &Version) -> Option<Announcement> {
        let mut revoked = self.revoked.iter();
        let found = revoked.find(|one| one.versions.matches(version));
        found.map(RevokedVersions::announcement)
    }

    /// The announcement of the end of life, if there is one.
    #[must_use]
    pub fn end(&self) -> Option<Announcement> {
        let day = self.end_of_life?;
        Some(Announcement {
            from: Some(day.to_string()),
            ..Announcement::new(LifecycleStatus::EndOfLife)
        })
    }

    /// A sentence about the end of life, from `warn_before` days before it on.
    #[must_use]
    pub fn warning(&self, now: i64) -> Option<String> {
        let end = self.end()?;
        let day = self.end_of_life?;
        match end.days_until(now) {
            _ if end.counts(now) => Some(format!("reached its end of life on {day}")),
            days if days <= i64::from(self.warn_before) => {
                let plural = if days == 1 { "" } else { "s" };
                Some(format!(
                    "reaches its end of life on {day}, in {days} day{plural}"
                ))
            }
            _ => None,
        }
    }
}

impl RevokedVersions {
    fn announcement(&self) -> Announcement {
        let replacement = self.replacement.as_ref().map(ToString::to_string);
        Announcement::revocation(Some(self.reason.clone()), replacement, self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-12-01, noon.
    const NOW: i64 = 1_796_083_200 + 43_200;

    #[test]
    fn a_planned_revocation_withdraws_no_version_before_its_day() {
        let revoked = |versions: &str, from: Option<&str>| RevokedVersions {
            versions: versions.parse().unwrap(),
            reason: "r".to_owned(),
            replacement: None,
            from: from.map(|day| day.parse().unwrap()),
        };
        let rules = LifecycleRules {
            revoked: vec![
                revoked(">=1.2.0, <1.2.5", None),
                revoked("=2.0.0", Some("2026-12-02")),
                revoked("=3.0.0", Some("2026-12-01")),
            ],
            ..LifecycleRules::default()
        };
        let withdrawn: Vec<Withdrawn> = rules.withdrawn(NOW).collect();
        for (version, is_withdrawn, is_revoked) in [
            ("1.2.4", true, true),
            ("1.2.5", false, false),
            ("2.0.0", false, true),
            ("3.0.0", true, true),
        ] {
            let version: Version = version.parse().unwrap();
            assert_eq!(
                crate::tags::is_withdrawn(&version, &withdrawn),
                is_withdrawn,
                "{version}"
            );
            assert_eq!(
                rules.revocation(&version).is_some(),
                is_revoked,
                "{version}"
            );
        }
    }

    #[test]
    fn the_end_of_life_is_announced_ahead() {
        let rules = |day: &str| LifecycleRules {
            end_of_life: Some(day.parse().unwrap()),
            warn_before: 90,
            revoked: Vec::new(),
        };
        for (day, expected) in [
            ("2026-11-30", Some("reached its end of life on 2026-11-30")),
            ("2026-12-01", Some("reached its end of life on 2026-12-01")),
            (
                "2026-12-02",
                Some("reaches its end of life on 2026-12-02, in 1 day"),
            ),
            (
                "2027-01-01",
                Some("reaches its end of life on 2027-01-01, in 31 days"),
            ),
            ("2027-12-01", None),
        ] {
            assert_eq!(rules(day).warning(NOW).as_deref(), expected);
        }
    }
}
