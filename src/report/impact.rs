//! The images that are built on an image, as a tree.

use std::fmt::Write as _;

use super::branches::branches;
use super::text::{count, one_line};
use crate::app::impact::{Impact, ImpactedImage};
use crate::app::scan::ScanProblem;
use crate::event::Events;
use crate::reference::{Digest, Tag};

/// The tree of `golden impact`.
#[must_use]
pub fn impact(found: &Impact) -> String {
    let mut text = String::new();
    if let Some(base) = &found.base {
        let _ = writeln!(text, "{}", one_line(base));
    }
    let depths: Vec<usize> = found.images.iter().map(|image| image.depth).collect();
    for (image, branch) in found.images.iter().zip(branches(&depths)) {
        let branch = found.base.as_ref().map_or("", |_| &branch);
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{branch}{}{}", image.reference, details(image, found));
    }
    text
}

/// The other tags, the platforms, the version of the base and the packages of an image.
fn details(image: &ImpactedImage, found: &Impact) -> String {
    let mut parts = Vec::new();
    let tags: Vec<&str> = image.tags.iter().skip(1).map(Tag::as_str).collect();
    if !tags.is_empty() {
        parts.push(format!("also {}", tags.join(", ")));
    }
    let platforms: Vec<&str> = image
        .platforms
        .iter()
        .map(|one| one.platform.as_str())
        .collect();
    parts.push(platforms.join(", "));
    if let Some(base) = image.base.as_ref().filter(|_| found.bases.len() > 1) {
        parts.push(version(base, found));
    }
    let packages = image.platforms.iter().flat_map(|one| &one.packages);
    let mut packages: Vec<String> = packages
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    packages.dedup();
    parts.extend((!packages.is_empty()).then(|| packages.join(", ")));
    let text = parts.join("; ");
    format!("  ({})", one_line(&text))
}

/// The tag of the base that an image is built on, or its digest.
fn version(digest: &Digest, found: &Impact) -> String {
    let base = found.bases.iter().find(|base| base.digest == *digest);
    match base.and_then(|base| base.tags.first()) {
        Some(tag) => format!("on {tag}"),
        None => format!("on the earlier {}", digest.short()),
    }
}

/// The last line: the number of images.
#[must_use]
pub fn impact_summary(found: &Impact) -> String {
    let images = match found.images.len() {
        0 => "no image".to_owned(),
        number => count(number, "image"),
    };
    let is_one = found.images.len() < 2;
    let mut text = images;
    if let Some(base) = &found.base {
        let verb = if is_one { "is" } else { "are" };
        let _ = write!(text, " {verb} built on {}", one_line(base));
    }
    if let Some(package) = &found.package {
        let verb = if is_one { "has" } else { "have" };
        let and = if found.base.is_some() { " and" } else { "" };
        let _ = write!(text, "{and} {verb} {}", one_line(package));
    }
    let _ = write!(
        text,
        " ({} in {} checked)",
        count(found.checked, "image"),
        match found.repositories {
            1 => "1 repository".to_owned(),
            number => format!("{number} repositories"),
        }
    );
    if let Some(first) = found.without_bill.first() {
        let number = count(found.without_bill.len(), "image");
        let _ = write!(
            text,
            "; {number} cannot be judged without a bill of materials, such as {first}"
        );
    }
    text
}

/// Warns about the repositories and images that cannot be read.
pub fn scan_problems(events: &Events, problems: &[ScanProblem]) {
    for ScanProblem {
        reference, problem, ..
    } in problems
    {
        events.warn(None, format!("{reference} cannot be read: {problem}"));
    }
}
