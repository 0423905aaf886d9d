//! Makes the bill of materials of an image.

use super::error::Error;
use super::located::Finder;
use crate::inventory::{BillOfMaterials, FileKind, Gap, Merged};
use crate::reference::Digest;

/// Directories of certificates that were added to the trust store of a distribution.
const CERTIFICATES: [&str; 3] = [
    "usr/local/share/ca-certificates/",
    "etc/pki/ca-trust/source/anchors/",
    "etc/pki/trust/anchors/",
];

/// The bill of materials of an image. Fails if the image or one of its layers cannot be read. A
/// damaged package database is a gap of the inventory.
pub async fn bill(written: &str, finder: &Finder<'_>) -> Result<BillOfMaterials, Error> {
    let image = finder.find(written).await?;
    let files = image.files(finder.settings).await?;
    let config = &image.chosen.config;
    let created = config.as_object().get("created");
    Ok(BillOfMaterials {
        name: image.name,
        digest: image.chosen.raw.digest.clone(),
        config: image.chosen.manifest.config.digest.clone(),
        platform: config.platform(),
        created: created.and_then(|time| time.as_str()).map(str::to_owned),
        inventory: files.inventory(),
        files: listed(&files),
    })
}

/// The files that golden added to the image, and the certificates.
fn listed(files: &Merged) -> Vec<(String, Digest)> {
    let own = files.own_files();
    let certificates = files.files().iter().filter_map(|(path, file)| {
        let is_certificate = CERTIFICATES.iter().any(|above| path.starts_with(above));
        match &file.kind {
            FileKind::File { digest, .. } if is_certificate => Some((path.as_str(), digest)),
            _ => None,
        }
    });
    let mut listed: Vec<(String, Digest)> = own
        .chain(certificates)
        .map(|(path, digest)| (path.to_owned(), digest.clone()))
        .collect();
    listed.sort();
    listed.dedup();
    listed
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
