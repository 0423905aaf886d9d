//! The provenance of images: the times and revisions that git knows for their files.

use std::path::{Path, PathBuf};

use super::changed;
use super::error::Error;
use super::settings::Settings;
use crate::resolve::ParsedImage;
use crate::resolve::image::Provenance;
use crate::workspace::git;
use crate::workspace::state::StateDirectory;

/// The warning that provenance is missing because git refuses to read the checkout.
fn unreadable_checkout(has_time: bool, words: &str) -> String {
    let missing = if has_time {
        "the labels `revision` and `source` are omitted"
    } else {
        "the labels `revision` and `source` are omitted and times are 1970-01-01"
    };
    format!("git does not read this checkout, so {missing}: {words}")
}

/// Fails if `.golden` contains a symbolic link or is tracked by git. Through a link, golden would
/// write to another place; and the author of a commit could choose the state that golden trusts.
fn untampered(root: &Path, is_tracked: bool) -> Result<(), Error> {
    crate::workspace::fs::sweep(root);
    crate::workspace::fs::sweep(&std::env::temp_dir());
    if let Some(link) = StateDirectory::of(root).link() {
        let link = link
            .strip_prefix(root)
            .unwrap_or(&link)
            .display()
            .to_string();
        return Err(Error::invalid(format!(
            "`{link}` is a symbolic link; golden never creates links there"
        ))
        .hint(format!("remove it: rm {link}")));
    }
    if is_tracked {
        let message = "git tracks `.golden`; golden does not use state from a commit";
        return Err(Error::invalid(message).hint("git rm -r --cached .golden"));
    }
    Ok(())
}

/// The provenance of each image.
pub(super) async fn trace(
    settings: &Settings,
    root: &Path,
    images: &[&ParsedImage],
) -> Result<Vec<Provenance>, Error> {
    let epoch = settings.epoch()?;
    let paths: Vec<Vec<PathBuf>> = images.iter().map(|image| changed::inputs(image)).collect();
    let environment = settings.environment();
    let history = git::history(root, &paths, &environment).await;
    if let Some(problem) = &history.problem {
        settings.events.warn(
            None,
            format!("times and revisions of images may be wrong: {problem}"),
        );
    }
    if history.head.is_none()
        && let Some(words) = git::refusal(root, &environment).await
    {
        settings
            .events
            .warn(None, unreadable_checkout(epoch.is_some(), &words));
    }
    untampered(root, history.tracks_state)?;
    if history.shallow && epoch.is_none() {
        settings.events.warn(
            None,
            "the clone is shallow: times and revisions of images may be those of its oldest commit",
        );
    }
    let provenance = |n| {
        let touched = history.touched.get(n).cloned().unwrap_or_default();
        git::provenance(&history, &touched, epoch)
    };
    Ok((0..images.len()).map(provenance).collect())
}
