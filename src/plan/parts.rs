//! Splits the inputs of an image into parts that a message can name.

use std::collections::{BTreeMap, BTreeSet};

use crate::reference::Digest;
use crate::render::Recipe;
use crate::resolve::image::{FileEntry, FileKind, Packages};
use crate::snapshot::InputParts;

/// The part for everything that no other part contains.
pub(super) const DOCKERFILE: &str = "the Dockerfile";

/// The parts of a recipe's inputs that an image config does not record.
#[must_use]
pub fn parts(recipe: &Recipe) -> InputParts {
    let image = &recipe.image;
    let text = |text: String| Digest::of(text.as_bytes());
    let mut parts = BTreeMap::new();
    for entry in &image.files {
        parts.insert(file_name(entry), file_digest(entry));
    }
    for certificate in &image.certificates {
        parts.insert(
            format!("certificate {}", certificate.name),
            text(certificate.pem.clone()),
        );
    }
    for (n, step) in image.run.iter().enumerate() {
        let name = step.name.clone().unwrap_or_else(|| (n + 1).to_string());
        let content = format!("{:?}", (&step.script, &step.user, &step.secrets));
        parts.insert(format!("step {name}"), text(content));
    }
    for package in &image.packages.install {
        parts.insert(format!("package {package}"), text(package.clone()));
    }
    for package in &image.packages.remove {
        parts.insert(format!("removed package {package}"), text(package.clone()));
    }
    let Packages {
        upgrade,
        snapshot,
        repositories,
        locked,
        ..
    } = &image.packages;
    if *upgrade {
        parts.insert("updates of the base".to_owned(), text("true".to_owned()));
    }
    if let Some(date) = snapshot {
        parts.insert("package snapshot".to_owned(), text(date.clone()));
    }
    for (name, version) in locked {
        parts.insert(
            format!("package {name} in golden.lock"),
            text(version.clone()),
        );
    }
    for repository in repositories {
        let content = format!(
            "{:?}",
            (
                &repository.suite,
                &repository.components,
                &repository.key.file,
                repository.key.content.digest(),
            )
        );
        parts.insert(
            format!("package repository {}", repository.url),
            text(content),
        );
    }
    for platform in &image.platforms {
        parts.insert(format!("platform {platform}"), text(platform.to_string()));
    }
    let dockerfile = text(recipe.rendered.dockerfile.clone());
    parts.insert(DOCKERFILE.to_owned(), dockerfile);
    InputParts(parts)
}

/// The parts that differ between the published inputs and a recipe, for a message.
pub(super) fn differences(published: &InputParts, recipe: &Recipe) -> Vec<String> {
    let (InputParts(was), InputParts(now)) = (published, parts(recipe));
    let names: BTreeSet<&String> = was.keys().chain(now.keys()).collect();
    let mut changed: Vec<String> = names
        .into_iter()
        .filter(|name| was.get(*name) != now.get(*name))
        .map(|name| match now.get(name) {
            None => format!("{name} removed"),
            Some(_) => shown(name, recipe),
        })
        .collect();
    if changed.len() > 1 {
        changed.retain(|name| name != DOCKERFILE);
    }
    changed
}

/// The name of a part, with the source of a file.
fn shown(name: &str, recipe: &Recipe) -> String {
    let file = recipe
        .image
        .files
        .iter()
        .find(|file| file_name(file) == name);
    match file {
        Some(file) => format!("{name} ({})", file.origin),
        None => name.to_owned(),
    }
}

fn file_name(entry: &FileEntry) -> String {
    let kind = match &entry.kind {
        FileKind::File(_) => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink(_) => "link",
    };
    format!("{kind} {}", entry.path)
}

fn file_digest(entry: &FileEntry) -> Digest {
    let content = match &entry.kind {
        FileKind::File(content) => content.digest().to_string(),
        FileKind::Directory => String::new(),
        FileKind::Symlink(target) => target.clone(),
    };
    let attributes = format!("{:?}", (entry.mode, &entry.owner, content));
    Digest::of(attributes.as_bytes())
}
