//! Runs the tests of images: of the workspace, in a registry, or in a layout.

use std::collections::BTreeSet;

use serde::Serialize;

use super::build::{BuildRequest, examiner, execute, jobs, max_in_progress, need_passed};
use super::error::Error;
use super::located::manifest_of;
use super::names::WorkspaceNames;
use super::pipeline::{Goal, RunOptions, proxies};
use super::prepare::{RunRequest, logins, prepare};
use super::readable::{ReadableImage, of_layout, published};
use super::registries;
use super::session::Session;
use crate::app::pipeline::RunResult;
use crate::checks::TestedPlatform;
use crate::config_files::base::LayoutSpec;
use crate::diagnostic::SourceMap;
use crate::platform::Platform;
use crate::reference::{Reference, Tag};
use crate::resolve::ResolvedImage;
use crate::store::layout::LayoutReader;
use crate::tags::{TagList, fan_out, precedence};

/// The results of the tests of an image.
#[derive(Debug, Serialize)]
pub struct TestedImage {
    /// The image: its display name, its reference, or its layout.
    pub image: String,
    /// The results for each platform.
    pub platforms: Vec<TestedPlatform>,
}

impl TestedImage {
    /// True if a test failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.platforms.iter().any(|platform| platform.failed() > 0)
    }
}

/// The results of the tests of several images.
#[derive(Debug, Default)]
pub struct Tested {
    /// The results for each image.
    pub images: Vec<TestedImage>,
    /// The results of the builds. The failures are images that could not be built.
    pub ended: RunResult,
    /// The texts of the spec files, for messages.
    pub sources: SourceMap,
}

impl Tested {
    /// True if a test failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.images.iter().any(TestedImage::has_failed)
    }

    /// Adds the results of images that exist. Fails if an image cannot be read, or if no image of the
    /// workspace has its name.
    pub async fn add_existing(
        &mut self,
        images: ExistingImages<'_>,
        session: Session,
        names: &WorkspaceNames,
    ) -> Result<(), Error> {
        for written in images.written {
            let tested = existing(written, images, &session, names).await?;
            self.images.push(tested);
        }
        self.sources = session.sources;
        Ok(())
    }
}

/// Builds the selected images and runs their tests. No image is published or written. An image that
/// runs no command is assembled in memory; the others are built by an engine. Fails before any build
/// starts if the request is not possible.
pub async fn workspace(session: Session, request: BuildRequest) -> Result<Tested, Error> {
    let mut prepared = prepare(
        session,
        &RunRequest {
            engine: request.engine,
            goal: Goal::Write,
            force: request.force,
            locked: request.locked,
            lock_new: false,
        },
    )
    .await?;
    need_passed(&prepared, &request)?;
    let settings = &prepared.session.settings;
    let options = RunOptions {
        push: false,
        atomic: false,
        only_push: false,
        only_test: true,
        rebuild: false,
        jobs: jobs(request.jobs),
        max_in_progress: max_in_progress(request.jobs),
        secrets: request.secrets,
        ssh: request.ssh,
        no_cache: request.no_cache,
        cache: Vec::new(),
        load: false,
        keep_built: false,
        proxy_args: proxies::build_args(
            &settings.env,
            super::build::docker_config(settings).as_ref(),
        ),
        logins: logins(&prepared).await?,
    };
    let mut ended = execute(&mut prepared, &options).await;
    let selected = prepared.work.iter().zip(&mut ended.reports);
    let selected = selected.filter(|(work, _)| work.selected);
    let images = selected.map(|(work, report)| TestedImage {
        image: work.recipe.image.display(),
        platforms: std::mem::take(&mut report.tests),
    });
    let images = images.collect();
    Ok(Tested {
        images,
        ended,
        sources: prepared.session.sources,
    })
}

/// The request to test images that exist.
#[derive(Debug, Clone, Copy)]
pub struct ExistingImages<'a> {
    /// References, names of workspace images with a tag, or `oci:DIR[:NAME]`.
    pub written: &'a [String],
    /// The workspace image whose tests are run, if the user names one.
    pub spec: Option<&'a str>,
    /// The platform, if the user names one; all platforms by default.
    pub platform: Option<&'a Platform>,
}

/// An image that exists, with the names by which its spec is found.
struct FoundImage {
    shown: String,
    /// The repository path, or the name in the layout.
    path: Option<String>,
    tag: Option<Tag>,
    images: Vec<ReadableImage>,
}

/// Runs the tests of an image in a registry or in a layout.
async fn existing(
    written: &str,
    request: ExistingImages<'_>,
    session: &Session,
    names: &WorkspaceNames,
) -> Result<TestedImage, Error> {
    let destinations = session.known_destinations();
    let settings = &session.settings;
    let named = names.with_host([written]);
    let registries = registries::open(settings, &destinations, &named)?;
    let mut found = if written.starts_with("oci:") {
        in_layout(written, session).await?
    } else {
        let reference = names.reference(written)?;
        let repo = registries.repo(&reference.repository);
        let raw = manifest_of(&repo, &reference).await?;
        let Reference {
            repository, tag, ..
        } = &reference;
        FoundImage {
            shown: reference.to_string(),
            path: Some(repository.path.to_string()),
            tag: tag.clone(),
            images: ReadableImage::of_assembled(&published(&repo, raw).await?)?,
        }
    };
    if found.images.is_empty() {
        return Err(Error::failed(format!("{} is not an image", found.shown)));
    }
    if let Some(platform) = request.platform {
        found.images.retain(|image| image.platform == *platform);
        if found.images.is_empty() {
            let message = format!("{} has no image for {platform}", found.shown);
            return Err(Error::failed(message));
        }
    }
    let spec = spec_of(&found, request.spec, session)?;
    let examiner = examiner(settings, &registries);
    let tested = examiner.examine_all(&found.shown, &found.images, &spec.tests);
    Ok(TestedImage {
        platforms: tested.await?,
        image: found.shown,
    })
}

async fn in_layout(written: &str, session: &Session) -> Result<FoundImage, Error> {
    let LayoutSpec {
        directory,
        name,
        digest,
    } = written.parse().map_err(Error::invalid)?;
    let layout = LayoutReader::open(&session.settings.cwd.join(&directory))?;
    let (top, names) = layout.find(name.as_deref(), digest.as_ref())?;
    let assembled = of_layout(&layout, &top).await?;
    let name = name.or_else(|| names.into_iter().next());
    let (path, tag) = match name
        .as_deref()
        .map(|name| name.rsplit_once(':').unwrap_or((name, "")))
    {
        Some((path, tag)) => (Some(path.to_owned()), tag.parse().ok()),
        None => (None, None),
    };
    Ok(FoundImage {
        shown: written.to_owned(),
        path,
        tag,
        images: ReadableImage::of_assembled(&assembled)?,
    })
}

/// The label with the name of an image.
const TITLE: &str = "org.opencontainers.image.title";

/// The spec of an image: of the name that the user gives, else of the image's own name.
fn spec_of<'s>(
    found: &FoundImage,
    spec: Option<&str>,
    session: &'s Session,
) -> Result<&'s ResolvedImage, Error> {
    let title = found.images[0].config.label(TITLE);
    let is_named = |image: &&ResolvedImage| {
        let name = image.name.as_str();
        let is_path = |path: &str| path == name || path.ends_with(&format!("/{name}"));
        let is_own = || found.path.as_deref().is_some_and(is_path) || title == Some(name);
        spec.map_or_else(is_own, |spec| name == spec || image.display() == spec)
    };
    let mut named: Vec<&ResolvedImage> = session.resolved().filter(is_named).collect();
    // The path `ns/team/app` ends with the names `app` and `team/app`: the longest one is meant.
    let length = |image: &ResolvedImage| image.name.as_str().len();
    let longest = named.iter().map(|image| length(image)).max();
    named.retain(|image| Some(length(image)) == longest);
    if let Some(image) = best(&named, found.tag.as_ref()) {
        return Ok(image);
    }
    let names: BTreeSet<&str> = session
        .resolved()
        .map(|image| image.name.as_str())
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    Err(match spec {
        Some(spec) => Error::invalid(format!("no image of the workspace has the name `{spec}`"))
            .hint(format!("the images are {}", names.join(", "))),
        None => Error::invalid(format!(
            "no image of the workspace has the name of {}, so its tests are unknown",
            found.shown
        ))
        .hint(format!(
            "name the image whose tests apply with --spec (the images are {})",
            names.join(", ")
        )),
    })
}

/// The image to which the tag belongs, or else the one whose variant the tag has, or else the first.
fn best<'s>(named: &[&'s ResolvedImage], tag: Option<&Tag>) -> Option<&'s ResolvedImage> {
    let owners = named.iter().copied();
    let owners = owners.filter(|image| tag.is_some_and(|tag| owns(image, tag)));
    // Several versions have the tag `latest`, which points to the highest one.
    let owner = owners.max_by(|a, b| precedence(&a.version, &b.version));
    owner.or_else(|| of_variant(named, tag))
}

/// True if a tag is one of the fan-out of an image, or of a revision of its version.
fn owns(image: &ResolvedImage, tag: &Tag) -> bool {
    let variant = image.variant.as_ref();
    let out = fan_out(&image.version, variant, &image.tags);
    let tagged = TagList::new(std::slice::from_ref(tag), variant, &[]);
    let mut versions = tagged.versions().iter();
    out.is_ok_and(|out| out.tags.iter().any(|planned| planned.tag == *tag))
        || versions.any(|held| held.version.cmp_precedence(&image.version).is_eq())
}

/// The image whose variant the tag has, or else the first one.
fn of_variant<'s>(named: &[&'s ResolvedImage], tag: Option<&Tag>) -> Option<&'s ResolvedImage> {
    let score = |image: &ResolvedImage| {
        let (Some(variant), Some(tag)) = (&image.variant, tag) else {
            return usize::from(image.variant.is_none());
        };
        let (variant, tag) = (variant.as_str(), tag.as_str());
        let has_variant = tag == variant || tag.ends_with(&format!("-{variant}"));
        // A longer variant is more specific than a shorter one or none.
        if has_variant { variant.len() + 1 } else { 0 }
    };
    let mut best: Option<&ResolvedImage> = None;
    for image in named {
        if best.is_none_or(|best| score(image) > score(best)) {
            best = Some(image);
        }
    }
    best
}
