//! Announcements about the lifecycle of images.

use serde::Serialize;

use super::text::{count, one_line};
use super::{Out, OutputFormat};
use crate::app::lifecycle::Announced;
use crate::app::revoke::{PlannedRevocation, RevocationEdit, RevokedImage};
use crate::oci::lifecycle::{Announcement, LifecycleStatus};

/// The JSON output of `golden revoke`.
#[derive(Serialize)]
struct RevokeDocument<'a> {
    dry_run: bool,
    images: &'a [RevokedImage],
    edits: &'a [RevocationEdit],
}

/// Shows the images to revoke or to restore, and the edits of specs. JSON follows in [`revoked`].
pub fn revocation(out: &Out, format: OutputFormat, planned: &PlannedRevocation) {
    if format == OutputFormat::Json {
        return;
    }
    for edit in &planned.edits {
        out.data(&edit.diff);
    }
    for image in &planned.images {
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
fn with_status(planned: &PlannedRevocation) -> impl Iterator<Item = &RevokedImage> {
    let images = planned.images.iter();
    images.filter(|image| image.announcement.status == planned.status)
}

/// The question before the announcement.
#[must_use]
pub fn revocation_question(planned: &PlannedRevocation) -> String {
    let verb = match planned.status {
        LifecycleStatus::Active => "restore",
        _ => "revoke",
    };
    format!("{verb} {}", count(with_status(planned).count(), "image"))
}

/// Shows the result of a revocation: as text, its last line.
pub fn revoked(out: &Out, format: OutputFormat, planned: &PlannedRevocation, dry_run: bool) {
    if format == OutputFormat::Json {
        out.json(&RevokeDocument {
            dry_run,
            images: &planned.images,
            edits: &planned.edits,
        });
    } else {
        out.message(&summary(planned, dry_run));
    }
}

fn summary(planned: &PlannedRevocation, dry_run: bool) -> String {
    let verb = match planned.status {
        LifecycleStatus::Active => "restored",
        _ => "revoked",
    };
    let number = count(with_status(planned).count(), "image");
    if dry_run {
        return format!("{number} would be {verb}");
    }
    let known = with_status(planned)
        .filter(|image| image.added == 0)
        .count();
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
