//! Writes the next versions of images into their specs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use semver::{BuildMetadata, Prerelease, Version};
use serde::Serialize;

use super::error::Error;
use super::plan::{PlanRequest, PlannedSession, plan};
use super::session::Session;
use crate::config_files::edit::Edit;
use crate::plan::Reason;
use crate::reference::RepositoryPath;
use crate::resolve::ResolvedImage;
use crate::tags::{self, VersionError};
use crate::workspace::fs;

/// The version to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextVersion {
    /// The next patch version.
    Patch,
    /// The next minor version.
    Minor,
    /// The next major version.
    Major,
    /// This version.
    Exact(Version),
}

impl FromStr for NextVersion {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        Ok(match text {
            "patch" => Self::Patch,
            "minor" => Self::Minor,
            "major" => Self::Major,
            _ => Self::Exact(tags::version(text)?),
        })
    }
}

impl NextVersion {
    /// The version after `version`, without build metadata. A pre-release is followed by its
    /// release, if that is high enough: 1.3.0-rc.1 by 1.3.0.
    #[must_use]
    pub fn after(&self, version: &Version) -> Version {
        let Version {
            major,
            minor,
            patch,
            ..
        } = *version;
        let is_release = version.pre == Prerelease::EMPTY;
        let (major, minor, patch) = match self {
            Self::Exact(version) => return version.clone(),
            Self::Patch => (major, minor, patch + u64::from(is_release)),
            Self::Minor => (major, minor + u64::from(is_release || patch > 0), 0),
            Self::Major => {
                let grown = is_release || minor > 0 || patch > 0;
                (major + u64::from(grown), 0, 0)
            }
        };
        Version {
            major,
            minor,
            patch,
            pre: Prerelease::EMPTY,
            build: BuildMetadata::EMPTY,
        }
    }
}

/// The new version of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bumped {
    /// The name of the image.
    pub image: RepositoryPath,
    /// The spec, relative to the workspace.
    pub file: PathBuf,
    /// The version before.
    pub from: Version,
    /// The version that is written.
    pub to: Version,
}

impl Bumped {
    fn of(image: &ResolvedImage, next: &NextVersion) -> Self {
        Self {
            image: image.name.clone(),
            file: image.source.clone(),
            from: image.version.clone(),
            to: next.after(&image.version),
        }
    }
}

/// Writes the next version of the selected images into their specs. Nothing is written if one of
/// them cannot be edited or written.
pub fn bump(session: &Session, next: &NextVersion) -> Result<Vec<Bumped>, Error> {
    let images = selected(session).map(|image| Bumped::of(image, next));
    write(&session.workspace.root, images)
}

/// Writes the next version of these images, by their display names, into their specs.
pub fn bump_images(
    session: &Session,
    displays: &BTreeSet<&str>,
    next: &NextVersion,
) -> Result<Vec<Bumped>, Error> {
    let images = selected(session).filter(|image| displays.contains(image.display().as_str()));
    let bumped = images.map(|image| Bumped::of(image, next));
    write(&session.workspace.root, bumped)
}

/// Writes the next version of those selected images whose published content differs from their
/// specs. Nothing is written if an image cannot be planned; the second value then has the reasons.
pub async fn bump_stale(
    session: Session,
    next: &NextVersion,
) -> Result<(Vec<Bumped>, PlannedSession), Error> {
    session.require_registry()?;
    let root = session.workspace.root.clone();
    let of_image = |image: &ResolvedImage| (image.display(), Bumped::of(image, next));
    let images: Vec<(String, Bumped)> = selected(&session).map(of_image).collect();
    let request = PlanRequest {
        engine: None,
        force: false,
        locked: false,
        diff: false,
    };
    let planned = plan(session, &request).await?;
    if !planned.unready.is_empty() {
        return Ok((Vec::new(), planned));
    }
    let is_stale = |display: &str| {
        let mut of_image = planned.plan.images.iter().filter(|it| it.image == display);
        of_image.any(|it| it.step.because().iter().any(Reason::is_difference))
    };
    let stale = images.into_iter().filter(|(display, _)| is_stale(display));
    let bumped = write(&root, stale.map(|(_, image)| image))?;
    Ok((bumped, planned))
}

/// The selected images of a session.
fn selected(session: &Session) -> impl Iterator<Item = &ResolvedImage> {
    let selected = session.images.iter().filter(|one| one.selected);
    selected.map(|one| &one.image)
}

/// Edits the specs of these images. Rows of a matrix with one spec and one version are one image.
fn write(root: &Path, images: impl Iterator<Item = Bumped>) -> Result<Vec<Bumped>, Error> {
    let mut bumped = Vec::new();
    let mut edits: BTreeMap<PathBuf, Edit> = BTreeMap::new();
    for image in images {
        if bumped.contains(&image) {
            continue;
        }
        let Bumped { from, to, .. } = &image;
        if to <= from {
            let message = format!("{}: {to} is not higher than {from}", image.image);
            let error = Error::invalid(message);
            return Err(if to == from {
                error
            } else {
                // The directory of a spec has one version, so an older one needs a decision.
                let file = image.file.display();
                error.hint(format!(
                    "to publish an earlier version, set version = \"{to}\" in {file}, then run \
                     `golden build --push`; it moves no tag of a higher version"
                ))
            });
        }
        let path = root.join(&image.file);
        let text = String::from_utf8(fs::read(&path)?).map_err(Error::invalid)?;
        let edit = Edit::version(&text, from, to).map_err(|error| {
            Error::invalid(format!("{}: {error}", image.file.display()))
                .hint("change the value that the version is made of, such as a row of [matrix]")
        })?;
        edits.insert(image.file.clone(), edit);
        bumped.push(image);
    }
    let files = edits.iter();
    fs::write_together(root, files.map(|(file, edit)| (&**file, &*edit.after)))?;
    Ok(bumped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_version_follows_from_the_present_one() {
        for (now, patch, minor, major) in [
            ("1.2.3", "1.2.4", "1.3.0", "2.0.0"),
            ("0.1.0", "0.1.1", "0.2.0", "1.0.0"),
            ("1.2.3-rc.1", "1.2.3", "1.3.0", "2.0.0"),
            ("1.3.0-rc.1", "1.3.0", "1.3.0", "2.0.0"),
            ("2.0.0-rc.1", "2.0.0", "2.0.0", "2.0.0"),
            ("1.2.3+b5", "1.2.4", "1.3.0", "2.0.0"),
        ] {
            let version: Version = now.parse().unwrap();
            let next = |word: &str| {
                let next: NextVersion = word.parse().unwrap();
                next.after(&version).to_string()
            };
            let found = [next("patch"), next("minor"), next("major")];
            assert_eq!(found, [patch, minor, major], "{now}");
            assert_eq!(next("3.0.0"), "3.0.0");
        }
        assert!("next".parse::<NextVersion>().is_err());
    }
}
