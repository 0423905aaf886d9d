//! Bills of materials. The same image gives the same bytes on every machine.

mod cyclonedx;
mod identity;
mod license;
mod spdx;

use serde_json::Value;

use super::merged::{Inventory, ListedContent};
use crate::oci::ImageConfig;
use crate::platform::Platform;
use crate::reference::Digest;

pub use crate::config_files::SbomFormat;

/// The media type of a document in JSON.
#[must_use]
pub const fn media_type(format: SbomFormat) -> &'static str {
    match format {
        SbomFormat::CycloneDx => "application/vnd.cyclonedx+json",
        SbomFormat::Spdx => "application/spdx+json",
    }
}

/// An image whose bill of materials is made.
#[derive(Debug, Clone, Copy)]
pub struct SbomSubject<'a> {
    /// The name of the image, without registry and tag.
    pub name: &'a str,
    /// The digest of its manifest.
    pub digest: &'a Digest,
    /// The digest of its config.
    pub config_digest: &'a Digest,
    /// The config of the image.
    pub config: &'a ImageConfig,
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
    /// The platform of the described image.
    pub platform: Platform,
    /// The creation time in the config, in RFC 3339.
    pub created: Option<String>,
    /// The packages.
    pub inventory: Inventory,
    /// The image's own files and certificates, with their digests, by path.
    pub files: Vec<(String, Digest)>,
}

impl BillOfMaterials {
    /// Lists the content of an image. A damaged package database is a gap of the inventory.
    #[must_use]
    pub fn of(image: SbomSubject<'_>, content: ListedContent) -> Self {
        let created = image.config.as_object().get("created");
        Self {
            name: image.name.to_owned(),
            digest: image.digest.clone(),
            config: image.config_digest.clone(),
            platform: image.config.platform(),
            created: created.and_then(Value::as_str).map(str::to_owned),
            inventory: content.inventory,
            files: content.files,
        }
    }

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
        let languages = "Packages of programming languages are listed only for Go, Java, .NET, Node.js, Python, and for Rust if `cargo auditable` recorded them.";
        [languages.to_owned()].into_iter().chain(gaps).collect()
    }
}

/// The name and the version of the program that writes the documents.
const TOOL: (&str, &str) = ("golden", env!("CARGO_PKG_VERSION"));
