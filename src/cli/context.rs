//! The context of a command: output, events, and the environment of the process, which is read
//! once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::GlobalArgs;
use crate::event::Events;
use crate::process::Environment;
use crate::report::{Out, OutputFormat};
use crate::workspace::user_cache::UserCache;

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
}

impl Context {
    /// The environment for programs that golden starts.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment::new(self.env.clone())
    }

    /// The cache of the user: `$XDG_CACHE_HOME/golden`, or `~/.cache/golden` if the variable is not
    /// set.
    #[must_use]
    pub fn user_cache(&self) -> UserCache {
        let absolute = |name: &str| {
            self.var(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        caches.map_or_else(UserCache::default, |caches| {
            UserCache::at(caches.join("golden"))
        })
    }

    /// The value of an environment variable; `None` if it is not set or empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
