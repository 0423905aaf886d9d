//! The result of `golden sign` as text.

use super::table::TextTable;
use crate::app::sign::SignedImage;

/// One row for each signed manifest.
#[must_use]
pub fn signed(images: &[SignedImage]) -> String {
    let mut table = TextTable::default();
    for image in images {
        for manifest in &image.manifests {
            let repository = &image.reference.repository;
            let done = if manifest.added.is_empty() {
                "already signed".to_owned()
            } else {
                let formats: Vec<String> = manifest.added.iter().map(ToString::to_string).collect();
                format!("signed ({})", formats.join(", "))
            };
            table.row([format!("{repository}@{}", manifest.digest), done]);
        }
    }
    table.to_string()
}
