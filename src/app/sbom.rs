//! Makes the bill of materials of an image.

use super::error::Error;
use super::located::Finder;
use crate::inventory::{BillOfMaterials, Gap, SbomSubject};

/// The bill of materials of an image. Fails if the image or one of its layers cannot be read. A
/// damaged package database is a gap of the inventory.
pub async fn bill(written: &str, finder: &Finder<'_>) -> Result<BillOfMaterials, Error> {
    let image = finder.find(written).await?;
    let content = image.listed_content(finder.settings).await?;
    let described = SbomSubject {
        name: &image.name,
        digest: &image.chosen.raw.digest,
        config_digest: &image.chosen.manifest.config.digest,
        config: &image.chosen.config,
    };
    Ok(BillOfMaterials::of(described, content))
}

/// The error for a document that lacks packages; `None` if no database is damaged.
#[must_use]
pub fn incomplete(written: &str, gaps: &[Gap]) -> Option<Error> {
    let gaps: Vec<String> = gaps
        .iter()
        .map(|gap| format!("{}: {}", gap.path, gap.problem))
        .collect();
    (!gaps.is_empty()).then(|| {
        Error::failed(format!(
            "packages of {written} are missing, because a package database cannot be read completely: {}",
            gaps.join("; ")
        ))
        .hint("the output lists the packages that were read, and states that others are missing")
    })
}
