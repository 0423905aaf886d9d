//! [`ParsedImage`]: an image as its spec describes it, before files, certificates and git are read.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::PathBuf;

use super::family;
use super::image::{
    self, Base, Certificate, Config, EnvValue, Family, FamilySource, FileEntry, FileOwner, Layout,
    Packages, Provenance, ResolvedImage, ResolvedTest, RunStep, SpecLocation, SpecLocations,
    TrustOptions,
};
use super::image_test::ImageTest;
use super::lifecycle::LifecycleRules;
use crate::config_files::base::LayoutSpec;
use crate::config_files::channel::ChannelSpec;
use crate::config_files::values::OptionalVariant;
use crate::platform::Platform;
use crate::reference::{RepositoryPath, Tag};
use crate::tags::{TagRules, Variant};

/// The variant of a workspace base as it is written; `None` if the key is omitted.
pub type WrittenVariant = Option<OptionalVariant>;

/// A base whose layout is not read and whose parent is not found.
pub type ParsedBase = Base<LayoutRequest, WrittenVariant>;

/// An image as its spec describes it.
#[derive(Debug, Clone)]
pub struct ParsedImage {
    /// The repository path below the registry's namespace.
    pub name: RepositoryPath,
    /// The values of its matrix row, by axis; empty if there is no matrix.
    pub row: BTreeMap<String, String>,
    /// The version in the spec.
    pub version: semver::Version,
    /// The suffix of its tags.
    pub variant: Option<Variant>,
    /// One line about the image.
    pub description: Option<String>,
    /// The base, before version requirements are resolved.
    pub base: ParsedBase,
    /// The reference of the base as it is written. None if the base is not from a registry.
    pub base_written: Option<String>,
    /// The family from the spec, or from the table of repository names. None if neither has it.
    pub family: Option<(Family, FamilySource)>,
    /// The platforms to build for; empty means the engine's own.
    pub platforms: Vec<Platform>,
    /// The labels of the spec, and those that golden fills in from it.
    pub labels: BTreeMap<String, String>,
    /// The standard labels that the spec drops with `KEY = false`.
    pub suppressed_labels: BTreeSet<String>,
    /// The environment in the order of the spec, defaults first.
    pub env: Vec<(String, EnvValue)>,
    /// The runtime config of the containers.
    pub config: Config,
    /// The programs with a trust store of their own that also get the certificates.
    pub trust: TrustOptions,
    /// The packages to install and to remove, and their repositories.
    pub packages: Packages<KeyRequest>,
    /// The steps to run, in order.
    pub run: Vec<RunStep>,
    /// The rules for its tags.
    pub tags: TagRules,
    /// The conditions that must hold before a tag moves.
    pub tests: Vec<ParsedTest>,
    /// The end of life, and the revoked versions.
    pub lifecycle: LifecycleRules,
    /// The channels, by their tags without the suffix of the variant.
    pub channels: BTreeMap<Tag, ChannelSpec>,
    /// The location of each extra tag.
    pub extra_locations: Vec<SpecLocation>,
    /// The locations of parts of the spec, for messages.
    pub locations: SpecLocations,
    /// The files that the spec names.
    pub requests: SpecRequests,
}

impl ParsedImage {
    /// The display name: name, version and variant, such as `dotnet/aspnet:3.0.1-alpine`.
    #[must_use]
    pub fn display(&self) -> String {
        image::display(&self.name, &self.version, self.variant.as_ref())
    }

    /// Adds the parent, the files and the provenance. `parent` is `None` unless the base is an image
    /// of the workspace.
    #[must_use]
    pub fn resolve(
        self,
        parent: Option<&ResolvedImage>,
        assets: ImageAssets,
        provenance: Provenance,
    ) -> ResolvedImage {
        let inherited = parent.map(|parent| (parent.family, parent.family_source));
        let (family, family_source) = family::inherited(self.family, inherited);
        let parent_variant = parent.and_then(|parent| parent.variant.clone());
        let Ok(base) = assets.base.map(Ok::<_, Infallible>, |_| parent_variant);
        let template = self.requests.template;
        ResolvedImage {
            name: self.name,
            source: self.requests.source,
            row: self.row,
            version: self.version,
            variant: self.variant,
            description: self.description,
            base,
            family,
            family_source,
            template_written: template.is_some(),
            template: template.unwrap_or_else(|| family.as_str().to_owned()),
            platforms: self.platforms,
            labels: self.labels,
            suppressed_labels: self.suppressed_labels,
            env: self.env,
            config: self.config,
            certificates: assets.certificates,
            trust: self.trust,
            packages: assets.packages,
            files: assets.files,
            run: self.run,
            own_withdrawn: self.tags.withdrawn.clone(),
            tags: self.tags,
            tests: assets.tests,
            lifecycle: self.lifecycle,
            channels: self.channels,
            provenance,
            locations: self.locations,
        }
    }
}

/// A spec that describes no image, because its name, version or base is missing or invalid. The
/// error is already reported; the files that the spec names are still checked.
#[derive(Debug, Clone)]
pub struct IncompleteImage {
    /// The name, if the spec has a valid one.
    pub name: Option<RepositoryPath>,
    /// The base, if the spec has a valid one.
    pub base: Option<ParsedBase>,
    /// The files that the spec names.
    pub requests: SpecRequests,
}

/// A parsed image and its parent.
#[derive(Debug, Clone)]
pub struct OrderedImage {
    /// The image.
    pub parsed: ParsedImage,
    /// The position of its parent, if the base is an image of the workspace.
    pub parent: Option<usize>,
}

/// The images of a workspace.
#[derive(Debug, Clone, Default)]
pub struct ParsedImages {
    /// The images, parents first.
    pub images: Vec<OrderedImage>,
    /// The specs that describe no image.
    pub incomplete: Vec<IncompleteImage>,
}

impl ParsedImages {
    /// The requests of all specs.
    pub fn requests(&self) -> impl Iterator<Item = &SpecRequests> {
        let complete = self.images.iter().map(|image| &image.parsed.requests);
        complete.chain(self.incomplete.iter().map(|image| &image.requests))
    }

    /// The spec of the image `name`, relative to the workspace. `None` if no spec has that name.
    #[must_use]
    pub fn spec_of(&self, name: &RepositoryPath) -> Option<&PathBuf> {
        let complete = self
            .images
            .iter()
            .map(|image| (Some(&image.parsed.name), &image.parsed.requests));
        let incomplete = self
            .incomplete
            .iter()
            .map(|image| (image.name.as_ref(), &image.requests));
        let mut all = complete.chain(incomplete);
        all.find_map(|(own, requests)| (own == Some(name)).then_some(&requests.source))
    }
}

/// The files of the workspace that a spec names, with locations for diagnostics.
#[derive(Debug, Clone)]
pub struct SpecRequests {
    /// The path of the `image.toml`, relative to the workspace, separated by `/`.
    pub source: PathBuf,
    /// The template that the spec names, if it names one.
    pub template: Option<String>,
    /// The `[[files]]` entries, in the order of the spec.
    pub files: Vec<FileRequest>,
    /// The entries of `certs.trust`, in the order of the spec.
    pub trust: Vec<TrustRequest>,
    /// The location of `name`.
    pub location: SpecLocation,
    /// The location of `base`.
    pub base_location: SpecLocation,
}

/// A test of a spec, before the files that it names are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsedTest {
    /// One test.
    One(Box<ImageTest<TrustRequest>>),
    /// The tests of a file of container-structure-test.
    Structure {
        /// The name that the spec gives the tests.
        name: Option<String>,
        /// The file.
        file: TrustRequest,
    },
}

/// The files of an image after they are read.
#[derive(Debug, Clone)]
pub struct ImageAssets {
    /// The base, whose layout is read.
    pub base: Base<Layout, WrittenVariant>,
    /// The files, expanded, in the order of the spec.
    pub files: Vec<FileEntry>,
    /// The certificates to trust, sorted by file and position in the file.
    pub certificates: Vec<Certificate>,
    /// The packages, with the keys of their repositories.
    pub packages: Packages,
    /// The tests, with the certificates that they name.
    pub tests: Vec<ResolvedTest>,
}

/// The key of a repository of packages, which is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRequest {
    /// The directory that `path` is relative to, itself relative to the workspace.
    pub directory: PathBuf,
    /// The path as the spec writes it.
    pub path: String,
    /// The location of the entry, for diagnostics.
    pub location: SpecLocation,
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

/// A file that a spec names: an entry of `certs.trust`, or the file of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustRequest {
    /// The directory that `pattern` is relative to, itself relative to the workspace.
    pub directory: PathBuf,
    /// A path or a glob.
    pub pattern: String,
    /// The location of the entry, for diagnostics.
    pub location: SpecLocation,
}
