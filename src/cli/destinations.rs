//! Which registries a command is about: `--registry`, `--all-registries`, `GOLDEN_REGISTRY`, else golden.toml.

use std::path::Path;

use super::context::Context;
use super::error::Failure;
use crate::resolve::Destination;
use crate::secret::redact_userinfo;
use crate::spec::WorkspaceSpec;
use crate::suggest::closest;

/// Every `[[registry]]` of golden.toml.
#[must_use]
pub fn registries(root: &Path, spec: &WorkspaceSpec) -> Vec<Destination> {
    let destination = |table: &crate::spec::workspace::RegistryTable| {
        Some(Destination {
            name: table.name.clone()?,
            host: table.host.clone()?,
            namespace: table
                .namespace
                .clone()
                .unwrap_or_default()
                .trim_matches('/')
                .to_owned(),
            ca: table.ca.as_ref().map(|ca| root.join(ca)),
            http: table.http,
        })
    };
    spec.registry.iter().filter_map(destination).collect()
}

/// The registries that `--registry` names, else the one in `GOLDEN_REGISTRY`, as they are written.
pub(super) fn selected(context: &Context) -> Vec<String> {
    match context.var("GOLDEN_REGISTRY") {
        _ if !context.globals.registry.is_empty() => context.globals.registry.clone(),
        Some(registry) => vec![registry.to_owned()],
        None => Vec::new(),
    }
}

/// The destinations of a command that knows the workspace. Empty when nothing names one.
pub fn chosen(
    context: &Context,
    root: &Path,
    spec: &WorkspaceSpec,
) -> Result<Vec<Destination>, Failure> {
    let known = registries(root, spec);
    let globals = &context.globals;
    if globals.all_registries {
        return Ok(known);
    }
    let named = selected(context);
    if named.is_empty() {
        let marked: Vec<Destination> = known
            .iter()
            .filter(|destination| {
                spec.registry
                    .iter()
                    .any(|table| table.default && table.name.as_ref() == Some(&destination.name))
            })
            .cloned()
            .collect();
        return Ok(if marked.is_empty() {
            known.into_iter().take(1).collect()
        } else {
            marked
        });
    }
    let mut destinations: Vec<Destination> = Vec::new();
    for text in &named {
        let destination = named_one(text, &known)?;
        if !destinations.contains(&destination) {
            destinations.push(destination);
        }
    }
    Ok(destinations)
}

/// A name of a `[[registry]]` first, else a host with an optional namespace.
fn named_one(text: &str, known: &[Destination]) -> Result<Destination, Failure> {
    if let Some(found) = known.iter().find(|destination| destination.name == text) {
        return Ok(found.clone());
    }
    let host = text.split('/').next().unwrap_or_default();
    if !(host.contains(['.', ':']) || host == "localhost") {
        let failure = Failure::usage(format!(
            "`{}` is neither the name of a [[registry]] nor a registry host",
            redact_userinfo(text)
        ));
        return Err(
            match closest(
                text,
                known.iter().map(|destination| destination.name.as_str()),
            ) {
                Some(near) => failure.hint(format!("did you mean `{near}`?")),
                None => failure.hint(
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

/// What commands that need no images know of registries.
#[derive(Debug, Default)]
pub struct Destinations {
    /// The chosen ones.
    pub chosen: Vec<Destination>,
    /// Every `[[registry]]`, for its CA and its scheme.
    pub registries: Vec<Destination>,
}

/// The destinations of a command that needs no images. A workspace need not be there; a broken one fails as usual.
pub async fn destinations(context: &Context) -> Result<Destinations, Failure> {
    let Some(workspace) = super::session::workspace(context).await? else {
        let chosen = chosen(context, Path::new("/"), &WorkspaceSpec::default())?;
        return Ok(Destinations {
            chosen,
            registries: Vec::new(),
        });
    };
    Ok(Destinations {
        chosen: chosen(context, &workspace.root, &workspace.spec)?,
        registries: registries(&workspace.root, &workspace.spec),
    })
}
