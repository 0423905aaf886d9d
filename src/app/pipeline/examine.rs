//! Runs the tests and gates of an image before its tags move.

use super::failed::Failed;
use super::run::{ImageResults, Run};
use crate::app::gates::{self, GateSubject};
use crate::app::readable::{ReadableImage, published};
use crate::app::work::Work;
use crate::checks::TestedPlatform;
use crate::config_files::gate_table::GateEvent;
use crate::engine::{Assembled, BuildOutput, BuiltImage};
use crate::oci::RawManifest;
use crate::plan::PlanStep;
use crate::publish::{self, Gatekeeper, UploadedImage};
use crate::registry::Repo;

impl Run<'_> {
    /// True if something is checked before the tags of the image move.
    pub(super) fn has_conditions(&self, work: &Work) -> bool {
        let names = [work.planned.name.as_str()];
        let mut gates = self.gates.of(GateEvent::Push, &names);
        !work.recipe.image.tests.is_empty() || gates.next().is_some()
    }

    /// Uploads an image. Its tests run before its first tag is put.
    pub(super) async fn upload<'j>(
        &'j self,
        work: &'j Work,
        built: Option<&'j BuiltImage>,
        slot: &'j ImageResults,
    ) -> Result<UploadedImage<'j>, Failed> {
        let job = self.job(work, built, slot).await;
        let guard = TestsBeforeTags {
            run: self,
            work,
            built,
            slot,
        };
        // Artifacts that are attached to an image move no tag.
        let is_guarded =
            self.has_conditions(work) && !matches!(work.planned.step, PlanStep::Attach { .. });
        let gatekeeper = is_guarded.then_some(&guard as &dyn Gatekeeper);
        Ok(publish::upload(job, gatekeeper).await?)
    }

    /// Runs the tests of an image that stays on this machine. Fails if a test fails, unless the
    /// command only reports the results.
    pub(super) async fn test_built(
        &self,
        work: &Work,
        built: &BuiltImage,
        slot: &ImageResults,
    ) -> Result<(), Failed> {
        if self.options.only_test && !work.selected {
            return Ok(());
        }
        let exported = self.exported(work, built, None).await?;
        let images = ReadableImage::of_assembled(&exported)?;
        match self.test(work, &images, slot).await? {
            Some(because) if !self.options.only_test => Err(Failed::Tests(because)),
            _ => Ok(()),
        }
    }

    /// Runs the tests and keeps their results for the report. Returns the reason if one fails.
    async fn test(
        &self,
        work: &Work,
        images: &[ReadableImage],
        slot: &ImageResults,
    ) -> Result<Option<String>, Failed> {
        let image = &work.recipe.image;
        if image.tests.is_empty() {
            return Ok(None);
        }
        let display = &work.planned.image;
        let examined = self.examiner.examine_all(display, images, &image.tests);
        let tested = examined.await?;
        let because = summary(&tested);
        if because.is_none() {
            let count = image.tests.len();
            let tests = if count == 1 { "test" } else { "tests" };
            self.events
                .note(Some(display), format!("{count} {tests} passed"));
        }
        slot.tests.lock().await.extend(tested);
        Ok(because)
    }
}

/// The number of failed tests; `None` if every test passed.
fn summary(tested: &[TestedPlatform]) -> Option<String> {
    let failed: usize = tested.iter().map(TestedPlatform::failed).sum();
    let all: usize = tested.iter().map(|platform| platform.tests.len()).sum();
    let tests = if all == 1 { "test" } else { "tests" };
    (failed > 0).then(|| format!("{failed} of {all} {tests} failed"))
}

/// Runs the tests of an image between its upload and its first tag.
pub(super) struct TestsBeforeTags<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) work: &'r Work,
    /// The image of this run. `None` if a registry already has the image.
    pub(super) built: Option<&'r BuiltImage>,
    pub(super) slot: &'r ImageResults,
}

impl TestsBeforeTags<'_> {
    /// The image that the tags will point to.
    async fn image(&self, repo: &Repo, raw: &RawManifest) -> Result<Assembled, Failed> {
        match self.built.map(|built| &built.output) {
            Some(BuildOutput::Assembled(assembled)) if assembled.top.digest == raw.digest => {
                Ok(assembled.clone())
            }
            _ => {
                let found = published(repo, raw.clone()).await;
                Ok(found.map_err(publish::Error::from)?)
            }
        }
    }

    /// Runs the tests and, if they pass, the gates. Returns the reason if a condition does not hold.
    async fn failure(&self, repo: &Repo, raw: &RawManifest) -> Result<Option<String>, Failed> {
        let image = self.image(repo, raw).await?;
        let readable = ReadableImage::of_assembled(&image)?;
        if readable.is_empty() {
            return Ok(Some(format!("{} contains no image", raw.digest)));
        }
        if let Some(because) = self.run.test(self.work, &readable, self.slot).await? {
            return Ok(Some(because));
        }
        let planned = &self.work.planned;
        let names = [planned.name.as_str()];
        let gates: Vec<_> = self.run.gates.of(GateEvent::Push, &names).collect();
        if gates.is_empty() {
            return Ok(None);
        }
        let version = planned.publish.to_string();
        let subject = GateSubject {
            display: &planned.image,
            name: planned.name.as_str(),
            version: &version,
            reference: &repo.name().digest(&raw.digest),
            image: &image,
        };
        let reports = match self.run.gates.run(&gates, &subject).await {
            Ok(reports) => reports,
            Err(problem) => return Ok(Some(format!("the gates could not be run: {problem}"))),
        };
        let because = gates::failure(&reports);
        self.slot.gates.lock().await.extend(reports);
        Ok(because)
    }
}

#[async_trait::async_trait]
impl Gatekeeper for TestsBeforeTags<'_> {
    async fn admit(&self, repo: &Repo, raw: &RawManifest) -> Result<(), String> {
        match self.failure(repo, raw).await {
            Ok(None) => Ok(()),
            Ok(Some(because)) => Err(because),
            Err(error) => Err(format!("the image cannot be examined: {error}")),
        }
    }
}
