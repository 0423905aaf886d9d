//! The context of a command: output, events, and the environment of the process, which is read
//! once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::GlobalArgs;
use crate::app::settings::{REGISTRY_VARIABLE, variable};
use crate::app::{Selection, Settings};
use crate::event::Events;
use crate::report::{Out, OutputFormat};
use crate::signing::AskPassword;

/// The output, the options and the environment of a command. Tests construct their own.
#[derive(Debug, Clone)]
pub struct Context {
    /// Writes to stdout and stderr.
    pub out: Out,
    /// Sends events to the progress display.
    pub events: Events,
    /// The environment variables at the start.
    pub env: BTreeMap<String, String>,
    /// The name that the user called golden by, for commands in hints.
    pub program: String,
    /// The directory that golden was started in.
    pub cwd: PathBuf,
    /// The output format, one that the command supports.
    pub format: OutputFormat,
    /// True if a user can answer questions: stdin and stderr are terminals.
    pub terminal: bool,
    /// The start time in seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The values of the global options.
    pub globals: GlobalArgs,
    /// The hints that are shown only if the command fails.
    pub later_hints: LaterHints,
}

/// A hint about an argument.
#[derive(Debug, Clone)]
pub struct ArgumentHint {
    /// The path of the repository that golden reads for the argument.
    pub path: String,
    /// The hint.
    pub text: String,
}

/// Hints about arguments, which matter only if the command fails.
#[derive(Debug, Clone, Default)]
pub struct LaterHints(Arc<Mutex<Vec<ArgumentHint>>>);

impl LaterHints {
    /// Adds hints.
    pub fn extend(&self, hints: impl IntoIterator<Item = ArgumentHint>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(hints);
    }

    /// Removes and returns the hints that belong to an error: those about a repository that its
    /// message names, or all, if it names none.
    #[must_use]
    pub fn take(&self, message: &str) -> Vec<String> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut own, others): (Vec<_>, Vec<_>) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|hint| names(message, &hint.path));
        if own.is_empty() {
            own = others;
        } else {
            *all = others;
        }
        own.into_iter().map(|hint| hint.text).collect()
    }
}

/// True if the message contains the path of a repository, and not only one that begins with it. In
/// an address, `/manifests` follows the path.
fn names(message: &str, path: &str) -> bool {
    let mut ends = message.match_indices(path);
    ends.any(|(start, _)| {
        let after = message[start + path.len()..].chars().next();
        !after.is_some_and(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    })
}

impl Context {
    /// The settings of a command that selects no images.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let (registries, registry_variable) = match self.var(REGISTRY_VARIABLE) {
            _ if !self.globals.registry.is_empty() => (self.globals.registry.clone(), false),
            Some(registry) => (vec![registry.to_owned()], true),
            None => (Vec::new(), false),
        };
        Settings {
            cwd: self.cwd.clone(),
            workspace: self.globals.workspace.clone(),
            env: self.env.clone(),
            now: self.now,
            events: self.events.clone(),
            registries,
            registry_variable,
            all_registries: self.globals.all_registries,
            insecure_registries: self.globals.insecure_registry.clone(),
            selection: Selection::default(),
            trusted_engines: Vec::new(),
            ask_password: self.terminal.then_some(super::password::ask as AskPassword),
            set: Vec::new(),
        }
    }

    /// The value of an environment variable; `None` if it is not set or empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        variable(&self.env, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hint_belongs_to_the_error_that_names_its_repository() {
        let hints = LaterHints::default();
        let about = |name: &str| ArgumentHint {
            path: format!("library/{name}"),
            text: name.to_owned(),
        };
        hints.extend(["ap", "apx", "apy"].map(about));
        assert_eq!(
            hints.take("docker.io/library/apx:1 does not exist"),
            ["apx"]
        );
        assert_eq!(
            hints.take("GET https://registry/v2/library/ap/manifests/1: no answer"),
            ["ap"]
        );
        assert_eq!(hints.take("no network"), ["apy"]);
        assert!(hints.take("no network").is_empty());
    }
}
