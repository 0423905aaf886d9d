//! Renders images for builds without golden: a Dockerfile, its whole context, and a target in
//! `docker-bake.json` with the settings that a Dockerfile cannot contain.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Failed, local};
use crate::assemble::{BaseImage, can_assemble};
use crate::engine::{self, BuildOptions, Embedded, embedded, fit};
use crate::event::Events;
use crate::observe;
use crate::oci::Content;
use crate::oci::tar::{Entry, EntryKind};
use crate::plan::{self, each_recipe};
use crate::platform::Platform;
use crate::reference::Repository;
use crate::render::bake::RenderedTarget;
use crate::render::{
    BaseTraits, ContextFiles, FilesOnBase, PinnedBase, Recipe, Renderer, Standalone, Templates,
    late_labels, late_labels_without_base,
};
use crate::resolve::ResolvedImage;
use crate::resolve::pin::ParentIndex;
use crate::snapshot::Observed;
use crate::tags;
use crate::workspace::lock::Lock;

/// The time limit for reading bases. Rendering must also work without a network.
const READING: Duration = Duration::from_secs(30);

/// An image to render.
#[derive(Debug)]
pub struct StandaloneWork {
    /// The image.
    pub image: ResolvedImage,
    /// The name of the base for display; `None` means its normal name.
    pub base: Option<String>,
    /// The repository of the image in a Docker Engine.
    pub name: Repository,
    /// The file name suffix of an image that shares its directory with others: `.slim`. Empty for
    /// most images.
    pub suffix: String,
}

/// The images to render and the data for it.
#[derive(Debug)]
pub struct Rendering<'a> {
    /// The images, parents first.
    pub work: &'a [StandaloneWork],
    /// The templates of the workspace.
    pub templates: &'a Templates,
    /// The known digests and platforms of the bases.
    pub observed: &'a Observed,
    /// The time until which bases are read.
    pub deadline: Instant,
    /// The engine that reads the bases.
    pub embedded: &'a Embedded,
    /// The receiver of warnings.
    pub events: &'a Events,
}

/// Reads the state of the bases: from golden.lock, else from their registries. A base that cannot
/// be read is reported as a warning.
pub async fn observed(
    images: &[ResolvedImage],
    lock: &Lock,
    embedded: &Embedded,
    events: &Events,
    deadline: Instant,
) -> Observed {
    let mut observed = Observed::default();
    observe::from_lock(images, lock, &mut observed);
    for image in images {
        let reading = observe::bases(std::slice::from_ref(image), embedded, None, &mut observed);
        match timeout_at(deadline, reading).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn(events, image, &error.to_string()),
            Err(_) => warn(events, image, "its registry did not answer in time"),
        }
    }
    observed
}

/// The time until which bases are read, if reading starts now.
#[must_use]
pub fn deadline() -> Instant {
    Instant::now() + READING
}

fn warn(events: &Events, image: &ResolvedImage, why: &str) {
    let what = "the base could not be read; files and users are rendered as they are in the spec";
    events.warn(Some(&image.display()), format!("{what}: {why}"));
}

/// A rendered image for a build without golden.
#[derive(Debug)]
pub struct StandaloneImage {
    /// The text of the Dockerfile.
    pub dockerfile: String,
    /// The files of the directory, including the Dockerfile, sorted by path.
    pub entries: Vec<Entry>,
    /// The target in `docker-bake.json`.
    pub target: RenderedTarget,
}

/// A base that was read.
struct KnownBase {
    traits: BaseTraits,
    files: FilesOnBase,
}

impl Rendering<'_> {
    /// Renders all images. A base that cannot be read is reported as a warning; its images are
    /// rendered as they are in the spec. Fails if a template is invalid or the spec is invalid on
    /// its base.
    pub async fn all(&self) -> Result<Vec<StandaloneImage>, Failed> {
        let deadline = self.deadline;
        let images: Vec<ResolvedImage> = self.work.iter().map(|work| work.image.clone()).collect();
        let recipes = each_recipe(&images, self.observed, self.templates);
        let parents = ParentIndex::new(&images);
        let is_parent = |position| {
            images
                .iter()
                .any(|image| parents.of(image) == Some(position))
        };
        let mut rendered = Vec::with_capacity(images.len());
        for (position, (work, recipe)) in self.work.iter().zip(recipes).enumerate() {
            let recipe = match recipe {
                Ok(recipe) => Some(recipe),
                Err(plan::Error::Pin(_)) => None,
                Err(plan::Error::Render(error)) => return Err(engine::Error::from(error).into()),
                Err(error) => {
                    return Err(engine::Error::Build {
                        message: error.to_string(),
                    }
                    .into());
                }
            };
            let known = match &recipe {
                Some(recipe) => self.known(recipe, deadline).await?,
                None => None,
            };
            rendered.push(self.image(work, recipe.as_ref(), known.as_ref())?);
            if let Some(recipe) =
                recipe.filter(|recipe| is_parent(position) && can_assemble(&recipe.image).is_ok())
            {
                // Children read the assembled parent. If this fails, they are rendered as they are
                // in the spec.
                let options = BuildOptions::default();
                let built = timeout_at(
                    deadline,
                    self.embedded.build(&recipe, &options, self.events),
                )
                .await;
                tracing::debug!(?built, "assembled a parent to read it");
            }
        }
        Ok(rendered)
    }

    /// The traits of the base and the files on it; `None` if the base cannot be read.
    async fn known(&self, recipe: &Recipe, deadline: Instant) -> Result<Option<KnownBase>, Failed> {
        let image = &recipe.image;
        let host = Platform::new("linux", std::env::consts::ARCH, None);
        let platform = image.platforms.first().unwrap_or(&host);
        let options = BuildOptions::default();
        let reading = async {
            let base: BaseImage = self.embedded.base_of(recipe, &options, platform).await?;
            let files = fit::files_on(self.embedded, image, &base, self.events).await?;
            Ok::<_, embedded::Error>(KnownBase {
                traits: BaseTraits::from(&base.config),
                files,
            })
        };
        match timeout_at(deadline, reading).await {
            Ok(Ok(known)) => Ok(Some(known)),
            Ok(Err(error)) if fit::is_of_the_spec(&error) => Err(engine::Error::from(error).into()),
            Ok(Err(error)) => {
                self.warn(image, &error.to_string());
                Ok(None)
            }
            Err(_) => {
                self.warn(image, "its registry did not answer in time");
                Ok(None)
            }
        }
    }

    fn warn(&self, image: &ResolvedImage, why: &str) {
        warn(self.events, image, why);
    }

    fn image(
        &self,
        work: &StandaloneWork,
        recipe: Option<&Recipe>,
        known: Option<&KnownBase>,
    ) -> Result<StandaloneImage, Failed> {
        let StandaloneWork { image, suffix, .. } = work;
        let how = Standalone {
            base: work.base.as_deref(),
            traits: known.map(|known| &known.traits),
            files: known.map_or(ContextFiles::AsWritten, |known| {
                ContextFiles::OnBase(&known.files)
            }),
            suffix,
        };
        let rendered = Renderer::new(self.templates)
            .standalone(image, &how)
            .map_err(engine::Error::from)?;
        let labels = recipe.map_or_else(
            || late_labels_without_base(image, &rendered),
            |recipe| late_labels(recipe, None),
        );
        let mut args = rendered.build_args;
        if let Some(PinnedBase::Registry {
            reference, digest, ..
        }) = recipe.map(|recipe| &recipe.base)
        {
            args.insert(
                "GOLDEN_BASE".to_owned(),
                reference.at(digest.clone()).to_string(),
            );
        }
        let fan = tags::fan_out(&image.version, image.variant.as_ref(), &image.tags)?;
        let tags: Vec<_> = fan.tags.into_iter().map(|planned| planned.tag).collect();
        let dockerfile = format!("Dockerfile{suffix}");
        let last = image.name.as_str().rsplit('/').next().unwrap_or_default();
        let target = RenderedTarget {
            name: format!("{last}{suffix}"),
            dockerfile: dockerfile.clone(),
            args,
            labels,
            platforms: image.platforms.iter().map(Platform::to_string).collect(),
            tags: local::references(&work.name, &tags)
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        let kind = EntryKind::File(Content::inline(rendered.dockerfile.as_bytes()));
        let mut entries = rendered.context;
        entries.push(Entry {
            path: dockerfile,
            mode: 0o644,
            uid: 0,
            gid: 0,
            kind,
        });
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(StandaloneImage {
            dockerfile: rendered.dockerfile,
            entries,
            target,
        })
    }
}
