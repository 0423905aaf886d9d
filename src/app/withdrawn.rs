//! The withdrawn versions of images. Several specs can publish versions of one image: a version that
//! one of them withdraws is withdrawn for all of them, so that no spec moves a tag back to it.

use std::collections::BTreeMap;

use crate::resolve::ParsedImage;
use crate::tags::Withdrawn;

/// The withdrawn and the revoked versions of each image, in the order of `images`. `now` is in
/// seconds since 1970.
pub(super) fn withdrawn<'a>(
    images: impl Iterator<Item = &'a ParsedImage> + Clone,
    now: i64,
) -> Vec<Vec<Withdrawn>> {
    let key = |image: &'a ParsedImage| (&image.name, image.variant.as_ref());
    let mut found: BTreeMap<_, Vec<Withdrawn>> = BTreeMap::new();
    for image in images.clone() {
        let versions = found.entry(key(image)).or_default();
        let of_others = versions.len();
        let own = image.tags.withdrawn.iter().cloned();
        for version in own.chain(image.lifecycle.withdrawn(now)) {
            if !versions[..of_others].contains(&version) {
                versions.push(version);
            }
        }
    }
    let versions = images.map(|image| found.get(&key(image)).cloned());
    versions.map(Option::unwrap_or_default).collect()
}
