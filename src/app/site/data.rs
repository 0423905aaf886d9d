//! The facts that the pages of `golden report` show.

use std::collections::BTreeMap;

use crate::app::audit::AuditedImage;
use crate::app::graph::Graph;
use crate::checks::TestedPlatform;
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::inventory::{Entries, Gap, LayerOwner, Package, PackageChange, PackageEntry};
use crate::oci::lifecycle::{Announcement, LifecycleState};
use crate::reference::{Digest, Repository, RepositoryPath, Tag};
use crate::tags::Variant;

/// The longest name of a page, without its extension.
const LONGEST_NAME: usize = 180;

/// The images of a workspace, with what is known about them.
#[derive(Debug, Clone, Default)]
pub struct SiteReport {
    /// The time of the report, in seconds since 1970.
    pub now: i64,
    /// The registries that were read.
    pub registries: Vec<String>,
    /// The images, sorted by name and variant.
    pub images: Vec<SiteImage>,
    /// The findings that belong to no image.
    pub found: Diagnostics,
    /// The texts of the files that the findings refer to.
    pub sources: SourceMap,
}

/// An image of the workspace: a name and a variant, in all versions.
#[derive(Debug, Clone)]
pub struct SiteImage {
    /// The name and the variant.
    pub key: ImageKey,
    /// One line about the image.
    pub description: Option<String>,
    /// The path of its spec in the workspace.
    pub source: String,
    /// The versions in the specs.
    pub declared: Vec<String>,
    /// The end of life that the spec declares.
    pub end_of_life: Option<Announcement>,
    /// The base.
    pub base: SiteBase,
    /// The images that it is built on, and those that are built on it.
    pub lineage: SiteLineage,
    /// The findings about its spec.
    pub found: Diagnostics,
    /// The tests in its spec.
    pub tests: Vec<String>,
    /// Its repository in each registry.
    pub places: Vec<SiteRepository>,
    /// The content of the newest version; `None` if no version can be read.
    pub content: Option<SiteContent>,
    /// The facts that cannot be read, one sentence each.
    pub problems: Vec<String>,
}

/// The name and the variant of an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageKey {
    /// The name.
    pub name: RepositoryPath,
    /// The variant.
    pub variant: Option<Variant>,
}

/// The freshness of a base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Freshness {
    /// The image is built on the present base.
    Current,
    /// There is a newer version of the base.
    Newer(String),
    /// The tag of the base points to this digest now.
    Moved(Digest),
    /// The base cannot change: `scratch`, a layout, or a digest without a tag.
    Fixed,
    /// The reason why it is unknown.
    Unknown(String),
}

/// The base of an image.
#[derive(Debug, Clone)]
pub struct SiteBase {
    /// The base as messages name it.
    pub name: String,
    /// The digest that the newest version is built on, or else the one in golden.lock.
    pub digest: Option<Digest>,
    /// Shows if the base is up to date.
    pub freshness: Freshness,
}

/// The relatives of an image.
#[derive(Debug, Clone, Default)]
pub struct SiteLineage {
    /// The images.
    pub graph: Graph,
    /// The position of the image in the graph.
    pub own: usize,
    /// The pages of the images of the graph.
    pub pages: Vec<Option<String>>,
    /// The number of images that are built on it and are not in the graph.
    pub hidden: usize,
}

/// The repository of an image in a registry.
#[derive(Debug, Clone)]
pub struct SiteRepository {
    /// The repository.
    pub repository: Repository,
    /// The versions, the highest first.
    pub versions: Vec<SiteVersion>,
    /// The tags of the image.
    pub tags: Vec<SiteTag>,
    /// True if the repository cannot be read.
    pub is_unread: bool,
}

/// A published version.
#[derive(Debug, Clone)]
pub struct SiteVersion {
    /// The version, or the tag if it is not a version.
    pub version: String,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The digests of the images of its platforms.
    pub manifests: Vec<Digest>,
    /// The platforms.
    pub platforms: Vec<String>,
    /// The size of the compressed layers for one platform, in bytes.
    pub size: u64,
    /// The time of its publication in RFC 3339, or else of its creation.
    pub time: Option<String>,
    /// The announcements about it; `None` if they were not read.
    pub lifecycle: Option<LifecycleState>,
    /// Its revocation in the spec.
    pub declared: Option<Announcement>,
}

/// A tag.
#[derive(Debug, Clone)]
pub struct SiteTag {
    /// The tag.
    pub tag: Tag,
    /// The digest that it points to.
    pub digest: Digest,
    /// The target of the channel, if the tag is a channel.
    pub channel: Option<String>,
}

/// The content of the newest version, for one platform.
#[derive(Debug, Clone)]
pub struct SiteContent {
    /// The reference by tag.
    pub reference: String,
    /// The platform.
    pub platform: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The layers, the lowest first.
    pub layers: Vec<SiteLayer>,
    /// The findings of the policy about the published image.
    pub audited: Option<AuditedImage>,
    /// The packages; `None` if a layer cannot be read.
    pub packages: Option<Vec<Package>>,
    /// The package databases of which a part is missing.
    pub gaps: Vec<Gap>,
    /// The changes since the version before it.
    pub changes: Option<SiteChanges>,
    /// The results of the tests; `None` if there are no tests, or if a layer cannot be read.
    pub results: Option<TestedPlatform>,
}

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct SiteLayer {
    /// The digest of the compressed layer.
    pub digest: Digest,
    /// The compressed size in bytes.
    pub size: u64,
    /// The image that it belongs to.
    pub owner: LayerOwner,
    /// The step that made it, as the history in the config names it.
    pub step: Option<String>,
}

/// The difference between two versions.
#[derive(Debug, Clone)]
pub struct SiteChanges {
    /// The older version.
    pub from: String,
    /// The newer version.
    pub to: String,
    /// The packages that were added, removed or changed.
    pub packages: Entries<PackageEntry, PackageChange>,
    /// The growth of the compressed layers in bytes.
    pub growth: i128,
}

impl ImageKey {
    /// The name of the page of the image, without a directory. A slash and the variant are written
    /// with characters that names cannot contain, so that two images never have the same page.
    #[must_use]
    pub fn page(&self) -> String {
        let mut name = self.name.as_str().replace('/', "~");
        if let Some(variant) = &self.variant {
            name = format!("{name}~~{variant}");
        }
        if name.len() > LONGEST_NAME {
            let digest = Digest::of(name.as_bytes());
            name.truncate(LONGEST_NAME - 20);
            name = format!("{name}~~~{}", &digest.hex()[..16]);
        }
        format!("{name}.html")
    }
}

impl std::fmt::Display for ImageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.variant {
            Some(variant) => write!(f, "{} ({variant})", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl Freshness {
    /// True if the image should be built again on a newer base.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Newer(_) | Self::Moved(_))
    }
}

impl SiteImage {
    /// The repository whose versions the page describes: the first one that has a version.
    #[must_use]
    pub fn first_published(&self) -> Option<&SiteRepository> {
        self.places.iter().find(|place| !place.versions.is_empty())
    }

    /// The newest published version.
    #[must_use]
    pub fn newest(&self) -> Option<&SiteVersion> {
        self.first_published()?.versions.first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(name: &str, variant: Option<&str>) -> String {
        let key = ImageKey {
            name: name.parse().unwrap(),
            variant: variant.map(|variant| variant.parse().unwrap()),
        };
        key.page()
    }

    #[test]
    fn every_image_has_its_own_page() {
        assert_eq!(page("team/app", None), "team~app.html");
        assert_eq!(page("team/app", Some("alpine")), "team~app~~alpine.html");
        assert_eq!(page("team__app", None), "team__app.html");
        let (a, b) = ("a".repeat(240), format!("{}b", "a".repeat(239)));
        let (a, b) = (page(&a, None), page(&b, None));
        assert!(a != b && a.len() < 200 && b.len() < 200, "{a} {b}");
    }
}
