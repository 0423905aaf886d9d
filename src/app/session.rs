//! The start of most commands: finds and reads the workspace, checks it, and selects images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::destinations::Destinations;
use super::error::Error;
use super::settings::Settings;
use super::withdrawn::withdrawn;
use super::work::SessionImage;
use super::{changed, destinations, findings, provenance};
use crate::config_files::WorkspaceSpec;
use crate::config_files::source_keys::SourceKeys;
use crate::diagnostic::{Class, Diagnostics, SourceMap};
use crate::engine::Embedded;
use crate::policy::{self, SpecFacts};
use crate::registry::Registries;
use crate::resolve::image::Base;
use crate::resolve::parsed::{ImageAssets, IncompleteImage, OrderedImage};
use crate::resolve::{Destination, ParsedImage, ParsedImages, ResolvedImage, select};
use crate::signing::Signing;
use crate::workspace::load::{self, Loaded};
use crate::workspace::state::StateDirectory;
use crate::workspace::{Workspace, assets::Assets, lock::Lock};

/// A valid workspace and the selected images.
#[derive(Debug)]
pub struct Session {
    /// The settings of the command.
    pub settings: Settings,
    /// golden.toml and golden.lock.
    pub workspace: Workspace,
    /// The state that golden keeps in `.golden`.
    pub state: StateDirectory,
    /// The selected images and the workspace images that they are built on, parents first.
    pub images: Vec<SessionImage>,
    /// The destinations by --registry, --all-registries, `GOLDEN_REGISTRY` or golden.toml; empty if
    /// there are none.
    pub destinations: Vec<Destination>,
    /// All `[[registry]]` tables of golden.toml.
    pub registries: Vec<Destination>,
    /// The templates of the workspace, by name. They take precedence over the built-in ones.
    pub templates: BTreeMap<String, String>,
    /// The texts of the spec files, for messages.
    pub sources: SourceMap,
    /// The signing key, once a command that publishes has read it.
    pub signing: Option<Signing>,
}

/// A session and its findings, which are not shown yet.
#[derive(Debug)]
pub struct CheckedSession {
    /// The session; `None` if a spec is invalid.
    pub session: Option<Session>,
    /// The findings about specs and policy, sorted.
    pub found: Diagnostics,
    /// The texts of the files that the findings refer to.
    pub sources: SourceMap,
}

impl Session {
    /// Fails if no registry is selected or configured.
    pub fn require_registry(&self) -> Result<(), Error> {
        if self.destinations.is_empty() {
            return Err(Error::no_registry());
        }
        Ok(())
    }

    /// The selected registries, and all `[[registry]]` tables.
    #[must_use]
    pub fn known_destinations(&self) -> Destinations {
        Destinations {
            chosen: self.destinations.clone(),
            registries: self.registries.clone(),
        }
    }

    /// The images in the order of the session.
    pub fn resolved(&self) -> impl Iterator<Item = &ResolvedImage> + Clone {
        self.images.iter().map(|one| &one.image)
    }

    /// The embedded engine, with the caches of the workspace and of the user.
    pub(crate) fn embedded(&self, registries: Registries) -> Embedded {
        let engine = Embedded::new(registries, self.state.path("cache"));
        engine.with_indexes(self.state.user_cache().clone())
    }
}

/// golden.toml and the findings about it, which are not shown yet.
#[derive(Debug)]
pub struct CheckedWorkspace {
    root: PathBuf,
    spec: WorkspaceSpec,
    /// The findings about golden.toml.
    pub found: Diagnostics,
    /// The text of golden.toml.
    pub sources: SourceMap,
}

impl CheckedWorkspace {
    /// Reads the workspace without its images, for commands that need only golden.toml. `None` if
    /// there is no workspace.
    pub async fn read(settings: &Settings) -> Result<Option<Self>, Error> {
        let mut loaded = match load::spec(&settings.load_inputs()?).await {
            Ok(loaded) => loaded,
            Err(crate::workspace::discover::Error::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        loaded
            .sources
            .set_prefix(prefix(&settings.cwd, &loaded.root));
        Ok(Some(Self {
            root: loaded.root,
            spec: loaded.spec,
            found: loaded.found,
            sources: loaded.sources,
        }))
    }

    /// The workspace with its golden.lock. Fails if golden.lock is invalid, or has two digests of one
    /// reference.
    pub fn workspace(self) -> Result<Workspace, Error> {
        let lock = Lock::read(&self.root)?;
        lock.require_one_digest()?;
        Ok(Workspace {
            root: self.root,
            spec: self.spec,
            lock,
        })
    }
}

/// The path from the current directory to the workspace, so that the user can open the paths in
/// messages.
pub(super) fn prefix(from: &Path, root: &Path) -> PathBuf {
    match (root.strip_prefix(from), from.strip_prefix(root)) {
        (Ok(below), _) => below.to_owned(),
        (_, Ok(above)) => above.components().map(|_| "..").collect(),
        _ => root.to_owned(),
    }
}

/// Fails if `--set` names a variable that `[vars]` does not define.
fn known_variables(loaded: &Loaded, set: &[(String, String)]) -> Result<(), Error> {
    let names: Vec<&str> = loaded.spec.vars.keys().map(String::as_str).collect();
    let mut assigned = set.iter().map(|(name, _)| name.as_str());
    let Some(unknown) = assigned.find(|name| !names.contains(name)) else {
        return Ok(());
    };
    let hint = match crate::suggest::closest(unknown, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => format!(
            "add it to {}: [vars] {unknown} = \"…\"",
            loaded.file.display()
        ),
        None => format!(
            "[vars] of {} has: {}",
            loaded.file.display(),
            names.join(", ")
        ),
    };
    Err(Error::invalid(format!("unknown variable `{unknown}`")).hint(hint))
}

/// Opens the workspace and returns the findings instead of showing them. Fails if there is no
/// workspace, if the selection matches no image, or if golden.lock has two digests of one reference.
pub async fn check(settings: Settings) -> Result<CheckedSession, Error> {
    let checked = check_with_any_lock(settings).await?;
    if let Some(session) = &checked.session {
        session.workspace.lock.require_one_digest()?;
    }
    Ok(checked)
}

/// As [`check`], but golden.lock may have two digests of one reference: for `golden update`, which
/// repairs the file, and for earlier commits.
pub async fn check_with_any_lock(settings: Settings) -> Result<CheckedSession, Error> {
    let mut loaded = load::load(&settings.load_inputs()?).await?;
    loaded
        .sources
        .set_prefix(prefix(&settings.cwd, &loaded.root));
    if !loaded.found.has_errors() {
        known_variables(&loaded, &settings.set)?;
    }
    let templates = load::templates(&mut loaded);
    findings::check_templates(&templates, &mut loaded);
    let mut found = std::mem::take(&mut loaded.found);
    let selection = match select(&loaded, &settings).await {
        // An error in the files may be the reason why an image does not exist.
        Err(_) if found.has_errors() => None,
        Err(failure) => return Err(failure),
        Ok(selection) => Some(selection),
    };
    let named = |n: &usize| selection.as_ref().is_some_and(|it| it.named.contains(n));
    let needed = |n: &usize| selection.as_ref().is_none_or(|it| it.all.contains(n));
    let ParsedImages { images, incomplete } = loaded.images;
    let all_parsed = images.iter().map(|image| &image.parsed);
    let mut withdrawn = withdrawn(all_parsed, settings.now);
    let images: BTreeMap<usize, OrderedImage> = images
        .into_iter()
        .enumerate()
        .filter(|(n, _)| needed(n))
        .collect();
    let (assets, texts) = read_assets(&loaded.root, &images, &incomplete, &mut found);
    for (file, text) in texts {
        loaded.sources.insert(file, text);
    }
    let Some(assets) = assets else {
        return Ok(CheckedSession {
            session: None,
            found: found.sorted(),
            sources: loaded.sources,
        });
    };
    let parsed: Vec<&ParsedImage> = images.values().map(|image| &image.parsed).collect();
    let provenance = provenance::trace(&settings, &loaded.root, &parsed).await?;
    let state = StateDirectory::of(&loaded.root).with_user_cache(settings.user_cache());
    let lock = Lock::read(&loaded.root)?;
    let destinations = destinations::chosen(&settings, &loaded.root, &loaded.spec)?;
    let registries = destinations::registries(&loaded.root, &loaded.spec);
    findings::impossible(&parsed, &[&registries, &destinations], &mut found);
    findings::shared(&parsed, &destinations, &mut found);
    findings::shadowed(&parsed, &destinations, &mut found);
    let mut resolved: BTreeMap<usize, SessionImage> = BTreeMap::new();
    for (((n, image), assets), provenance) in images.into_iter().zip(assets).zip(provenance) {
        let parent = image.parent.and_then(|parent| resolved.get(&parent));
        let parent = parent.map(|parent| &parent.image);
        let mut session_image = SessionImage {
            written_base: image.parsed.base_written.clone(),
            image: image.parsed.resolve(parent, assets, provenance),
            selected: named(&n),
        };
        let image = &mut session_image.image;
        image.tags.withdrawn = std::mem::take(&mut withdrawn[n]);
        if let Some(locked) = lock.packages.get(&image.lock_key()) {
            image.packages.locked.clone_from(&locked.versions);
        }
        resolved.insert(n, session_image);
    }
    let images: Vec<SessionImage> = resolved.into_values().collect();
    let is_locked = |base: &Base| lock.get(base).is_some();
    let places = SourceKeys::new(&loaded.sources);
    let facts = SpecFacts {
        places: &places,
        now: settings.now,
        is_locked: &is_locked,
    };
    let specs = images.iter().map(|one| &one.image);
    found.extend(policy::check_specs(&loaded.spec.policy, specs, &facts));
    let workspace = Workspace {
        root: loaded.root,
        spec: loaded.spec,
        lock,
    };
    let session = Session {
        settings,
        workspace,
        state,
        images,
        destinations,
        registries,
        templates,
        sources: loaded.sources.clone(),
        signing: None,
    };
    Ok(CheckedSession {
        session: Some(session),
        found: found.sorted(),
        sources: loaded.sources,
    })
}

/// Reads the files of the images, and checks those of incomplete specs. `None` if a spec has an
/// error. The texts are those of files in which a diagnostic can be.
fn read_assets(
    root: &Path,
    images: &BTreeMap<usize, OrderedImage>,
    incomplete: &[IncompleteImage],
    found: &mut Diagnostics,
) -> (Option<Vec<ImageAssets>>, BTreeMap<PathBuf, String>) {
    let mut assets = Assets::new(root);
    let read: Vec<_> = images
        .values()
        .map(|image| assets.read(&image.parsed, found))
        .collect();
    for image in incomplete {
        assets.check(image, found);
    }
    let read = match found.worst() {
        Some(Class::Spec) => None,
        _ => read.into_iter().collect(),
    };
    (read, assets.into_texts())
}

/// The positions of the selected images.
struct SelectedImages {
    /// The selected images.
    named: BTreeSet<usize>,
    /// The selected images and their base images.
    all: BTreeSet<usize>,
}

async fn select(loaded: &Loaded, settings: &Settings) -> Result<SelectedImages, Error> {
    let images = &loaded.images.images;
    let mut selected = select::named(images, &settings.selection.images)?;
    if let Some(since) = &settings.selection.changed {
        let touched = changed::since(loaded, since, &settings.environment()).await?;
        selected.retain(|n| touched.contains(n));
    }
    if settings.selection.with_dependants {
        select::add_dependants(&mut selected, images);
    }
    let mut all = selected.clone();
    select::add_ancestors(&mut all, images);
    Ok(SelectedImages {
        named: selected,
        all,
    })
}
