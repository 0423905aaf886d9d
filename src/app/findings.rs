//! Findings that need the whole workspace: templates, repositories and tags of its images.

use std::collections::{BTreeMap, BTreeSet};

use crate::config_files::source_keys::SourceKeys;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::Repository;
use crate::resolve::image::Base;
use crate::resolve::{Destination, ParsedImage};
use crate::workspace::load::Loaded;

/// Reports templates that neither the workspace nor golden has.
pub(super) fn check_templates(templates: &BTreeMap<String, String>, loaded: &mut Loaded) {
    let builtin = ["debian", "alpine", "rhel", "static"];
    for requests in loaded.images.requests() {
        let Some(name) = requests.template.as_deref() else {
            continue;
        };
        let known: BTreeSet<&str> = templates
            .keys()
            .map(String::as_str)
            .chain(builtin)
            .collect();
        if known.contains(name) {
            continue;
        }
        let at = crate::diagnostic::KeyFinder::value(
            &SourceKeys::new(&loaded.sources),
            &requests.source,
            &["image", "template"],
        );
        let diagnostic = Diagnostic::error(
            "spec.template-name",
            format!("there is no template `{name}`"),
        )
        .at(
            &requests.source,
            at.unwrap_or_else(|| requests.location.span.clone()),
            "",
        );
        loaded
            .found
            .push(match crate::suggest::closest(name, known.iter().copied()) {
                Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                None => diagnostic.help(format!(
                    "the templates are {}",
                    known.into_iter().collect::<Vec<_>>().join(", ")
                )),
            });
    }
}

/// Reports images whose name gives no valid repository in a registry.
pub(super) fn impossible(
    images: &[&ParsedImage],
    destinations: &[&[Destination]],
    found: &mut Diagnostics,
) {
    for image in images {
        let name = &image.name;
        let mut all = destinations.iter().flat_map(|some| some.iter());
        let refused = all.find_map(|to| Some((to, to.repository(name).err()?)));
        let Some((destination, error)) = refused else {
            continue;
        };
        let message = format!(
            "the image has no repository in {}: {error}",
            destination.host
        );
        let diagnostic = Diagnostic::error("tags.repository", message);
        let location = &image.requests.location;
        found.push(
            diagnostic
                .at(&location.file, location.span.clone(), "")
                .help("shorten the name, or the namespace of the registry"),
        );
    }
}

/// Reports images with different names that have the same repository, because the namespace of one
/// registry continues that of another.
pub(super) fn shared(
    images: &[&ParsedImage],
    destinations: &[Destination],
    found: &mut Diagnostics,
) {
    let mut known: BTreeMap<Repository, &ParsedImage> = BTreeMap::new();
    for (image, destination) in images
        .iter()
        .copied()
        .flat_map(|image| destinations.iter().map(move |to| (image, to)))
    {
        let Ok(repository) = destination.repository(&image.name) else {
            continue;
        };
        let first = *known.entry(repository.clone()).or_insert(image);
        if first.name == image.name {
            continue;
        }
        let message = format!(
            "the images `{}` and `{}` have the same repository, {repository}",
            first.name, image.name
        );
        let location = &image.requests.location;
        found.push(
            Diagnostic::error("tags.collision", message)
                .at(&location.file, location.span.clone(), "")
                .help("rename an image, or change the namespace of a registry"),
        );
        return;
    }
}

/// Reports images with a tag that is also the reference of a base: the next build would use that
/// image as its own base.
pub(super) fn shadowed(
    images: &[&ParsedImage],
    destinations: &[Destination],
    found: &mut Diagnostics,
) {
    let mut bases: BTreeMap<String, &ParsedImage> = BTreeMap::new();
    for image in images {
        if let Base::Reference(reference) = &image.base
            && reference.digest.is_none()
        {
            let tag = reference.tag.as_ref().map_or("latest", |tag| tag.as_str());
            bases.insert(format!("{}:{tag}", reference.repository), image);
        }
    }
    for image in images {
        let Ok(fan_out) = crate::tags::fan_out(&image.version, image.variant.as_ref(), &image.tags)
        else {
            continue;
        };
        let mut repositories: Vec<String> = destinations
            .iter()
            .filter_map(|d| d.repository(&image.name).ok())
            .map(|r| r.to_string())
            .collect();
        if repositories.is_empty() {
            repositories.push(format!("localhost/{}", image.name));
        }
        for repository in repositories {
            for planned in &fan_out.tags {
                let name = format!("{repository}:{}", planned.tag);
                let Some(child) = bases.get(&name) else {
                    continue;
                };
                let message = format!(
                    "`{name}` is both the base of an image and a tag of `{}`",
                    image.name
                );
                let (base, location) = (&child.requests.base_location, &image.requests.location);
                let diagnostic = Diagnostic::error("tags.base", message)
                    .at(&base.file, base.span.clone(), "the base")
                    .at(
                        &location.file,
                        location.span.clone(),
                        "the image that gets this tag",
                    );
                found.push(
                    diagnostic.help(format!("write base = {{ image = \"{}\" }}", image.name)),
                );
            }
        }
    }
}
