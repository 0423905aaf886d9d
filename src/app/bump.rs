//! Writes the next versions of images into their specs.

use std::collections::BTreeMap;
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

/// Writes the next version of the selected images into their specs. Nothing is written if one of
/// them cannot be edited.
pub fn bump(session: &Session, next: &NextVersion) -> Result<Vec<Bumped>, Error> {
    write(&session.workspace.root, selected(session), next)
}

/// Writes the next version of those selected images whose published content differs from their
/// specs. Nothing is written if an image cannot be planned; the second value then has the reasons.
pub async fn bump_stale(
    session: Session,
    next: &NextVersion,
) -> Result<(Vec<Bumped>, PlannedSession), Error> {
    session.require_registry()?;
    let root = session.workspace.root.clone();
    let mut images = selected(&session);
    let request = PlanRequest {
        engine: None,
        force: false,
        locked: false,
    };
    let planned = plan(session, &request).await?;
    images.retain(|candidate| {
        let mut of_image =
            planned.plan.images.iter().filter(|planned| {
                planned.name == candidate.image && planned.version == candidate.from
            });
        of_image.any(|planned| planned.step.because().iter().any(Reason::is_difference))
    });
    if !planned.unready.is_empty() {
        return Ok((Vec::new(), planned));
    }
    Ok((write(&root, images, next)?, planned))
}

/// The selected images, each with its version as the next one.
fn selected(session: &Session) -> Vec<Bumped> {
    let mut all = Vec::new();
    for one in session.images.iter().filter(|one| one.selected) {
        let bumped = Bumped {
            image: one.image.name.clone(),
            file: one.image.source.clone(),
            from: one.image.version.clone(),
            to: one.image.version.clone(),
        };
        // The rows of a matrix share their spec.
        if !all.contains(&bumped) {
            all.push(bumped);
        }
    }
    all
}

fn write(root: &Path, mut images: Vec<Bumped>, next: &NextVersion) -> Result<Vec<Bumped>, Error> {
    let mut texts: BTreeMap<PathBuf, Edit> = BTreeMap::new();
    for image in &mut images {
        image.to = next.after(&image.from);
        if image.to <= image.from {
            let message = format!(
                "{}: {} is not higher than {}",
                image.image, image.to, image.from
            );
            return Err(Error::invalid(message));
        }
        let path = root.join(&image.file);
        let text = String::from_utf8_lossy(&fs::read(&path)?).into_owned();
        let edit = Edit::version(&text, &image.from, &image.to).map_err(|error| {
            Error::invalid(format!("{}: {error}", image.file.display()))
                .hint("change the value that the version is made of, such as a row of [matrix]")
        })?;
        texts.insert(path, edit);
    }
    for (path, edit) in &texts {
        fs::write_atomic(path, edit.after.as_bytes())?;
    }
    Ok(images)
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
