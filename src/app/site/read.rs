//! Reads the images of a workspace from their registries.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use futures_util::{StreamExt as _, stream};

use super::base::Bases;
use super::content::{ContentReader, Versions};
use super::data::{ImageKey, SiteImage, SiteReport, SiteRepository, SiteVersion};
use super::lineage;
use super::repositories::{ReadRepositories, shown};
use crate::app::audit::Audit;
use crate::app::base_lifecycle::LifecycleReader;
use crate::app::build::examiner;
use crate::app::destinations::Destinations;
use crate::app::graph::{self, Graph};
use crate::app::scan::ScannedImage;
use crate::app::{Error, Session, registries, scan};
use crate::config_files::channel::ChannelSpec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::image::{Blobs, FileReader};
use crate::publish::Receipt;
use crate::reference::{Digest, Repository, RepositoryPath, Tag};
use crate::registry::Registries;
use crate::resolve::ResolvedImage;
use crate::resolve::select;
use crate::tags::{Variant, suffixed};

/// The number of images whose content is read concurrently.
const CONCURRENT: usize = 4;
/// The number of versions of an image whose announcements are read concurrently.
const CONCURRENT_VERSIONS: usize = 8;
/// The number of versions of an image in a registry whose announcements are read.
const MOST_ANNOUNCED: usize = 20;

/// Reads everything that the pages show. `found` are the findings about the specs. An image that
/// cannot be read does not stop the others. Fails if no registry is configured, or if a key or a
/// receipt cannot be read.
pub async fn gather(session: &Session, found: Diagnostics) -> Result<SiteReport, Error> {
    session.require_registry()?;
    let settings = &session.settings;
    let registries = registries::of_session(session)?;
    let receipts = Receipt::all(&session.state)?;
    let repositories = repositories(session)?;
    let cache = settings.user_cache();
    let (scan, bases) = join(
        scan::scan(&registries, repositories, &cache),
        Bases::read(session, &registries),
    )
    .await;
    let fleet = SessionImages {
        session,
        graph: graph::of(session, &bases.moved()),
        places: ReadRepositories::new(&scan, &receipts),
        lifecycle: LifecycleReader::of(Some(&session.workspace), &registries, settings.now)?,
        content: reader(session, &registries).await?,
        parents: select::parents(session.resolved()),
        bases,
    };
    let mut report = SiteReport {
        now: settings.now,
        registries: session.destinations.iter().map(shown_registry).collect(),
        sources: session.sources.clone(),
        ..SiteReport::default()
    };
    let groups = fleet.groups();
    let mut places = BTreeMap::new();
    for (key, members) in &groups {
        places.insert(key.clone(), fleet.places(key, members, &groups)?);
    }
    let keys = fleet.keys(&groups);
    let mut owned = BTreeMap::<ImageKey, Diagnostics>::new();
    for finding in found.iter() {
        match groups
            .iter()
            .find(|(_, group)| fleet.concerns(finding, group))
        {
            Some((key, _)) => owned.entry(key.clone()).or_default().push(finding.clone()),
            None => report.found.push(finding.clone()),
        }
    }
    let selected = groups
        .iter()
        .filter(|(_, members)| fleet.is_selected(members));
    let images = stream::iter(selected).map(|(key, members)| {
        let found = owned.get(key).cloned().unwrap_or_default();
        fleet.image(key, members, &places, &keys, found)
    });
    report.images = images.buffered(CONCURRENT).collect().await;
    lineage::mark_stale(&mut report.images);
    Ok(report)
}

/// A registry with its namespace.
fn shown_registry(destination: &crate::resolve::Destination) -> String {
    match destination.namespace.as_str() {
        "" => destination.host.to_string(),
        namespace => format!("{}/{namespace}", destination.host),
    }
}

/// The repositories of all images of the session.
fn repositories(session: &Session) -> Result<Vec<Repository>, Error> {
    let mut repositories = BTreeSet::new();
    for image in session.resolved() {
        for destination in &session.destinations {
            let repository = destination.repository(&image.name);
            repositories.insert(repository.map_err(Error::invalid)?);
        }
    }
    Ok(repositories.into_iter().collect())
}

async fn reader<'a>(
    session: &'a Session,
    registries: &'a Registries,
) -> Result<ContentReader<'a>, Error> {
    let settings = &session.settings;
    let destinations = Destinations {
        chosen: session.destinations.clone(),
        registries: session.registries.clone(),
    };
    Ok(ContentReader {
        audit: Audit::of(&session.workspace, settings, &destinations, registries).await?,
        reader: FileReader::new(Blobs::new(registries.clone()), settings.user_cache()),
        examiner: examiner(settings, registries),
    })
}

/// The images with a name and a variant, by their positions in the session: the versions of one
/// image, the highest first.
type Groups = BTreeMap<ImageKey, Vec<usize>>;

/// The images of a session, and the sources of facts about them.
struct SessionImages<'a> {
    session: &'a Session,
    graph: Graph,
    places: ReadRepositories<'a>,
    bases: Bases,
    lifecycle: LifecycleReader<'a>,
    content: ContentReader<'a>,
    /// The image of the session that each image is built on.
    parents: Vec<Option<usize>>,
}

impl SessionImages<'_> {
    fn groups(&self) -> Groups {
        let mut groups = Groups::new();
        for (at, image) in self.session.resolved().enumerate() {
            groups.entry(key(image)).or_default().push(at);
        }
        let version = |at: &usize| self.resolved(*at).version.clone();
        for members in groups.values_mut() {
            members.sort_by_key(|at| std::cmp::Reverse(version(at)));
        }
        groups
    }

    fn resolved(&self, at: usize) -> &ResolvedImage {
        &self.session.images[at].image
    }

    fn is_selected(&self, members: &[usize]) -> bool {
        members.iter().any(|at| self.session.images[*at].selected)
    }

    /// The images of the graph that have a page.
    fn keys(&self, groups: &Groups) -> Vec<Option<ImageKey>> {
        let first = self.graph.nodes.len() - self.session.images.len();
        let mut keys = vec![None; self.graph.nodes.len()];
        for (key, members) in groups.iter().filter(|(_, group)| self.is_selected(group)) {
            for at in members {
                keys[first + at] = Some(key.clone());
            }
        }
        keys
    }

    /// True if a finding is about one of the images, or about their spec.
    fn concerns(&self, finding: &Diagnostic, members: &[usize]) -> bool {
        members.iter().any(|at| {
            let image = self.resolved(*at);
            let is_named = |name: &String| *name == image.display();
            match &finding.image {
                Some(name) => is_named(name),
                None => finding
                    .labels
                    .first()
                    .is_some_and(|one| one.file == image.source),
            }
        })
    }

    /// The repositories of an image, in the order of the registries.
    fn places(
        &self,
        key: &ImageKey,
        members: &[usize],
        groups: &Groups,
    ) -> Result<Vec<SiteRepository>, Error> {
        let variants = variants(&key.name, groups);
        let channels = self.resolved(members[0]).channels.iter();
        let channels: BTreeMap<Tag, String> = channels
            .filter_map(|(name, spec)| Some((channel_tag(name, key)?, target(spec))))
            .collect();
        let places = self.session.destinations.iter().map(|destination| {
            let repository = destination.repository(&key.name).map_err(Error::invalid)?;
            Ok(self.places.of(repository, key, &variants, &channels))
        });
        places.collect()
    }

    /// Reads one image.
    async fn image(
        &self,
        key: &ImageKey,
        members: &[usize],
        places: &BTreeMap<ImageKey, Vec<SiteRepository>>,
        keys: &[Option<ImageKey>],
        found: Diagnostics,
    ) -> SiteImage {
        let at = members[0];
        let resolved = self.resolved(at);
        let own = places.get(key).cloned().unwrap_or_default();
        let mut problems: Vec<String> = own
            .iter()
            .flat_map(|place| self.places.problems(&place.repository))
            .collect();
        problems.extend(self.bases.problem(&resolved.base));
        let parent = self.parents[at].map(|at| self::key(self.resolved(at)));
        let parent = parent.as_ref().map(|key| {
            let places = places.get(key);
            (key, places.and_then(|places| with_versions(places)))
        });
        let first = self.graph.nodes.len() - self.session.images.len();
        let mut image = SiteImage {
            key: key.clone(),
            description: resolved.description.clone(),
            source: resolved.source.display().to_string(),
            declared: self.declared(members),
            end_of_life: resolved.lifecycle.end(),
            base: self.bases.of(resolved, self.used_base(&own), parent),
            lineage: lineage::around(&self.graph, first + at, keys),
            found,
            tests: resolved.tests.iter().map(ToString::to_string).collect(),
            places: own,
            content: None,
            problems,
        };
        self.declare_revocations(members, &mut image.places);
        self.read_lifecycle(&mut image).await;
        let base = parent.and_then(|(_, place)| self.built_on(place?, image.base.digest.as_ref()?));
        self.read_content(resolved, base, &mut image).await;
        image
    }

    fn declared(&self, members: &[usize]) -> Vec<String> {
        let versions = members
            .iter()
            .map(|at| self.resolved(*at).version.to_string());
        let mut versions: Vec<String> = versions.collect();
        versions.dedup();
        versions
    }

    /// The digest of the base that the newest version is built on.
    fn used_base(&self, places: &[SiteRepository]) -> Option<Digest> {
        let place = with_versions(places)?;
        let newest = place.versions.first()?;
        let scanned = self.places.image(&place.repository, &newest.digest)?;
        let image = shown(&scanned.described)?;
        image.lineage()?.labelled.digest
    }

    /// The image of a workspace base with this digest, or with an image of this digest.
    fn built_on(&self, place: &SiteRepository, digest: &Digest) -> Option<&ScannedImage> {
        let mut versions = place.versions.iter();
        let version = versions.find(|one| one.digest == *digest || one.manifests.contains(digest));
        self.places.image(&place.repository, &version?.digest)
    }

    /// Adds the revocations in the specs, which the registry may not have yet.
    fn declare_revocations(&self, members: &[usize], places: &mut [SiteRepository]) {
        for one in places.iter_mut().flat_map(|place| &mut place.versions) {
            let Ok(version) = semver::Version::parse(&one.version) else {
                continue;
            };
            let mut specs = members.iter().map(|at| self.resolved(*at));
            one.declared = specs.find_map(|spec| spec.lifecycle.revocation(&version));
        }
    }

    /// Reads the announcements about the newest versions in each registry.
    async fn read_lifecycle(&self, image: &mut SiteImage) {
        let versions = image.places.iter_mut().flat_map(|place| {
            let repository = &place.repository;
            let newest = place.versions.iter_mut().take(MOST_ANNOUNCED);
            newest.map(move |version| (repository, version))
        });
        let reads =
            stream::iter(versions).map(async |(repository, version): (_, &mut SiteVersion)| {
                match self.lifecycle.state(repository, &version.digest).await {
                    Ok(state) => {
                        version.lifecycle = Some(state);
                        None
                    }
                    Err(error) => {
                        let name = &version.version;
                        let text = format!(
                            "the announcements about {repository} {name} cannot be read: {error}"
                        );
                        Some((repository, text))
                    }
                }
            });
        let problems: Vec<Option<(&Repository, String)>> =
            reads.buffered(CONCURRENT_VERSIONS).collect().await;
        // The versions in a registry probably have the same problem.
        let mut known = BTreeSet::new();
        let problems = problems.into_iter().flatten();
        let first = problems.filter(|(repository, _)| known.insert(*repository));
        image.problems.extend(first.map(|(_, problem)| problem));
    }

    /// Reads the content of the newest version.
    async fn read_content(
        &self,
        resolved: &ResolvedImage,
        base: Option<&ScannedImage>,
        image: &mut SiteImage,
    ) {
        let Some(place) = with_versions(&image.places) else {
            return;
        };
        let scanned = |digest: &Digest| self.places.image(&place.repository, digest);
        let newest = &place.versions[0];
        let Some(found) = scanned(&newest.digest) else {
            return;
        };
        let mut older = place.versions[1..].iter();
        let previous = older.find(|one| one.digest != newest.digest);
        let previous = previous.and_then(|one| Some((one.version.as_str(), scanned(&one.digest)?)));
        let versions = Versions {
            newest: (newest.version.as_str(), found),
            previous,
            base,
        };
        let problems = &mut image.problems;
        image.content = self.content.read(resolved, versions, problems).await;
    }
}

fn key(image: &ResolvedImage) -> ImageKey {
    ImageKey {
        name: image.name.clone(),
        variant: image.variant.clone(),
    }
}

fn with_versions(places: &[SiteRepository]) -> Option<&SiteRepository> {
    places.iter().find(|place| !place.versions.is_empty())
}

/// The variants of all images with a name.
fn variants(name: &RepositoryPath, groups: &Groups) -> BTreeSet<Variant> {
    let same = groups.keys().filter(|key| key.name == *name);
    same.filter_map(|key| key.variant.clone()).collect()
}

/// The tag of a channel.
fn channel_tag(name: &Tag, key: &ImageKey) -> Option<Tag> {
    suffixed(name.as_str(), key.variant.as_ref()).parse().ok()
}

/// The target of a channel, as the spec names it.
fn target(spec: &ChannelSpec) -> String {
    match spec {
        ChannelSpec::Version(version) => version.to_string(),
        ChannelSpec::Follow(table) => format!("follows {}", table.follow),
    }
}
