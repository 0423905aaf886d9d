//! Refuses two images that claim the same tag, before anything is built. The diagnostic shows both
//! locations.

use std::collections::BTreeMap;

use super::image::SpecLocation;
use super::parsed::ParsedImage;
use crate::config_files::channel::ChannelSpec;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::reference::{RepositoryPath, Tag};
use crate::tags::{Latest, TagRole, TagRules, Variant, check_extra, fan_out, precedence, suffixed};

/// Checks the tags of all images against one another.
pub(super) fn check(images: &[ParsedImage], found: &mut Diagnostics) {
    let mut repositories: BTreeMap<&RepositoryPath, Vec<&ParsedImage>> = BTreeMap::new();
    for image in images {
        repositories.entry(&image.name).or_default().push(image);
    }
    for (name, images) in repositories {
        let variants: Vec<&Variant> = images
            .iter()
            .filter_map(|image| image.variant.as_ref())
            .collect();
        for image in &images {
            let own = image.variant.as_ref();
            extras(&image.tags, &image.extra_locations, own, &variants, found);
            channels(image, &variants, found);
        }
        collisions(name, &images, found);
    }
}

fn at(diagnostic: Diagnostic, location: &SpecLocation, text: impl Into<String>) -> Diagnostic {
    diagnostic.at(&location.file, location.span.clone(), text)
}

/// Checks the extra tags of an image. `variants` are those of all images of its repository.
pub(super) fn extras(
    rules: &TagRules,
    locations: &[SpecLocation],
    own: Option<&Variant>,
    variants: &[&Variant],
    found: &mut Diagnostics,
) {
    let variants = variants.iter().map(|variant| variant.as_str());
    for (extra, location) in rules.extra.iter().zip(locations) {
        if let Err(error) = check_extra(extra, own, variants.clone()) {
            let diagnostic = Diagnostic::error("tags.extra", error.to_string());
            found.push(at(diagnostic, location, ""));
        }
    }
}

/// Checks that no channel has the name of a variant or of a version of one, and that its tag is not
/// too long.
fn channels(image: &ParsedImage, variants: &[&Variant], found: &mut Diagnostics) {
    for channel in image.channels.keys() {
        let variants = variants.iter().map(|variant| variant.as_str());
        if let Err(error) = check_extra(channel.as_str(), image.variant.as_ref(), variants) {
            let diagnostic = Diagnostic::error("spec.value", error.of_channel());
            found.push(at(diagnostic, &image.requests.location, ""));
        }
    }
}

/// A claim of a tag.
struct TagClaim<'a> {
    image: &'a ParsedImage,
    /// The target, if the tag is a channel.
    channel: Option<&'a ChannelSpec>,
    /// True if the tag always goes to the highest version. Several versions of one variant may
    /// claim such a tag.
    compared: bool,
}

fn collisions(name: &RepositoryPath, images: &[&ParsedImage], found: &mut Diagnostics) {
    let mut claims: BTreeMap<Tag, Vec<TagClaim<'_>>> = BTreeMap::new();
    for image in images {
        let mut rules = image.tags.clone();
        let variant = image.variant.as_ref();
        // `extras` reports an invalid extra tag.
        rules
            .extra
            .retain(|extra| check_extra(extra, variant, []).is_ok());
        let fan_out = match fan_out(&image.version, variant, &rules) {
            Ok(fan_out) => fan_out,
            Err(error) => {
                found.push(at(
                    Diagnostic::error("tags.grammar", error.to_string()),
                    &image.requests.location,
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
            claims.entry(planned.tag).or_default().push(TagClaim {
                image,
                channel: None,
                compared,
            });
        }
        for (name, target) in &image.channels {
            // `channels` reports a tag that is too long.
            let Ok(tag) = suffixed(name.as_str(), variant).parse() else {
                continue;
            };
            claims.entry(tag).or_default().push(TagClaim {
                image,
                channel: Some(target),
                compared: false,
            });
        }
    }
    let mut reported: Vec<(*const ParsedImage, *const ParsedImage)> = Vec::new();
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
                    std::ptr::from_ref(first.image),
                    std::ptr::from_ref(second.image),
                );
                if !reported.contains(&pair) {
                    reported.push(pair);
                    found.push(collision(name, tag, first.image, second.image));
                }
            }
        }
    }
}

/// True if both images may claim the tag: they are versions of one variant, and the higher version
/// takes it, or it is a channel with the same target.
fn can_coexist(first: &TagClaim<'_>, second: &TagClaim<'_>) -> bool {
    let (a, b) = (first.image, second.image);
    if first.channel.is_some() && first.channel == second.channel {
        return a.variant == b.variant;
    }
    first.compared
        && second.compared
        && a.variant == b.variant
        && precedence(&a.version, &b.version).is_ne()
}

fn collision(
    name: &RepositoryPath,
    tag: &Tag,
    first: &ParsedImage,
    second: &ParsedImage,
) -> Diagnostic {
    let describe = |image: &ParsedImage| {
        let row: Vec<String> = image
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
        &first.requests.location,
        describe(first),
    );
    at(diagnostic, &second.requests.location, describe(second))
        .help("give them different names, versions or variants")
}
