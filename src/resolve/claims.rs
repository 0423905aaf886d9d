//! Refuses two images that claim the same tag, before anything is built. The diagnostic shows both
//! locations.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::image::SpecLocation;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::{RepositoryPath, Tag};
use crate::tags::{Latest, TagRole, check_extra, fan_out, precedence};

/// Checks the tags of all images against one another.
pub(super) fn check(drafts: &[Draft], found: &mut Diagnostics) {
    let mut repositories: BTreeMap<&RepositoryPath, Vec<&Draft>> = BTreeMap::new();
    for draft in drafts {
        repositories
            .entry(&draft.image.name)
            .or_default()
            .push(draft);
    }
    for (name, drafts) in repositories {
        extras(&drafts, found);
        collisions(name, &drafts, found);
    }
}

fn at(diagnostic: Diagnostic, location: &SpecLocation, text: impl Into<String>) -> Diagnostic {
    diagnostic.at(&location.file, location.span.clone(), text)
}

/// Checks the extra tags of one repository.
pub(super) fn extras(drafts: &[&Draft], found: &mut Diagnostics) {
    let variants: Vec<&str> = drafts
        .iter()
        .filter_map(|draft| draft.image.variant.as_ref())
        .map(crate::tags::Variant::as_str)
        .collect();
    for draft in drafts {
        let variant = draft.image.variant.as_ref();
        for (extra, location) in draft.image.tags.extra.iter().zip(&draft.extra_locations) {
            if let Err(error) = check_extra(extra, variant, variants.iter().copied()) {
                found.push(at(
                    Diagnostic::error("tags.extra", error.to_string()),
                    location,
                    "",
                ));
            }
        }
    }
}

/// A claim of a tag.
struct TagClaim<'a> {
    draft: &'a Draft,
    /// True if the tag always goes to the highest version. Several versions of one variant may
    /// claim such a tag.
    compared: bool,
}

fn collisions(name: &RepositoryPath, drafts: &[&Draft], found: &mut Diagnostics) {
    let mut claims: BTreeMap<Tag, Vec<TagClaim<'_>>> = BTreeMap::new();
    for draft in drafts {
        let mut rules = draft.image.tags.clone();
        let variant = draft.image.variant.as_ref();
        // `extras` reports an invalid extra tag.
        rules
            .extra
            .retain(|extra| check_extra(extra, variant, []).is_ok());
        let fan_out = match fan_out(&draft.image.version, variant, &rules) {
            Ok(fan_out) => fan_out,
            Err(error) => {
                found.push(at(
                    Diagnostic::error("tags.grammar", error.to_string()),
                    &draft.location,
                    "",
                ));
                continue;
            }
        };
        for planned in fan_out.tags {
            let compared = match planned.role {
                TagRole::Full | TagRole::Original | TagRole::Extra => false,
                TagRole::Latest => rules.latest != Latest::Always,
                TagRole::Patch | TagRole::Minor | TagRole::Major => true,
            };
            claims
                .entry(planned.tag)
                .or_default()
                .push(TagClaim { draft, compared });
        }
    }
    let mut reported: Vec<(*const Draft, *const Draft)> = Vec::new();
    // Report collisions of version tags before those of moving tags.
    let mut claims: Vec<_> = claims.into_iter().collect();
    claims.sort_by_key(|(_, claims)| claims.iter().all(|claim| claim.compared));
    for (tag, claims) in &claims {
        for (n, first) in claims.iter().enumerate() {
            for second in &claims[n + 1..] {
                if can_coexist(first, second) {
                    continue;
                }
                let pair = (
                    std::ptr::from_ref(first.draft),
                    std::ptr::from_ref(second.draft),
                );
                if !reported.contains(&pair) {
                    reported.push(pair);
                    found.push(collision(name, tag, first.draft, second.draft));
                }
            }
        }
    }
}

/// True if both images may claim the tag: they are versions of one variant, and the higher version
/// takes it.
fn can_coexist(first: &TagClaim<'_>, second: &TagClaim<'_>) -> bool {
    let (a, b) = (&first.draft.image, &second.draft.image);
    first.compared
        && second.compared
        && a.variant == b.variant
        && precedence(&a.version, &b.version).is_ne()
}

fn collision(name: &RepositoryPath, tag: &Tag, first: &Draft, second: &Draft) -> Diagnostic {
    let describe = |draft: &Draft| {
        let row: Vec<String> = draft
            .image
            .row
            .iter()
            .map(|(axis, value)| format!("{axis} = {value}"))
            .collect();
        if row.is_empty() {
            "this one".to_owned()
        } else {
            format!("with {}", row.join(", "))
        }
    };
    let message = format!("two images claim the tag `{name}:{tag}`");
    let diagnostic = at(
        Diagnostic::error("tags.collision", message),
        &first.location,
        describe(first),
    );
    at(diagnostic, &second.location, describe(second))
        .help("give them different names, versions or variants")
}
