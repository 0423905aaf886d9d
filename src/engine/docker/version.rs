//! What an engine is, and what it is asked to build with.

use serde::Deserialize;

use super::super::{EngineKind, Error};

/// The newest version of the API whose answers golden reads.
const NEWEST: ApiVersion = ApiVersion(1, 53);
/// The first version whose engines have BuildKit without being asked for experiments.
const BUILDKIT: ApiVersion = ApiVersion(1, 39);

/// What an engine says of itself, as far as golden needs it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct EngineVersion {
    pub(super) api_version: Option<String>,
    #[serde(rename = "MinAPIVersion")]
    pub(super) min_api_version: Option<String>,
    pub(super) os: Option<String>,
    pub(super) arch: Option<String>,
    pub(super) components: Option<Vec<Component>>,
}

/// A program that an engine consists of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Component {
    pub(super) name: String,
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
                what: format!("`{text}` is no version of the Docker Engine's API (such as 1.41)"),
            }),
        }
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// Who executes a Dockerfile in the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// BuildKit, with a session.
    BuildKit,
    /// The classic builder (and Podman's).
    Classic,
}

/// What an engine says of itself, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreement {
    /// The version of the API to speak.
    pub(super) api: ApiVersion,
    /// The builder to use.
    pub(super) builder: Builder,
}

/// Agrees with an engine: the newest API that both know (or `wanted`), and BuildKit where there is one, unless
/// `buildkit` says otherwise.
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
    if api < oldest || api > of_engine {
        return unsupported(format!(
            "the engine speaks API versions {oldest} to {of_engine}, not {api}"
        ));
    }
    let podman = engine
        .components
        .iter()
        .flatten()
        .any(|component| component.name.contains("Podman"));
    let able = api >= BUILDKIT && !podman && engine.os.as_deref() != Some("windows");
    let builder = match (buildkit, able) {
        (Some(true), false) => {
            return unsupported(
                "the engine has no BuildKit (DOCKER_BUILDKIT asks for it)".to_owned(),
            );
        }
        (Some(false), _) | (None, false) => Builder::Classic,
        (_, true) => Builder::BuildKit,
    };
    Ok(Agreement { api, builder })
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
            }]),
            ..Default::default()
        }
    }

    #[test]
    fn version_and_builder() {
        for (api, oldest, component, wanted, buildkit, agreed) in [
            ("1.41", "1.12", "Engine", None, None, "1.41 BuildKit"),
            ("1.41", "1.12", "Engine", None, Some(false), "1.41 Classic"),
            ("1.41", "1.12", "Podman Engine", None, None, "1.41 Classic"),
            (
                "1.41",
                "1.12",
                "Podman Engine",
                None,
                Some(true),
                "has no BuildKit",
            ),
            ("1.38", "1.12", "Engine", None, None, "1.38 Classic"),
            ("1.99", "1.44", "Engine", None, None, "1.53 BuildKit"),
            (
                "1.51",
                "1.44",
                "Engine",
                Some("1.40"),
                None,
                "speaks API versions 1.44 to 1.51, not 1.40",
            ),
            (
                "1.51",
                "1.44",
                "Engine",
                Some("1.45"),
                None,
                "1.45 BuildKit",
            ),
            ("1.51", "1.44", "Engine", Some("new"), None, "is no version"),
        ] {
            let told = match agree(&engine(api, oldest, component), wanted, buildkit) {
                Ok(Agreement { api, builder }) => format!("{api} {builder:?}"),
                Err(error) => error.to_string(),
            };
            assert!(
                told.contains(agreed),
                "{api} {component} {wanted:?} {buildkit:?}: {told}"
            );
        }
    }
}
