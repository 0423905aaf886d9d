//! Deletes old versions by retention rules.

use std::collections::BTreeSet;

use indexmap::IndexMap;

use super::destinations::Destinations;
use super::error::Error;
use super::registries;
use super::session::Session;
use super::settings::Settings;
use crate::config_files::values::Age;
use crate::publish::delete::Deleted;
use crate::publish::prune::{self, AgeLimit, PruneRules, Pruning};
use crate::reference::{Reference, Repository};
use crate::registry::Registries;
use crate::tags::Variant;

/// The rules of `--keep` and `--older-than`. Fails if both are omitted or the age is invalid.
pub fn rules(keep: Option<usize>, older_than: Option<&str>, now: i64) -> Result<PruneRules, Error> {
    if keep.is_none() && older_than.is_none() {
        return Err(
            Error::invalid("specify what to prune: --keep N, --older-than AGE, or both")
                .hint("`golden prune --keep 5 --dry-run` shows what it would delete"),
        );
    }
    let age = older_than.map(age).transpose()?;
    Ok(PruneRules {
        keep: keep.unwrap_or(0),
        older_than: age.map(|age| AgeLimit { age, now }),
    })
}

/// The repositories to prune.
#[derive(Debug)]
pub struct PruneSubjects {
    /// The names and globs of images of the workspace.
    pub images: Vec<String>,
    /// The repositories, each with its variants in the workspace.
    repositories: IndexMap<Repository, BTreeSet<Variant>>,
}

impl PruneSubjects {
    /// Splits the arguments into repositories, which have a host, and images of the workspace. Fails
    /// if an argument is an image of a registry.
    pub fn parse(texts: &[String]) -> Result<Self, Error> {
        let is_repository = |text: &&String| {
            text.split_once('/')
                .is_some_and(|(host, _)| host.contains(['.', ':']) || host == "localhost")
        };
        let (named, images): (Vec<&String>, Vec<&String>) = texts.iter().partition(is_repository);
        let mut repositories = IndexMap::new();
        for text in named {
            let Reference {
                repository,
                tag: None,
                digest: None,
            } = text.parse::<Reference>()?
            else {
                let message = format!("`{text}` is an image, not a repository");
                return Err(Error::invalid(message));
            };
            repositories.insert(repository, BTreeSet::new());
        }
        Ok(Self {
            images: images.into_iter().cloned().collect(),
            repositories,
        })
    }

    /// True if images of the workspace are pruned: it names some, or it names nothing.
    #[must_use]
    pub fn needs_workspace(&self) -> bool {
        !self.images.is_empty() || self.repositories.is_empty()
    }

    /// Adds the repositories of the images. Fails if no registry is configured.
    pub fn add_images(&mut self, session: &Session) -> Result<(), Error> {
        session.require_registry()?;
        // A session also contains the base images of the selected images; these are not pruned.
        let selected = session.images.iter().filter(|one| one.selected);
        for image in selected.map(|one| &one.image) {
            for destination in &session.destinations {
                let repository = destination.repository(&image.name)?;
                let variants = self.repositories.entry(repository).or_default();
                variants.extend(image.variant.clone());
            }
        }
        Ok(())
    }
}

/// The planned deletions.
#[derive(Debug)]
pub struct PlannedPruning {
    registries: Registries,
    /// The decisions about each repository.
    pub prunings: Vec<Pruning>,
}

impl PlannedPruning {
    /// Decides about every version, without any change.
    pub async fn plan(
        subjects: &PruneSubjects,
        rules: PruneRules,
        named: &[String],
        settings: &Settings,
        destinations: &Destinations,
    ) -> Result<Self, Error> {
        let registries = registries::open(settings, destinations, named)?;
        let mut prunings = Vec::new();
        for (repository, variants) in &subjects.repositories {
            prunings.push(prune::examine(&registries.repo(repository), variants, rules).await?);
        }
        Ok(Self {
            registries,
            prunings,
        })
    }

    /// The number of digests to delete.
    #[must_use]
    pub fn digests(&self) -> usize {
        self.prunings.iter().map(|one| one.going().len()).sum()
    }

    /// Deletes the digests, and verifies each deletion.
    pub async fn execute(&self) -> Result<Vec<Deleted>, Error> {
        let mut deleted = Vec::new();
        for pruning in &self.prunings {
            let repo = self.registries.repo(&pruning.repository);
            deleted.extend(prune::prune(&repo, pruning).await?);
        }
        Ok(deleted)
    }
}

/// Parses an age such as `90m`, `12h`, `30d` or `8w`, and returns seconds.
fn age(text: &str) -> Result<i64, Error> {
    let age = Age::try_from(text.to_owned()).map_err(|message| {
        Error::invalid(message).hint("write a number and a unit (m, h, d or w), for example 30d")
    })?;
    Ok(age.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        for (text, seconds) in [
            ("90m", 5400),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("8w", 4_838_400),
        ] {
            assert_eq!(age(text).ok(), Some(seconds));
        }
        for bad in ["", "30", "d", "-1d", "1.5d", "30y", "3ä"] {
            assert!(age(bad).is_err(), "{bad} was accepted");
        }
    }
}
