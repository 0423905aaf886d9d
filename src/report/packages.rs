//! Updates of the packages of published images as text.

use super::Out;
use super::text::{count, one_line};
use crate::app::package_updates::{ImageUpdates, PackageReport};

/// Shows the updates, one line each, and the images that could not be compared.
pub fn packages(out: &Out, report: &PackageReport) {
    for image in &report.images {
        for update in &image.updates {
            let security = if update.security { " (security)" } else { "" };
            let line = format!(
                "{}: {} {} → {}{security}",
                image.image, update.name, update.from, update.to
            );
            out.data(&format!("{}\n", one_line(&line)));
        }
    }
    for image in &report.unpublished {
        out.message(&format!("{image} is not published"));
    }
    let stuck = |image: &&ImageUpdates| !image.updates.is_empty() && !image.installs;
    for image in report.images.iter().filter(stuck) {
        out.message(&format!(
            "{} installs no packages, so a new build does not change them: update its base, or set \
             upgrade = true under [packages]",
            image.image
        ));
    }
    for unchecked in &report.unchecked {
        let line = format!(
            "error: the packages of {} could not be compared: {}",
            unchecked.image, unchecked.error
        );
        out.error(&one_line(&line));
    }
    let updates: usize = report.images.iter().map(|image| image.updates.len()).sum();
    if !report.images.is_empty() {
        out.message(&format!(
            "{} to update in {}",
            count(updates, "package"),
            count(report.images.len(), "published image")
        ));
    }
}
