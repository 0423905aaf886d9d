//! The references of a built image in a Docker Engine. Pure.

use crate::reference::{self, Host, Reference, Repository, RepositoryPath, Tag};

/// The repository of an image in the engine: its first destination, or `localhost/NAME` without a
/// destination.
pub fn repository(
    name: &RepositoryPath,
    destination: Option<&Repository>,
) -> Result<Repository, reference::Error> {
    match destination {
        Some(repository) => Ok(repository.clone()),
        None => Ok(Repository {
            host: "localhost".parse::<Host>()?,
            path: name.clone(),
        }),
    }
}

/// The references of all tags of an image, in the order of the fan-out.
#[must_use]
pub fn references(repository: &Repository, tags: &[Tag]) -> Vec<Reference> {
    tags.iter().map(|tag| repository.tag(tag)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_registry_has_references_on_localhost() {
        let name: RepositoryPath = "dotnet/aspnet".parse().unwrap();
        let local = repository(&name, None).unwrap();
        let tags: Vec<Tag> = ["1.2.3", "latest"].map(|t| t.parse().unwrap()).to_vec();
        let names: Vec<String> = references(&local, &tags)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            names,
            [
                "localhost/dotnet/aspnet:1.2.3",
                "localhost/dotnet/aspnet:latest"
            ]
        );
    }
}
