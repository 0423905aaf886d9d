//! The references of a built image in a Docker Engine. Pure.

use crate::reference::{self, Host, Reference, Repository, RepositoryPath, Tag};

/// The repository of an image in the engine: the first destination, or `localhost/NAME` if the
/// workspace has no destination.
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

/// The first reference in `local` that is also the base of an image in the workspace. Tagging it
/// would change the base of the next build.
#[must_use]
pub fn shadowed<'a>(local: &'a [Reference], bases: &[Reference]) -> Option<&'a Reference> {
    local.iter().find(|reference| {
        bases.iter().any(|base| {
            base.digest.is_none()
                && base.repository == reference.repository
                && base.target() == reference.target()
        })
    })
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

    #[test]
    fn a_reference_that_is_also_a_base_is_found() {
        let parse = |text: &str| text.parse::<Reference>().unwrap();
        let local = [
            parse("localhost/debian:12.0.0"),
            parse("localhost/debian:12"),
        ];
        assert_eq!(
            shadowed(&local, &[parse("localhost/debian:12")]),
            Some(&local[1])
        );
        assert_eq!(
            shadowed(&local, &[parse("docker.io/library/debian:12")]),
            None
        );
        let pinned = format!("localhost/debian:12@sha256:{}", "0".repeat(64));
        assert_eq!(shadowed(&local, &[parse(&pinned)]), None);
    }
}
