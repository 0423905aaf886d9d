//! The findings of `golden verify` as text.

use super::Out;
use super::table::TextTable;
use crate::oci::artifact::ArtifactKind;
use crate::reference::Digest;
use crate::verify::{Difference, VerifyFinding};

/// The kind of an artifact; empty for an image or an index of images.
fn artifact(finding: &VerifyFinding) -> String {
    let kind = finding.kind.as_ref().filter(|kind| !kind.is_image());
    kind.map(ArtifactKind::to_string).unwrap_or_default()
}

/// The signer of an image; empty if signatures were not requested.
fn signed(finding: &VerifyFinding) -> String {
    let signer = finding.signed_by.as_ref();
    signer.map_or_else(String::new, |signer| format!("signed by {signer}"))
}

/// Shows the findings of `golden verify`.
pub fn verified(out: &Out, findings: &[VerifyFinding]) {
    let mut table = TextTable::default();
    // A tag has no colon, a digest has one.
    let name = |finding: &VerifyFinding| {
        let mark = if finding.target.contains(':') {
            '@'
        } else {
            ':'
        };
        format!("{}{mark}{}", finding.repository, finding.target)
    };
    for finding in findings {
        let word = match finding.differences.as_slice() {
            [] => "ok",
            [Difference::Missing] => "missing",
            _ => "differs",
        };
        table.row([
            word.to_owned(),
            name(finding),
            finding
                .digest
                .as_ref()
                .map_or_else(String::new, Digest::to_string),
            artifact(finding),
            signed(finding),
        ]);
    }
    for finding in findings {
        let differences = finding.differences.iter();
        // The table says that a tag is missing.
        for difference in differences.filter(|one| !matches!(one, Difference::Missing)) {
            out.error(&format!("{}: {difference}", name(finding)));
        }
    }
    out.data(&table.to_string());
}
