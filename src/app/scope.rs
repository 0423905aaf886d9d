//! The settings of a command on references and on names of workspace images.

use super::destinations::Destinations;
use super::error::Error;
use super::located::Finder;
use super::names::WorkspaceNames;
use super::registries;
use super::settings::Settings;
use crate::platform::Platform;
use crate::reference::Reference;
use crate::registry::{Registries, Repo};
use crate::workspace::Workspace;

/// The settings of a command on references, and the workspace whose images they may name.
#[derive(Debug)]
pub struct CommandScope {
    /// The settings.
    pub settings: Settings,
    /// The workspace, if there is one.
    pub workspace: Option<Workspace>,
    /// The selected registries.
    pub destinations: Destinations,
    /// The names of the workspace images.
    pub names: WorkspaceNames,
}

impl CommandScope {
    /// Opens the registries of a command with these arguments. Fails if a configured host is invalid.
    pub(super) fn registries(
        &self,
        arguments: impl IntoIterator<Item: AsRef<str>>,
    ) -> Result<Registries, Error> {
        let hosts = self.names.with_host(arguments);
        registries::open(&self.settings, &self.destinations, &hosts)
    }

    /// The references of all arguments, each with its repository. Fails as
    /// [`WorkspaceNames::references`] does.
    pub(super) fn repos(&self, arguments: &[String]) -> Result<Vec<(Repo, Reference)>, Error> {
        let registries = self.registries(arguments)?;
        let mut repos = Vec::new();
        for argument in arguments {
            let references = self.names.references(argument)?.into_iter();
            repos.extend(references.map(|one| (registries.repo(&one.repository), one)));
        }
        Ok(repos)
    }

    /// The only reference of an argument, with its repository. Fails as
    /// [`WorkspaceNames::reference`] does.
    pub(super) fn repo(&self, argument: &str) -> Result<(Repo, Reference), Error> {
        let reference = self.names.reference(argument)?;
        let repo = self.registries([argument])?.repo(&reference.repository);
        Ok((repo, reference))
    }

    /// Finds images for a platform.
    #[must_use]
    pub const fn finder<'a>(&'a self, platform: Option<&'a Platform>) -> Finder<'a> {
        Finder {
            settings: &self.settings,
            destinations: &self.destinations,
            names: &self.names,
            platform,
        }
    }
}
