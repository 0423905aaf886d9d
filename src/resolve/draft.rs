//! A [`Draft`]: an image whose files and certificates are named, but not yet read.

use std::path::PathBuf;

use super::image::{Family, FamilySource, FileOwner, ResolvedImage, SpecLocation};
use crate::config_files::base::LayoutSpec;

/// An image before files, certificates and git are read. [`ResolvedImage`] is the result.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The image. Its files, certificates, provenance and layout base are not filled in yet.
    pub image: ResolvedImage,
    /// True if name, version or base is missing. The other keys of such an image are still checked.
    pub broken: bool,
    /// The family from the spec, or from the table of repository names. None if neither has it, or
    /// if the image inherits it from its parent.
    pub family: Option<(Family, FamilySource)>,
    /// The template that the spec names, if it names one.
    pub template: Option<String>,
    /// The `variant` of a workspace base; the outer option is None if the key is omitted.
    pub base_variant: Option<crate::config_files::values::OptionalVariant>,
    /// The base, if it is an image of an OCI layout. Until the layout is read, `image.base` is
    /// `scratch`.
    pub layout: Option<LayoutRequest>,
    /// The `[[files]]` entries, in the order of the spec.
    pub files: Vec<FileRequest>,
    /// The entries of `certs.trust`, in the order of the spec.
    pub trust: Vec<TrustRequest>,
    /// The location of `name`, for diagnostics.
    pub location: SpecLocation,
    /// The location of `base`, for diagnostics.
    pub base_location: SpecLocation,
    /// The reference of the base as it is written. None if the base is not from a registry.
    pub base_written: Option<String>,
    /// The location of `[packages]`, for diagnostics.
    pub packages_location: SpecLocation,
    /// The location of each extra tag.
    pub extra_locations: Vec<SpecLocation>,
}

/// A request for a base from an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutRequest {
    /// The directory that contains the spec, relative to the workspace. The layout's path is
    /// relative to it.
    pub directory: PathBuf,
    /// The layout and the image in it, as the spec names them.
    pub layout: LayoutSpec,
}

/// A `[[files]]` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// The content to place.
    pub content: FileContent,
    /// The target path in the image: absolute and normalised.
    pub target: String,
    /// True if the target is a directory that receives the source; false if the source becomes the
    /// target.
    pub into: bool,
    /// The permission bits, if the spec sets them.
    pub mode: Option<u32>,
    /// The owner; root by default.
    pub owner: FileOwner,
    /// The location of the entry, for diagnostics.
    pub location: SpecLocation,
}

/// The content that a `[[files]]` entry places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A file, a directory or a glob.
    Source {
        /// The directory that `pattern` is relative to, itself relative to the workspace.
        directory: PathBuf,
        /// A path or a glob.
        pattern: String,
    },
    /// The text of a regular file.
    Content(String),
    /// An empty directory: the target itself.
    Directory,
}

/// An entry of `certs.trust`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRequest {
    /// The directory that `pattern` is relative to, itself relative to the workspace.
    pub directory: PathBuf,
    /// A path or a glob.
    pub pattern: String,
    /// The location of the entry, for diagnostics.
    pub location: SpecLocation,
}
