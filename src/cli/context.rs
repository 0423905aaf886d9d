//! What a command is given: output, events, and the process's surroundings, read once.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::GlobalArgs;
use crate::event::Events;
use crate::process::Environment;
use crate::report::{Out, OutputFormat};
use crate::workspace::user_cache::UserCache;

/// The surroundings of a command. Tests make one by hand.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where output goes.
    pub out: Out,
    /// Where events go.
    pub events: Events,
    /// The environment, as it was at the start.
    pub env: BTreeMap<String, String>,
    /// What golden was called as, for commands that can be pasted.
    pub program: String,
    /// The directory that golden was started in.
    pub cwd: PathBuf,
    /// The form of output, one of those that the command has.
    pub format: OutputFormat,
    /// Whether somebody is there to answer a question.
    pub terminal: bool,
    /// Seconds since 1970 at the start.
    pub now: i64,
    /// The global options.
    pub globals: GlobalArgs,
}

impl Context {
    /// The environment, for programs that golden starts.
    #[must_use]
    pub fn environment(&self) -> Environment {
        Environment::new(self.env.clone())
    }

    /// The user's cache: `golden` in `XDG_CACHE_HOME`, else in `.cache` of the home directory.
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

    /// A variable of the environment; an empty one counts as not set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.env
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }
}
