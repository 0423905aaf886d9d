//! Builds images, and publishes them, loads them into an engine, or writes them to files.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use super::channels::{self, ChannelRow};
use super::containers::Containers;
use super::error::Error;
use super::examiner::Examiner;
use super::gates::Gates;
use super::lifecycle::{self, AnnouncedImages};
use super::notify::{MovedTags, notify};
use super::pipeline::ssh::{self, SshAgent};
use super::pipeline::{Goal, Run, RunOptions, RunResult, proxies, secrets};
use super::prepare::{Prepared, RunRequest, logins, prepare};
use super::readiness;
use super::session::Session;
use super::settings::Settings;
use super::work::Work;
use crate::config_files::notify_table::NotifyEvent;
use crate::config_files::workspace::{BuildCache, SbomTable};
use crate::engine::{BuildOutput, DockerEnv, EngineKind};
use crate::gates::GateSurroundings;
use crate::image::{Blobs, FileReader};
use crate::observe::ConfigCache;
use crate::registry::Registries;
use crate::resolve::Destination;
use crate::resolve::image::StepNeed;
use crate::secret::Secret;
use crate::store::LocalDestination;
use crate::store::destination::NamedImage;
use crate::workspace::{Workspace, fs};

/// The request to build images.
#[derive(Debug, Default)]
pub struct BuildRequest {
    /// Publish the images.
    pub push: bool,
    /// Move no moving tag before all images are uploaded.
    pub atomic: bool,
    /// The maximum number of parallel builds; `None` for the number of CPUs.
    pub jobs: Option<NonZeroUsize>,
    /// The engine; `None` if golden.toml or golden chooses it.
    pub engine: Option<EngineKind>,
    /// The file or directory that the images are written to.
    pub to: Option<LocalDestination>,
    /// Load the images into the Docker Engine.
    pub load: bool,
    /// The secrets for steps, by name.
    pub secrets: BTreeMap<String, Secret<Vec<u8>>>,
    /// The ssh agent for steps.
    pub ssh: Option<Arc<SshAgent>>,
    /// Run every step again, even if the engine has its result in the cache.
    pub no_cache: bool,
    /// Build even if the inputs are unchanged.
    pub force: bool,
    /// Fail if golden.lock would have to change.
    pub locked: bool,
}

/// The result of a build.
#[derive(Debug)]
pub struct FinishedBuild {
    /// The images and the decisions about them.
    pub prepared: Prepared,
    /// The results of the images.
    pub ended: RunResult,
    /// The files and directories that assembled images were written to.
    pub places: Vec<String>,
    /// The channels of the published images, or the reason why they could not be moved.
    pub channels: Result<Vec<ChannelRow>, Error>,
}

/// Builds the selected images and the images that they are built on. The failure of an image is a
/// part of the result. Fails before any build starts if the request is not possible.
pub async fn build(session: Session, request: BuildRequest) -> Result<FinishedBuild, Error> {
    let goal = match () {
        () if request.push => Goal::Publish,
        () if request.to.is_some() || request.load => Goal::Write,
        () => Goal::Local,
    };
    let mut prepared = prepare(
        session,
        &RunRequest {
            engine: request.engine,
            goal,
            force: request.force,
            locked: request.locked,
            lock_new: true,
        },
    )
    .await?;
    if request.to.as_ref().is_some_and(LocalDestination::is_named) {
        need_one_image(&prepared)?;
    }
    if request.atomic {
        readiness::refuse_any(&prepared.unready)?;
    }
    need_passed(&prepared, &request)?;
    prepared.write_lock()?;
    let is_local_only = !request.push && !request.load;
    let settings = &prepared.session.settings;
    let options = RunOptions {
        push: request.push,
        atomic: request.atomic,
        only_push: false,
        only_test: false,
        rebuild: request.force || request.no_cache,
        jobs: jobs(request.jobs),
        max_in_progress: max_in_progress(request.jobs),
        secrets: request.secrets,
        ssh: request.ssh,
        no_cache: request.no_cache,
        cache: cache_destinations(&prepared),
        load: request.load,
        keep_built: request.to.is_some() || is_local_only,
        proxy_args: proxies::build_args(&settings.env, docker_config(settings).as_ref()),
        logins: logins(&prepared).await?,
    };
    let ended = execute(&mut prepared, &options).await;
    let channels = if options.push {
        after_publication(&prepared, &ended).await
    } else {
        Ok(Vec::new())
    };
    let places = write(&prepared, &ended, request.to, is_local_only).await?;
    Ok(FinishedBuild {
        prepared,
        ended,
        places,
        channels,
    })
}

/// Publishes earlier builds of the selected images. Builds nothing.
pub async fn push(session: Session, atomic: bool) -> Result<FinishedBuild, Error> {
    let request = RunRequest {
        engine: None,
        goal: Goal::Publish,
        force: false,
        locked: false,
        lock_new: false,
    };
    let mut prepared = prepare(session, &request).await?;
    if atomic {
        readiness::refuse_any(&prepared.unready)?;
    }
    let options = RunOptions {
        push: true,
        atomic,
        only_push: true,
        only_test: false,
        rebuild: false,
        jobs: jobs(None),
        max_in_progress: max_in_progress(None),
        secrets: BTreeMap::new(),
        ssh: None,
        no_cache: false,
        cache: cache_destinations(&prepared),
        load: false,
        keep_built: false,
        proxy_args: BTreeMap::new(),
        logins: logins(&prepared).await?,
    };
    let ended = execute(&mut prepared, &options).await;
    let channels = after_publication(&prepared, &ended).await;
    Ok(FinishedBuild {
        prepared,
        ended,
        channels,
        places: Vec::new(),
    })
}

/// Does the work that follows the last tag: announcements, channels and notifications. Fails if a
/// channel cannot be moved.
async fn after_publication(
    prepared: &Prepared,
    ended: &RunResult,
) -> Result<Vec<ChannelRow>, Error> {
    announce_lifecycle(prepared).await;
    let channels = channels::move_channels(&prepared.session, &prepared.registries).await;
    let receipts = ended.reports.iter().flat_map(|report| &report.receipts);
    let moved: Vec<MovedTags> = receipts
        .filter(|receipt| receipt.has_moved_tags())
        .map(|receipt| MovedTags {
            names: vec![receipt.image.clone()],
            repository: receipt.repository.clone(),
            digest: receipt.digest.clone(),
            data: serde_json::to_value(receipt).unwrap_or_default(),
        })
        .collect();
    let Session {
        settings,
        workspace,
        ..
    } = &prepared.session;
    notify(settings, workspace, NotifyEvent::Push, &moved).await;
    channels
}

/// Announces the lifecycle that the specs of the selected images declare. A failure is a warning: the
/// images are published, and `golden lifecycle apply` can repeat it.
async fn announce_lifecycle(prepared: &Prepared) {
    let Prepared {
        session,
        registries,
        ..
    } = prepared;
    let declared = AnnouncedImages::Declared;
    if let Err(error) = lifecycle::apply(session, registries, declared, false).await {
        let text = format!(
            "the lifecycle is not announced: {error}; `golden lifecycle apply` tries it again"
        );
        session.settings.events.warn(None, text);
    }
}

/// Runs the prepared builds.
pub(super) async fn execute(prepared: &mut Prepared, options: &RunOptions) -> RunResult {
    let unready = std::mem::take(&mut prepared.unready);
    let settings = &prepared.session.settings;
    let sbom = prepared.session.workspace.spec.sbom.as_ref();
    let examiner = examiner(settings, &prepared.registries);
    let workspace = &prepared.session.workspace;
    let gates = gates(settings, workspace, &prepared.registries, examiner.clone());
    let run = Run {
        work: &prepared.work,
        engines: &prepared.engines,
        registries: &prepared.registries,
        signing: prepared.session.signing.as_ref(),
        sbom: sbom.map(SbomTable::formats).unwrap_or_default(),
        files: examiner.reader.clone(),
        policy: &prepared.session.workspace.spec.policy,
        cache: &ConfigCache::of(prepared.state.clone()),
        state: &prepared.state,
        options,
        examiner: &examiner,
        gates: &gates,
        events: &settings.events,
        now: settings.now,
    };
    let mut ended = run.to_end().await;
    readiness::put_back(unready, &mut ended);
    ended
}

/// Runs tests on images whose layers these registries have.
pub(super) fn examiner(settings: &Settings, registries: &Registries) -> Examiner {
    let blobs = Blobs::new(registries.clone());
    let environment = DockerEnv::from_vars(&settings.env);
    Examiner {
        containers: Containers::new(environment, blobs.clone()),
        reader: FileReader::new(blobs, settings.user_cache()),
        events: settings.events.clone(),
    }
}

/// The gates of a workspace. They read the layers of images from these registries.
pub(super) fn gates(
    settings: &Settings,
    workspace: &Workspace,
    registries: &Registries,
    examiner: Examiner,
) -> Gates {
    let surroundings = GateSurroundings {
        root: workspace.root.clone(),
        environment: settings.environment(),
        today: time::OffsetDateTime::from_unix_timestamp(settings.now)
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
            .date(),
    };
    let blobs = Blobs::new(registries.clone());
    Gates::new(workspace.spec.gate.clone(), surroundings, blobs, examiner)
}

/// The maximum number of parallel builds. The default is the number of CPUs.
pub(super) fn jobs(requested: Option<NonZeroUsize>) -> NonZeroUsize {
    requested
        .or_else(|| std::thread::available_parallelism().ok())
        .unwrap_or(NonZeroUsize::MIN)
}

/// The maximum number of images in progress. The default is higher than the number of CPUs, because
/// publishing mostly waits for the network.
pub(super) fn max_in_progress(requested: Option<NonZeroUsize>) -> NonZeroUsize {
    requested.unwrap_or_else(|| jobs(None).max(NonZeroUsize::MIN.saturating_add(31)))
}

/// Fails unless exactly one image is selected: a destination with a name takes one image. Base
/// images that are built as well do not count.
fn need_one_image(prepared: &Prepared) -> Result<(), Error> {
    let selected = prepared.work.iter().filter(|work| work.selected);
    let selected: Vec<String> = selected.map(|work| work.recipe.image.display()).collect();
    if selected.len() == 1 {
        return Ok(());
    }
    let message = format!(
        "--to with a name takes one image, not {}: {}",
        selected.len(),
        selected.join(", ")
    );
    Err(Error::invalid(message)
        .hint("select one image, or omit the name: each image then gets its own name"))
}

/// Fails if a secret or the ssh agent, which a step requires, was not passed.
pub(super) fn need_passed(prepared: &Prepared, request: &BuildRequest) -> Result<(), Error> {
    for Work {
        recipe, planned, ..
    } in &prepared.work
    {
        if !planned.step.is_build() {
            continue;
        }
        let image = recipe.image.display();
        for need in recipe.image.step_needs() {
            match need {
                StepNeed::Secret(name) if !request.secrets.contains_key(&name) => {
                    return Err(secrets::Error::Missing { image, name }.into());
                }
                StepNeed::Ssh if request.ssh.is_none() => {
                    return Err(ssh::Error::Missing { image }.into());
                }
                StepNeed::Secret(_) | StepNeed::Ssh => {}
            }
        }
    }
    Ok(())
}

/// The destinations with a build cache.
fn cache_destinations(prepared: &Prepared) -> Vec<Destination> {
    let session = &prepared.session;
    match session.workspace.spec.workspace.cache {
        Some(BuildCache::Registry) => session.destinations.clone(),
        None => Vec::new(),
    }
}

/// Docker's config.json, for its proxy settings. An unreadable file is ignored.
pub(super) fn docker_config(settings: &Settings) -> Option<serde_json::Value> {
    let directory = settings.var("DOCKER_CONFIG").map(PathBuf::from);
    let directory = directory.or_else(|| {
        settings
            .var("HOME")
            .map(|home| PathBuf::from(home).join(".docker"))
    })?;
    let bytes = fs::read_if_exists(&directory.join("config.json")).ok()??;
    serde_json::from_slice(&bytes).ok()
}

/// Writes the assembled images to the destination of `--to`; without that option, to `.golden/oci`,
/// if they are neither published nor loaded. Fails if `--to` is given and no image was assembled.
async fn write(
    prepared: &Prepared,
    ended: &RunResult,
    to: Option<LocalDestination>,
    is_local_only: bool,
) -> Result<Vec<String>, Error> {
    let is_requested = to.is_some();
    if !is_requested && !is_local_only {
        return Ok(Vec::new());
    }
    let default = || LocalDestination::Default {
        directory: prepared.state.path("oci"),
    };
    let destination = to.unwrap_or_else(default);
    let is_written = |at: &usize| !destination.is_named() || prepared.work[*at].selected;
    let built = ended
        .built
        .iter()
        .filter(|(position, _)| is_written(position));
    let assembled = built.filter_map(|(position, built)| match &built.output {
        BuildOutput::Assembled(image) => Some((*position, image)),
        BuildOutput::Docker { .. } => None,
    });
    let mut named = Vec::new();
    for (position, image) in assembled {
        named.push(NamedImage {
            image,
            references: prepared.work[position].local.clone(),
        });
    }
    if named.is_empty() {
        return if is_requested && ended.failures.is_empty() {
            Err(Error::invalid(
                "--to writes only images that the embedded engine built, and this run built none with it",
            )
            .hint("`docker save` writes an image of the Docker Engine"))
        } else {
            Ok(Vec::new())
        };
    }
    if !is_requested {
        prepared.state.make()?;
    }
    let places = destination
        .write(
            &named,
            &Blobs::new(prepared.registries.clone()),
            &prepared.session.settings.events,
        )
        .await?;
    Ok(places)
}
