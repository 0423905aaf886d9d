//! Renders the images of a session without reading anything outside the workspace.

use super::render::UNKNOWN_FAMILY;
use super::session::Session;
use crate::config_files::source_keys::SourceKeys;
use crate::diagnostic::{Diagnostic, Diagnostics, KeyFinder as _};
use crate::render::{Renderer, Templates};
use crate::resolve::ResolvedImage;
use crate::resolve::image::FamilySource;

/// Warns about an image whose family is known only from its base. `golden check` reads nothing
/// outside the workspace.
fn unknown_family(image: &ResolvedImage, places: &SourceKeys<'_>) -> Diagnostics {
    let mut found = Diagnostics::new();
    if image.needs_family() && image.family_source == FamilySource::Unknown {
        let at = places
            .value(&image.source, &["image", "base"])
            .unwrap_or(0..0);
        let message = "the name of the base does not show its family; golden reads the base when it plans the image";
        let diagnostic = Diagnostic::warning("spec.family", message).at(&image.source, at, "");
        found.push(diagnostic.help(UNKNOWN_FAMILY));
    }
    found
}

/// Renders each image. This finds invalid templates, and specs that no Dockerfile can express.
pub fn render(session: &Session, found: &mut Diagnostics) {
    let templates = Templates::from(session.templates.clone());
    let renderer = Renderer::new(&templates);
    let places = SourceKeys::new(&session.sources);
    for image in session.resolved() {
        found.extend(unknown_family(image, &places));
        let Err(error) = renderer.render(image) else {
            continue;
        };
        let file = &image.source;
        let at = places
            .value(file, &["image", "template"])
            .or_else(|| places.value(file, &["image", "name"]));
        let diagnostic =
            Diagnostic::error("spec.render", error.to_string()).at(file, at.unwrap_or(0..0), "");
        found.push(error.hints().into_iter().fold(diagnostic, Diagnostic::help));
    }
}
