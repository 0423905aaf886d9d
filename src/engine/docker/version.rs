//! Chooses the API version and the builder for an engine.

use serde::Deserialize;

use super::super::{EngineKind, Error};
use crate::render::Syntax;

/// The newest version of the API that golden supports.
const NEWEST: ApiVersion = ApiVersion(1, 53);
/// The oldest version of the API that golden supports (Docker 1.12).
const OLDEST: ApiVersion = ApiVersion(1, 24);
/// The first version of the API whose engines have BuildKit without the experimental mode.
const BUILDKIT: ApiVersion = ApiVersion(1, 39);
/// The first version of the API (Docker 23) whose BuildKit supports the current Dockerfile syntax.
const CURRENT_SYNTAX: ApiVersion = ApiVersion(1, 42);
/// The first version of Podman, major and minor, whose Buildah supports the current Dockerfile
/// syntax.
const CURRENT_PODMAN: (u32, u32) = (4, 8);

/// The part of the engine's answer to `GET /version` that golden needs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EngineVersion {
    pub(super) version: Option<String>,
    pub(super) api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
    pub(super) os: Option<String>,
    pub(super) arch: Option<String>,
    pub(super) components: Option<Vec<Component>>,
}

impl EngineVersion {
    /// True if the engine is Podman, which offers Docker's API.
    pub(super) fn is_podman(&self) -> bool {
        self.podman().is_some()
    }

    /// The component of Podman.
    fn podman(&self) -> Option<&Component> {
        self.components
            .iter()
            .flatten()
            .find(|component| component.name.contains("Podman"))
    }
}

/// A program that an engine consists of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: String,
}

/// A version of the engine's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion(u32, u32);

impl std::str::FromStr for ApiVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let parts = text
            .split_once('.')
            .map(|(major, minor)| (major.parse().ok(), minor.parse().ok()));
        match parts {
            Some((Some(major), Some(minor))) => Ok(Self(major, minor)),
            _ => Err(Error::Address {
                what: format!(
                    "`{text}` is not a version of the Docker Engine API; a version is MAJOR.MINOR, such as 1.41"
                ),
            }),
        }
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// The builder that executes a Dockerfile in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// BuildKit, with a session.
    BuildKit,
    /// The classic builder.
    Classic,
    /// Podman. Its API is that of the classic builder.
    Podman,
}

/// The chosen API version and builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) api: ApiVersion,
    pub(super) builder: Builder,
    pub(super) syntax: Syntax,
}

/// Chooses the newest API version that both sides support (or `wanted`), and BuildKit if the engine
/// has it, unless `buildkit` decides otherwise. Fails if the engine does not support `wanted`, or
/// has no BuildKit although `buildkit` requires it.
pub(super) fn agree(
    engine: &EngineVersion,
    wanted: Option<&str>,
    buildkit: Option<bool>,
) -> Result<Agreement, Error> {
    let of_engine: ApiVersion = engine.api_version.as_deref().unwrap_or("1.24").parse()?;
    let oldest: ApiVersion = engine
        .min_api_version
        .as_deref()
        .unwrap_or("1.12")
        .parse()?;
    let api = wanted.map_or(Ok(of_engine.min(NEWEST)), str::parse)?;
    let unsupported = |what| {
        Err(Error::Unsupported {
            what,
            engine: EngineKind::Docker,
        })
    };
    let version = engine.version.as_deref().unwrap_or("of an unknown version");
    if of_engine < OLDEST {
        return unsupported(format!(
            "the engine {version} is too old: it supports API versions up to {of_engine}, and golden needs {OLDEST} or later; update the engine"
        ));
    }
    if oldest > NEWEST {
        return unsupported(format!(
            "the engine {version} is too new for this golden: it supports API versions from {oldest}, and golden supports versions up to {NEWEST}; update golden, or use another engine"
        ));
    }
    if api < oldest || api > of_engine {
        return unsupported(format!(
            "the engine supports API versions {oldest} to {of_engine}, not {api}; unset DOCKER_API_VERSION"
        ));
    }
    let has_buildkit =
        api >= BUILDKIT && !engine.is_podman() && engine.os.as_deref() != Some("windows");
    let builder = match (buildkit, has_buildkit) {
        (Some(true), false) => {
            return unsupported(
                "the engine has no BuildKit, but DOCKER_BUILDKIT requires it".to_owned(),
            );
        }
        (Some(false), _) | (None, false) if engine.is_podman() => Builder::Podman,
        (Some(false), _) | (None, false) => Builder::Classic,
        (_, true) => Builder::BuildKit,
    };
    let podman = engine
        .podman()
        .and_then(|podman| major_and_minor(&podman.version));
    let syntax = match builder {
        Builder::BuildKit if of_engine >= CURRENT_SYNTAX => Syntax::Current,
        Builder::Podman if podman >= Some(CURRENT_PODMAN) => Syntax::Buildah,
        Builder::BuildKit | Builder::Podman | Builder::Classic => Syntax::Older,
    };
    Ok(Agreement {
        api,
        builder,
        syntax,
    })
}

/// The first two numbers of a version such as `5.8.6`.
fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn engine(api: &str, oldest: &str, component: &str) -> EngineVersion {
        EngineVersion {
            api_version: Some(api.to_owned()),
            min_api_version: Some(oldest.to_owned()),
            os: Some("linux".to_owned()),
            components: Some(vec![Component {
                name: component.to_owned(),
                version: "4.8.3".to_owned(),
            }]),
            ..Default::default()
        }
    }

    #[test]
    fn the_api_version_and_the_builder_are_chosen_for_the_engine() {
        for (api, oldest, component, wanted, buildkit, agreed) in [
            ("1.41", "1.12", "Engine", None, None, "1.41 BuildKit"),
            ("1.41", "1.12", "Engine", None, Some(false), "1.41 Classic"),
            (
                "1.41",
                "1.12",
                "Podman Engine",
                None,
                Some(false),
                "1.41 Podman",
            ),
            ("1.41", "1.12", "Podman Engine", None, None, "1.41 Podman"),
            (
                "1.41",
                "1.12",
                "Podman Engine",
                None,
                Some(true),
                "has no BuildKit",
            ),
            ("1.38", "1.12", "Engine", None, None, "1.38 Classic"),
            (
                "1.23",
                "1.12",
                "Engine",
                None,
                None,
                "of an unknown version is too old",
            ),
            (
                "1.70",
                "1.60",
                "Engine",
                None,
                None,
                "is too new for this golden",
            ),
            ("1.99", "1.44", "Engine", None, None, "1.53 BuildKit"),
            (
                "1.51",
                "1.44",
                "Engine",
                Some("1.40"),
                None,
                "supports API versions 1.44 to 1.51, not 1.40",
            ),
            (
                "1.51",
                "1.44",
                "Engine",
                Some("1.45"),
                None,
                "1.45 BuildKit",
            ),
            (
                "1.51",
                "1.44",
                "Engine",
                Some("new"),
                None,
                "is not a version",
            ),
        ] {
            let result = match agree(&engine(api, oldest, component), wanted, buildkit) {
                Ok(Agreement { api, builder, .. }) => format!("{api} {builder:?}"),
                Err(error) => error.to_string(),
            };
            assert!(
                result.contains(agreed),
                "{api} {component} {wanted:?} {buildkit:?}: {result}"
            );
        }
    }

    #[test]
    fn the_syntax_is_chosen_for_the_builder() {
        for (api, component, version, buildkit, syntax) in [
            ("1.41", "Engine", "20.10.24", None, Syntax::Older),
            ("1.42", "Engine", "23.0.0", None, Syntax::Current),
            ("1.51", "Engine", "28.5.2", Some(false), Syntax::Older),
            ("1.41", "Podman Engine", "4.7.2", None, Syntax::Older),
            ("1.41", "Podman Engine", "4.8.0", None, Syntax::Buildah),
            ("1.41", "Podman Engine", "5.8.6", None, Syntax::Buildah),
            ("1.41", "Podman Engine", "6.0.0-dev", None, Syntax::Buildah),
            ("1.41", "Podman Engine", "unknown", None, Syntax::Older),
        ] {
            let mut engine = engine(api, "1.12", component);
            version.clone_into(&mut engine.components.as_mut().unwrap()[0].version);
            let agreed = agree(&engine, None, buildkit).unwrap();
            assert_eq!(agreed.syntax, syntax, "{api} {component} {version}");
        }
    }
}
