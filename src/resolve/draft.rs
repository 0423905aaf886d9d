//! A [`Draft`]: an image whose files and certificates are named, but not yet read.

use std::ops::Range;
use std::path::PathBuf;

use super::image::{Family, FamilySource, FileOwner, ResolvedImage};
use crate::spec::base::LayoutSpec;

/// An image that still lacks what only the disk and git know.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The image, without files, certificates, provenance and a base of a layout.
    pub image: ResolvedImage,
    /// Whether it lacks its name, version or base, so that only what it names elsewhere can be checked.
    pub broken: bool,
    /// The family, of the spec or of the table of repository names; none when neither has it, or the parent has it.
    pub family: Option<(Family, FamilySource)>,
    /// The template, when one was written.
    pub template: Option<String>,
    /// The variant of a workspace base: whether one was written, and which.
    pub base_variant: Option<crate::spec::image::OptionalVariant>,
    /// Its base, when that is an image of a layout; until then it stands on scratch.
    pub layout: Option<LayoutRequest>,
    /// The files that it wants.
    pub files: Vec<FileRequest>,
    /// The certificates that it wants.
    pub trust: Vec<TrustRequest>,
    /// Where its name is written.
    pub place: SpecLocation,
    /// Where its base is written.
    pub base_place: SpecLocation,
    /// The reference of its base as it is written; none for other bases than those of registries.
    pub base_written: Option<String>,
    /// Where its packages are written.
    pub packages_place: SpecLocation,
    /// Where its steps are written, one for each.
    pub run_places: Vec<SpecLocation>,
    /// Where its extra tags are written, one for each.
    pub extra_places: Vec<SpecLocation>,
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecLocation {
    /// The file, relative to the workspace.
    pub file: PathBuf,
    /// The bytes.
    pub span: Range<usize>,
}

/// A base that is an image of an OCI layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutRequest {
    /// The folder that its path is relative to, relative to the workspace.
    pub folder: PathBuf,
    /// What is wanted.
    pub layout: LayoutSpec,
}

/// A `[[files]]` entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// What is wanted.
    pub what: FileContent,
    /// Where it goes: absolute, normalised.
    pub target: String,
    /// Whether it goes into the target instead of being it.
    pub into: bool,
    /// The permission bits, when written.
    pub mode: Option<u32>,
    /// The owner.
    pub owner: FileOwner,
    /// Where it is written.
    pub place: SpecLocation,
}

/// What a `[[files]]` entry places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileContent {
    /// A file, folder or glob.
    Source {
        /// The folder that it is relative to, relative to the workspace.
        folder: PathBuf,
        /// The path or glob.
        pattern: String,
    },
    /// This text.
    Content(String),
    /// An empty folder: the target itself.
    Folder,
}

/// An entry of `certs.trust`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRequest {
    /// The folder that it is relative to, relative to the workspace.
    pub folder: PathBuf,
    /// A path or a glob.
    pub pattern: String,
    /// Where it is written.
    pub place: SpecLocation,
}
