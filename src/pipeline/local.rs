//! The names that a built image gets in a Docker Engine (7-rules 18). Pure.

use crate::reference::{self, Host, Reference, Repository, RepositoryPath, Tag};

/// The repository that an image has in the engine: that of the first destination, or `localhost/NAME` without one.
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

/// The references for all tags of an image, in the order of the fan-out.
#[must_use]
pub fn references(repository: &Repository, tags: &[Tag]) -> Vec<Reference> {
    let reference = |tag: &Tag| Reference {
        repository: repository.clone(),
        tag: Some(tag.clone()),
        digest: None,
    };
    tags.iter().map(reference).collect()
}

/// The first of `local` that is also what an image of the workspace is built on: tagging it would change the base
/// of the next build.
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
    fn names_without_a_registry_are_local() {
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
    fn a_name_that_is_a_base_is_found() {
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
