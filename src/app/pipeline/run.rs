//! One run of `golden build` or `golden push`. The schedule processes the images; `make` makes each
//! image, and `publish` publishes it.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, Semaphore};

use super::engines::Engines;
use super::failed::Failed;
use super::outcome::{ImageOutcome, ImageReport, PublishedTags};
use super::releases::Releases;
use super::ssh::SshAgent;
use crate::app::examiner::Examiner;
use crate::app::gates::Gates;
use crate::app::unready::skipped;
use crate::app::work::Work;
use crate::checks::TestedPlatform;
use crate::config_files::SbomFormat;
use crate::config_files::policy::Policy;
use crate::engine::{BuildOutput, BuiltImage, EngineKind};
use crate::event::{Event, Events};
use crate::gates::GateReport;
use crate::image::FileReader;
use crate::observe::ConfigCache;
use crate::plan::{
    ContentSource, PlanStep, PlannedAction, PlannedDestination, PlannedImage, joined,
};
use crate::publish::receipt::milliseconds;
use crate::publish::{self, Receipt, UploadedImage};
use crate::reference::{Digest, Host, Reference};
use crate::registry::{Credential, Registries};
use crate::resolve::Destination;
use crate::resolve::pin::ParentIndex;
use crate::schedule::{self, Outcome};
use crate::secret::Secret;
use crate::signing::Signing;
use crate::workspace::state::StateDirectory;

/// The options of a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Publish the images.
    pub push: bool,
    /// Move no moving tag before all images are uploaded.
    pub atomic: bool,
    /// Build nothing; publish earlier builds.
    pub only_push: bool,
    /// Run the tests of the selected images and report the results; change nothing else.
    pub only_test: bool,
    /// Build again even if an earlier build exists.
    pub rebuild: bool,
    /// The maximum number of images that are built in parallel.
    pub jobs: NonZeroUsize,
    /// The maximum number of images that are built or published in parallel. It is larger than
    /// `jobs`, because publishing mostly waits for the network.
    pub max_in_progress: NonZeroUsize,
    /// Secrets for steps, by name.
    pub secrets: BTreeMap<String, Secret<Vec<u8>>>,
    /// The ssh agent for steps.
    pub ssh: Option<Arc<SshAgent>>,
    /// Run every step again, even if the engine has its result in the cache.
    pub no_cache: bool,
    /// The destinations with a build cache.
    pub cache: Vec<Destination>,
    /// Load assembled images into the Docker Engine.
    pub load: bool,
    /// Return the built images at the end. By default, an image is dropped when it is published.
    pub keep_built: bool,
    /// Docker's predefined proxy build arguments, such as `HTTP_PROXY`.
    pub proxy_args: BTreeMap<String, String>,
    /// Logins for the engines, by registry host.
    pub logins: BTreeMap<Host, Credential>,
}

/// The data of a run.
#[derive(Debug)]
pub struct Run<'a> {
    /// The images, parents first.
    pub work: &'a [Work],
    /// The connections to the engines.
    pub engines: &'a Engines,
    /// The connections to the registries.
    pub registries: &'a Registries,
    /// The key that signs published images; `None` if nothing is signed.
    pub signing: Option<&'a Signing>,
    /// The formats of the bills of materials that are attached to published images.
    pub sbom: Vec<SbomFormat>,
    /// Reads the files of images.
    pub files: FileReader,
    /// The policy of the workspace, which is checked on each built image.
    pub policy: &'a Policy,
    /// The cache for the configs of published images.
    pub cache: &'a ConfigCache,
    /// The directory `.golden`, for build records and receipts.
    pub state: &'a StateDirectory,
    /// The options of the command line.
    pub options: &'a RunOptions,
    /// Runs the tests of the images.
    pub examiner: &'a Examiner,
    /// The gates of the workspace.
    pub gates: &'a Gates,
    /// The receiver of progress events.
    pub events: &'a Events,
    /// Seconds since 1970.
    pub now: i64,
}

/// The results of one image that remain after its work.
#[derive(Debug, Default)]
pub(super) struct ImageResults {
    /// The engine that built the image, and the digest of the result.
    made: OnceLock<(EngineKind, Digest)>,
    /// The results of the tests, for each platform of each image that was examined: registries can
    /// have different images of one version.
    pub(super) tests: Mutex<Vec<TestedPlatform>>,
    /// The results of the gates, for each image that was examined.
    pub(super) gates: Mutex<Vec<GateReport>>,
    /// One receipt for each registry that was changed, also if the image failed in another one.
    receipts: Mutex<Vec<Receipt>>,
    /// Durations in milliseconds, by phase.
    durations: OnceLock<BTreeMap<String, u64>>,
    /// The built image, if it is returned at the end or its tags are moved later.
    built: OnceLock<BuiltImage>,
}

/// The state that all images of a run share.
#[derive(Debug)]
struct RunState<'s> {
    /// Uploaded images whose tags wait for the other images (`--atomic`), by position.
    held: Mutex<BTreeMap<usize, UploadedImage<'s>>>,
    /// Limits the number of parallel builds to `jobs`.
    builders: Semaphore,
    /// The positions of the images that have children.
    bases: BTreeSet<usize>,
    /// The moving tags that several images share.
    releases: Releases,
}

/// The work on one image, once its parent is done.
#[derive(Debug)]
struct Turn<'s, 'r> {
    position: usize,
    work: &'s Work,
    /// The references of the parent, if it has one.
    parent: Option<BuiltReferences>,
    slot: &'s ImageResults,
    shared: &'r RunState<'s>,
}

/// The parent of an image in the run, and if it has children.
#[derive(Debug, Clone, Copy)]
pub(super) struct ImageRelatives<'a> {
    /// The references of its parent, if it has one.
    pub(super) parent: Option<&'a BuiltReferences>,
    /// True if it has no children.
    pub(super) childless: bool,
}

/// The references of an image that was built or is published. Its children are built on them.
#[derive(Debug, Clone, Default)]
pub(super) struct BuiltReferences {
    /// The most specific reference in the Docker Engine, if the engine has the image.
    pub(super) local: Option<Reference>,
    /// The published reference, by digest.
    pub(super) published: Option<Reference>,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct RunResult {
    /// The reports, in the order of the images.
    pub reports: Vec<ImageReport>,
    /// The failures, with the position of the image.
    pub failures: Vec<(usize, Failed)>,
    /// The duration of the run.
    pub elapsed: Duration,
    /// The built images, by position; only with [`RunOptions::keep_built`] or [`RunOptions::atomic`].
    pub built: BTreeMap<usize, BuiltImage>,
}

impl Run<'_> {
    /// Processes all images. A failure stops only the images that depend on it; with `atomic`, no
    /// moving tag is moved after a failure.
    pub async fn to_end(&self) -> RunResult {
        let start = Instant::now();
        let total = self.work.len();
        self.events.send(Event::Images { total });
        let images = self.work.iter().map(|work| &work.recipe.image);
        let parents = ParentIndex::new(images.clone());
        let graph: Vec<Vec<usize>> = images
            .map(|image| parents.of(image).into_iter().collect())
            .collect();
        let slots: Vec<ImageResults> = self.work.iter().map(|_| ImageResults::default()).collect();
        let shared = RunState {
            held: Mutex::default(),
            builders: Semaphore::new(self.options.jobs.get()),
            bases: graph.iter().flatten().copied().collect(),
            releases: Releases::new(self.work.iter().map(|work| &work.planned)),
        };
        let process = |position: usize, above: Vec<BuiltReferences>| {
            self.one(Turn {
                position,
                work: &self.work[position],
                parent: above.into_iter().next(),
                slot: &slots[position],
                shared: &shared,
            })
        };
        let outcomes = schedule::run(&graph, self.options.max_in_progress, process).await;
        let held = shared.held.into_inner();
        let mut outcomes: Vec<Outcome<BuiltReferences, Failed>> = outcomes;
        if self.options.atomic {
            self.release(held, &mut outcomes, &slots).await;
        }
        self.ended(outcomes, slots, &graph, start.elapsed())
    }

    /// Works on one image.
    async fn one<'s>(&'s self, turn: Turn<'s, '_>) -> Result<BuiltReferences, Failed> {
        let work = turn.work;
        let planned = &work.planned;
        self.events.send(Event::Started {
            image: planned.image.clone(),
        });
        if let Some(next) = &planned.withdrawn {
            let warning = format!(
                "{} is withdrawn and is not published: {}",
                planned.publish,
                work.recipe.image.version_hint(next)
            );
            self.events.warn(Some(&planned.image), warning);
        }
        if let Some(base) = &planned.blocked_by {
            let warning = format!(
                "its base {base} is withdrawn and not published, so it is skipped: raise the version of {base}"
            );
            self.events.warn(Some(&planned.image), warning);
        }
        let result = self.build_and_publish(turn).await;
        match &result {
            Ok(_) if self.waits(planned) => self.events.send(Event::Waiting {
                image: planned.image.clone(),
                text: if planned.step.is_build() {
                    "uploaded"
                } else {
                    "ready"
                }
                .to_owned(),
            }),
            result => self.finished(planned, result.as_ref().err()),
        }
        result
    }

    /// True if the moving tags of an image wait for the other images.
    fn waits(&self, planned: &PlannedImage) -> bool {
        let moves_tags = matches!(
            self.outcome(planned, true),
            ImageOutcome::Published | ImageOutcome::Retagged | ImageOutcome::Attached
        );
        self.options.atomic && moves_tags
    }

    /// Sends the event that the work on an image ended.
    fn finished(&self, planned: &PlannedImage, failed: Option<&Failed>) {
        let outcome = match failed {
            None => self.outcome(planned, true),
            Some(failed) => failed.outcome(),
        };
        self.events.send(Event::Finished {
            image: planned.image.clone(),
            text: outcome.verb().to_owned(),
            ok: failed.is_none(),
            because: failed.map(Failed::reason),
        });
    }

    async fn build_and_publish<'s>(
        &'s self,
        turn: Turn<'s, '_>,
    ) -> Result<BuiltReferences, Failed> {
        let Turn {
            position,
            work,
            slot,
            shared,
            ..
        } = turn;
        let planned = &work.planned;
        let mut done = BuiltReferences::default();
        let mut built = None;
        // An image in an engine keeps its permit until it is pushed.
        let mut permit = None;
        if planned.step.is_build() {
            permit = shared.builders.acquire().await.ok();
            let start = Instant::now();
            let relatives = ImageRelatives {
                parent: turn.parent.as_ref(),
                childless: !shared.bases.contains(&position),
            };
            let image = match self.recorded(work, relatives).await? {
                Some(image) => image,
                None if self.options.only_push => {
                    return Err(Failed::NotBuilt {
                        image: planned.image.clone(),
                    });
                }
                None => self.build(work, relatives).await?,
            };
            let image = self
                .settle_locally(work, image, relatives, slot, &mut done)
                .await?;
            let spent = milliseconds(start);
            slot.durations
                .get_or_init(|| BTreeMap::from([("build".to_owned(), spent)]));
            if let BuildOutput::Assembled(_) = image.output {
                permit = None;
            }
            slot.made.get_or_init(|| (image.engine, id_of(&image)));
            if self.options.keep_built || self.options.atomic {
                slot.built.get_or_init(|| image);
            } else {
                built = Some(image);
            }
        }
        if !self.options.push {
            return Ok(done);
        }
        if self.options.atomic {
            let uploaded = self.upload(work, slot.built.get(), slot).await?;
            done.published = published_reference(&uploaded, planned);
            self.keep_cache(work, slot.built.get(), &uploaded.references())
                .await;
            shared.held.lock().await.insert(position, uploaded);
        } else {
            let built = built.as_ref().or(slot.built.get());
            let before = shared.releases.before_decision(planned);
            let mut uploaded = self.upload(work, built, slot).await?;
            done.published = published_reference(&uploaded, planned);
            self.keep_cache(work, built, &uploaded.references()).await;
            // The engine has no more work for the image.
            drop(permit);
            let turn = before.turn().await;
            if turn.is_outdated {
                uploaded = uploaded.refreshed().await?;
            }
            publish::release(uploaded, &mut *slot.receipts.lock().await).await?;
        }
        Ok(done)
    }

    /// Checks a built image, and tags and records it on this machine. Returns the image in the form
    /// in which it is published.
    async fn settle_locally(
        &self,
        work: &Work,
        image: BuiltImage,
        relatives: ImageRelatives<'_>,
        slot: &ImageResults,
        done: &mut BuiltReferences,
    ) -> Result<BuiltImage, Failed> {
        let only_test = self.options.only_test;
        let mut publishable = None;
        if !only_test {
            self.check_policy(work, &image).await?;
            if self.has_size_limits() {
                let image = self.published_by_golden(work, image.clone(), relatives);
                let image = image.await?;
                self.check_sizes(work, &image).await?;
                publishable = Some(image);
            }
        }
        if !self.options.push && !work.recipe.image.tests.is_empty() {
            // The image is exported once.
            let image = publishable.as_ref().unwrap_or(&image);
            self.test_built(work, image, slot).await?;
        }
        // `golden test` moves only the tags in the engine that other images of the run are built on.
        if !only_test || !relatives.childless {
            done.local = self.tag_locally(work, &image).await?;
        }
        if !only_test {
            self.record(work, &image)?;
        }
        match publishable {
            Some(publishable) if self.options.push => Ok(publishable),
            None if self.options.push && self.needs_export(work) => {
                self.published_by_golden(work, image, relatives).await
            }
            _ => Ok(image),
        }
    }

    pub(super) async fn job<'j>(
        &'j self,
        work: &'j Work,
        built: Option<&'j BuiltImage>,
        slot: &'j ImageResults,
    ) -> publish::PublishJob<'j> {
        static NOTHING: BTreeMap<String, u64> = BTreeMap::new();
        let in_docker =
            built.is_some_and(|built| matches!(built.output, BuildOutput::Docker { .. }));
        publish::PublishJob {
            recipe: &work.recipe,
            planned: &work.planned,
            built,
            registries: self.registries,
            docker: if in_docker {
                self.engines.docker().await.ok()
            } else {
                None
            },
            logins: &self.options.logins,
            attachments: self.attachments(work),
            cache: self.cache,
            state: self.state,
            now: self.now,
            durations: slot.durations.get().unwrap_or(&NOTHING),
            events: self.events,
        }
    }

    /// Moves the tags of all uploaded images, unless an image failed.
    async fn release(
        &self,
        held: BTreeMap<usize, UploadedImage<'_>>,
        outcomes: &mut [Outcome<BuiltReferences, Failed>],
        slots: &[ImageResults],
    ) {
        if outcomes.iter().any(|outcome| outcome.done().is_none()) {
            self.events.warn(
                None,
                "--atomic: no moving tag was moved, because not all images were uploaded",
            );
            return;
        }
        for (position, uploaded) in held {
            // The first image was uploaded long before the last one, so the tags are read again.
            let mut receipts = slots[position].receipts.lock().await;
            let released =
                async { publish::release(uploaded.refreshed().await?, &mut receipts).await };
            let failed = released.await.err().map(Failed::from);
            let planned = &self.work[position].planned;
            if self.waits(planned) || failed.is_some() {
                self.finished(planned, failed.as_ref());
            }
            if let Some(failed) = failed {
                outcomes[position] = Outcome::Failed(failed);
            }
        }
    }

    fn ended(
        &self,
        outcomes: Vec<Outcome<BuiltReferences, Failed>>,
        slots: Vec<ImageResults>,
        graph: &[Vec<usize>],
        elapsed: Duration,
    ) -> RunResult {
        let mut ended = RunResult {
            elapsed,
            reports: Vec::new(),
            failures: Vec::new(),
            built: BTreeMap::new(),
        };
        let all_done = outcomes.iter().all(|outcome| outcome.done().is_some());
        for (position, (outcome, slot)) in outcomes.into_iter().zip(slots).enumerate() {
            let work = &self.work[position];
            let mut report = self.report(work, slot.made.into_inner());
            report.tests = slot.tests.into_inner();
            report.gates = slot.gates.into_inner();
            report.receipts = slot.receipts.into_inner();
            report.durations = slot.durations.into_inner().unwrap_or_default();
            match outcome {
                Outcome::Done(done) => {
                    // If the tags of an image could not be moved, those of others were moved.
                    if !all_done && self.waits(&work.planned) && report.receipts.is_empty() {
                        "uploaded; its moving tags were not moved (--atomic)"
                            .clone_into(&mut report.because);
                        report.outcome = ImageOutcome::Failed;
                        self.events.send(Event::Finished {
                            image: work.planned.image.clone(),
                            text: report.outcome.verb().to_owned(),
                            ok: false,
                            because: Some(report.because.clone()),
                        });
                    }
                    report.local = if done.local.is_some() {
                        work.local.clone()
                    } else {
                        Vec::new()
                    };
                    report.digest = done
                        .published
                        .and_then(|reference| reference.digest)
                        .or(report.digest);
                }
                Outcome::Failed(failed) => {
                    report.outcome = failed.outcome();
                    report.because = failed.reason();
                    ended.failures.push((position, failed));
                }
                Outcome::Blocked { by } => {
                    report.outcome = ImageOutcome::Skipped;
                    report.because = self.skipped(by, &graph[position]);
                    let event = Event::Finished {
                        image: work.planned.image.clone(),
                        text: format!("skipped: {}", report.because),
                        ok: false,
                        because: None,
                    };
                    self.events.send(event);
                }
            }
            ended.reports.push(report);
            if let Some(built) = slot.built.into_inner() {
                ended.built.insert(position, built);
            }
        }
        ended
    }

    /// The reason why an image was not built: `by` failed, and `parents` are its bases.
    fn skipped(&self, by: usize, parents: &[usize]) -> String {
        let name = |position: usize| &self.work[position].planned.image;
        let parent = parents.first().copied().unwrap_or(by);
        skipped(name(parent), name(by))
    }

    fn outcome(&self, planned: &PlannedImage, done: bool) -> ImageOutcome {
        match (&planned.step, self.options.push) {
            _ if !done => ImageOutcome::Failed,
            _ if planned.withdrawn.is_some() => ImageOutcome::Withdrawn,
            _ if planned.blocked_by.is_some() => ImageOutcome::Skipped,
            (PlanStep::Skip { .. }, _) => ImageOutcome::Unchanged,
            (PlanStep::Retag { .. }, _) => ImageOutcome::Retagged,
            (PlanStep::Attach { .. }, _) => ImageOutcome::Attached,
            (_, true) => ImageOutcome::Published,
            (_, false) => ImageOutcome::Built,
        }
    }

    fn report(&self, work: &Work, made: Option<(EngineKind, Digest)>) -> ImageReport {
        let planned = &work.planned;
        let (engine, digest) = made.unzip();
        ImageReport {
            image: planned.name.to_string(),
            version: planned.publish.clone(),
            variant: planned.variant.as_ref().map(ToString::to_string),
            outcome: self.outcome(planned, true),
            because: joined(planned.step.because(), ", "),
            engine,
            inputs: Some(planned.inputs.clone()),
            digest,
            local: Vec::new(),
            durations: BTreeMap::new(),
            in_place: in_place(planned),
            tests: Vec::new(),
            gates: Vec::new(),
            receipts: Vec::new(),
        }
    }
}

/// The tags that already point to an image, if nothing changes.
fn in_place(planned: &PlannedImage) -> Vec<PublishedTags> {
    let tags = |destination: &PlannedDestination| PublishedTags {
        repository: destination.repository.clone(),
        tags: destination
            .tags
            .iter()
            .filter(|tag| tag.action == PlannedAction::Same)
            .map(|tag| tag.tag.clone())
            .collect(),
    };
    match planned.step {
        PlanStep::Skip { .. } => planned.destinations.iter().map(tags).collect(),
        _ => Vec::new(),
    }
}

/// The published reference of an image: where it was uploaded, else where the plan found it.
fn published_reference(uploaded: &UploadedImage<'_>, planned: &PlannedImage) -> Option<Reference> {
    uploaded
        .references()
        .into_iter()
        .next()
        .or_else(|| published(planned))
}

/// The reference by digest under which the plan found the image published.
fn published(planned: &PlannedImage) -> Option<Reference> {
    planned
        .destinations
        .iter()
        .find_map(|destination| match &destination.content {
            ContentSource::Published { digest } => Some(destination.repository.digest(digest)),
            ContentSource::Upload | ContentSource::Nothing => None,
        })
}

/// The image ID in the engine, or the digest of the assembled image.
pub(super) fn id_of(built: &BuiltImage) -> Digest {
    match &built.output {
        BuildOutput::Docker { id } => id.clone(),
        BuildOutput::Assembled(assembled) => assembled.top.digest.clone(),
    }
}
