//! The context of a command: output, events, and the environment of the process, which is read
//! once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::GlobalArgs;
use crate::app::settings::variable;
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
    /// True if a user can answer questions: stdin is a terminal.
    pub terminal: bool,
    /// The start time in seconds since 1970-01-01 UTC.
    pub now: i64,
    /// The values of the global options.
    pub globals: GlobalArgs,
    /// The hints that are shown only if the command fails.
    pub later_hints: LaterHints,
}

/// Hints about arguments, which matter only if the command fails.
#[derive(Debug, Clone, Default)]
pub struct LaterHints(Arc<Mutex<Vec<String>>>);

impl LaterHints {
    /// Adds hints.
    pub fn extend(&self, hints: impl IntoIterator<Item = String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(hints);
    }

    /// All hints.
    #[must_use]
    pub fn all(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Context {
    /// The settings of a command that selects no images.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let registries = match self.var("GOLDEN_REGISTRY") {
            _ if !self.globals.registry.is_empty() => self.globals.registry.clone(),
            Some(registry) => vec![registry.to_owned()],
            None => Vec::new(),
        };
        Settings {
            cwd: self.cwd.clone(),
            workspace: self.globals.workspace.clone(),
            env: self.env.clone(),
            now: self.now,
            events: self.events.clone(),
            registries,
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
