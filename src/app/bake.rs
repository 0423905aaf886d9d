//! Creates an image of the workspace for each target of a bake file.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::Error;
use super::import::{ImportedImage, PreparedImport, comment, prepare, text_of};
use super::new::{NewSpec, shown};
use super::settings::Settings;
use crate::config_files::quoted::quoted;
use crate::import::ImportOptions;
use crate::import::bake::{BakeError, BakeTarget, parse_compose, parse_hcl, parse_json};
use crate::reference::Reference;
use crate::tags::version_argument;
use crate::workspace::{fs, load};

/// The images of a bake file.
#[derive(Debug)]
pub struct ImportedTargets {
    /// The targets, in the order of the file.
    pub targets: Vec<ImportedTarget>,
}

/// A target and its image.
#[derive(Debug)]
pub struct ImportedTarget {
    /// The name of the target.
    pub name: String,
    /// The image; an error if the target cannot be imported.
    pub image: Result<ImportedImage, Error>,
    /// The keys of the target that the spec does not contain, each with the reason.
    pub left_out: Vec<(String, String)>,
}

impl ImportedTargets {
    /// True if the specs contain everything in the bake file.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let is_complete = |target: &ImportedTarget| {
            target.left_out.is_empty()
                && target.image.as_ref().is_ok_and(ImportedImage::is_complete)
        };
        self.targets.iter().all(is_complete)
    }
}

/// Creates an image for each target of a bake file. A target that cannot be imported is reported,
/// and the others are written. Fails, and writes nothing, if the bake file is invalid or if the
/// spec of a target already exists.
pub async fn bake(settings: &Settings, from: &Path) -> Result<ImportedTargets, Error> {
    let file = settings.cwd.join(from);
    let written = shown(&file, settings);
    let text = text_of(&file, &written)?;
    let set: BTreeMap<String, String> = settings.set.iter().cloned().collect();
    // `--set` sets variables of the bake file, not of the workspace.
    let settings = &Settings {
        set: Vec::new(),
        ..settings.clone()
    };
    let extension = file.extension().unwrap_or_default();
    let targets = match extension.to_str() {
        Some("json") => parse_json(&text, &set),
        Some("yaml" | "yml") => parse_compose(&text, &set),
        _ => parse_hcl(&text, &set),
    };
    let invalid = |error: BakeError| Error::invalid(format!("{written}: {error}"));
    let targets = targets.map_err(invalid)?;
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let loaded = load::load(&settings.load_inputs()?).await?;
    let mut prepared = Vec::new();
    for target in targets {
        let spec = NewSpec::in_workspace(&loaded, &target.name)?;
        let import = import(settings, &file, &written, &target, &names);
        prepared.push((target, spec, import));
    }
    let mut imported = Vec::new();
    for (target, spec, import) in prepared {
        let image = match import {
            Ok(import) => import.write(settings, spec).await,
            Err(error) => Err(error),
        };
        let tags = other_tags(&target);
        imported.push(ImportedTarget {
            name: target.name,
            image,
            left_out: target.left_out.into_iter().chain(tags).collect(),
        });
    }
    Ok(ImportedTargets { targets: imported })
}

/// Imports the Dockerfile of a target.
fn import(
    settings: &Settings,
    bake: &Path,
    written: &str,
    target: &BakeTarget,
    targets: &[String],
) -> Result<PreparedImport, Error> {
    let context = target.context.as_deref().unwrap_or(".");
    if context.contains("://") || context.starts_with("git@") {
        return Err(Error::invalid(format!(
            "the build context {context} is not a directory on this machine"
        )));
    }
    let directory = fs::directory_of(bake).join(context);
    let file = directory.join(target.dockerfile.as_deref().unwrap_or("Dockerfile"));
    let options = ImportOptions {
        name: target.name.clone(),
        comment: comment(written),
        arguments: target.arguments.clone(),
        stage: target.stage.clone(),
        labels: target.labels.clone(),
        platforms: target.platforms.clone(),
        version: target.tags.iter().find_map(|tag| version(tag)),
        bases: bases(target, targets),
    };
    let shown = shown(&file, settings);
    let text = match &target.inline {
        Some(text) => text.clone(),
        None => text_of(&file, &shown)?,
    };
    prepare(settings, &shown, &text, (&file, &directory), &options)
}

/// The bases that the named contexts of a target define, by name: another target, or an image.
fn bases(target: &BakeTarget, targets: &[String]) -> BTreeMap<String, String> {
    let base = |(name, context): (&String, &String)| {
        let base = match context.split_once(':')? {
            ("target", other) if targets.iter().any(|name| name == other) => {
                format!("{{ image = {} }}", quoted(other))
            }
            ("docker-image", reference) => quoted(reference.strip_prefix("//")?),
            _ => return None,
        };
        Some((name.clone(), base))
    };
    target.contexts.iter().filter_map(base).collect()
}

/// The version in the tag of a reference. `None` if the tag is not a version.
fn version(reference: &str) -> Option<String> {
    let reference: Reference = reference.parse().ok()?;
    let version = version_argument(reference.tag?.as_str()).ok()?;
    Some(version.to_string())
}

/// The key `tags` with a reason, if the target has tags that the fan-out of its version lacks.
fn other_tags(target: &BakeTarget) -> Option<(String, String)> {
    let versions: Vec<String> = target.tags.iter().filter_map(|tag| version(tag)).collect();
    let is_other = |reference: &&String| {
        let tag = match reference.parse::<Reference>() {
            Ok(Reference { tag: Some(tag), .. }) => tag,
            Ok(_) => return false,
            Err(_) => return true,
        };
        let tag = tag.as_str();
        let plain = tag.strip_prefix('v').unwrap_or(tag);
        tag != "latest"
            && !versions
                .iter()
                .any(|version| version == plain || version.starts_with(&format!("{plain}.")))
    };
    let others: Vec<&str> = target
        .tags
        .iter()
        .filter(is_other)
        .map(String::as_str)
        .collect();
    let reason = format!(
        "golden computes the tags from the version; `tags.extra` adds others: {}",
        others.join(", ")
    );
    (!others.is_empty()).then(|| ("tags".to_owned(), reason))
}
