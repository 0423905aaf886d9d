//! Parses the path of a request (OCI distribution spec 1.1, "API"; `_catalog` is part of Docker's
//! API).

use crate::reference::{Digest, RepositoryPath, Tag, Target};

/// An endpoint of the API, with its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/NAME/tags/list`
    Tags(RepositoryPath),
    /// `/v2/NAME/manifests/TAG` or `/v2/NAME/manifests/DIGEST`
    Manifest(RepositoryPath, Target),
    /// `/v2/NAME/blobs/DIGEST`
    Blob(RepositoryPath, Digest),
    /// `/v2/NAME/blobs/uploads/`
    Uploads(RepositoryPath),
    /// `/v2/NAME/blobs/uploads/SESSION`
    Upload(RepositoryPath, String),
    /// `/v2/NAME/referrers/DIGEST`
    Referrers(RepositoryPath, Digest),
}

/// The reason why a path is not an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RouteError {
    /// The path is not part of the API.
    Path,
    /// The name of the repository violates the grammar.
    Name,
    /// The tag or the digest violates the grammar.
    Reference,
}

/// Parses the path of a URL.
pub(super) fn parse(path: &str) -> Result<Route, RouteError> {
    // Some clients encode the colon of a digest; a valid path has no other encoded character.
    let path = path.replace("%3A", ":").replace("%3a", ":");
    let rest = match path.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Route::Base),
        Some(rest) => rest.strip_prefix('/').ok_or(RouteError::Path)?,
        None => return Err(RouteError::Path),
    };
    if rest == "_catalog" {
        return Ok(Route::Catalog);
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok(Route::Tags(repository(name)?));
    }
    if let Some(name) = rest
        .strip_suffix("/blobs/uploads/")
        .or_else(|| rest.strip_suffix("/blobs/uploads"))
    {
        return Ok(Route::Uploads(repository(name)?));
    }
    let (front, last) = rest.rsplit_once('/').ok_or(RouteError::Path)?;
    if let Some(name) = front.strip_suffix("/blobs/uploads") {
        return Ok(Route::Upload(repository(name)?, last.to_owned()));
    }
    if let Some(name) = front.strip_suffix("/manifests") {
        return Ok(Route::Manifest(repository(name)?, target(last)?));
    }
    if let Some(name) = front.strip_suffix("/blobs") {
        return Ok(Route::Blob(repository(name)?, digest(last)?));
    }
    if let Some(name) = front.strip_suffix("/referrers") {
        return Ok(Route::Referrers(repository(name)?, digest(last)?));
    }
    Err(RouteError::Path)
}

fn repository(name: &str) -> Result<RepositoryPath, RouteError> {
    name.parse().map_err(|_| RouteError::Name)
}

fn digest(text: &str) -> Result<Digest, RouteError> {
    text.parse().map_err(|_| RouteError::Reference)
}

fn target(text: &str) -> Result<Target, RouteError> {
    if text.contains(':') {
        return digest(text).map(Target::Digest);
    }
    text.parse::<Tag>()
        .map(Target::Tag)
        .map_err(|_| RouteError::Reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn shown(path: &str) -> String {
        match parse(path) {
            Ok(Route::Base) => "base".to_owned(),
            Ok(Route::Catalog) => "catalog".to_owned(),
            Ok(Route::Tags(name)) => format!("tags of {name}"),
            Ok(Route::Manifest(name, target)) => format!("manifest {target} of {name}"),
            Ok(Route::Blob(name, digest)) => format!("blob {} of {name}", digest.short()),
            Ok(Route::Uploads(name)) => format!("uploads of {name}"),
            Ok(Route::Upload(name, session)) => format!("upload {session} of {name}"),
            Ok(Route::Referrers(name, digest)) => {
                format!("referrers of {} in {name}", digest.short())
            }
            Err(wrong) => format!("{wrong:?}"),
        }
    }

    #[test]
    fn paths_are_parsed() {
        let digest = format!("sha256:{HEX}");
        for (path, meaning) in [
            ("/v2", "base"),
            ("/v2/", "base"),
            ("/v2/_catalog", "catalog"),
            ("/v2/a/b/tags/list", "tags of a/b"),
            ("/v2/tags/list/tags/list", "tags of tags/list"),
            ("/v2/app/manifests/1.2.3", "manifest 1.2.3 of app"),
            ("/v2/app/blobs/uploads/", "uploads of app"),
            ("/v2/app/blobs/uploads", "uploads of app"),
            ("/v2/app/blobs/uploads/abc", "upload abc of app"),
            ("/v2/app/manifests/.1", "Reference"),
            ("/v2/UPPER/manifests/1", "Name"),
            ("/v2/app", "Path"),
            ("/v2/app/other/1", "Path"),
            ("/v1/", "Path"),
            ("/v2x", "Path"),
            (
                &format!("/v2/app/blobs/{digest}"),
                "blob sha256:0123456789ab of app",
            ),
            (
                &format!("/v2/app/blobs/sha256%3A{HEX}"),
                "blob sha256:0123456789ab of app",
            ),
            (
                &format!("/v2/app/referrers/{digest}"),
                "referrers of sha256:0123456789ab in app",
            ),
            (
                &format!("/v2/a/manifests/b/blobs/{digest}"),
                "blob sha256:0123456789ab of a/manifests/b",
            ),
            ("/v2/app/blobs/sha256:abc", "Reference"),
        ] {
            assert_eq!(shown(path), meaning, "{path}");
        }
    }
}
