//! Bills of materials. The same image gives the same bytes on every machine.

mod cyclonedx;
mod identity;
mod license;
mod spdx;

use serde_json::Value;

use super::merged::Inventory;
use crate::platform::Platform;
use crate::reference::Digest;

/// The format of a bill of materials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// CycloneDX 1.6.
    CycloneDx,
    /// SPDX 2.3.
    Spdx,
}

/// The content of a bill of materials.
#[derive(Debug, Clone)]
pub struct BillOfMaterials {
    /// The name of the image, without registry and tag.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest of its config.
    pub config: Digest,
    /// The platform.
    pub platform: Platform,
    /// The creation time in the config, in RFC 3339.
    pub created: Option<String>,
    /// The packages.
    pub inventory: Inventory,
    /// The image's own files and certificates, with their digests, by path.
    pub files: Vec<(String, Digest)>,
}

impl BillOfMaterials {
    /// The document in a format.
    #[must_use]
    pub fn document(&self, format: SbomFormat) -> Value {
        match format {
            SbomFormat::CycloneDx => cyclonedx::document(self),
            SbomFormat::Spdx => spdx::document(self),
        }
    }

    /// The parts that the document does not list, one sentence each.
    fn missing(&self) -> Vec<String> {
        let gaps = self.inventory.gaps.iter();
        let gaps = gaps.map(|gap| {
            format!(
                "Packages are missing: {} cannot be read completely, because {}.",
                gap.path, gap.problem
            )
        });
        let languages =
            "Packages of programming languages other than Python and Node.js are not listed.";
        [languages.to_owned()].into_iter().chain(gaps).collect()
    }
}

/// The name and the version of the program that writes the documents.
const TOOL: (&str, &str) = ("golden", env!("CARGO_PKG_VERSION"));
