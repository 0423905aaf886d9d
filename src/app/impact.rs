//! Finds the published images that are built on an image, from the registry alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::bills::{self, MatchingPackage, PackageQuery};
use super::error::Error;
use super::located::manifest_of;
use super::names::WorkspaceNames;
use super::past_digests::PastDigests;
use super::scan::{self, Scan, ScanProblem, ScannedImage};
use super::scope::CommandScope;
use crate::image::{CachedConfigs, Described, DescribedImage, Evidence, Lineage};
use crate::reference::{Digest, Host, Reference, Repository, Tag};
use crate::registry::{self, Registries};

/// The number of images whose bills of materials are read concurrently.
const CONCURRENT_BILLS: usize = 12;
/// The largest number of tags of a base that is named without a tag.
const MOST_BASE_TAGS: usize = 1000;

/// The query of `golden impact`.
#[derive(Debug, Default)]
pub struct ImpactQuery {
    /// The base, by reference or by the name of a workspace image. Without a tag and a digest: every
    /// version of it.
    pub base: Option<String>,
    /// The condition on the packages of the images.
    pub package: Option<PackageQuery>,
    /// A file that lists the repositories to read.
    pub repositories: Option<PathBuf>,
}

/// A manifest or an index that images are built on.
#[derive(Debug, Clone, Serialize)]
pub struct ImpactBase {
    /// The repository of the base.
    pub repository: Repository,
    /// The tags that point to it now; empty for an earlier digest.
    pub tags: Vec<Tag>,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The number of images that are built on it.
    pub images: usize,
}

/// An image of one platform that is built on the base.
#[derive(Debug, Clone, Serialize)]
pub struct ImpactPlatform {
    /// The platform in the config.
    pub platform: String,
    /// The digest of its manifest.
    pub digest: Digest,
    /// The digest of the manifest of the base for this platform; absent if no base is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
    /// The reason why golden considers it built on the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// The packages that satisfy the condition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<MatchingPackage>,
}

/// An image that is built on the base, or has the package.
#[derive(Debug, Clone, Serialize)]
pub struct ImpactedImage {
    /// The reference by which the image can be named.
    pub reference: Reference,
    /// The repository that has the image.
    pub repository: Repository,
    /// The digest of the index or of the image.
    pub digest: Digest,
    /// The tags that point to it.
    pub tags: Vec<Tag>,
    /// The digest of the base that it is built on; absent if no base is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Digest>,
    /// The reference of the image between it and the base, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<Reference>,
    /// The number of images between it and the base.
    pub depth: usize,
    /// Its images by platform that are built on the base.
    pub platforms: Vec<ImpactPlatform>,
}

/// The images that are built on a base.
#[derive(Debug, Serialize)]
pub struct Impact {
    /// The base as the user wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The condition on packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The digests of the base.
    pub bases: Vec<ImpactBase>,
    /// The images, each after the image that it is built on.
    pub images: Vec<ImpactedImage>,
    /// The images without a bill of materials, if there is a condition on packages.
    #[serde(rename = "withoutBill", skip_serializing_if = "Vec::is_empty")]
    pub without_bill: Vec<Reference>,
    /// The number of repositories that were read.
    pub repositories: usize,
    /// The number of images that were read.
    pub checked: usize,
    /// The repositories and images that cannot be read.
    pub problems: Vec<ScanProblem>,
}

impl Impact {
    /// True if a whole repository cannot be read, so that the answer may be incomplete.
    pub(super) fn is_incomplete(&self) -> bool {
        self.problems.iter().any(|problem| problem.is_repository)
    }

    /// Fails if a whole repository cannot be read.
    pub fn require_complete(&self) -> Result<(), Error> {
        if !self.is_incomplete() {
            return Ok(());
        }
        let unread = self.problems.iter().filter(|one| one.is_repository);
        Err(Error::failed(format!(
            "the list may be incomplete, because {} of {} repositories cannot be read",
            unread.count(),
            self.repositories
        )))
    }
}

/// Finds the images that are built on a base, or that have a package. Fails if the base does not
/// exist, or if no list of repositories is available.
pub async fn impact(query: &ImpactQuery, scope: &CommandScope) -> Result<Impact, Error> {
    let references = match &query.base {
        Some(base) => scope.names.references(base)?,
        None => Vec::new(),
    };
    let registries = scope.registries(&query.base)?;
    let cache = scope.settings.user_cache();
    // The base is read first, so that a wrong name fails before many requests are sent.
    let mut bases = BaseDigests {
        registries: &registries,
        scope,
        found: Vec::new(),
    };
    for reference in &references {
        bases.read(reference).await?;
    }
    let repositories = repositories(query, &references, &registries, scope).await?;
    let scan = scan::scan(&registries, repositories, &cache).await;
    for reference in &references {
        bases.read_past(reference, &scan).await?;
    }
    let bases = bases.found;
    let mut impact = Impact {
        base: query.base.clone(),
        package: query.package.as_ref().map(ToString::to_string),
        bases: bases.iter().map(|base| base.summary.clone()).collect(),
        images: Vec::new(),
        without_bill: Vec::new(),
        repositories: scan.repositories,
        checked: scan.images.len(),
        problems: scan.problems,
    };
    let mut found = Vec::new();
    for image in &scan.images {
        found.extend(if query.base.is_some() {
            descendant(image, &bases)
        } else {
            Some(Descendant::without_base(image))
        });
    }
    if let Some(package) = &query.package {
        found = with_package(found, package, &registries, &mut impact).await?;
    }
    for base in &mut impact.bases {
        let of_base = found
            .iter()
            .filter(|one| one.image.base.as_ref() == Some(&base.digest));
        base.images = of_base.count();
    }
    impact.images = in_tree_order(&found);
    Ok(impact)
}

/// The repositories to read: those of the file, else those of the catalogs, else those of the
/// workspace.
async fn repositories(
    query: &ImpactQuery,
    references: &[Reference],
    registries: &Registries,
    scope: &CommandScope,
) -> Result<Vec<Repository>, Error> {
    if let Some(file) = &query.repositories {
        return Ok(scan::read_list(&scope.settings, file)?
            .into_iter()
            .collect());
    }
    let chosen = &scope.destinations.chosen;
    let mut hosts: BTreeSet<&Host> = chosen.iter().map(|one| &one.host).collect();
    if hosts.is_empty() {
        hosts = references.iter().map(|one| &one.repository.host).collect();
    }
    if hosts.is_empty() {
        return Err(Error::no_registry());
    }
    let mut repositories = BTreeSet::new();
    for host in hosts {
        if let Some(found) = scan::catalog(registries, host).await? {
            repositories.extend(found);
            continue;
        }
        let names = WorkspaceNames::of_workspace(&scope.settings, &scope.destinations).await?;
        let own = names.repositories().filter(|one| one.host == *host);
        let own: Vec<Repository> = own.collect();
        if own.is_empty() {
            let message = format!("{host} has no list of its repositories");
            return Err(Error::failed(message).hint(
                "list the repositories in a file, one on each line, and use --repositories FILE",
            ));
        }
        let text = format!(
            "{host} has no list of its repositories: only those of the workspace are read; \
             use --repositories FILE to read others instead"
        );
        scope.settings.events.warn(None, text);
        repositories.extend(own);
    }
    Ok(repositories.into_iter().collect())
}

/// A manifest or index of the base, with the lineages of its images.
struct BaseManifest {
    summary: ImpactBase,
    images: Vec<(Digest, Lineage)>,
}

/// Finds the digests of the base.
struct BaseDigests<'a> {
    registries: &'a Registries,
    scope: &'a CommandScope,
    found: Vec<BaseManifest>,
}

impl BaseDigests<'_> {
    /// Reads the base that a reference names now. Fails if it does not exist.
    async fn read(&mut self, reference: &Reference) -> Result<(), Error> {
        let repository = &reference.repository;
        let repo = self.registries.repo(repository);
        if reference.tag.is_some() || reference.digest.is_some() {
            let raw = manifest_of(&repo, reference).await?;
            let tags = match (&reference.digest, &reference.tag) {
                (None, Some(tag)) => vec![tag.clone()],
                _ => Vec::new(),
            };
            return self.add(repository, raw, tags).await;
        }
        let tags: Vec<Tag> = repo.tags().await?;
        let number = tags.iter().filter(|tag| scan::is_image_tag(tag)).count();
        if number > MOST_BASE_TAGS {
            let message = format!("{repository} has {number} tags; the limit is {MOST_BASE_TAGS}");
            return Err(Error::invalid(message).hint(format!(
                "name one of them, such as {repository}:{}",
                tags[0]
            )));
        }
        if number == 0 {
            // This fails with the reason.
            manifest_of(&repo, reference).await?;
        }
        let cache = self.scope.settings.user_cache();
        let scan = scan::scan(self.registries, vec![repository.clone()], &cache).await;
        for image in scan.images {
            self.keep(repository, image.described, image.tags);
        }
        Ok(())
    }

    /// Reads the earlier digests of the base that its repository still has: those in the labels of
    /// its children, in golden.lock with its history, and in the receipts.
    async fn read_past(&mut self, reference: &Reference, scan: &Scan) -> Result<(), Error> {
        if reference.digest.is_some() {
            return Ok(());
        }
        let mut digests = labelled(reference, scan);
        if let Some(workspace) = &self.scope.workspace {
            let past = PastDigests {
                workspace,
                settings: &self.scope.settings,
            };
            digests.extend(past.of(reference).await?);
        }
        let repo = self.registries.repo(&reference.repository);
        for digest in digests {
            let is_known = self.found.iter().any(|base| {
                base.summary.repository == reference.repository
                    && (base.summary.digest == digest
                        || base.images.iter().any(|(image, _)| *image == digest))
            });
            if is_known {
                continue;
            }
            match repo.manifest(&digest).await {
                Ok(Some(raw)) => self.add(&reference.repository, raw, Vec::new()).await?,
                Ok(None) => {}
                Err(error) if error.is_about_content() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn add(
        &mut self,
        repository: &Repository,
        raw: crate::oci::RawManifest,
        tags: Vec<Tag>,
    ) -> Result<(), Error> {
        let repo = self.registries.repo(repository);
        let cache = self.scope.settings.user_cache();
        let source = CachedConfigs {
            repo: &repo,
            cache: &cache,
        };
        let described = Described::load(&source, raw).await?;
        self.keep(repository, described, tags);
        Ok(())
    }

    fn keep(&mut self, repository: &Repository, described: Described, tags: Vec<Tag>) {
        let images = described.images.iter();
        let images = images.filter_map(|image| Some((image.digest.clone(), image.lineage()?)));
        self.found.push(BaseManifest {
            images: images.collect(),
            summary: ImpactBase {
                repository: repository.clone(),
                tags,
                digest: described.raw.digest,
                images: 0,
            },
        });
    }
}

/// The digests that the labels of images name as their base, if that is the base of `reference`.
fn labelled(reference: &Reference, scan: &Scan) -> BTreeSet<Digest> {
    let images = scan.images.iter().flat_map(|image| &image.described.images);
    let labels = images.filter_map(|image| Some(image.lineage()?.labelled));
    labels
        .filter(|label| {
            label.name.as_ref().is_some_and(|name| {
                name.repository == reference.repository
                    && (reference.tag.is_none() || name.tag == reference.tag)
            })
        })
        .filter_map(|label| label.digest)
        .collect()
}

/// An image that is built on the base, with the data for the order of the tree.
struct Descendant<'a> {
    image: ImpactedImage,
    scanned: &'a ScannedImage,
    lineages: Vec<Lineage>,
}

impl<'a> Descendant<'a> {
    fn new(
        scanned: &'a ScannedImage,
        base: Option<Digest>,
        platforms: Vec<ImpactPlatform>,
    ) -> Self {
        let images = scanned.described.images.iter();
        let built =
            |image: &&DescribedImage| platforms.iter().any(|one| one.digest == image.digest);
        Self {
            lineages: images
                .filter(built)
                .filter_map(DescribedImage::lineage)
                .collect(),
            image: ImpactedImage {
                reference: scanned.reference(),
                repository: scanned.repository.clone(),
                digest: scanned.described.raw.digest.clone(),
                tags: scanned.tags.clone(),
                base,
                parent: None,
                depth: 0,
                platforms,
            },
            scanned,
        }
    }

    /// Every image is a candidate if only its packages matter.
    fn without_base(scanned: &'a ScannedImage) -> Self {
        let images = scanned.described.images.iter();
        let platforms = images.map(|image| ImpactPlatform {
            platform: image.platform.to_string(),
            digest: image.digest.clone(),
            base: None,
            evidence: None,
            packages: Vec::new(),
        });
        Self::new(scanned, None, platforms.collect())
    }

    /// True if this image is built on `other`.
    fn is_above(&self, other: &Descendant<'_>) -> bool {
        let top = &other.image.digest;
        let pairs = self.lineages.iter().flat_map(|own| {
            let others = other.lineages.iter().zip(&other.image.platforms);
            others.map(move |(base, platform)| (own, base, &platform.digest))
        });
        let mut pairs = pairs;
        pairs.any(|(own, base, digest)| {
            own.height() > base.height() && own.is_built_on(base, &[top, digest]).is_some()
        })
    }

    fn height(&self) -> (usize, usize) {
        let heights = self.lineages.iter().map(Lineage::height);
        heights.max().unwrap_or_default()
    }
}

/// The image, if one of its platforms is built on one of the bases. The base with the most layers
/// counts; among equals, the one that the label names.
fn descendant<'a>(scanned: &'a ScannedImage, bases: &[BaseManifest]) -> Option<Descendant<'a>> {
    let is_base = bases.iter().any(|base| {
        base.summary.digest == scanned.described.raw.digest
            || base.images.iter().any(|(_, base)| {
                let images = scanned.described.images.iter();
                images
                    .clone()
                    .any(|image| image.manifest.config.digest == base.config)
            })
    });
    if is_base {
        return None;
    }
    let mut top: Option<((usize, usize), &Digest)> = None;
    let mut platforms = Vec::new();
    for image in &scanned.described.images {
        let Some(own) = image.lineage() else { continue };
        let candidates = bases.iter().flat_map(|base| {
            let own = &own;
            base.images.iter().filter_map(move |(digest, lineage)| {
                let digests = [&base.summary.digest, digest];
                let evidence = own.is_built_on(lineage, &digests)?;
                let named = usize::from(evidence == Evidence::Label);
                let is_tagged = !base.summary.tags.is_empty();
                Some((
                    (lineage.layers.len(), named, is_tagged),
                    base,
                    digest,
                    evidence,
                ))
            })
        });
        let best = candidates.max_by_key(|(rank, ..)| *rank);
        let Some(((layers, named, _), base, digest, evidence)) = best else {
            continue;
        };
        if top.is_none_or(|(rank, _)| (layers, named) > rank) {
            top = Some(((layers, named), &base.summary.digest));
        }
        platforms.push(ImpactPlatform {
            platform: image.platform.to_string(),
            digest: image.digest.clone(),
            base: Some(digest.clone()),
            evidence: Some(evidence),
            packages: Vec::new(),
        });
    }
    let (_, top) = top?;
    Some(Descendant::new(scanned, Some(top.clone()), platforms))
}

/// The images that have a package. Images without a bill of materials are listed in `impact`.
async fn with_package<'a>(
    found: Vec<Descendant<'a>>,
    package: &PackageQuery,
    registries: &Registries,
    impact: &mut Impact,
) -> Result<Vec<Descendant<'a>>, Error> {
    let read = stream::iter(found).map(|one| async move {
        let repo = registries.repo(&one.scanned.repository);
        let top = &one.scanned.described.raw;
        let mut has_bill = false;
        let mut platforms = Vec::new();
        for platform in &one.image.platforms {
            if let Some(packages) = bills::packages_of(&repo, top, &platform.digest).await? {
                has_bill = true;
                let packages = package.select(&packages);
                if !packages.is_empty() {
                    let platform = platform.clone();
                    platforms.push(ImpactPlatform {
                        packages,
                        ..platform
                    });
                }
            }
        }
        Ok::<_, registry::Error>((one, has_bill, platforms))
    });
    let read: Vec<_> = read.buffered(CONCURRENT_BILLS).try_collect().await?;
    let mut selected = Vec::new();
    for (one, has_bill, platforms) in read {
        if !has_bill {
            impact.without_bill.push(one.image.reference);
        } else if !platforms.is_empty() {
            selected.push(Descendant::new(one.scanned, one.image.base, platforms));
        }
    }
    Ok(selected)
}

/// Sorts the images so that each one follows the image that it is built on, and sets the parents.
fn in_tree_order(found: &[Descendant<'_>]) -> Vec<ImpactedImage> {
    let parents: Vec<Option<usize>> = found
        .iter()
        .enumerate()
        .map(|(n, one)| {
            let others = found.iter().enumerate();
            let below = others
                .filter(|(m, other)| *m != n && one.image.base.is_some() && one.is_above(other));
            let nearest = below.max_by_key(|(_, other)| {
                // Copies of an image have the same height.
                let label = one
                    .lineages
                    .first()
                    .and_then(|own| own.labelled.name.as_ref());
                let is_named = label.is_some_and(|name| name.repository == other.image.repository);
                (other.height(), is_named)
            });
            nearest.map(|(m, _)| m)
        })
        .collect();
    let mut children: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    for (n, parent) in parents.iter().enumerate().rev() {
        children.entry(*parent).or_default().push(n);
    }
    let mut sorted = Vec::with_capacity(found.len());
    let mut open: Vec<(usize, usize)> = Vec::new();
    let below = |parent: Option<usize>, depth: usize| {
        let children = children.get(&parent).into_iter().flatten();
        children.map(move |n| (*n, depth)).collect::<Vec<_>>()
    };
    open.extend(below(None, 0));
    while let Some((n, depth)) = open.pop() {
        let mut image = found[n].image.clone();
        image.depth = depth;
        image.parent = parents[n].map(|parent| found[parent].image.reference.clone());
        sorted.push(image);
        open.extend(below(Some(n), depth + 1));
    }
    sorted
}
