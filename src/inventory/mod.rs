//! The packages and files of an image, read from its layers: bills of materials, and the
//! difference between two images.
//!
//! [`LayerFiles`] reads a layer. [`ImageFiles`] puts the layers on top of each other, and lists the
//! packages of the databases that are visible at the top.

mod apk;
mod bill_reader;
mod byte_order;
mod cargo;
mod certificates;
mod diff;
mod dotnet;
mod dpkg;
mod executable;
mod go;
mod java;
mod layer;
mod merged;
mod node;
mod owners;
mod package;
mod package_list;
mod python;
mod reading;
mod release;
mod rpm;
mod sbom;
mod semantic;
mod spdx_packages;
#[cfg(test)]
pub(crate) mod tests;
mod updates;
mod version;
mod version_order;
mod zip;

pub use bill_reader::{ListedPackage, listed_packages};
pub use diff::{
    BaseChange, BaseLabels, ComparedProperties, ConfigDifference, Entries, FileChange,
    FileDescription, ImageContent, ImageDifference, NamedChange, NamedValue, PackageChange,
    PackageEntry, SizeChange,
};
pub use layer::{HashedFiles, LayerFile, LayerFileKind, LayerFiles};
pub use merged::{Gap, ImageFiles, Inventory, LayerContent, LayerOwner, ListedContent};
pub use owners::layer_owners;
pub use package::{Package, PackageKind, SourcePackage};
pub use release::Release;
pub use sbom::{BillOfMaterials, SbomFormat, SbomSubject, media_type as sbom_media_type};
pub use updates::{PackageUpdate, managers, parse as parse_updates, script as update_script};
pub use version_order::compare_versions;
