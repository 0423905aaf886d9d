//! Reads the content of the newest version of an image: packages, findings, test results, and the
//! changes since the version before it.

use serde_json::Value;

use super::data::{SiteChanges, SiteContent, SiteLayer};
use super::repositories::shown;
use crate::app::audit::Audit;
use crate::app::diff;
use crate::app::examiner::Examiner;
use crate::app::readable::{ReadableImage, written};
use crate::app::scan::ScannedImage;
use crate::assemble::{Layer, LayerSource};
use crate::checks::{Attempt, judge, plan};
use crate::image::{DescribedImage, FileReader, LayerError};
use crate::inventory::{ImageContent, ImageDifference, LayerOwner, layer_owners};
use crate::oci::ImageConfig;
use crate::resolve::ResolvedImage;
use crate::resolve::image::ResolvedTest;

/// Reads the content of published images.
pub(super) struct ContentReader<'a> {
    pub(super) audit: Audit<'a>,
    pub(super) reader: FileReader,
    pub(super) examiner: Examiner,
}

/// The versions that a page compares, each with its name.
#[derive(Clone, Copy)]
pub(super) struct Versions<'a> {
    /// The newest version.
    pub(super) newest: (&'a str, &'a ScannedImage),
    /// The version before it.
    pub(super) previous: Option<(&'a str, &'a ScannedImage)>,
    /// The image of the workspace that the newest version is built on.
    pub(super) base: Option<&'a ScannedImage>,
}

impl ContentReader<'_> {
    /// Reads the content of the newest version. A part that cannot be read is added to `problems`.
    pub(super) async fn read(
        &self,
        image: &ResolvedImage,
        versions: Versions<'_>,
        problems: &mut Vec<String>,
    ) -> Option<SiteContent> {
        let Versions {
            newest: (version, scanned),
            previous,
            base,
        } = versions;
        let image_shown = shown(&scanned.described)?;
        let reference = scanned.reference();
        let audited = match self.audit.check(&reference, scanned).await {
            Ok(audited) => Some(audited),
            Err(error) => {
                problems.push(format!(
                    "the policy cannot be applied to {reference}: {error}"
                ));
                None
            }
        };
        let mut content = SiteContent {
            platform: image_shown.platform.to_string(),
            labels: image_shown.config.labels(),
            layers: layers(image_shown, base.and_then(|base| shown(&base.described))),
            reference: reference.to_string(),
            audited,
            packages: None,
            gaps: Vec::new(),
            changes: None,
            results: None,
        };
        let name = image.display();
        let unread = |error: LayerError| {
            let layer = error.to_string();
            format!("the packages of {reference} cannot be read: {layer}")
        };
        match self
            .packages(&name, (version, scanned), previous, &mut content)
            .await
        {
            Ok(()) => self.test(image, scanned, &mut content, problems).await,
            Err(error) => problems.push(unread(error)),
        }
        Some(content)
    }

    /// Reads the packages, and compares them with those of the version before.
    async fn packages(
        &self,
        name: &str,
        (version, newest): (&str, &ScannedImage),
        previous: Option<(&str, &ScannedImage)>,
        content: &mut SiteContent,
    ) -> Result<(), LayerError> {
        // The files of an image take much memory.
        let _turn = self.reader.turn().await;
        let Some(to) = self.files(name, newest).await? else {
            return Ok(());
        };
        if let Some((before, image)) = previous
            && let Some(from) = self.files(name, image).await?
        {
            let difference = ImageDifference::between(&from, &to);
            content.changes = Some(SiteChanges {
                from: before.to_owned(),
                to: version.to_owned(),
                packages: difference.packages,
                growth: difference.size.change,
            });
        }
        content.gaps = to.inventory.gaps;
        content.packages = Some(to.inventory.packages);
        Ok(())
    }

    async fn files(
        &self,
        name: &str,
        scanned: &ScannedImage,
    ) -> Result<Option<ImageContent>, LayerError> {
        let Some(image) = readable(scanned) else {
            return Ok(None);
        };
        let events = &self.examiner.events;
        let content = diff::readable(image, name, &self.reader, events).await?;
        Ok(Some(content))
    }

    /// Runs the tests of the spec on the newest version.
    async fn test(
        &self,
        image: &ResolvedImage,
        newest: &ScannedImage,
        content: &mut SiteContent,
        problems: &mut Vec<String>,
    ) {
        let Some(readable) = readable(newest).filter(|_| !image.tests.is_empty()) else {
            return;
        };
        let name = image.display();
        // A report starts no containers.
        let needs_engine = |test: &ResolvedTest| plan(test, &readable.config).is_some();
        let tests = image.tests.iter().cloned();
        let (commands, tests): (Vec<_>, Vec<_>) = tests.partition(needs_engine);
        match self.examiner.examine(&name, &readable, &tests).await {
            Ok(mut results) => {
                let skipped = Attempt::Skipped("a report starts no containers".to_owned());
                let commands = commands.iter().map(|test| judge(test, &skipped));
                results.tests.extend(commands);
                content.results = Some(results);
            }
            Err(error) => {
                let reference = &content.reference;
                problems.push(format!("the tests of {reference} cannot be run: {error}"));
            }
        }
    }
}

/// The image of a scan whose layers are read.
fn readable(scanned: &ScannedImage) -> Option<ReadableImage> {
    let image = shown(&scanned.described)?;
    let layer = |descriptor: &crate::oci::Descriptor| Layer {
        descriptor: descriptor.clone(),
        source: LayerSource::Registry(scanned.repository.clone()),
    };
    Some(ReadableImage {
        platform: image.platform.clone(),
        config: image.config.clone(),
        raw_config: written(&image.config),
        layers: image.manifest.layers.iter().map(layer).collect(),
    })
}

/// The layers of an image, with the steps that made them. The layers of `base`, if it is known,
/// belong to the base; otherwise the history decides.
fn layers(image: &DescribedImage, base: Option<&DescribedImage>) -> Vec<SiteLayer> {
    let layers = &image.manifest.layers;
    let mut steps = steps(&image.config);
    // The history may have no entries for the lowest layers.
    let missing = layers.len().saturating_sub(steps.len());
    steps.splice(0..0, std::iter::repeat_n(None, missing));
    let mut owners = layer_owners(&image.config, layers.len());
    if let Some(below) = base.and_then(|base| layers_below(image, base)) {
        owners = vec![LayerOwner::Image; layers.len()];
        owners
            .iter_mut()
            .take(below)
            .for_each(|one| *one = LayerOwner::Base);
    }
    let layers = layers.iter().zip(owners).zip(steps);
    let layer = layers.map(|((layer, owner), step)| SiteLayer {
        digest: layer.digest.clone(),
        size: layer.size,
        owner,
        step,
    });
    layer.collect()
}

/// The number of layers of a base; `None` if the image is not built on it.
fn layers_below(image: &DescribedImage, base: &DescribedImage) -> Option<usize> {
    let below = base.lineage()?;
    image.lineage()?.is_built_on(&below, &[&base.digest])?;
    Some(below.layers.len())
}

/// The steps in the history of a config that made a layer.
fn steps(config: &ImageConfig) -> Vec<Option<String>> {
    let history = config.as_object().get("history").and_then(Value::as_array);
    let entries = history.into_iter().flatten();
    let with_layer = entries.filter(|entry| entry["empty_layer"].as_bool() != Some(true));
    with_layer
        .map(|entry| entry["created_by"].as_str().map(str::to_owned))
        .collect()
}
