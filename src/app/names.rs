//! References on the command line, which may name an image of the workspace instead of a
//! repository.

use std::collections::BTreeSet;

use super::destinations::Destinations;
use super::error::Error;
use super::settings::Settings;
use crate::diagnostic::{Diagnostics, SourceMap};
use crate::reference::{Reference, Repository, RepositoryPath};
use crate::resolve::Destination;
use crate::suggest::closest;
use crate::workspace::discover;
use crate::workspace::load;

/// The images of the workspace, by which an argument may name a repository.
#[derive(Debug, Default)]
pub struct WorkspaceNames {
    images: BTreeSet<RepositoryPath>,
    destinations: Vec<Destination>,
    /// The findings about the specs, which are not shown yet.
    pub found: Diagnostics,
    /// The texts of the files that the findings refer to.
    pub sources: SourceMap,
}

impl WorkspaceNames {
    /// Reads the names of the workspace images, if one of `arguments` may be such a name. Fails if
    /// `SOURCE_DATE_EPOCH` is invalid, or if the workspace cannot be read.
    pub async fn read(
        settings: &Settings,
        destinations: &Destinations,
        arguments: &[String],
    ) -> Result<Self, Error> {
        if !arguments.iter().any(|text| name_of(text).is_some()) {
            return Ok(Self::default());
        }
        Self::of_workspace(settings, destinations).await
    }

    /// Reads the names of the workspace images; empty if there is no workspace. Fails as
    /// [`Self::read`] does.
    pub async fn of_workspace(
        settings: &Settings,
        destinations: &Destinations,
    ) -> Result<Self, Error> {
        let mut loaded = match load::load(&settings.load_inputs()?).await {
            Ok(loaded) => loaded,
            Err(discover::Error::NotFound(_)) => return Ok(Self::default()),
            Err(error) => return Err(error.into()),
        };
        let has_no_images = loaded
            .found
            .iter()
            .any(|found| found.rule == load::NO_IMAGES);
        if has_no_images {
            return Ok(Self::default());
        }
        loaded
            .sources
            .set_prefix(super::session::prefix(&settings.cwd, &loaded.root));
        let (complete, incomplete) = (loaded.images.images, loaded.images.incomplete);
        let complete = complete.into_iter().map(|image| image.parsed.name);
        let incomplete = incomplete.into_iter().filter_map(|image| image.name);
        Ok(Self {
            images: complete.chain(incomplete).collect(),
            destinations: destinations.chosen.clone(),
            found: loaded.found.sorted(),
            sources: loaded.sources,
        })
    }

    /// The repositories of all images in the selected registries.
    pub fn repositories(&self) -> impl Iterator<Item = Repository> {
        let destinations = self.destinations.iter();
        destinations.flat_map(|one| {
            let images = self.images.iter();
            images.filter_map(|name| one.repository(name).ok())
        })
    }

    /// True if the repository is that of a workspace image in a selected registry.
    #[must_use]
    pub fn publishes(&self, repository: &Repository) -> bool {
        self.repositories().any(|own| own == *repository)
    }

    /// True if the argument names an image of the workspace, with or without a tag or a digest.
    #[must_use]
    pub fn has(&self, argument: &str) -> bool {
        name_of(argument).is_some_and(|name| self.images.contains(&name))
    }

    /// True if the argument has no host and no known image has its name. It may then be the name of
    /// an image whose spec is invalid.
    #[must_use]
    pub fn may_have(&self, argument: &str) -> bool {
        name_of(argument).is_some_and(|name| !self.images.contains(&name))
    }

    /// The hint for an argument that has the form of an image name, but is not one of the images of
    /// the workspace. Such an argument means an image of Docker Hub. `None` for other arguments, or
    /// without images.
    #[must_use]
    pub fn not_an_image(&self, argument: &str) -> Option<String> {
        let name = name_of(argument).filter(|name| !name.as_str().contains('/'))?;
        if self.images.is_empty() || self.images.contains(&name) || argument.starts_with("oci:") {
            return None;
        }
        let images = self.images.iter().map(RepositoryPath::as_str);
        let similar = closest(name.as_str(), images);
        let similar = similar.map(|similar| format!("; did you mean `{similar}`?"));
        Some(format!(
            "`{name}` is not an image of this workspace, so it means docker.io/library/{name}{}",
            similar.unwrap_or_default()
        ))
    }

    /// The references of an argument: for the name of a workspace image, one in each selected
    /// registry. Fails if the argument is not a reference, or if no registry is configured.
    pub fn references(&self, argument: &str) -> Result<Vec<Reference>, Error> {
        let reference: Reference = argument.parse()?;
        let Some(name) = name_of(argument).filter(|name| self.images.contains(name)) else {
            return Ok(vec![reference]);
        };
        if self.destinations.is_empty() {
            return Err(Error::no_registry());
        }
        let place = |destination: &Destination| {
            Ok(Reference {
                repository: destination.repository(&name).map_err(Error::invalid)?,
                ..reference.clone()
            })
        };
        self.destinations.iter().map(place).collect()
    }

    /// The reference of an argument of a command that takes exactly one. Fails also if several
    /// registries are selected.
    pub fn reference(&self, argument: &str) -> Result<Reference, Error> {
        let mut references = self.references(argument)?.into_iter();
        let hosts: Vec<String> = references
            .clone()
            .map(|reference| reference.repository.to_string())
            .collect();
        match (references.next(), references.next()) {
            (Some(reference), None) => Ok(reference),
            _ => Err(Error::invalid(format!(
                "`{argument}` is in several registries: {}",
                hosts.join(", ")
            ))
            .hint("select one with --registry")),
        }
    }

    /// The arguments that name their registry themselves. Only these may receive a login that is
    /// not bound to a registry: a file of the workspace decides where its images are.
    #[must_use]
    pub fn with_host(&self, arguments: impl IntoIterator<Item: AsRef<str>>) -> Vec<String> {
        let arguments = arguments.into_iter();
        let arguments = arguments.filter(|argument| !self.has(argument.as_ref()));
        arguments
            .map(|argument| argument.as_ref().to_owned())
            .collect()
    }
}

/// The name of the workspace image that an argument may refer to; `None` if it has a host.
fn name_of(argument: &str) -> Option<RepositoryPath> {
    let (named, _) = argument.split_once('@').unwrap_or((argument, ""));
    let last = named.rfind('/').map_or(0, |slash| slash + 1);
    let end = named[last..].find(':').map_or(named.len(), |at| last + at);
    let name = &named[..end];
    let has_host = name.split_once('/').is_some_and(|(host, _)| {
        host.contains(['.', ':']) || host == "localhost" || host.chars().any(char::is_uppercase)
    });
    if has_host {
        return None;
    }
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_without_a_host_may_be_the_name_of_an_image() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (argument, name) in [
            ("app", Some("app")),
            ("app:1.2.4", Some("app")),
            ("team/app:1", Some("team/app")),
            (&format!("app@{digest}"), Some("app")),
            (&format!("team/app:1@{digest}"), Some("team/app")),
            ("localhost/app:1", None),
            ("localhost:5000/app", None),
            ("registry.example.com/app:1", None),
            ("oci:DIR", Some("oci")),
            ("App", None),
            ("", None),
        ] {
            let found = name_of(argument).map(|name| name.to_string());
            assert_eq!(found.as_deref(), name, "{argument}");
        }
    }

    #[test]
    fn the_name_of_an_image_is_a_repository_in_each_selected_registry() {
        let names = WorkspaceNames {
            images: ["app", "team/app"]
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            destinations: ["a.example/golden", "localhost:5000"]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect(),
            ..WorkspaceNames::default()
        };
        let references = |argument: &str| {
            let found = names.references(argument).unwrap().into_iter();
            found.map(|one| one.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            references("app:1.2.4"),
            ["a.example/golden/app:1.2.4", "localhost:5000/app:1.2.4"]
        );
        assert_eq!(
            references("team/app"),
            ["a.example/golden/team/app", "localhost:5000/team/app"]
        );
        assert_eq!(references("debian:12"), ["docker.io/library/debian:12"]);
        assert_eq!(references("b.example/app:1"), ["b.example/app:1"]);
        assert_eq!(
            names.reference("app:1").unwrap_err().to_string(),
            "`app:1` is in several registries: a.example/golden/app, localhost:5000/app"
        );
        assert_eq!(
            names.with_host(&["app:1".to_owned(), "debian".to_owned()]),
            ["debian"]
        );
    }
}
