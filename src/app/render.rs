//! Renders the Dockerfiles, or all files that build the images without golden.

use std::path::Path;

use serde::Serialize;

use super::error::Error;
use super::pipeline::families;
use super::pipeline::standalone::{self, Rendering, StandaloneWork};
use super::registries;
use super::rendered::{Directories, RenderState};
use super::session::Session;
use super::work::{SessionImage, local_repository};
use crate::engine::Embedded;
use crate::reference::Reference;
use crate::render::{ContextFiles, Renderer, Standalone, Templates};
use crate::resolve::ResolvedImage;
use crate::resolve::image::{Base, Family, FamilySource};
use crate::workspace::state::StateDirectory;

/// The hint for an image whose family cannot be inferred from the workspace.
pub const UNKNOWN_FAMILY: &str =
    "set family = \"debian\", \"alpine\", \"rhel\" or \"static\" in [image]";

/// The rendered files of all images.
#[derive(Debug, Serialize)]
pub struct RenderReport {
    /// The Dockerfiles.
    pub images: Vec<RenderedImage>,
    /// The files that `--out` writes, except the Dockerfiles.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<WrittenFile>,
    /// Files of images that no longer exist, relative to `--out`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// The Dockerfile of an image.
#[derive(Debug, Serialize)]
pub struct RenderedImage {
    /// Display name of the image.
    pub image: String,
    /// The path relative to `--out`.
    pub file: String,
    /// The text of the Dockerfile.
    pub dockerfile: String,
    /// The state of the file that `--out` writes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<RenderState>,
}

/// A file in the directory of `--out`.
#[derive(Debug, Serialize)]
pub struct WrittenFile {
    /// The path relative to `--out`.
    pub file: String,
    /// The state of the file.
    pub state: RenderState,
}

/// Renders only the Dockerfiles. This reads no base.
pub fn dockerfiles(session: &Session) -> Result<RenderReport, Error> {
    let templates = Templates::from(session.templates.clone());
    let renderer = Renderer::new(&templates);
    let mut images = Vec::new();
    for one in &session.images {
        let image = &one.image;
        known_family(image)?;
        let base = shown_base(session, one);
        let options = Standalone {
            base: base.as_deref(),
            traits: None,
            files: ContextFiles::Later,
            suffix: "",
        };
        let dockerfile = renderer.standalone(image, &options)?.dockerfile;
        let file = format!("{}/Dockerfile{}", image.name, suffix(image));
        images.push(RenderedImage {
            image: image.display(),
            file,
            dockerfile,
            state: None,
        });
    }
    Ok(RenderReport {
        images,
        context: Vec::new(),
        left: Vec::new(),
    })
}

/// Fails if the image needs its family and only an unreadable base could show it.
fn known_family(image: &ResolvedImage) -> Result<(), Error> {
    let reason = match (image.family_source, image.family) {
        (FamilySource::Unknown, _) if image.needs_family() => {
            "the name of its base does not show its family"
        }
        (_, Family::Static) if image.has_packages() => {
            "the name of its base shows that it has no package manager"
        }
        (_, Family::Static) if image.adds_to_keystores() => {
            "the name of its base shows that it has no shell to run keytool in"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("{}: {reason}", image.display())).hint(UNKNOWN_FAMILY))
}

/// Writes all files that build the images without golden to `out`, or compares them with the
/// existing files. `all` is true if all images of the workspace are selected.
pub async fn directories(
    session: &Session,
    out: &Path,
    check: bool,
    all: bool,
) -> Result<RenderReport, Error> {
    let templates = Templates::from(session.templates.clone());
    let registries = registries::of_session(session)?;
    let cache = StateDirectory::of(&session.workspace.root).path("cache");
    let embedded = Embedded::new(registries, cache);
    let deadline = standalone::deadline();
    let (lock, events) = (&session.workspace.lock, &session.settings.events);
    let mut images: Vec<ResolvedImage> = session.resolved().cloned().collect();
    let observed = standalone::observed(&images, lock, &embedded, events, deadline).await;
    let settling = families::settle(&mut images, &observed, &embedded, events);
    match tokio::time::timeout_at(deadline, settling).await {
        // If a base cannot be read, its name determines the family.
        Ok(Ok(_) | Err(families::Error::Pin(_))) | Err(_) => {}
        Ok(Err(error)) => return Err(error.into()),
    }
    images.iter().try_for_each(known_family)?;
    let mut work = Vec::with_capacity(images.len());
    for (image, one) in images.into_iter().zip(&session.images) {
        work.push(StandaloneWork {
            base: shown_base(session, one),
            name: local_repository(&image, &session.destinations)?,
            suffix: suffix(&image),
            image,
        });
    }
    let rendering = Rendering {
        work: &work,
        templates: &templates,
        observed: &observed,
        deadline,
        embedded: &embedded,
        events,
    };
    let rendered = rendering.all().await?;
    let mut directories = Directories::new(out, check, all);
    let mut images = Vec::new();
    for (StandaloneWork { image, .. }, standalone) in work.iter().zip(rendered) {
        let (name, created) = (image.name.as_str(), image.provenance.created);
        let file = format!("{name}/{}", standalone.target.dockerfile);
        let state = directories.settle(name, &standalone.entries, created, &file)?;
        directories.add_target(name, standalone.target);
        images.push(RenderedImage {
            image: image.display(),
            file,
            dockerfile: standalone.dockerfile,
            state: Some(state),
        });
    }
    let (files, left) = directories.finish()?;
    let context = files
        .into_iter()
        .map(|(file, state)| WrittenFile { file, state })
        .collect();
    Ok(RenderReport {
        images,
        context,
        left,
    })
}

/// The reference of an image's base: the locked one, or else the one in the spec.
fn shown_base(session: &Session, one: &SessionImage) -> Option<String> {
    let base = &one.image.base;
    let locked = session.workspace.lock.get(base);
    let locked = locked.map(|locked| {
        let digest = Some(locked.digest.clone());
        let reference = locked.reference.clone();
        Reference {
            digest,
            ..reference
        }
        .to_string()
    });
    let loaded = || match base {
        Base::Layout(layout) => Some(layout.local_name()),
        _ => None,
    };
    locked.or_else(|| one.written_base.clone()).or_else(loaded)
}

/// The suffix of the Dockerfile, which distinguishes the images in one directory. Image names are
/// lower case, so no directory has the name of a Dockerfile.
fn suffix(image: &ResolvedImage) -> String {
    let version = (!image.row.is_empty()).then(|| image.version.to_string());
    let parts: Vec<String> = version
        .into_iter()
        .chain(image.variant.as_ref().map(ToString::to_string))
        .collect();
    if parts.is_empty() {
        String::new()
    } else {
        format!(".{}", parts.join("-"))
    }
}
