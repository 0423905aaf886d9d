//! Findings that need the whole workspace: templates, repositories and tags of its images.

use std::collections::{BTreeMap, BTreeSet};

use crate::config_files::places::Parsed;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::resolve::Destination;
use crate::resolve::draft::Draft;
use crate::resolve::image::Base;
use crate::workspace::load::Loaded;

/// Reports templates that neither the workspace nor golden has.
pub(super) fn check_templates(templates: &BTreeMap<String, String>, loaded: &mut Loaded) {
    let builtin = ["debian", "alpine", "rhel", "static"];
    for draft in &loaded.drafts {
        let Some(name) = draft.template.as_deref() else {
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
        let at = crate::diagnostic::Places::value(
            &Parsed(&loaded.sources),
            &draft.image.source,
            &["image", "template"],
        );
        let diagnostic = Diagnostic::error(
            "spec.template-name",
            format!("there is no template `{name}`"),
        )
        .at(
            &draft.image.source,
            at.unwrap_or_else(|| draft.location.span.clone()),
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
    drafts: &[Draft],
    destinations: &[&[Destination]],
    found: &mut Diagnostics,
) {
    for draft in drafts {
        let name = &draft.image.name;
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
        found.push(
            diagnostic
                .at(&draft.location.file, draft.location.span.clone(), "")
                .help("shorten the name, or the namespace of the registry"),
        );
    }
}

/// Reports images with a tag that is also the reference of a base: the next build would use that
/// image as its own base.
pub(super) fn shadowed(drafts: &[Draft], destinations: &[Destination], found: &mut Diagnostics) {
    let mut bases: BTreeMap<String, &Draft> = BTreeMap::new();
    for draft in drafts {
        if let Base::Reference(reference) = &draft.image.base
            && reference.digest.is_none()
        {
            let tag = reference.tag.as_ref().map_or("latest", |tag| tag.as_str());
            bases.insert(format!("{}:{tag}", reference.repository), draft);
        }
    }
    for draft in drafts {
        let image = &draft.image;
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
                let diagnostic = Diagnostic::error("tags.base", message)
                    .at(
                        &child.base_location.file,
                        child.base_location.span.clone(),
                        "the base",
                    )
                    .at(
                        &draft.location.file,
                        draft.location.span.clone(),
                        "the image that gets this tag",
                    );
                found.push(
                    diagnostic.help(format!("write base = {{ image = \"{}\" }}", image.name)),
                );
            }
        }
    }
}
