//! Selects the registries of a command: by `--registry`, `--all-registries` or `GOLDEN_REGISTRY`,
//! else from golden.toml.

use std::path::{Path, PathBuf};

use super::error::Error;
use super::settings::{REGISTRY_VARIABLE, Settings};
use crate::config_files::WorkspaceSpec;
use crate::resolve::Destination;
use crate::secret::redact_userinfo;
use crate::suggest::closest;
use crate::workspace::Workspace;

/// All `[[registry]]` tables of golden.toml.
#[must_use]
pub fn registries(root: &Path, spec: &WorkspaceSpec) -> Vec<Destination> {
    let destination = |table: &crate::config_files::workspace::RegistryTable| {
        Some(Destination {
            name: table.name.clone()?,
            host: table.host.clone()?,
            namespace: table
                .namespace
                .clone()
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned(),
            ca: table.ca.as_ref().map(|ca| real_in(root, ca)),
            http: table.http,
        })
    };
    spec.registry.iter().filter_map(destination).collect()
}

/// The canonical path of a file in the workspace, for
/// [`open_real`](crate::workspace::fs::open_real). A path that leads out of the workspace is
/// returned as written; `open_real` then fails.
fn real_in(root: &Path, written: &str) -> PathBuf {
    let path = root.join(written);
    let real = std::fs::canonicalize(&path).ok();
    real.filter(|real| real.starts_with(root)).unwrap_or(path)
}

/// The destinations of a command in a workspace. Empty if no registry is configured. Fails if a
/// name matches no `[[registry]]` and is not a host.
pub fn chosen(
    settings: &Settings,
    root: &Path,
    spec: &WorkspaceSpec,
) -> Result<Vec<Destination>, Error> {
    let known = registries(root, spec);
    if settings.all_registries {
        return Ok(known);
    }
    if settings.registries.is_empty() {
        let defaults: Vec<Destination> = known
            .iter()
            .filter(|destination| {
                spec.registry
                    .iter()
                    .any(|table| table.default && table.name.as_ref() == Some(&destination.name))
            })
            .cloned()
            .collect();
        return Ok(if defaults.is_empty() {
            known.into_iter().take(1).collect()
        } else {
            defaults
        });
    }
    let mut destinations: Vec<Destination> = Vec::new();
    for text in &settings.registries {
        let destination = find(text, &known).map_err(|error| {
            // The user may not know that the variable is set.
            match error {
                Error::Invalid { message, hints } if settings.registry_variable => Error::Invalid {
                    message: format!("{REGISTRY_VARIABLE}: {message}"),
                    hints,
                },
                error => error,
            }
        })?;
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }
    Ok(destinations)
}

/// Reads the name of a `[[registry]]`, or a host with an optional namespace.
fn find(text: &str, known: &[Destination]) -> Result<Destination, Error> {
    if let Some(found) = known.iter().find(|destination| destination.name == text) {
        return Ok(found.clone());
    }
    let host = text.split('/').next().unwrap_or_default();
    if !(host.contains(['.', ':']) || host == "localhost") {
        let error = Error::invalid(format!(
            "`{}` is neither the name of a [[registry]] nor a registry host",
            redact_userinfo(text)
        ));
        return Err(
            match closest(
                text,
                known.iter().map(|destination| destination.name.as_str()),
            ) {
                Some(similar) => error.hint(format!("did you mean `{similar}`?")),
                None => error.hint(
                    "a host has a `.` or a port, or is localhost: registry.example.com/golden",
                ),
            },
        );
    }
    let mut destination: Destination = text.parse()?;
    if let Some(same) = known.iter().find(|known| known.host == destination.host) {
        destination.ca.clone_from(&same.ca);
        destination.http = same.http;
    }
    Ok(destination)
}

/// The registries of a command that needs no images.
#[derive(Debug, Default)]
pub struct Destinations {
    /// The registries to use.
    pub chosen: Vec<Destination>,
    /// All `[[registry]]` tables, for their CA and scheme.
    pub registries: Vec<Destination>,
}

impl Destinations {
    /// The registries of a command that needs no images. The workspace is optional. Fails if a name
    /// is unknown.
    pub fn of(settings: &Settings, workspace: Option<&Workspace>) -> Result<Self, Error> {
        let Some(workspace) = workspace else {
            let chosen = chosen(settings, Path::new("/"), &WorkspaceSpec::default())?;
            return Ok(Self {
                chosen,
                registries: Vec::new(),
            });
        };
        Ok(Self {
            chosen: chosen(settings, &workspace.root, &workspace.spec)?,
            registries: registries(&workspace.root, &workspace.spec),
        })
    }
}
