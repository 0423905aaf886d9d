//! The result of a promotion as text.

use super::Out;
use super::text::{bytes, count};
use crate::app::promote::Promotion;
use crate::image::BlobCounts;

/// Shows the result of a promotion as text.
pub fn promotion(out: &Out, promotion: &Promotion) {
    let Promotion {
        dry_run,
        destination,
        digest,
        tags,
        blobs,
        referrers,
        ..
    } = promotion;
    let (would_copy, mount, copied) = if *dry_run {
        ("would copy ", "to mount", "to copy")
    } else {
        ("", "mounted", "copied")
    };
    let put = tags.iter().filter(|decision| decision.is_push());
    let put = put
        .map(|decision| decision.tag.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    let tags_text = if put.is_empty() {
        String::new()
    } else {
        format!(" ({put})")
    };
    out.data(&format!("{would_copy}{destination}@{digest}{tags_text}\n"));
    let BlobCounts {
        present,
        mounted,
        sent,
        bytes: total,
    } = blobs;
    out.message(&format!(
        "{} already present, {mounted} {mount}, {sent} {copied} ({})",
        count(*present, "blob"),
        bytes(*total)
    ));
    if !referrers.is_empty() {
        out.message(&format!(
            "{} {copied} with it",
            count(referrers.len(), "referrer")
        ));
    }
    if promotion.signed {
        out.message("signed for the destination");
    }
    for kept in tags.iter().filter(|decision| !decision.is_push()) {
        out.message(&format!("kept {}: {}", kept.tag, kept.because));
    }
}
