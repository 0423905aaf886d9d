//! Exports images of the Docker Engine, so that golden can read them and upload them by digest. An
//! engine pushes only to tags, and no tag may point to an image before its tests have passed and its
//! signatures are attached.

use super::failed::Failed;
use super::run::{ImageRelatives, Run};
use crate::app::work::Work;
use crate::engine::{Assembled, BuildOptions, BuildOutput, BuiltImage};
use crate::publish::Attachments;

impl Run<'_> {
    /// The artifacts that are attached to an image.
    pub(super) fn attachments<'a>(&'a self, work: &'a Work) -> Attachments<'a> {
        Attachments {
            signing: self.signing,
            sbom: &self.sbom,
            provenance: work.facts.as_ref(),
            files: &self.files,
        }
    }

    /// True if golden, and not the engine, must upload the image: something happens between the
    /// upload and the first tag.
    pub(super) fn needs_export(&self, work: &Work) -> bool {
        self.has_conditions(work) || !self.attachments(work).is_empty()
    }

    /// The image in the form in which golden uploads it. Fails if the engine cannot export it.
    pub(super) async fn published_by_golden(
        &self,
        work: &Work,
        built: BuiltImage,
        relatives: ImageRelatives<'_>,
    ) -> Result<BuiltImage, Failed> {
        if !matches!(built.output, BuildOutput::Docker { .. }) {
            return Ok(built);
        }
        // Only a published image needs the layers of its base in the form of the registry.
        let is_published = self.options.push;
        let options =
            is_published.then(|| self.build_options(relatives, |parent| parent.published.clone()));
        let exported = self.exported(work, &built, options.as_ref()).await?;
        Ok(BuiltImage {
            output: BuildOutput::Assembled(exported),
            ..built
        })
    }

    /// Exports an image. With options, the layers of the base keep the form that its registry has.
    pub(super) async fn exported(
        &self,
        work: &Work,
        built: &BuiltImage,
        options: Option<&BuildOptions>,
    ) -> Result<Assembled, Failed> {
        let id = match &built.output {
            BuildOutput::Assembled(assembled) => return Ok(assembled.clone()),
            BuildOutput::Docker { id } => id,
        };
        let docker = self.engines.docker().await?;
        let platform = built.config.platform();
        let exporter = self.engines.exporter();
        let export = exporter.export_of(docker, &work.recipe, &platform, id, options, self.events);
        Ok(Box::pin(export).await?)
    }
}
