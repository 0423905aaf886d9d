//! One run of `build` or `push`: images go through the schedule, each is made (`make`) and handed over to
//! `publish`.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::time::Instant;

use tokio::sync::{Mutex, Semaphore};

use super::choose::EngineChoice;
use super::engines::Engines;
use super::failed::Failed;
use super::outcome::{ImageOutcome, ImageReport};
use crate::engine::{Artifact, BuiltImage, EngineKind};
use crate::event::{Event, Events};
use crate::observe::ConfigCache;
use crate::plan::{ContentSource, Plan, PlanStep, PlannedImage};
use crate::publish::{self, Receipt, Uploaded};
use crate::reference::{Digest, Host, Reference, Repository};
use crate::registry::{Credential, Registries};
use crate::render::Recipe;
use crate::resolve::pin::ParentIndex;
use crate::schedule::{self, Outcome};
use crate::secret::Secret;
use crate::spec::policy::Policy;
use crate::workspace::state::StateDirectory;

/// What is done with the images.
#[derive(Debug, Clone)]
pub struct Options {
    /// Images are published.
    pub push: bool,
    /// No moving tag moves before all images are uploaded.
    pub atomic: bool,
    /// Nothing is built: what was built before is published.
    pub only_push: bool,
    /// What was built before is built again.
    pub again: bool,
    /// How many images are built at once.
    pub jobs: NonZeroUsize,
    /// How many images are worked on at once: those that are being published, which is mostly waiting, too.
    pub at_once: NonZeroUsize,
    /// Secrets for steps.
    pub secrets: BTreeMap<String, Secret<Vec<u8>>>,
    /// Build steps anew even if the engine remembers them.
    pub no_cache: bool,
    /// Assembled images are loaded into the Docker Engine.
    pub load: bool,
    /// What was built is handed back at the end; without, it is gone as soon as it is published.
    pub hand_back: bool,
    /// Docker's predefined proxy build arguments.
    pub proxy_args: BTreeMap<String, String>,
    /// What engines log in with, by host.
    pub logins: BTreeMap<Host, Credential>,
}

/// All that a run works with. `recipes`, `choices`, `names` and the plan's images stand side by side, parents first.
#[derive(Debug)]
pub struct Run<'a> {
    /// What the images are made from.
    pub recipes: &'a [Recipe],
    /// Which engine builds each.
    pub choices: &'a [EngineChoice],
    /// The repository of each in the Docker Engine.
    pub names: &'a [Repository],
    /// What is to be done.
    pub plan: &'a Plan,
    /// The engines.
    pub engines: &'a Engines,
    /// The registries.
    pub registries: &'a Registries,
    /// The workspace's policy.
    pub policy: &'a Policy,
    /// The configs of what is published.
    pub cache: &'a ConfigCache,
    /// Where records and receipts go.
    pub state: &'a StateDirectory,
    /// How it is done.
    pub options: &'a Options,
    /// Where events go.
    pub events: &'a Events,
    /// Seconds since 1970.
    pub now: i64,
}

/// What outlives the work on one image, each written once by the only work on it.
#[derive(Debug, Default)]
struct Slot {
    /// Who built it, and what it is called by.
    made: OnceLock<(EngineKind, Digest)>,
    /// Milliseconds by phase.
    durations: OnceLock<BTreeMap<String, u64>>,
    /// What is still needed when the work is done: to be handed back, or to have its tags moved later.
    built: OnceLock<BuiltImage>,
}

/// What the images of a run share.
#[derive(Debug)]
struct RunState<'s> {
    /// Images that are uploaded and wait for the others (`--atomic`), by position.
    held: Mutex<BTreeMap<usize, Uploaded<'s>>>,
    /// A permit for each image that may be built at once.
    builders: Semaphore,
    /// The positions of images that others are built on.
    bases: BTreeSet<usize>,
}

/// Where an image stands among the others: what was done about its parent, and whether it is one itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parent<'a> {
    pub(super) done: Option<&'a Done>,
    pub(super) childless: bool,
}

/// What was done about one image; its children are built on this.
#[derive(Debug, Clone, Default)]
pub(super) struct Done {
    /// The most specific name in the Docker Engine, when it is there.
    pub(super) local: Option<Reference>,
    /// Where it is published, by digest.
    pub(super) published: Option<Reference>,
    /// The receipts of the registries in which something was written.
    receipts: Vec<Receipt>,
}

/// How a run ended: a report and, where there is one, a failure for each image; and what was assembled and stays here.
#[derive(Debug)]
pub struct Ended {
    /// The reports, in the order of the images.
    pub reports: Vec<ImageReport>,
    /// What failed, with the position of its image.
    pub failures: Vec<(usize, Failed)>,
    /// What was built, by position.
    pub built: BTreeMap<usize, BuiltImage>,
}

impl Run<'_> {
    /// Runs to the end. A failure stops only what depends on it; with `atomic`, it stops every moving tag.
    pub async fn to_end(&self) -> Ended {
        let images: Vec<_> = self
            .recipes
            .iter()
            .map(|recipe| recipe.image.clone())
            .collect();
        let parents = ParentIndex::new(&images);
        let graph: Vec<Vec<usize>> = images
            .iter()
            .map(|image| parents.of(image).into_iter().collect())
            .collect();
        let slots: Vec<Slot> = images.iter().map(|_| Slot::default()).collect();
        let shared = RunState {
            held: Mutex::default(),
            builders: Semaphore::new(self.options.jobs.get()),
            bases: graph.iter().flatten().copied().collect(),
        };
        let work = |position: usize, above: Vec<Done>| {
            self.one(position, above, &slots[position], &shared)
        };
        let outcomes = schedule::run(&graph, self.options.at_once, work).await;
        let held = shared.held.into_inner();
        let mut outcomes: Vec<Outcome<Done, Failed>> = outcomes;
        if self.options.atomic {
            self.release(held, &mut outcomes).await;
        }
        self.ended(outcomes, slots)
    }

    /// Works on one image.
    async fn one<'s>(
        &'s self,
        position: usize,
        above: Vec<Done>,
        slot: &'s Slot,
        shared: &RunState<'s>,
    ) -> Result<Done, Failed> {
        let planned = &self.plan.images[position];
        self.events.send(Event::Started {
            image: planned.image.clone(),
        });
        if let Some(next) = &planned.withdrawn {
            let (version, source) = (
                &planned.publish,
                self.recipes[position].image.source.display(),
            );
            let warning = format!(
                "{version} is withdrawn, so that it is not published: set version = \"{next}\" in {source}"
            );
            self.events.warn(Some(&planned.image), warning);
        }
        let result = self.build_and_publish(position, above, slot, shared).await;
        let (text, ok) = match &result {
            // Its moving tags wait for the others.
            Ok(_) if self.options.atomic && self.fate(planned, true) == ImageOutcome::Published => {
                ("uploaded".to_owned(), true)
            }
            Ok(_) => (self.fate(planned, true).verb().to_owned(), true),
            Err(error) => (error.reason(), false),
        };
        self.events.send(Event::Finished {
            image: planned.image.clone(),
            text,
            ok,
        });
        result
    }

    async fn build_and_publish<'s>(
        &'s self,
        position: usize,
        above: Vec<Done>,
        slot: &'s Slot,
        shared: &RunState<'s>,
    ) -> Result<Done, Failed> {
        let planned = &self.plan.images[position];
        let mut done = Done::default();
        let mut built = None;
        // What an engine has to push keeps its permit to the end.
        let mut permit = None;
        if planned.step.is_build() {
            permit = shared.builders.acquire().await.ok();
            let start = Instant::now();
            let parent = Parent {
                done: above.first(),
                childless: !shared.bases.contains(&position),
            };
            let image = match self.recorded(position, parent).await? {
                Some(image) => image,
                None if self.options.only_push => {
                    return Err(Failed::NotBuilt {
                        image: planned.image.clone(),
                    });
                }
                None => self.build(position, parent).await?,
            };
            self.judge(position, &image).await?;
            done.local = self.name(position, &image).await?;
            self.record(position, &image)?;
            let spent = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
            slot.durations
                .get_or_init(|| BTreeMap::from([("build".to_owned(), spent)]));
            if let Artifact::Assembled(_) = image.artifact {
                permit = None;
            }
            slot.made.get_or_init(|| (image.engine, id_of(&image)));
            if self.options.hand_back || self.options.atomic {
                slot.built.get_or_init(|| image);
            } else {
                built = Some(image);
            }
        }
        if !self.options.push {
            return Ok(done);
        }
        if self.options.atomic {
            let uploaded =
                publish::upload(self.job(position, slot.built.get(), slot).await).await?;
            done.published = place_of(&uploaded, planned);
            shared.held.lock().await.insert(position, uploaded);
        } else {
            let built = built.as_ref().or(slot.built.get());
            let uploaded = publish::upload(self.job(position, built, slot).await).await?;
            done.published = place_of(&uploaded, planned);
            done.receipts = publish::release(uploaded).await?;
        }
        drop(permit);
        Ok(done)
    }

    async fn job<'j>(
        &'j self,
        position: usize,
        built: Option<&'j BuiltImage>,
        slot: &'j Slot,
    ) -> publish::PublishJob<'j> {
        static NOTHING: BTreeMap<String, u64> = BTreeMap::new();
        let in_docker =
            built.is_some_and(|built| matches!(built.artifact, Artifact::Docker { .. }));
        publish::PublishJob {
            recipe: &self.recipes[position],
            planned: &self.plan.images[position],
            built,
            registries: self.registries,
            docker: if in_docker {
                self.engines.docker().await.ok()
            } else {
                None
            },
            logins: &self.options.logins,
            cache: self.cache,
            state: self.state,
            now: self.now,
            durations: slot.durations.get().unwrap_or(&NOTHING),
            events: self.events,
        }
    }

    /// Moves the tags of all images that were uploaded, unless one of the images failed.
    async fn release(
        &self,
        held: BTreeMap<usize, Uploaded<'_>>,
        outcomes: &mut [Outcome<Done, Failed>],
    ) {
        if outcomes.iter().any(|outcome| outcome.done().is_none()) {
            self.events.warn(
                None,
                "--atomic: no moving tag was moved, because not every image could be uploaded",
            );
            return;
        }
        for (position, uploaded) in held {
            // The first was uploaded long before the last.
            let released = async { publish::release(uploaded.refreshed().await?).await };
            match released.await {
                Ok(receipts) => {
                    if let Outcome::Done(done) = &mut outcomes[position] {
                        done.receipts = receipts;
                    }
                }
                Err(error) => outcomes[position] = Outcome::Failed(error.into()),
            }
        }
    }

    fn ended(&self, outcomes: Vec<Outcome<Done, Failed>>, slots: Vec<Slot>) -> Ended {
        let mut ended = Ended {
            reports: Vec::new(),
            failures: Vec::new(),
            built: BTreeMap::new(),
        };
        let all_done = outcomes.iter().all(|outcome| outcome.done().is_some());
        for (position, (outcome, slot)) in outcomes.into_iter().zip(slots).enumerate() {
            let planned = &self.plan.images[position];
            let mut report = self.report(position, slot.made.into_inner());
            match outcome {
                Outcome::Done(done) => {
                    if self.options.atomic && !all_done {
                        "uploaded; its tags were not moved (--atomic)"
                            .clone_into(&mut report.because);
                        report.outcome = ImageOutcome::Failed;
                    }
                    report.local = if done.local.is_some() {
                        self.local_names(position).unwrap_or_default()
                    } else {
                        Vec::new()
                    };
                    report.digest = done
                        .published
                        .and_then(|reference| reference.digest)
                        .or(report.digest);
                    report.receipts = done.receipts;
                }
                Outcome::Failed(failed) => {
                    report.outcome = if failed.is_refusal() {
                        ImageOutcome::Refused
                    } else {
                        ImageOutcome::Failed
                    };
                    report.because = failed.reason();
                    ended.failures.push((position, failed));
                }
                Outcome::Blocked { by } => {
                    report.outcome = ImageOutcome::Skipped;
                    report.because = format!("{} did not get done", self.plan.images[by].image);
                    let event = Event::Finished {
                        image: planned.image.clone(),
                        text: format!("skipped: {}", report.because),
                        ok: false,
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

    fn fate(&self, planned: &PlannedImage, done: bool) -> ImageOutcome {
        match (&planned.step, self.options.push) {
            _ if !done => ImageOutcome::Failed,
            _ if planned.withdrawn.is_some() => ImageOutcome::Withdrawn,
            (PlanStep::Skip { .. }, _) => ImageOutcome::Unchanged,
            (PlanStep::Retag { .. }, _) => ImageOutcome::Retagged,
            (_, true) => ImageOutcome::Published,
            (_, false) => ImageOutcome::Built,
        }
    }

    fn report(&self, position: usize, made: Option<(EngineKind, Digest)>) -> ImageReport {
        let planned = &self.plan.images[position];
        let (engine, digest) = made.unzip();
        ImageReport {
            image: planned.name.to_string(),
            version: planned.publish.clone(),
            variant: planned.variant.as_ref().map(ToString::to_string),
            outcome: self.fate(planned, true),
            because: planned.step.because().join(", "),
            engine,
            inputs: Some(planned.inputs.clone()),
            digest,
            local: Vec::new(),
            receipts: Vec::new(),
        }
    }
}

/// Where an image is by now: where it was uploaded to, else where the plan found it.
fn place_of(uploaded: &Uploaded<'_>, planned: &PlannedImage) -> Option<Reference> {
    uploaded
        .references()
        .into_iter()
        .next()
        .or_else(|| published(planned))
}

/// Where the plan found an image published, by digest.
fn published(planned: &PlannedImage) -> Option<Reference> {
    planned
        .destinations
        .iter()
        .find_map(|destination| match &destination.content {
            ContentSource::Published { digest } => Some(Reference {
                repository: destination.repository.clone(),
                tag: None,
                digest: Some(digest.clone()),
            }),
            ContentSource::Upload | ContentSource::Nothing => None,
        })
}

/// The image ID in the engine, or the digest of what was assembled.
pub(super) fn id_of(built: &BuiltImage) -> Digest {
    match &built.artifact {
        Artifact::Docker { id } => id.clone(),
        Artifact::Assembled(assembled) => assembled.top.digest.clone(),
    }
}
