//! Updates of the packages of published images, for `outdated --packages` and `update --packages`.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use serde::Serialize;

use super::build::docker_config;
use super::bump::{Bumped, NextVersion, bump_images};
use super::error::Error;
use super::located::manifest_of;
use super::pipeline::proxies::build_args;
use super::registries;
use super::scope::CommandScope;
use super::session::Session;
use super::settings::Settings;
use crate::assemble::{Layer, LayerSource};
use crate::engine::Docker;
use crate::engine::docker::DockerEnv;
use crate::image::{self, Blobs, FileReader};
use crate::inventory::{
    Inventory, LayerOwner, PackageUpdate, managers, parse_updates, update_script,
};
use crate::oci::RawManifest;
use crate::reference::{Reference, Repository, Tag};
use crate::registry::{self, Registries};
use crate::resolve::ResolvedImage;
use crate::tags;
use crate::workspace::lock::LockedPackages;

/// The number of images that are read concurrently.
const CONCURRENT: usize = 2;

/// The paths of a shell.
const SHELLS: [&str; 2] = ["bin/sh", "usr/bin/sh"];

/// The updates of one image.
#[derive(Debug, Serialize)]
pub struct ImageUpdates {
    /// Display name of the image, such as `app:1.2.3`.
    pub image: String,
    /// The published image that was read.
    pub reference: String,
    /// The packages with a newer version, sorted.
    pub updates: Vec<PackageUpdate>,
    /// The key of the image in golden.lock.
    #[serde(skip)]
    pub key: String,
    /// True if a new build of the image installs packages.
    #[serde(skip)]
    pub installs: bool,
}

/// An image whose packages could not be compared.
#[derive(Debug, Serialize)]
pub struct UncheckedImage {
    /// Display name of the image.
    pub image: String,
    /// The reason.
    pub error: String,
}

/// The packages of the images of a workspace.
#[derive(Debug, Serialize)]
pub struct PackageReport {
    /// The published images, in the order of the workspace.
    pub images: Vec<ImageUpdates>,
    /// The images that could not be compared.
    pub unchecked: Vec<UncheckedImage>,
    /// The images that are not published.
    pub unpublished: Vec<String>,
}

/// The result of looking for updates of one image.
enum UpdateCheck {
    Updates(ImageUpdates),
    Unchecked(UncheckedImage),
    Unpublished(String),
}

/// Reads the packages of the published images, and compares them with the indexes of their
/// repositories, which an engine reads in a container of each image. Fails if no registry is
/// configured, or no engine answers.
pub async fn outdated(session: &Session) -> Result<PackageReport, Error> {
    session.require_registry()?;
    let registries = registries::of_session(session)?;
    let docker = connected(&session.settings).await?;
    let checker = PackageChecker {
        session,
        reader: IndexReader::new(&session.settings, &registries, &docker),
    };
    let mut report = PackageReport {
        images: Vec::new(),
        unchecked: Vec::new(),
        unpublished: Vec::new(),
    };
    let images: Vec<&ResolvedImage> = session.resolved().collect();
    let checked = stream::iter(images).map(|image| checker.check(image));
    let checked: Vec<UpdateCheck> = checked.buffered(CONCURRENT).collect().await;
    for one in checked {
        match one {
            UpdateCheck::Updates(updates) => report.images.push(updates),
            UpdateCheck::Unchecked(unchecked) => report.unchecked.push(unchecked),
            UpdateCheck::Unpublished(image) => report.unpublished.push(image),
        }
    }
    Ok(report)
}

/// The security updates of the packages of an image, as the indexes of its repositories mark them now.
/// An engine reads them in a container of the image. Fails if the image is not in a registry, if no
/// engine answers, or if the indexes cannot be read.
pub async fn security_updates(
    written: &str,
    scope: &CommandScope,
) -> Result<Vec<PackageUpdate>, Error> {
    if written.starts_with("oci:") {
        let message =
            format!("`{written}` is not in a registry, from which an engine could pull it");
        return Err(Error::invalid(message).hint("compare published images, or omit --security"));
    }
    let reference = scope.names.reference(written)?;
    let registries = scope.registries([written])?;
    let top = manifest_of(&registries.repo(&reference.repository), &reference).await?;
    let docker = connected(&scope.settings).await?;
    let reader = IndexReader::new(&scope.settings, &registries, &docker);
    let (_, mut updates) = reader
        .updates(&reference.repository, None, top, written)
        .await
        .map_err(|error| {
            Error::failed(format!(
                "the security updates of {written} are unknown: {error}"
            ))
        })?;
    updates.retain(|update| update.security);
    Ok(updates)
}

/// The engine that reads the indexes of packages.
async fn connected(settings: &Settings) -> Result<Docker, Error> {
    let environment = DockerEnv::from_vars(&settings.env);
    let docker = Docker::connect(&environment).await;
    docker.map_err(|error| {
        let hints = error.hints();
        let message = format!("the indexes of packages are read by an engine: {error}");
        Error::Failed { message, hints }
    })
}

/// The versions to record in golden.lock: the newer version of each package of the images that
/// install packages, and those that were recorded before.
#[must_use]
pub fn recorded(
    report: &PackageReport,
    locked: &BTreeMap<String, LockedPackages>,
) -> BTreeMap<String, LockedPackages> {
    let mut locked = locked.clone();
    for image in report.images.iter().filter(|image| to_record(image)) {
        let entry = locked
            .entry(image.key.clone())
            .or_insert_with(|| LockedPackages::new(image.key.clone()));
        for update in &image.updates {
            entry.record(&update.name, &update.to, update.security);
        }
    }
    locked
}

/// Writes the next version of the images whose packages were recorded into their specs.
pub fn bump(
    session: &Session,
    report: &PackageReport,
    next: &NextVersion,
) -> Result<Vec<Bumped>, Error> {
    let recorded = report.images.iter().filter(|image| to_record(image));
    let displays = recorded.map(|image| image.image.as_str()).collect();
    bump_images(session, &displays, next)
}

/// True if the updates of an image are recorded.
fn to_record(image: &ImageUpdates) -> bool {
    image.installs && !image.updates.is_empty()
}

/// Compares the images of a session.
struct PackageChecker<'a> {
    session: &'a Session,
    reader: IndexReader<'a>,
}

impl PackageChecker<'_> {
    async fn check(&self, image: &ResolvedImage) -> UpdateCheck {
        let name = image.display();
        match self.updates(image).await {
            Ok(Some((reference, updates))) => UpdateCheck::Updates(ImageUpdates {
                image: name,
                reference,
                updates,
                key: image.lock_key(),
                installs: image.packages.upgrade || !image.packages.install.is_empty(),
            }),
            Ok(None) => UpdateCheck::Unpublished(name),
            Err(error) => UpdateCheck::Unchecked(UncheckedImage { image: name, error }),
        }
    }

    /// The published image and the updates of its packages; `None` if it is not published.
    async fn updates(
        &self,
        image: &ResolvedImage,
    ) -> Result<Option<(String, Vec<PackageUpdate>)>, String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let Some(destination) = self.session.destinations.first() else {
            return Ok(None);
        };
        let repository = destination.repository(&image.name);
        let repository = repository.map_err(|error| text(&error))?;
        let out = tags::fan_out(&image.version, image.variant.as_ref(), &image.tags);
        let tag = out.map_err(|error| text(&error))?.full().clone();
        let repo = self.reader.registries.repo(&repository);
        let top = repo.manifest(&tag).await.map_err(|error| text(&error))?;
        let Some(top) = top else { return Ok(None) };
        let name = image.display();
        let found = self.reader.updates(&repository, Some(&tag), top, &name);
        found.await.map(Some)
    }
}

/// The connections that read the indexes of the repositories of an image.
struct IndexReader<'a> {
    settings: &'a Settings,
    registries: &'a Registries,
    docker: &'a Docker,
    /// The proxies.
    env: Vec<String>,
}

impl<'a> IndexReader<'a> {
    fn new(settings: &'a Settings, registries: &'a Registries, docker: &'a Docker) -> Self {
        let proxies = build_args(&settings.env, docker_config(settings).as_ref()).into_iter();
        Self {
            settings,
            registries,
            docker,
            env: proxies
                .map(|(name, value)| format!("{name}={value}"))
                .collect(),
        }
    }
}

impl IndexReader<'_> {
    /// The image for the platform of the engine, and the updates of its packages. `top` is the image,
    /// or the index that contains it.
    async fn updates(
        &self,
        repository: &Repository,
        tag: Option<&Tag>,
        top: RawManifest,
        name: &str,
    ) -> Result<(String, Vec<PackageUpdate>), String> {
        let repo = self.registries.repo(repository);
        let chosen = image::choose(&repo, top, self.docker.platform()).await;
        let chosen = chosen.map_err(|error: registry::Error| error.to_string())?;
        let digest = chosen.raw.digest.clone();
        let published = match tag {
            Some(tag) => repository.tag(tag).at(digest),
            None => repository.digest(&digest),
        };
        let inventory = self.inventory(repository, &chosen, name).await?;
        let mut updates = Vec::new();
        for kind in managers(&inventory) {
            let Some(script) = update_script(kind) else {
                continue;
            };
            let output = self.read_indexes(&published, name, &script).await?;
            let Some(found) = parse_updates(kind, &output.stdout, &inventory) else {
                return Err(unread(&output.stderr));
            };
            updates.extend(found);
        }
        Ok((published.to_string(), updates))
    }

    /// The installed packages. Fails if a package database is damaged, or if the image has packages
    /// but no shell.
    async fn inventory(
        &self,
        repository: &Repository,
        chosen: &image::ChosenImage,
        name: &str,
    ) -> Result<Inventory, String> {
        let layers = chosen.manifest.layers.iter().map(|descriptor| {
            let source = LayerSource::Registry(repository.clone());
            let descriptor = descriptor.clone();
            (Layer { descriptor, source }, LayerOwner::Base)
        });
        let layers: Vec<_> = layers.collect();
        let blobs = Blobs::new(self.registries.clone());
        let reader = FileReader::new(blobs, self.settings.user_cache());
        let files = reader.merged(&layers, name, &self.settings.events);
        let files = files.await.map_err(|error| error.to_string())?;
        let inventory = files.inventory();
        let mut gaps = inventory.gaps.iter();
        if let Some(gap) = gaps.find(|gap| gap.is_of_distribution()) {
            return Err(format!(
                "{} cannot be read completely: {}",
                gap.path, gap.problem
            ));
        }
        let needs_shell = managers(&inventory)
            .into_iter()
            .any(|kind| update_script(kind).is_some());
        let has_shell = SHELLS.iter().any(|path| files.files().contains_key(*path));
        if needs_shell && !has_shell {
            return Err(
                "it has no shell, in which an engine could read the indexes; `golden outdated` compares its base"
                    .to_owned(),
            );
        }
        Ok(inventory)
    }

    /// Runs the script in a container of the image. The image is removed from the engine if it was
    /// pulled for this.
    async fn read_indexes(
        &self,
        published: &Reference,
        name: &str,
        script: &str,
    ) -> Result<crate::engine::docker::ScriptOutput, String> {
        let untagged = Reference {
            tag: None,
            ..published.clone()
        };
        let host = &published.repository.host;
        let login = self.registries.credential(host).await;
        let login = login.map_err(|error| error.to_string())?;
        let (platform, events) = (self.docker.platform(), &self.settings.events);
        let pulled =
            self.docker
                .image_of_registry(&untagged, platform, login.as_ref(), name, events);
        let (image, is_new) = pulled.await.map_err(|error| error.to_string())?;
        let output = self.docker.run_script(&image, script, &self.env).await;
        if is_new {
            drop(self.docker.remove(&untagged).await);
        }
        output.map_err(|error| error.to_string())
    }
}

/// The reason why indexes could not be read, from the messages of the package manager.
fn unread(messages: &str) -> String {
    let lines = messages.lines().map(str::trim);
    let is_error = |line: &&str| {
        let line = line.to_ascii_lowercase();
        line.starts_with("e:") || line.contains("error") || line.contains("not found")
    };
    let mut all: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let last = all.pop();
    let cause = all.into_iter().chain(last).find(is_error).or(last);
    format!(
        "its package manager could not read the indexes: {}",
        cause.unwrap_or("it printed no message")
    )
}
