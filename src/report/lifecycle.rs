//! Announcements about the lifecycle of images.

use super::Out;
use super::text::{count, one_line};
use crate::app::lifecycle::Announced;
use crate::app::revoke::{RevocationEdit, RevokedImage};
use crate::oci::lifecycle::{Announcement, LifecycleStatus};

/// Shows the images to revoke or to restore, and the edits of specs.
pub fn revocation(out: &Out, images: &[RevokedImage], edits: &[RevocationEdit]) {
    for edit in edits {
        out.data(&edit.diff);
    }
    for image in images {
        let text = described(&image.announcement);
        out.data(&format!(
            "{}@{}: {text}\n",
            name(&image.reference.to_string()),
            image.digest
        ));
    }
}

/// The reference without its digest, which follows anyway.
fn name(reference: &str) -> &str {
    reference
        .split_once('@')
        .map_or(reference, |(name, _)| name)
}

/// The images that get a status. A descendant of a restored image may remain revoked.
fn with_status(
    images: &[RevokedImage],
    status: LifecycleStatus,
) -> impl Iterator<Item = &RevokedImage> {
    let images = images.iter();
    images.filter(move |image| image.announcement.status == status)
}

/// The question before the announcement.
#[must_use]
pub fn revocation_question(images: &[RevokedImage], status: LifecycleStatus) -> String {
    let verb = match status {
        LifecycleStatus::Active => "restore",
        _ => "revoke",
    };
    format!(
        "{verb} {}",
        count(with_status(images, status).count(), "image")
    )
}

/// The last line of a revocation.
#[must_use]
pub fn revocation_summary(
    images: &[RevokedImage],
    status: LifecycleStatus,
    dry_run: bool,
) -> String {
    let verb = match status {
        LifecycleStatus::Active => "restored",
        _ => "revoked",
    };
    let number = count(with_status(images, status).count(), "image");
    if dry_run {
        return format!("{number} would be {verb}");
    }
    let images = with_status(images, status);
    let known = images.filter(|image| image.added == 0).count();
    match known {
        0 => format!("{number} {verb}"),
        known => format!("{number} {verb}; {known} had this announcement before"),
    }
}

/// Shows the announcements of `golden lifecycle apply`.
pub fn announced(out: &Out, announced: &[Announced], dry_run: bool) {
    let mut number = 0;
    for one in announced.iter().filter(|one| dry_run || one.added > 0) {
        number += 1;
        let text = described(&one.announcement);
        out.data(&format!("{}: {text}\n", one.reference));
    }
    let announcements = count(number, "announcement");
    out.message(&match (number, dry_run) {
        (0, _) => "the registry has every announcement".to_owned(),
        (_, true) => format!("{announcements} would be made or confirmed"),
        (_, false) => format!("{announcements} made"),
    });
}

/// An announcement as text: `revoked from 2026-12-01: CVE-2026-1234 (use 1.2.5)`.
fn described(announcement: &Announcement) -> String {
    let Announcement {
        status,
        reason,
        replacement,
        from,
        inherited_from,
    } = announcement;
    let mut text = match (status, from) {
        (LifecycleStatus::Active, _) => "may be used again".to_owned(),
        (LifecycleStatus::Revoked, None) => "revoked".to_owned(),
        (LifecycleStatus::Revoked, Some(from)) => format!("revoked from {from}"),
        (LifecycleStatus::EndOfLife, from) => {
            format!(
                "end of life on {}",
                from.as_deref().unwrap_or("an unknown day")
            )
        }
    };
    for (before, value, after) in [
        (": ", reason, ""),
        (" (use ", replacement, ")"),
        (" (because of ", inherited_from, ")"),
    ] {
        if let Some(value) = value {
            text.extend([before, value.as_str(), after]);
        }
    }
    one_line(&text).into_owned()
}
