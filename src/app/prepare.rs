//! The preparation of `plan`, `build` and `push`: opens the workspace, reads the registries and the
//! engines, and makes all decisions.

use std::collections::BTreeMap;

use super::base_lifecycle;
use super::base_signatures::{self, CheckedBase, Programs};
use super::build_facts;
use super::error::{Error, NothingReady};
use super::pipeline::{EngineChoice, Engines, Goal, choose};
use super::readiness;
use super::registries;
use super::session::Session;
use super::signatures;
use super::survey::survey;
use super::trust;
use super::unready::UnreadyImage;
use super::work::{Planned, Work};
use crate::assemble::Output;
use crate::engine::docker::DockerEnv;
use crate::engine::embedded::Embedded;
use crate::engine::fleet::{Fleet, FleetEngine};
use crate::engine::{BuildKit, EngineKind, EngineTrust};
use crate::observe;
use crate::plan::PlanOptions;
use crate::reference::Host;
use crate::registry::{Credential, Registries};
use crate::resolve::ResolvedImage;
use crate::resolve::image::Base;
use crate::workspace::Workspace;
use crate::workspace::lock::{FILE, LockedBase, key};
use crate::workspace::state::StateDirectory;

/// The request of a command.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The engine that `--engine` selects.
    pub engine: Option<EngineKind>,
    /// The use of the images: publish, write or keep locally.
    pub goal: Goal,
    /// True if `--force` is given.
    pub force: bool,
    /// True if `--locked` is given.
    pub locked: bool,
    /// True if external bases without an entry are added to golden.lock.
    pub lock_new: bool,
}

/// A workspace with all decisions made, before any build starts.
#[derive(Debug)]
pub struct Prepared {
    /// The workspace and the selected images.
    pub session: Session,
    /// The registries of the run.
    pub registries: Registries,
    /// The engines of the run.
    pub engines: Engines,
    /// `.golden`.
    pub state: StateDirectory,
    /// The images, parents first.
    pub work: Vec<Work>,
    /// Images that are not built because their base is unavailable.
    pub unready: Vec<UnreadyImage>,
    /// The bases that were added to golden.lock.
    pub newly_locked: Vec<LockedBase>,
}

impl Prepared {
    /// Writes the added bases to golden.lock, and reports them.
    pub fn write_lock(&self) -> Result<(), Error> {
        if self.newly_locked.is_empty() {
            return Ok(());
        }
        self.session
            .workspace
            .lock
            .write(&self.session.workspace.root)?;
        for base in &self.newly_locked {
            let text = format!(
                "locked {} at {} in {FILE}; commit this file",
                base.reference, base.digest
            );
            self.session.settings.events.note(None, text);
        }
        Ok(())
    }
}

/// Makes all decisions about the images of a session. It writes only to the cache. Fails before any
/// build starts, for example if there is no registry to publish to, or an engine cannot build an
/// image.
pub async fn prepare(mut session: Session, request: &RunRequest) -> Result<Prepared, Error> {
    if request.goal == Goal::Publish && session.destinations.is_empty() {
        return Err(Error::invalid("there is no registry to publish to").hint(
            "add a [[registry]] to golden.toml, use --registry HOST[:PORT][/NAMESPACE], or set GOLDEN_REGISTRY",
        ).hint("`golden serve` starts a registry on this machine"));
    }
    if request.goal == Goal::Publish {
        let (root, table) = (&session.workspace.root, &session.workspace.spec.signing);
        session.signing = signatures::of_workspace(&session.settings, root, table).await?;
    }
    let registries = registries::of_session(&session)?;
    let state = session.state.clone();
    let table = &session.workspace.spec.workspace;
    let output = Output {
        compression: table.compression,
        format: table.format,
    };
    let embedded = session.embedded(registries.clone()).with_output(output);
    let environment = DockerEnv::from_vars(&session.settings.env);
    let trusted = trust::engines(&session.settings)?;
    let fleet = fleet(&session, &environment, &embedded, &state, &trusted)?;
    let engines =
        Engines::new(environment, embedded, state.path("cache/engines")).with_fleet(fleet);
    require_locked(&session, request.locked)?;
    let newly_locked = if request.lock_new {
        lock_new(&mut session, &engines).await
    } else {
        Vec::new()
    };
    let destinations = if request.goal == Goal::Publish {
        session.destinations.clone()
    } else {
        Vec::new()
    };
    let options = PlanOptions {
        destinations,
        force: request.force,
    };
    let (planned, unready) = survey_ready(&mut session, &registries, &engines, &options).await?;
    let bases = planned
        .iter()
        .filter_map(|planned| CheckedBase::of(&planned.recipe.base));
    let programs = Programs::Run;
    let signers = base_signatures::require(&session, &registries, bases.clone(), programs).await?;
    let newly_locked = with_signers(&mut session, newly_locked, &signers);
    base_lifecycle::require(&session, &registries, bases).await?;
    base_lifecycle::warn_of_own(&session);
    let requested = requested_engine(&session, request.engine);
    let bases = build_facts::external_bases(planned.iter().map(|planned| &planned.recipe));
    let mut work = Vec::with_capacity(planned.len());
    for planned in planned {
        let image = &planned.recipe.image;
        let engine = choose_engine(requested, request.goal, image, &engines).await?;
        let mut one = Work::new(planned, engine, &session.destinations)?;
        if request.goal == Goal::Publish {
            one.facts = build_facts::of(&session, &one.recipe, &one.planned.publish, &bases)?;
        }
        work.push(one);
    }
    Ok(Prepared {
        session,
        registries,
        engines,
        state,
        work,
        unready,
        newly_locked,
    })
}

/// Surveys and plans. If bases are unavailable, their images and the images built on them are
/// removed from the session, and the rest is planned. Fails if no image is left, or for any other
/// error.
pub async fn survey_ready(
    session: &mut Session,
    registries: &Registries,
    engines: &Engines,
    options: &PlanOptions,
) -> Result<(Vec<Planned>, Vec<UnreadyImage>), Error> {
    let error = match survey(session, registries, engines, options).await {
        Ok(surveyed) => return Ok((surveyed, Vec::new())),
        Err(error) => error,
    };
    let unready = readiness::take_out(session, engines).await;
    if unready.is_empty() {
        return Err(error);
    }
    if session.images.is_empty() {
        return Err(Error::NothingReady(Box::new(NothingReady {
            error,
            unready,
            sources: session.sources.clone(),
        })));
    }
    Ok((
        survey(session, registries, engines, options).await?,
        unready,
    ))
}

/// Adds missing external bases to the session's copy of golden.lock. An unavailable base is omitted
/// here; the survey reads it again and reports the error, or finds it in an engine.
async fn lock_new(session: &mut Session, engines: &Engines) -> Vec<LockedBase> {
    let lock = &session.workspace.lock;
    let is_new = |base: &&Base| key(base).is_some_and(|key| !lock.bases.contains_key(&key));
    let bases: BTreeMap<Option<String>, Base> = session
        .resolved()
        .map(|image| &image.base)
        .filter(is_new)
        .map(|base| (key(base), base.clone()))
        .collect();
    let bases: Vec<Base> = bases.into_values().collect();
    let mut added = Vec::new();
    for (_, found) in observe::upstream(&bases, &engines.embedded).await {
        if let Ok(base) = found {
            added.push(session.workspace.lock.add(base).clone());
        }
    }
    added
}

/// Adds the names of the signers to the bases that were added to golden.lock.
fn with_signers(
    session: &mut Session,
    mut added: Vec<LockedBase>,
    signers: &BTreeMap<String, String>,
) -> Vec<LockedBase> {
    for base in &mut added {
        base.signed_by = signers.get(&base.reference.to_string()).cloned();
        if let Some(locked) = session.workspace.lock.bases.get_mut(&base.base) {
            locked.signed_by.clone_from(&base.signed_by);
        }
    }
    added
}

/// Fails if `--locked` is given and an external base is not in golden.lock.
pub fn require_locked(session: &Session, locked: bool) -> Result<(), Error> {
    if !locked {
        return Ok(());
    }
    let pinned = |image: &&ResolvedImage| match &image.base {
        Base::Reference(reference) if reference.digest.is_some() => true,
        base => key(base).is_none_or(|key| session.workspace.lock.bases.contains_key(&key)),
    };
    match session.resolved().find(|image| !pinned(image)) {
        None => Ok(()),
        Some(image) => {
            let base = key(&image.base).unwrap_or_default();
            let message = format!(
                "golden.lock has no digest for {base}, the base of {}, and --locked refuses to change it",
                image.display()
            );
            Err(Error::failed(message).hint("run `golden update` and commit golden.lock"))
        }
    }
}

/// The engine that the command line requests, or else golden.toml.
#[must_use]
pub fn requested_engine(session: &Session, requested: Option<EngineKind>) -> EngineKind {
    requested
        .or(session.workspace.spec.workspace.engine)
        .unwrap_or(EngineKind::Auto)
}

/// Chooses the engine for an image. Fails if it cannot build the image, before any build starts.
async fn choose_engine(
    requested: EngineKind,
    goal: Goal,
    image: &ResolvedImage,
    engines: &Engines,
) -> Result<EngineChoice, Error> {
    let choice = choose(requested, goal, image, async || {
        engines.docker_answers().await
    })
    .await;
    if choice.engine == EngineKind::Embedded {
        crate::assemble::can_assemble(image).map_err(|needs| Error::CannotAssemble {
            image: image.display(),
            needs,
        })?;
    } else if let Some(what) = crate::render::needs_embedded(image) {
        return Err(Error::invalid(format!(
            "{}: {what} needs the embedded engine",
            image.display()
        ))
        .hint("omit --engine, or use --engine embedded"));
    }
    Ok(choice)
}

/// The engines of `[[engine]]`, and the engine of the environment as a fallback. `None` if
/// golden.toml has no `[[engine]]`.
fn fleet(
    session: &Session,
    environment: &DockerEnv,
    embedded: &Embedded,
    state: &StateDirectory,
    trusted: &[String],
) -> Result<Option<Fleet>, Error> {
    let mut members = fleet_engines(&session.workspace, environment, trusted)?;
    if members.is_empty() {
        return Ok(None);
    }
    members.push(FleetEngine::fallback(environment.clone()));
    Ok(Some(Fleet::new(
        members,
        embedded.clone(),
        state.path("cache/engines"),
    )))
}

/// The engines of `[[engine]]`. Fails if an engine that the user does not trust has TLS files
/// outside the workspace.
pub(super) fn fleet_engines(
    workspace: &Workspace,
    environment: &DockerEnv,
    trusted: &[String],
) -> Result<Vec<FleetEngine>, Error> {
    let mut members = Vec::with_capacity(workspace.spec.engine.len() + 1);
    for table in &workspace.spec.engine {
        // A table without a host was reported when the workspace was loaded.
        let (Some(host), Some(name)) = (&table.host, table.shown_name().map(str::to_owned)) else {
            continue;
        };
        let cert_path = trust::certificates(&workspace.root, table, &name, trusted)?;
        let trust = EngineTrust::of(&name, host, cert_path.is_some(), trusted, environment);
        let platforms = table.platforms.clone();
        let member = if BuildKit::is_at(host) {
            FleetEngine::buildkit(name, host.clone(), cert_path, platforms)
        } else {
            let of_table = DockerEnv {
                host: Some(host.clone()),
                tls_verify: cert_path.is_some(),
                cert_path,
                tls: false,
                // That directory contains the client certificate of the user.
                config_dir: None,
                ..environment.clone()
            };
            FleetEngine::docker(name, of_table, platforms)
        };
        members.push(member.with_trust(trust));
    }
    Ok(members)
}

/// The credentials that engines use: those of the registries of the bases and the destinations.
/// Fails if a credential cannot be read.
pub async fn logins(prepared: &Prepared) -> Result<BTreeMap<Host, Credential>, Error> {
    let mut hosts: Vec<Host> = prepared
        .session
        .destinations
        .iter()
        .map(|to| to.host.clone())
        .collect();
    for work in &prepared.work {
        if let crate::render::PinnedBase::Registry { reference, .. } = &work.recipe.base {
            hosts.push(reference.repository.host.clone());
        }
    }
    hosts.sort();
    hosts.dedup();
    let mut logins = BTreeMap::new();
    for host in hosts {
        if let Some(credential) = prepared.registries.credential(&host).await? {
            logins.insert(host, credential);
        }
    }
    Ok(logins)
}
